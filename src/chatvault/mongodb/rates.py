"""Counters in MongoDB for the `limits` library, shared by all processes, and rates of use."""

from datetime import UTC, datetime, timedelta
from typing import Any

from limits import RateLimitItem, RateLimitItemPerMinute
from limits.aio.storage import Storage
from limits.aio.strategies import FixedWindowRateLimiter
from pymongo import ReturnDocument
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import PyMongoError

from chatvault.errors import Throttled

COLLECTION = "rate_limits"


class CounterStorage(Storage):
    """The counters of the `limits` library in one collection, by the server's clock.

    The library's own storage for MongoDB needs Motor, whose life has ended.
    """

    STORAGE_SCHEME = None

    def __init__(self, collection: AsyncCollection[dict[str, Any]]) -> None:
        super().__init__()
        self._collection = collection

    @property
    def base_exceptions(self) -> type[Exception]:
        """What the storage raises."""
        return PyMongoError

    async def create_indexes(self) -> None:
        """Let MongoDB remove counters whose window is over."""
        await self._collection.create_index("expires_at", expireAfterSeconds=0)

    async def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Count, beginning anew once the window of `expiry` seconds is over."""
        over = {"$lte": [{"$ifNull": ["$expires_at", "$$NOW"]}, "$$NOW"]}
        end = {"$dateAdd": {"startDate": "$$NOW", "unit": "second", "amount": expiry}}
        counter = await self._collection.find_one_and_update(
            {"_id": key},
            [
                {
                    "$set": {
                        "count": {"$cond": [over, amount, {"$add": ["$count", amount]}]},
                        "expires_at": {"$cond": [over, end, "$expires_at"]},
                    }
                }
            ],
            upsert=True,
            return_document=ReturnDocument.AFTER,
        )
        return int(counter["count"]) if counter else amount

    async def take_back(self, key: str) -> None:
        """Count one less in the window that is open now."""
        open_now = {"_id": key, "count": {"$gt": 0}, "$expr": {"$gt": ["$expires_at", "$$NOW"]}}
        await self._collection.update_one(open_now, {"$inc": {"count": -1}})

    async def get(self, key: str) -> int:
        """How much was counted in the window that is open now."""
        open_now = {"_id": key, "$expr": {"$gt": ["$expires_at", "$$NOW"]}}
        counter = await self._collection.find_one(open_now)
        return int(counter["count"]) if counter else 0

    async def get_expiry(self, key: str) -> float:
        """When the open window ends, in seconds since the epoch."""
        counter = await self._collection.find_one({"_id": key})
        end: datetime = counter["expires_at"] if counter else datetime.now(UTC)
        return end.timestamp()

    async def check(self) -> bool:
        """Whether the collection answers."""
        await self._collection.find_one({"_id": ""})
        return True

    async def reset(self) -> int | None:
        """Forget every counter."""
        return (await self._collection.delete_many({})).deleted_count

    async def clear(self, key: str) -> None:
        """Forget one counter."""
        await self._collection.delete_one({"_id": key})


async def seconds_left(limiter: FixedWindowRateLimiter, limit: RateLimitItem, *keys: str) -> float:
    """How long until the open window ends; at least a second."""
    window = await limiter.get_window_stats(limit, *keys)
    wait = datetime.fromtimestamp(window.reset_time, UTC) - datetime.now(UTC)
    return max(1.0, wait / timedelta(seconds=1))


class Rate:
    """How often a user may do something.

    Args:
        storage: the counters.
        name: of what is counted.
        per_minute: at most so many times.
    """

    def __init__(self, storage: CounterStorage, *, name: str, per_minute: int) -> None:
        self._limiter = FixedWindowRateLimiter(storage)
        self._limit = RateLimitItemPerMinute(per_minute)
        self._name = name

    async def admit(self, user: str) -> None:
        """Count one use.

        Raises:
            Throttled: too many in this minute.
        """
        if await self._limiter.hit(self._limit, self._name, user):
            return
        wait = await seconds_left(self._limiter, self._limit, self._name, user)
        raise Throttled(
            f"At most {self._limit.amount} a minute; try again in {wait:.0f} seconds.",
            retry_after=wait,
        )
