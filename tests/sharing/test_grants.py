"""Sharing a conversation with a user, and what they may do with it."""

import functools
from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId
from pymongo import AsyncMongoClient
from pymongo.monitoring import (
    CommandFailedEvent,
    CommandListener,
    CommandStartedEvent,
    CommandSucceededEvent,
)

from chatvault.fields import format_instant, now
from conftest import HttpClient, SignIn
from support.factories import begin, message
from support.granting import at, code_of, grant, revoke

FIRST = message("Hello", id="first")


class Commands(CommandListener):
    """The commands that the service sends, by name and collection."""

    def __init__(self) -> None:
        self.sent: list[str] = []

    def started(self, event: CommandStartedEvent) -> None:
        name = event.command_name
        collection = event.command.get(name)
        # The session is touched now and then.
        if isinstance(collection, str) and collection != "sessions":
            self.sent.append(f"{name} {collection}")

    def succeeded(self, event: CommandSucceededEvent) -> None:
        """Ignore it."""

    def failed(self, event: CommandFailedEvent) -> None:
        """Ignore it."""


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> Commands:
    heard = Commands()
    listening = functools.partial(AsyncMongoClient, event_listeners=[heard])
    monkeypatch.setattr("chatvault.mongodb.database.AsyncMongoClient", listening)
    return heard


class TestSet:
    async def test_answers_with_the_grant(self, alice: HttpClient, bob: HttpClient) -> None:
        conversation = await begin(alice)

        given = await grant(alice, conversation, "bob", "commenter")

        assert (given["username"], given["role"]) == ("bob", "commenter")
        assert given["granted_by"] == conversation["user_id"]
        assert given["expires_at"] is None
        listed = await (await alice.get(at(conversation, "/grants"))).json()
        assert listed == {"grants": [given]}

    async def test_takes_an_id_as_well_and_changes_the_role(
        self, alice: HttpClient, bob: HttpClient
    ) -> None:
        conversation = await begin(alice)
        given = await grant(alice, conversation, "bob")

        changed = await grant(alice, conversation, given["user_id"], "editor")

        assert changed == {**given, "role": "editor"}
        assert len((await (await alice.get(at(conversation, "/grants"))).json())["grants"]) == 1

    async def test_keeps_version_and_times(self, alice: HttpClient, bob: HttpClient) -> None:
        conversation = await begin(alice)

        await grant(alice, conversation, "bob")

        found = await (await alice.get(at(conversation))).json()
        assert found == {**conversation, "shared": True}

    async def test_refuses_unknown_users_the_owner_and_the_past(
        self, alice: HttpClient, bob: HttpClient
    ) -> None:
        conversation = await begin(alice)
        past = format_instant(now() - timedelta(seconds=1))
        for user, body, status, field in (
            ("nobody", {"role": "viewer"}, 404, None),
            (str(ObjectId()), {"role": "viewer"}, 404, None),
            ("alice", {"role": "viewer"}, 422, "user"),
            ("bob", {"role": "viewer", "expires_at": past}, 422, "expires_at"),
            ("bob", {"role": "owner"}, 422, "role"),
        ):
            answer = await alice.put(at(conversation, f"/grants/{user}"), json=body)
            assert answer.status == status, (user, body)
            named = [each["loc"][-1] for each in (await answer.json()).get("errors", [])]
            assert named == ([field] if field else [])

    async def test_takes_no_more_users_than_it_may(
        self, alice: HttpClient, bob: HttpClient, sign_in: SignIn, constants: pytest.MonkeyPatch
    ) -> None:
        constants.setattr("chatvault.sharing.service.MOST_GRANTS", 1)
        await sign_in("carol")
        conversation = await begin(alice)
        await grant(alice, conversation, "bob")

        answer = await alice.put(at(conversation, "/grants/carol"), json={"role": "viewer"})

        assert (answer.status, await code_of(answer)) == (409, "too_many_grants")
        changed = await grant(alice, conversation, "bob", "editor")
        assert changed["role"] == "editor"

    async def test_takes_no_more_conversations_for_one_user_than_it_may(
        self, alice: HttpClient, bob: HttpClient, sign_in: SignIn, constants: pytest.MonkeyPatch
    ) -> None:
        constants.setattr("chatvault.sharing.service.MOST_TO_ONE", 1)
        carol = await sign_in("carol")
        first, second = await begin(alice), await begin(alice)
        await grant(alice, first, "bob")

        answer = await alice.put(at(second, "/grants/bob"), json={"role": "viewer"})

        assert (answer.status, await code_of(answer)) == (409, "too_many_to_user")
        assert (await grant(alice, first, "bob", "editor"))["role"] == "editor"
        await grant(alice, second, "carol")
        await grant(carol, await begin(carol), "bob")

    async def test_is_audited_with_the_grantee(
        self, alice: HttpClient, bob: HttpClient, database: Any
    ) -> None:
        conversation = await begin(alice)

        given = await grant(alice, conversation, "bob", "editor")
        await revoke(alice, conversation, "bob")

        find = database.audit_logs.find
        actions = {"$in": ["conversation.share", "conversation.unshare"]}
        set_, ended = await find({"action": actions}).sort("_id", 1).to_list()
        about = {"grantee_id": given["user_id"], "version": 1}
        assert set_["details"] == {**about, "role": "editor"}
        assert ended["details"] == about
        assert set_["resource_id"] == ended["resource_id"] == conversation["id"]


