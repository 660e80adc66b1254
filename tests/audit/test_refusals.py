"""Refusals: what is stored of each, what is counted, and what survives."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web
from pymongo.errors import AutoReconnect

from chatvault.actor import Actor, Door
from chatvault.audit import refusals, service
from chatvault.audit.actions import Action, Outcome
from chatvault.audit.models import Entry
from chatvault.audit.pending_refusals import PendingRefusals
from chatvault.audit.recorder import Recorder
from chatvault.audit.refusals import LOOKS_UNTIL_ABANDONED, RefusalCounter
from chatvault.fields import format_instant, now
from chatvault.http.middlewares import REFUSALS
from chatvault.http.requests import RECORDER
from chatvault.mongodb import leases
from chatvault.mongodb.database import connect
from chatvault.sealing.alerts import alert_forged_counts
from chatvault.settings import Settings
from conftest import HttpClient
from support.sealing import running, until


def refused(address: str = "10.0.0.1", action: Action = Action.USER_GET) -> Entry:
    actor = Actor(door=Door.HTTP, address=address)
    code = "authentication_required"
    return service.entry(actor, action, "some id", outcome=Outcome.DENIED, code=code)


@pytest.fixture
def counter(http: HttpClient) -> RefusalCounter:
    return RefusalCounter(Recorder(), alert_forged_counts)


async def stored(database: Any) -> list[Entry]:
    entries: list[Entry] = await database.audit_logs.find().sort("_id", 1).to_list()
    return entries


class TestAnonymousRefusals:
    async def test_are_stored_at_once_and_then_counted(
        self, counter: RefusalCounter, database: Any
    ) -> None:
        await counter.record(refused())
        assert [entry["details"] for entry in await stored(database)] == [None]

        for _ in range(500):
            await counter.record(refused())
        assert len(await stored(database)) == 1
        await counter.close_minute()

        first, counted = await stored(database)
        assert counted["details"] == {"count": 500}
        assert counted["at"] >= first["at"]
        assert counted["request_id"] != first["request_id"]
        assert counted["resource_id"] is None
        assert (counted["address"], counted["action"]) == ("10.0.0.1", "user.get")

    async def test_are_counted_by_address_and_action(
        self, counter: RefusalCounter, database: Any
    ) -> None:
        for _ in range(2):
            for entry in (refused(), refused("10.0.0.2"), refused(action=Action.USER_LIST)):
                await counter.record(entry)
        await counter.close_minute()

        assert len(await stored(database)) == 6

    async def test_are_counted_by_minute(self, counter: RefusalCounter, database: Any) -> None:
        for _ in range(3):
            await counter.record(refused())
            await counter.close_minute()

        assert [entry["details"] for entry in await stored(database)] == [None] * 3

    async def test_share_one_count_with_too_many_addresses(
        self, counter: RefusalCounter, database: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(refusals, "MAX_KEYS", 5)
        for number in range(50):
            await counter.record(refused(f"10.0.0.{number}"))
        await counter.close_minute()

        entries = await stored(database)
        assert len(entries) == 7
        assert entries[-1]["address"] is None
        assert entries[-1]["details"] == {"count": 44}

    async def test_are_stored_when_the_minute_ends(self, http: HttpClient, database: Any) -> None:
        counter = RefusalCounter(Recorder(), alert_forged_counts, minute=0.02)
        await counter.record(refused())
        await counter.record(refused())

        running = asyncio.create_task(counter.run())
        while len(await stored(database)) < 2:  # noqa: ASYNC110  # MongoDB sends no event
            await asyncio.sleep(0.01)
        running.cancel()

        assert (await stored(database))[-1]["details"] == {"count": 1}

    async def test_leave_two_entries_of_a_flood_over_http(
        self, app: web.Application, http: HttpClient, database: Any
    ) -> None:
        answers = await asyncio.gather(*(http.get("/auth/me") for _ in range(40)))
        await app[REFUSALS].close_minute()

        assert {answer.status for answer in answers} == {401}
        entries = await stored(database)
        assert [entry["details"] for entry in entries] == [None, {"count": 39}]

    async def test_are_all_stored_of_a_signed_in_user(
        self, alice: HttpClient, database: Any
    ) -> None:
        for _ in range(3):
            await alice.get("/conversations/nonsense")

        query = {"action": "conversation.get", "outcome": "denied"}
        assert await database.audit_logs.count_documents(query) == 3

    @pytest.mark.usefixtures("own_application")
    async def test_are_stored_when_the_service_stops(
        self, http: HttpClient, mongodb_url: str, settings: Settings
    ) -> None:
        for _ in range(3):
            await http.get("/auth/me")
        await http.close()

        async with connect(mongodb_url, settings) as client:
            entries = await stored(client[settings.mongodb_database])
        assert [entry["details"] for entry in entries] == [None, {"count": 2}]


class TestDatabaseFailure:
    """What cannot be stored now is kept, and counted once."""

    @pytest.fixture
    def trouble(self, monkeypatch: pytest.MonkeyPatch) -> list[Exception]:
        """Errors to raise at the next writes; after storing, where the list says so."""
        waiting: list[Exception] = []
        write = Recorder._write

        async def unreliable(entries: list[Entry]) -> list[None]:
            if not waiting:
                return await write(entries)
            error = waiting.pop(0)
            if "after" in str(error):
                await write(entries)
            raise error

        monkeypatch.setattr(Recorder, "_write", staticmethod(unreliable))
        return waiting

    async def test_prevents_the_answer_to_the_first_refusal(
        self, trouble: list[Exception], counter: RefusalCounter, database: Any
    ) -> None:
        trouble.append(AutoReconnect("before"))
        with pytest.raises(AutoReconnect):
            await counter.record(refused())

        await counter.record(refused())

        assert len(await stored(database)) == 1

    async def test_keeps_the_count_for_the_next_minute(
        self, trouble: list[Exception], counter: RefusalCounter, database: Any
    ) -> None:
        for _ in range(4):
            await counter.record(refused())
        trouble.append(AutoReconnect("before"))
        with pytest.raises(AutoReconnect):
            await counter.close_minute()
        await counter.record(refused())
        await counter.close_minute()

        entries = await stored(database)
        assert [entry["details"] for entry in entries] == [None, {"count": 4}]

    async def test_counts_refusals_while_the_minute_cannot_be_stored(
        self, trouble: list[Exception], counter: RefusalCounter, database: Any
    ) -> None:
        for _ in range(4):
            await counter.record(refused())
        trouble.append(AutoReconnect("before"))
        closing = asyncio.create_task(counter.close_minute())
        await asyncio.sleep(0)
        meanwhile = [asyncio.create_task(counter.record(refused())) for _ in range(3)]
        with pytest.raises(AutoReconnect):
            await closing
        await asyncio.gather(*meanwhile, return_exceptions=True)
        await counter.close_minute()

        counts = [entry["details"]["count"] for entry in await stored(database) if entry["details"]]
        assert sum(counts) in {5, 6}

    async def test_is_raised_at_the_end_of_a_minute(
        self, counter: RefusalCounter, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The minute closes while the first refusal is being stored, and that fails."""

        async def fail_at_the_turn(_entry: Entry) -> None:
            await counter.close_minute()
            raise AutoReconnect("before")

        monkeypatch.setattr(counter._recorder, "record", fail_at_the_turn)
        with pytest.raises(AutoReconnect):
            await counter.record(refused())

    async def test_answers_503_at_the_end_of_a_minute(
        self, app: web.Application, http: HttpClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def fail_at_the_turn(_entry: Entry) -> None:
            await app[REFUSALS].close_minute()
            raise AutoReconnect("before")

        with monkeypatch.context() as patched:
            patched.setattr(app[RECORDER], "record", fail_at_the_turn)
            answer = await http.get("/auth/me")

        assert (answer.status, (await answer.json())["code"]) == (503, "unavailable")

    async def test_stores_an_entry_once_if_storing_seemed_to_fail(
        self, trouble: list[Exception], counter: RefusalCounter, database: Any
    ) -> None:
        for _ in range(4):
            await counter.record(refused())
        trouble.append(AutoReconnect("after"))
        with pytest.raises(AutoReconnect):
            await counter.close_minute()
        await counter.close_minute()

        entries = await stored(database)
        assert [entry["details"] for entry in entries] == [None, {"count": 3}]


class TestCountOfAKilledProcess:
    """What a process counted that is killed before the minute closes."""

    @pytest.fixture
    def other(self, monkeypatch: pytest.MonkeyPatch) -> RefusalCounter:
        """Another process's counter, which does not wait for leases to end."""
        monkeypatch.setattr(leases, "expired", lambda field: {field: {"$exists": True}})
        return RefusalCounter(Recorder(), alert_forged_counts)

    async def count(self, counter: RefusalCounter, times: int) -> None:
        for _ in range(times):
            await counter.record(refused())

    async def test_is_stored_within_five_seconds(
        self, counter: RefusalCounter, database: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert refusals.KEEP_SECONDS < 5
        monkeypatch.setattr(refusals, "KEEP_SECONDS", 0.02)
        await self.count(counter, 4)
        async with running(counter.run()):

            async def is_kept() -> bool:
                return bool(await database.pending_refusals.count_documents({}))

            await until(is_kept)
        assert len(await stored(database)) == 1, "the minute is still open"

    async def test_gets_its_entry_from_another_process(
        self, counter: RefusalCounter, other: RefusalCounter, database: Any
    ) -> None:
        await self.count(counter, 4)
        await counter.keep()
        await self.count(counter, 2)
        await counter.keep()

        for _ in range(LOOKS_UNTIL_ABANDONED):
            assert len(await stored(database)) == 1
            await other.take_over()

        _, counted = await stored(database)
        assert counted["details"] == {"count": 5}
        assert counted["address"] == "10.0.0.1"
        assert await database.pending_refusals.count_documents({}) == 0

    async def test_is_stored_once_if_its_entry_exists(
        self, counter: RefusalCounter, other: RefusalCounter, database: Any
    ) -> None:
        await self.count(counter, 4)
        await counter.keep()
        left = await database.pending_refusals.find_one()
        await counter.close_minute()
        assert await database.pending_refusals.count_documents({}) == 0
        await database.pending_refusals.insert_one(left)

        for _ in range(LOOKS_UNTIL_ABANDONED):
            await other.take_over()

        assert [entry["details"] for entry in await stored(database)] == [None, {"count": 3}]
        assert await database.pending_refusals.count_documents({}) == 0

    async def test_is_not_taken_from_a_process_that_renews_it(
        self, counter: RefusalCounter, other: RefusalCounter, database: Any
    ) -> None:
        await self.count(counter, 4)
        for _ in range(LOOKS_UNTIL_ABANDONED + 1):
            await counter.keep()
            await other.take_over()
            await self.count(counter, 1)
        await counter.close_minute()

        expected = {"count": 3 + LOOKS_UNTIL_ABANDONED + 1}
        assert [entry["details"] for entry in await stored(database)] == [None, expected]

    async def test_names_its_time_if_it_is_old(
        self, counter: RefusalCounter, other: RefusalCounter, database: Any
    ) -> None:
        old = now() - timedelta(hours=3)
        for _ in range(3):
            await counter.record({**refused(), "at": old})
        await counter.keep()
        for _ in range(LOOKS_UNTIL_ABANDONED):
            await other.take_over()

        _, counted = await stored(database)
        assert counted["details"] == {"count": 2, "last_at": format_instant(old)}
        assert now() - counted["at"] < timedelta(minutes=1)

    @pytest.mark.parametrize(
        "change",
        [
            {"$set": {"counted.entry.action": "user.delete"}},
            {"$set": {"counted": None}},
            {"$set": {"counted": "text"}},
        ],
        ids=str,
    )
    async def test_cannot_bring_a_forged_entry_into_the_log(
        self, counter: RefusalCounter, other: RefusalCounter, database: Any, change: Any
    ) -> None:
        await self.count(counter, 4)
        await counter.keep()
        await database.pending_refusals.update_one({}, change)
        for _ in range(LOOKS_UNTIL_ABANDONED):
            await other.take_over()

        _, alert = await stored(database)
        assert (alert["action"], alert["details"]["alarm"]) == ("audit.alert", "forged_entry")

    async def test_cannot_be_a_copy_of_an_entry(
        self, counter: RefusalCounter, other: RefusalCounter, database: Any
    ) -> None:
        await counter.record(refused())
        [genuine] = await stored(database)
        copy = {"_id": genuine["_id"], "owner": "x", "until": now(), "counted": genuine}
        await database.pending_refusals.insert_one(copy)
        await database.audit_logs.delete_one({"_id": genuine["_id"]})
        for _ in range(LOOKS_UNTIL_ABANDONED):
            await other.take_over()

        assert [entry["action"] for entry in await stored(database)] == ["audit.alert"]

    async def test_is_stored_again_after_a_failure(
        self, counter: RefusalCounter, database: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def fail(*_: Any) -> None:
            raise AutoReconnect("before")

        await self.count(counter, 3)
        with monkeypatch.context() as patched:
            patched.setattr(PendingRefusals, "keep", fail)
            with pytest.raises(AutoReconnect):
                await counter.keep()
        await counter.keep()
        assert await database.pending_refusals.count_documents({}) == 1
