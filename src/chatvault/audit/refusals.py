"""Record refusals in such a way that a flood of anonymous ones cannot fill the disk."""

import asyncio
import contextlib
import time
import uuid
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

import structlog
from bson import ObjectId
from pymongo.errors import PyMongoError

from chatvault.addresses import holder_of
from chatvault.audit.models import Entry
from chatvault.audit.pending_refusals import PendingRefusals
from chatvault.audit.recorder import Recorder
from chatvault.errors import InvalidCredentials
from chatvault.fields import format_instant, now

MINUTE = 60.0
MAX_KEYS = 10_000
KEEP_SECONDS = 3.0
# A running process renews its counts within some seconds once MongoDB is back.
LOOKS_UNTIL_ABANDONED = 4
DELAYED = timedelta(minutes=2)

Key = tuple[str | None, str, str | None]
AlertForged = Callable[[list[Any]], Awaitable[None]]
log = structlog.get_logger()


def _source_of(entry: Entry) -> str | None:
    return None if entry["address"] is None else holder_of(entry["address"])


class RefusalCounter:
    """Stores each refusal of a known user and each failed login; of others, the first in a minute.

    The further refusals of an anonymous address and action become one counted entry when the minute
    closes; an IPv6 address counts as its /64, as its holder has all of its addresses. Until
    then the counts are stored every few seconds, and another process makes entries of them if this
    one is killed. Beyond 10,000 pairs of address and action a minute, the addresses share one
    count.

    Args:
        recorder: stores the entries.
        alert_forged: takes the ids of counts that no key of ours stamped.
        minute: how long a minute is, in seconds; tests shorten it.
    """

    def __init__(
        self, recorder: Recorder, alert_forged: AlertForged, *, minute: float = MINUTE
    ) -> None:
        self._recorder = recorder
        self._alert_forged = alert_forged
        self._minute = minute
        self._owner = uuid.uuid4().hex
        self._open: dict[Key, Entry] = {}
        self._changed: set[Key] = set()
        self._kept: set[ObjectId] = set()
        self._expired: dict[ObjectId, tuple[datetime, int]] = {}

    async def record(self, entry: Entry) -> None:
        """Store the entry, or the first of its kind in this minute; count the others.

        Raises:
            PyMongoError: it could not be stored.
        """
        if entry["user_id"] is not None or entry["code"] == InvalidCredentials.code:
            await self._recorder.record(entry)
            return
        key: Key = (_source_of(entry), entry["action"], entry["code"])
        if key not in self._open and len(self._open) >= MAX_KEYS:
            key = (None, entry["action"], entry["code"])
        if key in self._open:
            self._count(key, entry)
            return
        summary = {"address": key[0], "resource_id": None, "details": {"count": 0}}
        self._open[key] = counted = {**entry, **summary}
        try:
            await self._recorder.record(entry)
        except (PyMongoError, asyncio.CancelledError):
            # Another minute may have begun meanwhile.
            if self._open.get(key) is counted and not counted["details"]["count"]:
                del self._open[key]
            raise

    def _count(self, key: Key, entry: Entry) -> None:
        counted = self._open[key]
        if not counted["details"]["count"]:
            counted["_id"] = entry["_id"]
        counted["details"]["count"] += 1
        for name in ("at", "request_id", "user_agent", "duration_ms"):
            counted[name] = entry[name]
        self._changed.add(key)

    async def close_minute(self) -> None:
        """Store an entry for each counted address and action, and start counting again.

        Raises:
            PyMongoError: it could not be stored; it is kept for the next minute.
        """
        counted = {key: entry for key, entry in self._open.items() if entry["details"]["count"]}
        self._open, self._changed = {}, set()
        try:
            await self._store(counted.values())
        except PyMongoError:
            for key, entry in counted.items():
                since = self._open[key]["details"]["count"] if key in self._open else 0
                entry["details"]["count"] += since
                self._open[key] = entry
                self._changed.add(key)
            raise
        if self._kept:
            # Remaining counts are found stored by the process that takes them over.
            with contextlib.suppress(PyMongoError):
                await PendingRefusals.drop(self._kept)
                self._kept.clear()

    async def _store(self, counted: Iterable[Entry]) -> None:
        await asyncio.gather(*(self._recorder.record(_delayed(entry)) for entry in counted))

    async def keep(self) -> None:
        """Store the current counts, so that they survive this process.

        Raises:
            PyMongoError: they could not be stored; the next call may succeed.
        """
        changed, self._changed = self._changed, set()
        entries = {key: self._open[key] for key in changed if key in self._open}
        if not entries and not self._kept:
            return
        try:
            await PendingRefusals.keep(self._owner, list(entries.values()))
        except PyMongoError:
            self._changed |= entries.keys()
            raise
        self._kept |= {entry["_id"] for entry in entries.values()}

    async def take_over(self) -> None:
        """Store entries for the counts of processes that have ended.

        Raises:
            PyMongoError: it could not be done; the next call may succeed.
        """
        before, self._expired = self._expired, {}
        for entry_id, until in (await PendingRefusals.find_expired()).items():
            seen, looks = before.get(entry_id, (until, 0))
            self._expired[entry_id] = (until, looks + 1 if seen == until else 1)
        abandoned = [
            each for each, (_, looks) in self._expired.items() if looks >= LOOKS_UNTIL_ABANDONED
        ]
        if abandoned:
            entries, forged = await PendingRefusals.read(abandoned)
            await self._store(entries)
            if forged:
                await self._alert_forged(forged)
            await PendingRefusals.drop(abandoned)

    async def run(self) -> None:
        """Store counts, close minutes, and take over others' counts, until cancelled."""
        closes_at = time.monotonic() + self._minute
        while True:
            await asyncio.sleep(min(KEEP_SECONDS, self._minute))
            try:
                if time.monotonic() >= closes_at:
                    closes_at = time.monotonic() + self._minute
                    await self.close_minute()
                await self.keep()
                await self.take_over()
            except PyMongoError as error:
                log.warning("refusals_not_recorded_yet", error=type(error).__name__)


def _delayed(entry: Entry) -> Entry:
    """Return the entry of a count.

    A late one is marked, as it would look held back otherwise.
    """
    if now() - entry["at"] < DELAYED:
        return entry
    last = {"last_at": format_instant(entry["at"])}
    return {**entry, "at": now(), "details": {**entry["details"], **last}}