class TestViewer:
    async def test_reads_the_conversation_without_its_owners_order(
        self, alice: HttpClient, bob: HttpClient
    ) -> None:
        conversation = await begin(alice, messages=[FIRST], tags=["secret"], pinned=True)
        await grant(alice, conversation, "bob")

        found = await (await bob.get(at(conversation))).json()

        assert found == {**conversation, "tags": [], "pinned": False, "shared": True}

    @pytest.mark.parametrize(
        "further",
        [
            "/messages",
            "/messages/first",
            "/messages/first/revisions",
            "/messages/outline",
            "/forks",
            "/commands",
            "/attachments",
        ],
    )
    async def test_reads_what_belongs_to_it(
        self, alice: HttpClient, bob: HttpClient, further: str
    ) -> None:
        conversation = await begin(alice, messages=[FIRST])
        await grant(alice, conversation, "bob")

        answer = await bob.get(at(conversation, further))

        assert answer.status == 200
        assert await answer.json() == await (await alice.get(at(conversation, further))).json()

    async def test_may_not_write(self, alice: HttpClient, bob: HttpClient) -> None:
        conversation = await begin(alice, messages=[FIRST])
        await grant(alice, conversation, "bob")

        answer = await bob.post(at(conversation, "/messages"), json=message())

        assert (answer.status, await code_of(answer)) == (403, "insufficient_grant")
        found = await (await alice.get(at(conversation))).json()
        assert found["total_messages"] == 1

    async def test_is_audited_with_the_owner_who_sees_it(
        self, alice: HttpClient, bob: HttpClient, database: Any
    ) -> None:
        conversation = await begin(alice)
        given = await grant(alice, conversation, "bob")

        await bob.get(at(conversation))

        entry = await database.audit_logs.find_one({"action": "conversation.get"})
        assert str(entry["user_id"]) == given["user_id"]
        assert str(entry["owner_id"]) == conversation["user_id"]
        mine = await (await alice.get("/users/me/audit-logs")).json()
        [seen] = [each for each in mine if each["action"] == "conversation.get"]
        assert seen["user_id"] == given["user_id"]
        assert seen["address"] is seen["user_agent"] is seen["session_id"] is None
        his = await (await bob.get("/users/me/audit-logs")).json()
        assert his[0]["address"] is not None


class TestEditor:
    async def test_appends_as_the_author(
        self, alice: HttpClient, bob: HttpClient, database: Any
    ) -> None:
        conversation = await begin(alice, messages=[FIRST])
        given = await grant(alice, conversation, "bob", "editor")

        answer = await bob.post(at(conversation, "/messages"), json=message("Mine", author_id="x"))

        assert answer.status == 200, await answer.text()
        page = await (await alice.get(at(conversation, "/messages"))).json()
        assert [each.get("author_id") for each in page["messages"]] == [None, given["user_id"]]
        entry = await database.audit_logs.find_one({"action": "conversation.append_message"})
        assert str(entry["user_id"]) == given["user_id"]
        assert str(entry["owner_id"]) == conversation["user_id"]
        assert await database.authorships.count_documents({}) == 1

    async def test_edits_as_the_author_until_the_owner_does(
        self, alice: HttpClient, bob: HttpClient
    ) -> None:
        conversation = await begin(alice, messages=[FIRST])
        given = await grant(alice, conversation, "bob", "editor")
        path = at(conversation, "/messages/first")

        edited = await (await bob.patch(path, json={"content": "His"})).json()
        again = await (await alice.patch(path, json={"content": "Hers"})).json()

        assert edited["author_id"] == given["user_id"]
        assert "author_id" not in again
        revisions = await (await alice.get(f"{path}/revisions")).json()
        assert "author_id" not in str(revisions[0])
        assert given["user_id"] in str(revisions[1])

    async def test_repeats_with_an_idempotency_key(
        self, alice: HttpClient, bob: HttpClient
    ) -> None:
        conversation = await begin(alice)
        await grant(alice, conversation, "bob", "editor")
        headers = {"Idempotency-Key": "once"}
        path = at(conversation, "/messages")

        first = await (await bob.post(path, json=message("a"), headers=headers)).json()
        again = await (await bob.post(path, json=message("a"), headers=headers)).json()
        await revoke(alice, conversation, "bob")
        late = await bob.post(path, json=message("a"), headers=headers)

        assert first == again
        assert late.status == 404

    async def test_moves_older_messages_as_the_owner_does(
        self, alice: HttpClient, bob: HttpClient, database: Any
    ) -> None:
        conversation = await begin(alice)
        await grant(alice, conversation, "bob", "editor")
        path = at(conversation, "/messages:batch")
        for start in (0, 40):
            some = [message(str(start + each)) for each in range(40)]
            assert (await bob.post(path, json={"messages": some})).status == 200
        await bob.post(at(conversation, "/messages"), json=message("last"))

        page = await (await bob.get(at(conversation, "/messages?limit=200"))).json()

        told = [each["content"] for each in page["messages"]]
        assert told == [*map(str, range(80)), "last"]
        owners = await database.segments.distinct("user_id")
        assert owners == [ObjectId(conversation["user_id"])]

    @pytest.mark.parametrize(
        ("method", "further", "body"),
        [
            ("DELETE", "", None),
            ("DELETE", "?permanent=true", None),
            ("POST", "/restore", {}),
            ("PATCH", "", {"title": "x"}),
            ("PUT", "", {"tags": ["x"]}),
            ("POST", "/archive", {"archived": True}),
            ("GET", "/export", None),
            ("POST", "/fork", {}),
            ("GET", "/grants", None),
            ("PUT", "/grants/carol", {"role": "viewer"}),
            ("DELETE", "/grants/carol", None),
            ("DELETE", "/messages/first", None),
            ("GET", "/context", None),
            ("POST", "/summary", {}),
            ("POST", "/messages/first/execute-command", {"command": "ls"}),
        ],
    )
    async def test_leaves_the_rest_to_the_owner(
        self,
        alice: HttpClient,
        bob: HttpClient,
        database: Any,
        method: str,
        further: str,
        body: dict[str, Any] | None,
    ) -> None:
        conversation = await begin(alice, messages=[FIRST])
        await grant(alice, conversation, "bob", "editor")
        before = await database.conversations.find().to_list()

        answer = await bob.request(method, at(conversation, further), json=body)

        assert (answer.status, await code_of(answer)) == (403, "insufficient_grant")
        assert await database.conversations.find().to_list() == before


