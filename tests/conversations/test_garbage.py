"""What nothing points to any more: collected when it is due, not before, and without haste."""

import asyncio
from collections.abc import Awaitable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo.errors import AutoReconnect

from chatvault.access import Access
from chatvault.conversations import creation, service
from chatvault.conversations.commits import bulk, garbage, segment_writes
from chatvault.conversations.commits.queue import CommitQueue
from chatvault.conversations.preconditions import Precondition
from chatvault.conversations.routes import COMMITS
from chatvault.conversations.schemas import ConversationCreate, ConversationUpdate, to_stored
from chatvault.conversations.segments import Segment
from chatvault.conversations.store import MessageStore
from chatvault.errors import Busy
from chatvault.fields import now
from conftest import HttpClient
from support.answers import found
from support.codecs import usual_codec
from support.factories import begin, message
from support.sealing import until
from support.stored import somebody, stored, tiny_bounds


def at(conversation: dict[str, Any], suffix: str = "") -> str:
    return f"/conversations/{conversation['id']}{suffix}"


async def make_due(database: Any) -> None:
    due = {"due_at": datetime.now(UTC) - timedelta(seconds=1)}
    await database["retired"].update_many({}, {"$set": due})


async def left(database: Any) -> tuple[int, int, int]:
    """How many segments, revisions and notes there are."""
    names = ("segments", "revisions", "retired")
    counts = [await database[name].count_documents({}) for name in names]
    return counts[0], counts[1], counts[2]


@pytest.fixture
async def long(
    http: HttpClient, alice: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Any]:
    """Thirty messages, two of them edited."""
    tiny_bounds(monkeypatch)
    begun = await begin(alice, messages=[message(str(n), id=f"m{n}") for n in range(30)])
    assert http.app is not None
    await http.app[COMMITS].drain()
    for message_id in ("m0", "m29"):
        await alice.patch(at(begun, f"/messages/{message_id}"), json={"content": "edited"})
    return begun


