"""Counters in MongoDB, shared by all processes, and rate limits."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from pymongo import ReturnDocument
from pymongo.asynchronous.collection import AsyncCollection

from chatvault.content import Content, Erased
from chatvault.errors import Throttled

COLLECTION = "rate_limits"
HOLDS = Content(
    plain=("_id",), erased=Erased.SOON, owner="_id", is_owner_within=True, backed_up=False
)


@dataclass(frozen=True, slots=True)
class Limit:
    """A count in a window of some seconds, which begins with the first event."""

    amount: int
    seconds: int

    def key(self, *parts: str) -> str:
        """Return the key of the counter that the parts name together."""
        return "/".join((*parts, str(self.amount), str(self.seconds)))


class CounterStorage:
    """Counters in one collection, by the server's clock."""

    def __init__(self, collection: AsyncCollection[dict[str, Any]]) -> None:
        self._collection = collection

    async def create_indexes(self) -> None:
        """Create the index by which MongoDB removes counters whose window is over."""
        await self._collection.create_index("expires_at", expireAfterSeconds=0)

    async def incr(self, key: str, expiry: int) -> int:
        """Count, starting again once the window of `expiry` seconds is over; return the count."""
        over = {"$lte": [{"$ifNull": ["$expires_at", "$$NOW"]}, "$$NOW"]}
        end = {"$dateAdd": {"startDate": "$$NOW", "unit": "second", "amount": expiry}}
        counter = await self._collection.find_one_and_update(
            {"_id": key},
            [
                {
                    "$set": {
                        "count": {"$cond": [over, 1, {"$add": ["$count", 1]}]},
                        "expires_at": {"$cond": [over, end, "$expires_at"]},
                    }
                }
            ],
            upsert=True,
            return_document=ReturnDocument.AFTER,
        )
        return int(counter["count"]) if counter else 1

    async def hit(self, limit: Limit, *parts: str) -> bool:
        """Count once; return whether it is within the limit."""
        return await self.incr(limit.key(*parts), limit.seconds) <= limit.amount

    async def take_back(self, key: str) -> None:
        """Subtract one from the count of the open window."""
        open_now = {"_id": key, "count": {"$gt": 0}, "$expr": {"$gt": ["$expires_at", "$$NOW"]}}
        await self._collection.update_one(open_now, {"$inc": {"count": -1}})

    async def clear(self, key: str) -> None:
        """Remove a counter."""
        await self._collection.delete_one({"_id": key})

    async def seconds_left(self, limit: Limit, *parts: str) -> float:
        """Return the seconds until the open window ends, at least one."""
        counter = await self._collection.find_one({"_id": limit.key(*parts)})
        if counter is None:
            return 1.0
        end: datetime = counter["expires_at"]
        return max(1.0, (end - datetime.now(UTC)) / timedelta(seconds=1))


class Rate:
    """A limit on how often a user may do something.

    Args:
        storage: the counters.
        name: name of what is counted.
        per_minute: the maximum number of times.
    """

    def __init__(self, storage: CounterStorage, *, name: str, per_minute: int) -> None:
        self._storage = storage
        self._limit = Limit(per_minute, 60)
        self._name = name

    async def admit(self, user: str) -> None:
        """Count once for a user.

        Raises:
            Throttled: too many in this minute.
        """
        if await self._storage.hit(self._limit, self._name, user):
            return
        wait = await self._storage.seconds_left(self._limit, self._name, user)
        raise Throttled(
            f"At most {self._limit.amount} a minute; try again in {wait:.0f} seconds.",
            retry_after=wait,
        )
