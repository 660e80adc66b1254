import asyncio
from typing import Any

import pytest
from aiohttp import web
from pymongo.errors import AutoReconnect

from chatvault.actor import Actor, Door
from chatvault.audit import refusals, service
from chatvault.audit.actions import Action, Outcome
from chatvault.audit.models import Entry
from chatvault.audit.recorder import Recorder
from chatvault.audit.refusals import RefusalCounter
from chatvault.database import connect
from chatvault.middlewares import REFUSALS
from chatvault.settings import Settings
from conftest import HttpClient


def refused(address: str = "10.0.0.1", action: Action = Action.USER_GET) -> Entry:
    actor = Actor(door=Door.HTTP, address=address)
    code = "authentication_required"
    return service.entry(actor, action, "some id", outcome=Outcome.DENIED, code=code)


@pytest.fixture
def counter(http: HttpClient) -> RefusalCounter:
    return RefusalCounter(Recorder())


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

    async def test_of_another_address_or_action_count_apart(
        self, counter: RefusalCounter, database: Any
    ) -> None:
        for _ in range(2):
            for entry in (refused(), refused("10.0.0.2"), refused(action=Action.USER_LIST)):
                await counter.record(entry)
        await counter.close_minute()

        assert len(await stored(database)) == 6

    async def test_begin_anew_each_minute(self, counter: RefusalCounter, database: Any) -> None:
        for _ in range(3):
            await counter.record(refused())
            await counter.close_minute()

        assert [entry["details"] for entry in await stored(database)] == [None] * 3

    async def test_of_too_many_addresses_share_one_count(
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

    async def test_are_closed_by_the_clock(self, http: HttpClient, database: Any) -> None:
        counter = RefusalCounter(Recorder(), minute=0.02)
        await counter.record(refused())
        await counter.record(refused())

        running = asyncio.create_task(counter.run())
        while len(await stored(database)) < 2:  # noqa: ASYNC110  # MongoDB sends no event
            await asyncio.sleep(0.01)
        running.cancel()

        assert (await stored(database))[-1]["details"] == {"count": 1}

    async def test_of_a_flood_over_http_leave_two_entries(
        self, app: web.Application, http: HttpClient, database: Any
    ) -> None:
        answers = await asyncio.gather(*(http.get("/auth/me") for _ in range(40)))
        await app[REFUSALS].close_minute()

        assert {answer.status for answer in answers} == {401}
        entries = await stored(database)
        assert [entry["details"] for entry in entries] == [None, {"count": 39}]

    async def test_of_somebody_signed_in_are_all_stored(
        self, alice: HttpClient, database: Any
    ) -> None:
        for _ in range(3):
            await alice.get("/conversations/nonsense")

        query = {"action": "conversation.get", "outcome": "denied"}
        assert await database.audit_logs.count_documents(query) == 3

    async def test_are_stored_when_the_service_stops(
        self, http: HttpClient, mongodb_url: str, settings: Settings
    ) -> None:
        for _ in range(3):
            await http.get("/auth/me")
        await http.close()

        async with connect(mongodb_url, settings) as client:
            entries = await stored(client[settings.mongodb_database])
        assert [entry["details"] for entry in entries] == [None, {"count": 2}]


class TestTrouble:
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

    async def test_keeps_the_first_from_being_answered(
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

    async def test_counts_what_came_while_the_minute_could_not_be_closed(
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

    async def test_stores_once_what_only_seemed_to_fail(
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