class TestEnd:
    async def test_ends_reading_and_writing_at_once(
        self, alice: HttpClient, bob: HttpClient, elsewhere: HttpClient
    ) -> None:
        conversation = await begin(alice)
        await grant(alice, conversation, "bob", "editor")
        assert (await bob.get(at(conversation))).status == 200

        await revoke(elsewhere, conversation, "bob")

        for answer in (
            await bob.get(at(conversation)),
            await bob.post(at(conversation, "/messages"), json=message()),
            await bob.delete(at(conversation)),
        ):
            assert (answer.status, await code_of(answer)) == (404, "not_found")
        assert (await alice.delete(at(conversation, "/grants/bob"))).status == 404

    async def test_is_possible_for_the_grantee_alone(
        self, alice: HttpClient, bob: HttpClient, sign_in: SignIn
    ) -> None:
        conversation = await begin(alice)
        carol = await sign_in("carol")
        for user in ("bob", "carol"):
            await grant(alice, conversation, user)

        assert (await bob.delete(at(conversation, "/grants/carol"))).status == 403
        await revoke(bob, conversation, "bob")

        assert (await bob.get(at(conversation))).status == 404
        assert (await carol.get(at(conversation))).status == 200

    async def test_comes_with_the_time(
        self, alice: HttpClient, bob: HttpClient, database: Any
    ) -> None:
        conversation = await begin(alice)
        soon = format_instant(now() + timedelta(hours=1))
        await grant(alice, conversation, "bob", "editor", expires_at=soon)
        path = at(conversation, "/messages")
        assert (await bob.post(path, json=message())).status == 200

        await database.grants.update_many({}, {"$set": {"expires_at": now()}})

        assert (await bob.post(path, json=message())).status == 404
        assert (await bob.get(path)).status == 404

    async def test_comes_with_the_trash_until_it_is_restored(
        self, alice: HttpClient, bob: HttpClient
    ) -> None:
        conversation = await begin(alice)
        await grant(alice, conversation, "bob", "editor")

        await alice.delete(at(conversation))
        refused = [
            await bob.get(at(conversation)),
            await bob.delete(at(conversation)),
            await bob.post(at(conversation, "/restore")),
        ]
        await alice.post(at(conversation, "/restore"))

        assert [each.status for each in refused] == [404, 404, 404]
        assert (await bob.get(at(conversation))).status == 200


class TestOwner:
    async def test_causes_no_command_more_than_before(
        self, commands: Commands, bob: HttpClient, alice: HttpClient
    ) -> None:
        conversation = await begin(alice, messages=[FIRST])
        message_path = at(conversation, "/messages/first")

        async def work() -> list[str]:
            commands.sent.clear()
            await alice.get(at(conversation))
            await alice.get(at(conversation, "/messages"))
            await alice.post(at(conversation, "/messages"), json=message())
            await alice.patch(message_path, json={"content": "x"})
            return sorted(commands.sent)

        before = await work()
        await grant(alice, conversation, "bob", "editor")

        assert await work() == before
        assert not [each for each in before if "grants" in each or "authorships" in each]
