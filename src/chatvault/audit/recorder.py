"""Store audit entries of operations without a change, in batches, before the answer is sent."""

from pymongo.errors import BulkWriteError

from chatvault.audit.models import AuditEntry, Entry
from chatvault.mongodb.batching import Batcher

DUPLICATE_KEY = 11000


class Recorder:
    """Group commit for the entries of reads, refusals and failures."""

    def __init__(self) -> None:
        self._batcher: Batcher[Entry, None] = Batcher(self._write, max_size=500)

    async def record(self, entry: Entry) -> None:
        """Store the entry; return once it is durable.

        Raises:
            PyMongoError: it could not be stored, so the operation must not be answered as done.
        """
        await self._batcher.submit(entry)

    @staticmethod
    async def _write(entries: list[Entry]) -> list[None]:
        try:
            await AuditEntry.store(entries)
        except BulkWriteError as error:
            # A duplicate was stored by an earlier attempt that seemed to fail.
            codes = {failed["code"] for failed in error.details["writeErrors"]}
            if codes != {DUPLICATE_KEY} or error.details["writeConcernErrors"]:
                raise
        return [None] * len(entries)
