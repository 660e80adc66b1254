"""A grant that ends while its user writes: nothing of theirs is stored after it."""

import asyncio
from typing import Any

import pytest
from bson import ObjectId

from chatvault.conversations.grants import Grant
from conftest import HttpClient
from support.factories import begin, message
from support.granting import at, grant, revoke

APPENDS = 500
AT_ONCE = 16


class TestUnderLoad:
    @pytest.mark.parametrize("there", ["in the same process", "in another process"])
    async def test_stores_nothing_after_the_grant_went(
        self,
        alice: HttpClient,
        bob: HttpClient,
        elsewhere: HttpClient,
        database: Any,
        there: str,
    ) -> None:
        conversation = await begin(alice)
        await grant(alice, conversation, "bob", "editor")
        path = at(conversation, "/messages")
        left, stored, statuses = iter(range(APPENDS)), asyncio.Event(), []
        late: list[int] = []
        is_gone = False

        async def append() -> None:
            for number in left:
                began_late = is_gone
                answer = await bob.post(path, json=message(str(number)))
                statuses.append(answer.status)
                if answer.status == 200:
                    stored.set()
                if began_late:
                    late.append(answer.status)

        async def end() -> None:
            nonlocal is_gone
            await stored.wait()
            await revoke(
                alice if there == "in the same process" else elsewhere, conversation, "bob"
            )
            is_gone = True

        await asyncio.gather(end(), *(append() for _ in range(AT_ONCE)))

        assert len(statuses) == APPENDS
        assert set(statuses) <= {200, 404, 503}
        assert late
        assert 200 not in late
        entries = database.audit_logs
        gone = await entries.find_one({"action": "conversation.unshare"})
        appended = {"action": "conversation.append_message", "outcome": "success"}
        versions = [each["details"]["version"] async for each in entries.find(appended)]
        assert len(versions) == statuses.count(200)
        assert max(versions) <= gone["details"]["version"]
        found = await (await alice.get(at(conversation))).json()
        assert found["total_messages"] == statuses.count(200)


class TestBetweenReadAndCommit:
    async def test_conflicts_with_the_change_under_way(
        self,
        alice: HttpClient,
        bob: HttpClient,
        elsewhere: HttpClient,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        conversation = await begin(alice)
        await grant(alice, conversation, "bob", "editor")
        read_needs, reads = Grant.read_needs, 0

        async def read_and_revoke(*args: Any) -> Any:
            """Read the grants; then another process ends the one that was read."""
            nonlocal reads
            found = await read_needs(*args)
            reads += 1
            if reads == 1:
                await revoke(elsewhere, conversation, "bob")
            return found

        monkeypatch.setattr(Grant, "read_needs", read_and_revoke)
        answer = await bob.post(at(conversation, "/messages"), json=message())

        assert answer.status == 404
        assert reads == 2
        found = await (await alice.get(at(conversation))).json()
        assert found["total_messages"] == 0

    async def test_counts_for_changes_of_the_same_batch(
        self, alice: HttpClient, bob: HttpClient, database: Any
    ) -> None:
        conversation = await begin(alice)
        await grant(alice, conversation, "bob", "editor")
        path = at(conversation, "/messages")
        changes = [bob.post(path, json=message(str(each))) for each in range(20)]

        *answers, ended = await asyncio.gather(
            *changes, alice.delete(at(conversation, "/grants/bob"))
        )

        assert ended.status == 204
        gone = await database.audit_logs.find_one({"action": "conversation.unshare"})
        stored = [each for each in answers if each.status == 200]
        assert {each.status for each in answers} <= {200, 404}
        found = await (await alice.get(path)).json()
        assert len(found["messages"]) == len(stored)
        assert gone["details"]["version"] == 1 + len(stored)

    async def test_a_smaller_role_counts_at_once(
        self, alice: HttpClient, bob: HttpClient, elsewhere: HttpClient, database: Any
    ) -> None:
        conversation = await begin(alice)
        given = await grant(alice, conversation, "bob", "editor")
        await grant(elsewhere, conversation, "bob", "viewer")

        answer = await bob.post(at(conversation, "/messages"), json=message())

        assert answer.status == 403
        kept = await database.grants.find_one({"grantee_id": ObjectId(given["user_id"])})
        assert kept["role"] == "viewer"