class TestSweep:
    async def test_removes_a_deleted_conversations_rest_when_it_is_due(
        self, alice: HttpClient, long: dict[str, Any], database: Any
    ) -> None:
        segments, revisions, _ = await left(database)
        assert (segments, revisions) == (10, 2)
        assert (await alice.delete(at(long, "?permanent=true"))).status == 204
        assert await database["conversations"].count_documents({}) == 0

        assert await garbage.sweep(MessageStore()) == 0
        assert await left(database) == (10, 2, 1)
        [note] = await database["retired"].find({}).to_list()
        assert timedelta(minutes=59) < note["due_at"] - now() <= segment_writes.GRACE

        await make_due(database)
        assert await garbage.sweep(MessageStore()) == 12
        assert await left(database) == (0, 0, 0)
        assert await garbage.sweep(MessageStore()) == 0

    async def test_removes_replaced_segments_and_keeps_the_new(
        self, alice: HttpClient, long: dict[str, Any], database: Any
    ) -> None:
        new = [message(f"n{n}") for n in range(20)]
        assert (await alice.put(at(long), json={"messages": new})).status == 200
        await garbage.sweep(MessageStore())
        segments, _, notes = await left(database)
        assert (segments, notes) == (10 + 6, 1)
        await make_due(database)
        assert await garbage.sweep(MessageStore()) == 10 + 2
        lies = await stored(database, long["id"])
        assert lies.contents == [f"n{n}" for n in range(20)]
        assert (await left(database))[2] == 0

    async def test_removes_revisions_of_messages_that_were_not_put_back(
        self, alice: HttpClient, long: dict[str, Any], database: Any
    ) -> None:
        shown = await found(alice, long["id"])
        kept = [each for each in shown["messages"] if each["id"] != "m0"]
        assert (await alice.put(at(long), json={"messages": kept})).status == 200
        assert (await left(database))[1] == 2
        assert await (await alice.get(at(long, "/messages/m0/revisions"))).json() == []

        await make_due(database)
        await garbage.sweep(MessageStore())

        [revision] = await database["revisions"].find({}).to_list()
        assert revision["message_id"] == "m29"
        [shown] = await (await alice.get(at(long, "/messages/m29/revisions"))).json()
        assert shown["message"]["content"] == "29"
        assert (await left(database))[2] == 0

    async def test_removes_revisions_of_a_conversation_without_segments(
        self, alice: HttpClient, database: Any
    ) -> None:
        begun = await begin(alice, messages=[message("a", id="a"), message("b", id="b")])
        await alice.put(at(begun), json={"messages": [message("b", id="b")]})
        assert await left(database) == (0, 0, 0)
        await alice.patch(at(begun, "/messages/b"), json={"content": "edited"})
        await alice.put(at(begun), json={"messages": [message("c", id="c")]})
        assert await left(database) == (0, 1, 1)
        await make_due(database)
        assert await garbage.sweep(MessageStore()) == 1
        assert await left(database) == (0, 0, 0)

    async def test_keeps_revisions_made_after_the_replacement(
        self, alice: HttpClient, long: dict[str, Any], database: Any
    ) -> None:
        await alice.put(at(long), json={"messages": [message("new", id="new")]})
        await alice.patch(at(long, "/messages/new"), json={"content": "newer"})
        await alice.delete(at(long, "/messages/new"))
        await alice.put(at(long), json={"messages": [message("x", id="m0")]})
        await alice.patch(at(long, "/messages/m0"), json={"content": "y"})
        await make_due(database)
        await garbage.sweep(MessageStore())
        found = await database["revisions"].find({}).sort("seq").to_list()
        kept = await MessageStore(usual_codec()).open_revisions(found)
        assert [each["message"]["content"] for each in kept] == ["0", "x"]

    async def test_removes_many_in_batches(
        self, alice: HttpClient, database: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(garbage, "BATCH", 3)
        begun = await begin(alice, messages=[message(str(n), id=f"m{n}") for n in range(10)])
        for number in range(10):
            for text in ("one", "two"):
                path = at(begun, f"/messages/m{number}")
                await alice.patch(path, json={"content": text})
        stay = [message(str(n), id=f"m{n}") for n in range(0, 10, 2)]
        await alice.put(at(begun), json={"messages": stay})
        await make_due(database)
        assert await garbage.sweep(MessageStore()) == 10
        ids = await database["revisions"].distinct("message_id")
        assert sorted(ids) == ["m0", "m2", "m4", "m6", "m8"]

    async def test_keeps_other_users_data(
        self, alice: HttpClient, bob: HttpClient, long: dict[str, Any], database: Any
    ) -> None:
        his = await begin(bob, messages=[message(str(n), id=f"m{n}") for n in range(30)])
        await bob.patch(at(his, "/messages/m3"), json={"content": "edited"})
        hers = await begin(alice, messages=[message(str(n)) for n in range(30)])
        before = [await found(bob, his["id"]), await found(alice, hers["id"])]
        await alice.delete(at(long, "?permanent=true"))
        await make_due(database)
        assert await garbage.sweep(MessageStore()) == 12
        assert [await found(bob, his["id"]), await found(alice, hers["id"])] == before
        assert len(await (await bob.get(at(his, "/messages/m3/revisions"))).json()) == 1

    async def test_removes_everything_after_the_deletion_of_all(
        self, alice: HttpClient, long: dict[str, Any], database: Any
    ) -> None:
        for _ in range(5):
            await begin(alice, messages=[message(str(n)) for n in range(12)])
        assert (await (await alice.delete("/conversations")).json())["deleted_count"] == 6
        assert (await (await alice.delete("/trash")).json())["deleted_count"] == 6
        await make_due(database)
        await garbage.sweep(MessageStore())
        assert await left(database) == (0, 0, 0)

    async def test_is_resumed_after_an_interruption(
        self,
        alice: HttpClient,
        long: dict[str, Any],
        database: Any,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        await alice.delete(at(long, "?permanent=true"))
        await make_due(database)
        monkeypatch.setattr(garbage, "BATCH", 3)
        some_ids = garbage._some_ids
        calls = 0

        async def break_off(*args: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == 3:
                raise AutoReconnect("gone")
            return await some_ids(*args)

        with monkeypatch.context() as patched:
            patched.setattr(garbage, "_some_ids", break_off)
            with pytest.raises(AutoReconnect):
                await garbage.sweep(MessageStore())
        assert await left(database) == (4, 2, 1)
        assert (await database["retired"].find_one({}))["swept"] is True

        assert await garbage.sweep(MessageStore()) == 6
        assert await left(database) == (0, 0, 0)

    async def test_may_run_in_several_processes(
        self, alice: HttpClient, long: dict[str, Any], database: Any
    ) -> None:
        for _ in range(10):
            await begin(alice, messages=[message(str(n)) for n in range(12)])
        await alice.delete("/conversations")
        await alice.delete("/trash")
        segments, revisions, notes = await left(database)
        assert notes == 11
        await make_due(database)
        removed = await asyncio.gather(*(garbage.sweep(MessageStore()) for _ in range(4)))
        assert sum(removed) == segments + revisions
        assert await left(database) == (0, 0, 0)

    async def test_continues_after_failures(
        self,
        alice: HttpClient,
        long: dict[str, Any],
        database: Any,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        await alice.delete(at(long, "?permanent=true"))
        await make_due(database)
        monkeypatch.setattr(garbage, "PAUSE_SECONDS", 0.01)
        some_ids = garbage._some_ids
        calls = 0

        async def stumble(*args: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls < 3:
                raise AutoReconnect("gone")
            return await some_ids(*args)

        monkeypatch.setattr(garbage, "_some_ids", stumble)
        running = asyncio.create_task(garbage.run(MessageStore()))

        async def all_gone() -> bool:
            return await left(database) == (0, 0, 0)

        await until(all_gone)
        running.cancel()
        assert calls > 3


class TestUnfinishedBulkWrite:
    async def test_is_collected(
        self, alice: HttpClient, long: dict[str, Any], database: Any
    ) -> None:
        actor = somebody()
        wanted = ConversationUpdate.model_validate({"messages": [message("x")] * 50})
        assert wanted.messages
        generation, _ = await bulk.write_generation(
            Access.of(actor), MessageStore(), to_stored(wanted.messages, now())
        )
        assert generation is not None
        before = await found(alice, long["id"])
        segments, _, notes = await left(database)
        assert (segments, notes) == (10 + 16, 1)
        await garbage.sweep(MessageStore())
        assert (await left(database))[0] == segments
        await make_due(database)
        assert await garbage.sweep(MessageStore()) == 16
        assert (await left(database))[0] == 10
        assert await found(alice, long["id"]) == before

    @pytest.mark.parametrize("way", ["replace", "begin"])
    async def test_is_refused_once_its_collection_has_begun(
        self,
        http: HttpClient,
        database: Any,
        monkeypatch: pytest.MonkeyPatch,
        way: str,
    ) -> None:
        tiny_bounds(monkeypatch)
        actor, commits = somebody(), CommitQueue(MessageStore())
        begun = await service.create(
            actor,
            commits,
            wanted=ConversationCreate.model_validate({"messages": [message("old")] * 10}),
        )
        await commits.drain()
        before = await stored(database, begun)
        written = bulk.write_generation

        async def write_and_be_late(*args: Any) -> Any:
            prepared = await written(*args)
            if prepared[0] is not None:
                await make_due(database)
                await garbage.sweep(MessageStore())
            return prepared

        many = {"messages": [message("new")] * 30}
        update = ConversationUpdate.model_validate(many)
        with monkeypatch.context() as patched:
            patched.setattr(creation, "write_generation", write_and_be_late)
            change: Awaitable[Any] = (
                service.create(actor, commits, wanted=ConversationCreate.model_validate(many))
                if way == "begin"
                else service.update(
                    actor,
                    commits,
                    conversation_id=begun,
                    wanted=update,
                    precondition=Precondition(),
                )
            )
            with pytest.raises(Busy):
                await change
        assert await database["conversations"].count_documents({}) == 1
        assert (await stored(database, begun)).messages == before.messages
        await service.update(
            actor, commits, conversation_id=begun, wanted=update, precondition=Precondition()
        )
        assert (await stored(database, begun)).contents == ["new"] * 30

    async def test_wins_or_loses_completely_against_the_collection(
        self, http: HttpClient, database: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tiny_bounds(monkeypatch)
        monkeypatch.setattr(segment_writes, "GRACE", timedelta(0))
        monkeypatch.setattr("random.random", lambda: 0.01)
        actor, commits = somebody(), CommitQueue(MessageStore())
        begun = await service.create(
            actor, commits, wanted=ConversationCreate.model_validate({"messages": [message("-1")]})
        )
        stopped = False

        async def keep_sweeping() -> None:
            while not stopped:
                await garbage.sweep(MessageStore())
                await asyncio.sleep(0)

        sweeping = asyncio.create_task(keep_sweeping())
        outcomes = {"won": 0, "lost": 0}
        last = "-1"
        for number in range(20):
            many = {"messages": [message(str(number))] * 12}
            # Every other one is in time even where all is slow; between them it is a race.
            grace = timedelta(milliseconds=8) if number % 2 else timedelta(seconds=30)
            monkeypatch.setattr("chatvault.conversations.commits.bulk.GRACE", grace)
            try:
                await service.update(
                    actor,
                    commits,
                    conversation_id=begun,
                    wanted=ConversationUpdate.model_validate(many),
                    precondition=Precondition(),
                )
            except Busy:
                outcomes["lost"] += 1
            else:
                outcomes["won"] += 1
                last = str(number)
            assert set((await stored(database, begun)).contents) == {last}
        stopped = True
        await sweeping
        await make_due(database)  # of those that lost, some wait for half a minute
        await garbage.sweep(MessageStore())
        assert outcomes["won"] > 0
        lies = await stored(database, begun)
        assert await Segment.get_pymongo_collection().count_documents({}) == len(lies.segments)
