"""Writes audit entries that stand alone, many at a time, durable before the answer leaves."""

from typing import Any

from chatvault.audit.models import AuditEntry
from chatvault.batching import Batcher

Entry = dict[str, Any]


class Recorder:
    """Group commit for what changes nothing: reads, refusals, failures."""

    def __init__(self) -> None:
        self._batcher: Batcher[Entry, None] = Batcher(self._write, max_size=500)

    async def record(self, entry: Entry) -> None:
        """Return once the entry is stored durably.

        Raises:
            PyMongoError: it could not be stored, so the operation must not be answered as done.
        """
        await self._batcher.submit(entry)

    @staticmethod
    async def _write(entries: list[Entry]) -> list[None]:
        await AuditEntry.get_pymongo_collection().insert_many(entries, ordered=False)
        return [None] * len(entries)
