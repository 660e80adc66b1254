"""Notes beside messages."""

from typing import Any

import pytest
from bson import ObjectId

from chatvault.conversations.authors import release_shared
from conftest import HttpClient, SignIn
from support.factories import begin, message
from support.granting import at, code_of, grant, revoke

FIRST = message("Hello", id="first")
NOTE = {"message_id": "first", "content": "Is this so?"}


async def note(browser: HttpClient, conversation: dict[str, Any]) -> dict[str, Any]:
    """Write a note beside the first message."""
    answer = await browser.post(at(conversation, "/notes"), json=NOTE)
    assert answer.status == 201, await answer.text()
    found: dict[str, Any] = await answer.json()
    return found


async def contents(browser: HttpClient, conversation: dict[str, Any]) -> list[str]:
    answer = await browser.get(at(conversation, "/notes"))
    assert answer.status == 200, await answer.text()
    return [each["content"] for each in (await answer.json())["notes"]]


class TestCommenter:
    async def test_writes_what_all_guests_read(
        self, alice: HttpClient, bob: HttpClient, sign_in: SignIn
    ) -> None:
        carol, conversation = await sign_in("carol"), await begin(alice, messages=[FIRST])
        given = await grant(alice, conversation, "bob", "commenter")
        await grant(alice, conversation, "carol", "viewer")

        written = await note(bob, conversation)

        assert written["author_id"] == given["user_id"]
        for browser in (alice, bob, carol):
            assert await contents(browser, conversation) == [NOTE["content"]]
        refused = await carol.post(at(conversation, "/notes"), json=NOTE)
        assert (refused.status, await code_of(refused)) == (403, "insufficient_grant")
        assert await (await alice.get(at(conversation))).json() == {
            **conversation,
            "shared": True,
            "noted": True,
        }

    async def test_changes_their_own_alone(self, alice: HttpClient, bob: HttpClient) -> None:
        conversation = await begin(alice, messages=[FIRST])
        await grant(alice, conversation, "bob", "commenter")
        hers, his = await note(alice, conversation), await note(bob, conversation)
        path = at(conversation, f"/notes/{hers['id']}")

        for answer in (await bob.patch(path, json={"content": "x"}), await bob.delete(path)):
            assert (answer.status, await code_of(answer)) == (403, "not_author")
        own = at(conversation, f"/notes/{his['id']}")
        assert (await bob.patch(own, json={"content": "Mine"})).status == 200
        refused = await alice.patch(own, json={"content": "x"})
        assert (refused.status, await code_of(refused)) == (403, "not_author")
        assert await contents(alice, conversation) == [NOTE["content"], "Mine"]
        assert (await alice.delete(own)).status == 204
        assert await contents(bob, conversation) == [NOTE["content"]]

    async def test_writes_nothing_after_the_grant_went(
        self, alice: HttpClient, bob: HttpClient
    ) -> None:
        conversation = await begin(alice, messages=[FIRST])
        await grant(alice, conversation, "bob", "commenter")
        his, headers = await note(bob, conversation), {"Idempotency-Key": "once"}
        await bob.post(at(conversation, "/notes"), json=NOTE, headers=headers)

        await revoke(alice, conversation, "bob")

        path = at(conversation, f"/notes/{his['id']}")
        for answer in (
            await bob.post(at(conversation, "/notes"), json=NOTE),
            await bob.post(at(conversation, "/notes"), json=NOTE, headers=headers),
            await bob.patch(path, json={"content": "x"}),
            await bob.delete(path),
            await bob.get(at(conversation, "/notes")),
        ):
            assert answer.status == 404


class TestLimit:
    async def test_refuses_one_more_but_answers_repeats(
        self, alice: HttpClient, constants: pytest.MonkeyPatch
    ) -> None:
        constants.setattr("chatvault.notes.service.MOST_NOTES", 1)
        conversation = await begin(alice, messages=[FIRST])
        key = {"Idempotency-Key": "once"}
        first = await alice.post(at(conversation, "/notes"), json=NOTE, headers=key)

        again = await alice.post(at(conversation, "/notes"), json=NOTE, headers=key)
        refused = await alice.post(at(conversation, "/notes"), json=NOTE)

        assert (first.status, again.status) == (201, 201)
        assert await again.json() == await first.json()
        assert (refused.status, await code_of(refused)) == (409, "too_many_notes")


class TestAttacks:
    async def test_other_ids_reach_nothing(self, alice: HttpClient, bob: HttpClient) -> None:
        shared = await begin(alice, messages=[FIRST])
        hidden = await begin(alice, messages=[message("hidden", id="m-hidden")])
        own = await begin(bob, messages=[message("own", id="m-own")])
        await grant(alice, shared, "bob", "editor")
        secret = await alice.post(
            at(hidden, "/notes"), json={"message_id": "m-hidden", "content": "secret"}
        )
        note_id = (await secret.json())["id"]

        for conversation in (shared, own, hidden):
            path = at(conversation, f"/notes/{note_id}")
            assert (await bob.patch(path, json={"content": "x"})).status == 404
            assert (await bob.delete(path)).status == 404
            wrong = {"message_id": "m-hidden", "content": "x"}
            assert (await bob.post(at(conversation, "/notes"), json=wrong)).status == 404
        for conversation in (shared, own):
            assert await contents(bob, conversation) == []
        assert await contents(alice, hidden) == ["secret"]


class TestEnd:
    async def test_comes_with_the_message(
        self, alice: HttpClient, bob: HttpClient, database: Any
    ) -> None:
        conversation = await begin(alice, messages=[FIRST, message("b", id="second")])
        await grant(alice, conversation, "bob", "commenter")
        await note(bob, conversation)

        await alice.delete(at(conversation, "/messages/first"))

        assert await database.notes.count_documents({}) == 0
        refused = await bob.post(at(conversation, "/notes"), json=NOTE)
        assert refused.status == 404

    async def test_is_refused_under_a_hold(
        self, alice: HttpClient, sign_in: SignIn, database: Any
    ) -> None:
        auditor = await sign_in("carol", role="auditor")
        conversation = await begin(alice, messages=[FIRST])
        written = await note(alice, conversation)
        hold = {"user_id": conversation["user_id"], "reason": "Case 1"}
        assert (await auditor.post("/admin/holds", json=hold)).status == 201

        path = at(conversation, f"/notes/{written['id']}")
        for answer in (await alice.patch(path, json={"content": "x"}), await alice.delete(path)):
            assert (answer.status, await code_of(answer)) == (409, "under_hold")
        await alice.delete(at(conversation, "/messages/first"))
        assert await database.notes.count_documents({}) == 1
        assert await contents(alice, conversation) == []

    async def test_of_a_conversation_ends_its_grants(
        self, alice: HttpClient, bob: HttpClient, database: Any
    ) -> None:
        conversation = await begin(alice, messages=[FIRST])
        other = await begin(alice)
        for each in (conversation, other):
            await grant(alice, each, "bob", "editor")
            await bob.post(at(each, "/messages"), json=message())

        await release_shared(ObjectId(conversation["user_id"]), ObjectId(conversation["id"]))

        for name in ("grants", "authorships"):
            left = await database[name].distinct("conversation_id")
            assert left == [ObjectId(other["id"])]
