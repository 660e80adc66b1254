"""Records refusals, so that a flood of anonymous ones cannot fill the disk."""

import asyncio

import structlog
from pymongo.errors import PyMongoError

from chatvault.addresses import holder_of
from chatvault.audit.models import Entry
from chatvault.audit.recorder import Recorder
from chatvault.errors import InvalidCredentials

MINUTE = 60.0
MAX_KEYS = 10_000

Key = tuple[str | None, str, str | None]
log = structlog.get_logger()


def _source_of(entry: Entry) -> str | None:
    return None if entry["address"] is None else holder_of(entry["address"])


class RefusalCounter:
    """Stores each refusal of a known user and each failed login; of the rest the first a minute.

    The further refusals of an anonymous address and action become one counted entry when the minute
    closes; an IPv6 address counts as its /64, as whoever has one address there has them all. Beyond
    10,000 pairs of address and action a minute, the addresses share one count.

    Args:
        recorder: stores the entries.
        minute: how long a minute is, in seconds; tests shorten it.
    """

    def __init__(self, recorder: Recorder, *, minute: float = MINUTE) -> None:
        self._recorder = recorder
        self._minute = minute
        self._open: dict[Key, Entry] = {}

    async def record(self, entry: Entry) -> None:
        """Return once the entry, or the first of its kind in this minute, is stored.

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
        self._open[key] = {**entry, **summary}
        try:
            await self._recorder.record(entry)
        except (PyMongoError, asyncio.CancelledError):
            if not self._open[key]["details"]["count"]:
                del self._open[key]
            raise

    def _count(self, key: Key, entry: Entry) -> None:
        counted = self._open[key]
        counted["details"]["count"] += 1
        for name in ("_id", "at", "request_id", "user_agent", "duration_ms"):
            counted[name] = entry[name]

    async def close_minute(self) -> None:
        """Store what was counted, one entry for each address and action, and begin anew.

        Raises:
            PyMongoError: it could not be stored; it is kept for the next minute.
        """
        counted = {key: entry for key, entry in self._open.items() if entry["details"]["count"]}
        self._open = {}
        try:
            await asyncio.gather(*(self._recorder.record(entry) for entry in counted.values()))
        except PyMongoError:
            for key, entry in counted.items():
                since = self._open[key]["details"]["count"] if key in self._open else 0
                entry["details"]["count"] += since
                self._open[key] = entry
            raise

    async def run(self) -> None:
        """Close minute after minute, until cancelled."""
        while True:
            await asyncio.sleep(self._minute)
            try:
                await self.close_minute()
            except PyMongoError as error:
                log.warning("refusals_not_recorded_yet", error=type(error).__name__)
