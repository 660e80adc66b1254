"""Writes audit entries that stand alone, many at a time, durable before the answer leaves."""

from pymongo.errors import BulkWriteError

from chatvault.audit.models import AuditEntry, Entry
from chatvault.mongodb.batching import Batcher

DUPLICATE_KEY = 11000


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
        try:
            await AuditEntry.store(entries)
        except BulkWriteError as error:
            # An entry whose id is there was stored by an earlier try that seemed to fail.
            codes = {failed["code"] for failed in error.details["writeErrors"]}
            if codes != {DUPLICATE_KEY} or error.details["writeConcernErrors"]:
                raise
        return [None] * len(entries)
