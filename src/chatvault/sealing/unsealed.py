"""Find the entries that are in no block, by comparing all ids with those of the blocks."""

from collections.abc import AsyncIterator, Iterable
from typing import Any

import bson
from bson import ObjectId

from chatvault.audit.models import AuditEntry

WALK_BATCH = 20_000
# One document {_id: ObjectId} in BSON: length, type and name, twelve bytes, the end.
_SIZE, _FROM, _TO = 22, 9, 21
_START = b"\x16\x00\x00\x00\x07_id\x00"


class UnsealedEntries:
    """Compares the ids that blocks hold with those of entries, both in about the same order.

    Entries are walked in the order of their ids, blocks in that of commits: an id found on one side
    only is remembered until the other side reaches it, so memory holds little more than the entries
    that committed late.

    Args:
        start: walk from this id on; None walks over all.

    Attributes:
        foreign: ids that chatvault did not create, as they are no ObjectId.
    """

    def __init__(self, start: ObjectId | None) -> None:
        self._sealed: set[bytes] = set()
        self._outside: set[bytes] = set()
        self._walked = b""
        self._is_over = False
        self.foreign: list[Any] = []
        self._batches = _walk(start, self.foreign)

    async def add_sealed(self, ids: Iterable[bytes]) -> None:
        """Add ids that blocks hold and that exist."""
        given = sorted(ids)
        if not given:
            return
        for each in given:
            if each in self._outside:
                self._outside.remove(each)
            else:
                self._sealed.add(each)
        # Not up to the last: one id of a fast clock would take the walk to the end.
        while not self._is_over and self._walked < given[len(given) // 2]:
            await self._step()

    async def finish(self) -> list[ObjectId]:
        """Return the ids that no added block holds, in order."""
        while not self._is_over:
            await self._step()
        return [ObjectId(each) for each in sorted(self._outside)]

    async def _step(self) -> None:
        batch = await anext(self._batches, None)
        if batch is None:
            self._is_over = True
            return
        if batch:
            self._walked = batch[-1]
        found = set(batch)
        self._outside |= found - self._sealed
        self._sealed -= found


async def _walk(start: ObjectId | None, foreign: list[Any]) -> AsyncIterator[list[bytes]]:
    """Yield the ids of all entries in order, in batches, read from the index alone."""
    query: dict[str, Any] = {} if start is None else {"_id": {"$gte": start}}
    collection = AuditEntry.get_pymongo_collection()
    found = collection.find_raw_batches(query, {"_id": True}, batch_size=WALK_BATCH)
    async for batch in found.sort("_id").hint("_id_"):
        documents = [batch[at : at + _SIZE] for at in range(0, len(batch), _SIZE)]
        if len(batch) % _SIZE or not all(each.startswith(_START) for each in documents):
            decoded = [each["_id"] for each in bson.decode_all(batch)]
            foreign += [each for each in decoded if not isinstance(each, ObjectId)]
            yield [each.binary for each in decoded if isinstance(each, ObjectId)]
        else:
            yield [each[_FROM:_TO] for each in documents]
