"""Counting messages and bytes by user and day: in memory first, then in MongoDB."""

import asyncio
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import timedelta

import structlog
from bson import ObjectId
from pymongo import UpdateOne
from pymongo.errors import DuplicateKeyError, PyMongoError

from chatvault.access import Access
from chatvault.actor import Actor, Door
from chatvault.conversations.models import Conversation
from chatvault.fields import Raw, first_day, now
from chatvault.usage.models import StoredTotal, UsageDay

# A process that is killed leaves no more than this uncounted.
FLUSH_SECONDS = 10.0
# Totals are counted in full this often, some at a time.
COUNT_AGAIN = timedelta(days=1)
LOOK_SECONDS = 600.0
AT_ONCE = 50
log = structlog.get_logger()


@dataclass(slots=True)
class _Count:
    """The additions of one user since the last flush.

    Attributes:
        added: the bytes that were added.
        grown: the same less the bytes that were removed.
    """

    messages: int = 0
    added: int = 0
    grown: int = 0


class Meter:
    """Counts what users add, and writes the counts every ten seconds."""

    def __init__(self) -> None:
        self._counts: dict[ObjectId, _Count] = {}

    def note(
        self,
        messages: Iterable[tuple[Actor, int]],
        grown: Iterable[tuple[ObjectId, int]],
    ) -> None:
        """Count what a batch of changes has added.

        Args:
            messages: by who acted.
            grown: the bytes by which conversations have grown, by owner.
        """
        for actor, added in messages:
            if actor.user_id is not None:
                self._count_of(actor.user_id).messages += added
        for owner_id, size in grown:
            if size:
                count = self._count_of(owner_id)
                count.added += max(0, size)
                count.grown += size

    def _count_of(self, user_id: ObjectId) -> _Count:
        found = self._counts.get(user_id)
        if found is None:
            found = self._counts[user_id] = _Count()
        return found

    def grown(self, owner_id: ObjectId) -> int:
        """Return the bytes by which a user's messages have grown since the last flush."""
        found = self._counts.get(owner_id)
        return 0 if found is None else found.grown

    def forget(self, user_id: ObjectId) -> None:
        """Drop the counts of a user who is erased."""
        self._counts.pop(user_id, None)

    async def flush(self) -> dict[ObjectId, int]:
        """Write the counts; return the bytes by which the messages of users have grown.

        Raises:
            PyMongoError: they were not written; the next flush writes them.
        """
        counts, self._counts = self._counts, {}
        day = first_day(1)
        days = [_to_day(user_id, day, count) for user_id, count in counts.items()]
        grown = {user_id: count.grown for user_id, count in counts.items() if count.grown}
        try:
            if days:
                await UsageDay.get_pymongo_collection().bulk_write(days, ordered=False)
            await _grow(grown)
        except PyMongoError:
            for user_id, count in counts.items():
                kept = self._count_of(user_id)
                kept.messages += count.messages
                kept.added += count.added
                kept.grown += count.grown
            raise
        return grown


def _to_day(user_id: ObjectId, day: str, count: _Count) -> UpdateOne:
    added = {"messages": count.messages, "bytes": count.added}
    return UpdateOne({"user_id": user_id, "day": day}, {"$inc": added}, upsert=True)


async def _grow(grown: dict[ObjectId, int]) -> None:
    """Add to the totals of those users who have one."""
    if grown:
        writes = [
            UpdateOne({"user_id": user_id}, {"$inc": {"bytes": size}})
            for user_id, size in grown.items()
        ]
        await StoredTotal.get_pymongo_collection().bulk_write(writes, ordered=False)


async def read_totals(user_ids: Collection[ObjectId]) -> dict[ObjectId, int]:
    """Return the bytes of those of these users for whom they were counted."""
    which: Raw = {"user_id": {"$in": list(user_ids)}}
    found = StoredTotal.get_pymongo_collection().find(which)
    return {each["user_id"]: each["bytes"] async for each in found}


async def count_stored(user_id: ObjectId) -> int:
    """Count the bytes of all messages of a user in full, those in the trash included.

    What is added meanwhile may be missing or count twice, until the next time.
    """
    owner = Access.of(Actor(door=Door.BACKGROUND, user_id=user_id))
    sums: list[Raw] = [
        {"$match": Conversation.owned_with_trash_by(owner)},
        {"$group": {"_id": None, "bytes": {"$sum": "$message_bytes"}}},
    ]
    found = await (await Conversation.get_pymongo_collection().aggregate(sums)).to_list()
    size = int(found[0]["bytes"]) if found else 0
    change = {"$set": {"bytes": size, "counted_at": now()}}
    try:
        await StoredTotal.get_pymongo_collection().update_one(
            {"user_id": user_id}, change, upsert=True
        )
    except DuplicateKeyError:
        # Another process has just counted them.
        return size
    return size


async def count_again() -> None:
    """Count the totals again that were last counted long ago, until cancelled."""
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        which = {"counted_at": {"$lt": now() - COUNT_AGAIN}}
        totals = StoredTotal.get_pymongo_collection()
        for total in await totals.find(which, sort=[("counted_at", 1)], limit=AT_ONCE).to_list():
            await count_stored(total["user_id"])
