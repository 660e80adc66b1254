"""How often a login may be tried, counted in MongoDB for all processes together."""

from datetime import UTC, datetime, timedelta
from typing import Any

from limits import RateLimitItem, RateLimitItemPerHour, RateLimitItemPerMinute
from limits.aio.storage import Storage
from limits.aio.strategies import FixedWindowRateLimiter
from pymongo import ReturnDocument
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import PyMongoError

from chatvault.errors import Throttled

COLLECTION = "rate_limits"
PER_ACCOUNT_AND_ADDRESS = RateLimitItemPerMinute(10, 5)
PER_ADDRESS = RateLimitItemPerMinute(100, 5)
PER_ACCOUNT = RateLimitItemPerHour(200)


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


class LoginThrottle:
    """Slows down guessing; it looks at logins only, so a live session never feels it."""

    def __init__(self, storage: CounterStorage) -> None:
        self._limiter = FixedWindowRateLimiter(storage)

    async def admit(self, *, account: str, address: str | None) -> None:
        """Count one try.

        Args:
            account: a keyed hash of the name that was tried, known or not.
            address: from where.

        Raises:
            Throttled: too many for this account from here, from this address, or for this
                account from everywhere.
        """
        source = address or "local"
        for limit, *keys in (
            (PER_ACCOUNT_AND_ADDRESS, "login", account, source),
            (PER_ADDRESS, "login-address", source),
            (PER_ACCOUNT, "login-account", account),
        ):
            if not await self._limiter.hit(limit, *keys):
                raise await self._refusal(limit, keys)

    async def forgive(self, *, account: str, address: str | None) -> None:
        """Begin anew for this account from here, after a login that succeeded."""
        await self._limiter.clear(PER_ACCOUNT_AND_ADDRESS, "login", account, address or "local")

    async def _refusal(self, limit: RateLimitItem, keys: list[str]) -> Throttled:
        window = await self._limiter.get_window_stats(limit, *keys)
        wait = datetime.fromtimestamp(window.reset_time, UTC) - datetime.now(UTC)
        return Throttled(
            "Too many failed sign-ins; try again later.",
            retry_after=max(1.0, wait / timedelta(seconds=1)),
        )
