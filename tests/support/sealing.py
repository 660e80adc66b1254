"""Helpers: entries, sealers that stop, and attacks on the log by someone with access to MongoDB."""

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
    """The audit log, with direct access to its collections."""

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
        """Seal all entries."""
        await Sealer().follow(until_idle=True)

    async def restart(self, note: Path | None = None) -> HighWater:
        """Open the log as a starting process does.

        Args:
            note: the path of the machine's mark, if it keeps one.
        """
        high_water = HighWater(self.keys, note)
        AuditEntry.bind_keys(self.keys, high_water)
        await open_log(self.keys, high_water)
        return high_water

    async def clear(self) -> None:
        """Clear the log, and forget it in this process."""
        await self.entries.delete_many({})
        await self.blocks.delete_many({})
        AuditEntry.bind_keys(self.keys)

    async def write_blocks(self, *sizes: int) -> list[list[ObjectId]]:
        """Store blocks with this many entries each; return the entries' ids."""
        written = []
        for size in sizes:
            written.append(await self.write(size))
            await self.seal()
        return written

    async def sealed(self) -> list[ObjectId]:
        """Return the ids that the blocks hold, in order."""
        return [
            each async for block in self.blocks.find().sort("_id", 1) for each in block["entry_ids"]
        ]

    async def raw(self, entry_id: ObjectId) -> bytes:
        """Return an entry's stored bytes."""
        collection = self.entries.with_options(codec_options=AuditEntry.RAW)
        stored: RawBSONDocument = await collection.find_one({"_id": entry_id})
        return bytes(stored.raw)

    async def gaps(self) -> list[str]:
        """Return the reasons of the recorded gaps, oldest first; each has its alert."""
        found = self.entries.find({"action": "audit.gap"}).sort("_id", 1)
        told = [each["details"]["reason"] async for each in found]
        alarms = [each["reason"] for each in await self.alerts() if each["alarm"] == "gap"]
        assert alarms == [reason for reason in told if reason != "stream_lost"]
        return told

    async def alerts(self) -> list[dict[str, Any]]:
        """Return the details of the alerts, oldest first."""
        found = self.entries.find({"action": "audit.alert"}).sort("_id", 1)
        return [each["details"] async for each in found]

    async def actions(self) -> list[str]:
        """Return the actions of all entries."""
        return [each["action"] async for each in self.entries.find().sort("_id", 1)]


@asynccontextmanager
async def running(work: Coroutine[Any, Any, Any]) -> AsyncIterator[asyncio.Task[Any]]:
    """Run something in the background of the context."""
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        await stop(task)


def lose_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let MongoDB refuse every resume token, as if the oplog had rolled over."""

    def watch_behind(watched: Any, token: Any) -> Any:
        return watch(watched, token and LOST_TOKEN)

    monkeypatch.setattr("chatvault.sealing.sealer.watch", watch_behind)


class Killed:
    """Runs some work, and cancels it when it waits for the n-th time.

    Attributes:
        is_done: whether the work ended before.
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
    """Wait for an asynchronous condition."""
    async with asyncio.timeout(seconds):
        while not await check():  # noqa: ASYNC110  # MongoDB sends no events about this
            await asyncio.sleep(0.02)
