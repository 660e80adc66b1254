"""Helpers: entries, sealers that stop, and what somebody with MongoDB in hand does to the log."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Generator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId
from bson.raw_bson import RawBSONDocument
from pymongo.asynchronous.database import AsyncDatabase

from chatvault.actor import Actor, Door
from chatvault.audit import service
from chatvault.audit.actions import Action
from chatvault.audit.keys import KeyRing
from chatvault.audit.mark import HighWater
from chatvault.audit.models import AuditEntry, Entry
from chatvault.mongodb.changes import watch
from chatvault.sealing.opening import open_log
from chatvault.sealing.sealer import Sealer
from chatvault.tasks import stop

LOST_TOKEN = {"_data": "8200000001"}
ACTOR = Actor(door=Door.HTTP, user_id=ObjectId(), address="192.0.2.1")


def entry(number: int = 0, **fields: Any) -> Entry:
    made = service.entry(ACTOR, Action.CONVERSATION_GET, ObjectId(), details={"number": number})
    return {**made, **fields}


@dataclass
class Log:
    """The audit log, and direct access to its collections."""

    database: AsyncDatabase[dict[str, Any]]
    keys: KeyRing

    @property
    def entries(self) -> Any:
        return self.database["audit_logs"]

    @property
    def blocks(self) -> Any:
        return self.database["audit_blocks"]

    async def write(self, count: int) -> list[ObjectId]:
        """Store entries as the service does."""
        entries = [entry(number) for number in range(count)]
        if entries:
            await AuditEntry.store(entries)
        return [each["_id"] for each in entries]

    async def seal(self) -> None:
        """Seal all there is."""
        await Sealer().follow(until_idle=True)

    async def restart(self, note: Path | None = None) -> HighWater:
        """Come to the log as a process that starts does.

        Args:
            note: where the machine that it runs on keeps its mark, if it does.
        """
        high_water = HighWater(self.keys, note)
        AuditEntry.bind_keys(self.keys, high_water)
        await open_log(self.keys, high_water)
        return high_water

    async def clear(self) -> None:
        """Begin with an empty log, and a process that knows of no other."""
        await self.entries.delete_many({})
        await self.blocks.delete_many({})
        AuditEntry.bind_keys(self.keys)

    async def write_blocks(self, *sizes: int) -> list[list[ObjectId]]:
        """Blocks with so many entries each."""
        written = []
        for size in sizes:
            written.append(await self.write(size))
            await self.seal()
        return written

    async def sealed(self) -> list[ObjectId]:
        """The ids that the blocks hold, in their order."""
        return [
            each async for block in self.blocks.find().sort("_id", 1) for each in block["entry_ids"]
        ]

    async def raw(self, entry_id: ObjectId) -> bytes:
        """An entry's stored bytes."""
        collection = self.entries.with_options(codec_options=AuditEntry.RAW)
        stored: RawBSONDocument = await collection.find_one({"_id": entry_id})
        return bytes(stored.raw)

    async def gaps(self) -> list[str]:
        """The reasons of the gaps that are told, oldest first; each has its alert."""
        found = self.entries.find({"action": "audit.gap"}).sort("_id", 1)
        told = [each["details"]["reason"] async for each in found]
        alarms = [each["reason"] for each in await self.alerts() if each["alarm"] == "gap"]
        assert alarms == [reason for reason in told if reason != "stream_lost"]
        return told

    async def alerts(self) -> list[dict[str, Any]]:
        """What the alerts say, oldest first."""
        found = self.entries.find({"action": "audit.alert"}).sort("_id", 1)
        return [each["details"] async for each in found]

    async def actions(self) -> list[str]:
        """The actions of all entries."""
        return [each["action"] async for each in self.entries.find().sort("_id", 1)]


@asynccontextmanager
async def running(work: Coroutine[Any, Any, Any]) -> AsyncIterator[asyncio.Task[Any]]:
    """Something that goes on meanwhile."""
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        await stop(task)


def lose_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let MongoDB show nothing of before: every token is one that it cannot go on from."""

    def watch_behind(watched: Any, token: Any) -> Any:
        return watch(watched, token and LOST_TOKEN)

    monkeypatch.setattr("chatvault.sealing.sealer.watch", watch_behind)


class Killed:
    """Does some work, cancelled when it waits for the n-th time.

    Attributes:
        is_done: whether it ended by itself before.
    """

    def __init__(self, work: Coroutine[Any, Any, Any], *, at: int) -> None:
        self._work = work
        self._at = at
        self.is_done = False

    def __await__(self) -> Generator[Any, Any, None]:
        waiting = self._work.__await__()
        try:
            for _ in range(self._at):
                yield next(waiting)
            with suppress(asyncio.CancelledError):
                while True:
                    # Closing a cursor or returning a connection may take awaits of its own.
                    waiting.throw(asyncio.CancelledError)
        except StopIteration:
            self.is_done = True


async def until(check: Any, seconds: float = 60.0) -> None:
    """Wait for something that is asked with await."""
    async with asyncio.timeout(seconds):
        while not await check():  # noqa: ASYNC110  # MongoDB sends no events about this
            await asyncio.sleep(0.02)
