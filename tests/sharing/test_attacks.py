"""Ways to reach more than was granted: other ids, other users' keys, ids in bodies."""

from typing import Any

import pytest
from bson import ObjectId

from chatvault.actor import Scope
from conftest import HttpClient, SignIn
from support.factories import begin, message
from support.granting import at, code_of, grant
from support.keys import make_key


async def _things(alice: HttpClient, bob: HttpClient) -> tuple[dict[str, Any], ...]:
    """Return a conversation of Alice's that Bob edits, one that he does not see, and his own."""
    shared = await begin(alice, messages=[message("shared", id="m-shared")])
    hidden = await begin(alice, messages=[message("hidden words", id="m-hidden")])
    own = await begin(bob, messages=[message("own", id="m-own")])
    await grant(alice, shared, "bob", "editor")
    return shared, hidden, own


class TestConfusedDeputy:
    async def test_own_conversation_with_anothers_message(
        self, alice: HttpClient, bob: HttpClient
    ) -> None:
        shared, _, own = await _things(alice, bob)
        for conversation, message_id in (
            (own, "m-shared"),
            (own, "m-hidden"),
            (shared, "m-hidden"),
            (shared, "m-own"),
        ):
            path = at(conversation, f"/messages/{message_id}")
            assert (await bob.get(path)).status == 404
            assert (await bob.patch(path, json={"content": "x"})).status == 404
            revisions = await bob.get(f"{path}/revisions")
            assert await revisions.json() == []

    async def test_ids_in_bodies(self, alice: HttpClient, bob: HttpClient) -> None:
        shared, hidden, own = await _things(alice, bob)
        ids = [shared["id"], hidden["id"]]
        texts = []
        for method, path, body in (
            ("POST", "/conversations:batch", {"action": "trash", "ids": ids}),
            ("POST", "/conversations:batch", {"action": "tag", "ids": ids, "tags": ["x"]}),
            ("POST", "/exports", {"ids": ids}),
            ("POST", at(shared, "/messages"), message(parent_id="m-hidden")),
            ("POST", at(shared, "/messages"), message(role="assistant", replaces="m-hidden")),
            ("PUT", at(shared, "/active-leaf"), {"message_id": "m-hidden"}),
            ("PUT", at(own, "/active-leaf"), {"message_id": "m-shared"}),
            ("POST", at(own, "/messages"), message(parent_id="m-shared")),
        ):
            answer = await bob.request(method, path, json=body)
            texts.append(await answer.text())
            assert answer.status in {200, 202, 404, 409, 422}, (path, answer.status)
        assert not [text for text in texts if "hidden words" in text]
        for conversation in ({**shared, "shared": True}, hidden):
            assert await (await alice.get(at(conversation))).json() == conversation

    async def test_the_owners_other_conversations(self, alice: HttpClient, bob: HttpClient) -> None:
        _, hidden, _ = await _things(alice, bob)
        for further in ("", "/messages", "/messages/m-hidden", "/grants", "/attachments"):
            answer = await bob.get(at(hidden, further))
            assert (answer.status, await code_of(answer)) == (404, "not_found")

    async def test_attachments_of_another_conversation(
        self, alice: HttpClient, bob: HttpClient
    ) -> None:
        shared, hidden, own = await _things(alice, bob)
        stored = await alice.post(
            at(hidden, "/attachments"), params={"name": "a.txt"}, data=b"secret"
        )
        attachment_id = (await stored.json())["id"]
        for conversation in (shared, own, hidden):
            path = at(conversation, f"/attachments/{attachment_id}")
            assert (await bob.get(path)).status == 404
        part = {"type": "file", "attachment_id": attachment_id}
        await bob.post(at(shared, "/messages"), json=message(parts=[part]))
        assert (await bob.get(at(shared, f"/attachments/{attachment_id}"))).status == 404

    async def test_replies_and_commands_of_another_conversation(
        self, alice: HttpClient, bob: HttpClient, database: Any
    ) -> None:
        shared, hidden, own = await _things(alice, bob)
        of = {"user_id": ObjectId(hidden["user_id"]), "conversation_id": ObjectId(hidden["id"])}
        reply = {"state": "completed", "code": None, "answer_id": "m-hidden"}
        tokens = {"input_tokens": 1, "output_tokens": 1}
        made = await database.replies.insert_one({**of, **reply, **tokens})
        command = {"message_id": "m-hidden", "reply_id": None, "tool": "x", "status": "executed"}
        ran = await database.commands.insert_one({**of, **command})
        for conversation in (shared, own, hidden):
            for further in (f"/replies/{made.inserted_id}", f"/commands/{ran.inserted_id}"):
                assert (await bob.get(at(conversation, further))).status == 404


class TestKeys:
    async def test_of_another_user_open_nothing(
        self, alice: HttpClient, bob: HttpClient, sign_in: SignIn, database: Any
    ) -> None:
        shared, _, _ = await _things(alice, bob)
        await sign_in("carol")
        carol = await database.users.find_one({"username": "carol"})
        key = await make_key(carol["_id"])
        answer = await alice.get(at(shared), headers=key.headers)
        assert answer.status == 404

    async def test_are_limited_by_scope_and_by_grant(
        self, alice: HttpClient, bob: HttpClient, http: HttpClient, database: Any
    ) -> None:
        shared, hidden, _ = await _things(alice, bob)
        user = await database.users.find_one({"username": "bob"})
        reads = await make_key(user["_id"], [Scope.CONVERSATIONS_READ])
        writes = await make_key(user["_id"], [Scope.CONVERSATIONS_WRITE])
        path = at(shared, "/messages")

        assert (await http.get(path, headers=reads.headers)).status == 200
        assert (await http.get(path, headers=writes.headers)).status == 403
        refused = await http.post(path, json=message(), headers=reads.headers)
        stored = await http.post(path, json=message(), headers=writes.headers)
        other = await http.get(at(hidden), headers=reads.headers)

        assert (refused.status, await code_of(refused)) == (403, "insufficient_scope")
        assert stored.status == 200
        assert other.status == 404


class TestRoles:
    @pytest.mark.parametrize("role", ["admin", "auditor"])
    async def test_open_no_conversation(
        self, alice: HttpClient, sign_in: SignIn, role: str
    ) -> None:
        conversation = await begin(alice)
        carol = await sign_in("carol", role=role)
        assert (await carol.get(at(conversation))).status == 404
