"""Limits that several processes keep together, each with a leased part of what is left."""

import asyncio
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from pymongo import ReturnDocument
from pymongo.asynchronous.collection import AsyncCollection

# The part of a limit that a process leases at a time.
LEASES = 20
# Above this many names, those whose windows are over are dropped.
MANY_NAMES = 10_000
DAY_SECONDS = 86_400


class Window(NamedTuple):
    """An amount within some seconds.

    A window begins with the first event; one of a day is a day in UTC.
    """

    amount: int
    seconds: int

    @property
    def lease(self) -> int:
        """The amount that a process leases at a time."""
        return max(1, self.amount // LEASES)

    @property
    def end(self) -> dict[str, Any]:
        """The expression of the time at which a window ends that begins now."""
        if self.seconds == DAY_SECONDS:
            today = {"$dateTrunc": {"date": "$$NOW", "unit": "day"}}
            return {"$dateAdd": {"startDate": today, "unit": "day", "amount": 1}}
        return {"$dateAdd": {"startDate": "$$NOW", "unit": "second", "amount": self.seconds}}


class Taken(NamedTuple):
    """The outcome of taking from an allowance.

    Attributes:
        is_granted: whether the amount was taken.
        left: about how much is left for everybody; other processes' leases do not count as left.
        resets_in: the seconds until the window ends.
    """

    is_granted: bool
    left: int
    resets_in: float


@dataclass(frozen=True, slots=True)
class Used:
    """The part of an allowance that is used, the leases of other processes included.

    Attributes:
        amount: how much.
        resets_at: when the window ends; None if none has begun.
    """

    amount: int
    resets_at: datetime | None


@dataclass(slots=True)
class _Share:
    """The part of an allowance that this process has leased.

    Attributes:
        left: how much of its leases this process has left.
        unleased: how much no process had leased, when this one last asked.
        ends_at: when the window ends, by `time.monotonic()`; never later than by the server.
        limit: the limit that was in force then.
    """

    left: int = 0
    unleased: int = 0
    ends_at: float = 0.0
    limit: int = 0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def take(self, amount: int, window: Window) -> bool | None:
        """Take from the leases; return whether it was granted, or None if MongoDB must be asked."""
        if time.monotonic() >= self.ends_at or window.amount != self.limit:
            return None
        if self.left >= amount:
            self.left -= amount
            return True
        return None if self.left + self.unleased >= amount else False

    def add(self, leased: dict[str, Any], window: Window, asked_at: float) -> None:
        """Add a lease to what is left.

        Args:
            leased: the counter after it.
            window: the limit.
            asked_at: `time.monotonic()` before MongoDB was asked.
        """
        begin: datetime = leased["asked_at"]
        end: datetime = leased["expires_at"]
        # A millisecond less, as MongoDB cuts times to milliseconds.
        ends_at = asked_at + (end - begin) / timedelta(seconds=1) - 0.001
        if ends_at > self.ends_at + window.seconds / 2:
            # The counter has begun another window: what is left belongs to the one before.
            self.left = 0
        self.left += leased["granted"]
        self.unleased = max(0, window.amount - leased["taken"])
        self.ends_at, self.limit = ends_at, window.amount

    def tell(self, *, is_granted: bool) -> Taken:
        """Return the outcome, with what is left."""
        left = self.left + self.unleased
        return Taken(is_granted, left, max(0.0, self.ends_at - time.monotonic()))


class Allowances:
    """Counters in MongoDB of which this process leases parts.

    One `findAndModify` leases a twentieth of the limit, from which requests are then granted
    without a round trip. So all processes together never grant more than the limit; what a process
    has leased and does not use, or loses when it dies, nobody else can use until the window ends.

    Args:
        collection: has documents with `expires_at`, after which MongoDB removes them.
    """

    def __init__(self, collection: AsyncCollection[dict[str, Any]]) -> None:
        self._collection = collection
        self._shares: dict[str, _Share] = {}

    async def take(self, name: str, window: Window, amount: int = 1) -> Taken:
        """Take an amount, all or nothing.

        Raises:
            PyMongoError: the database cannot be reached.
        """
        share = self._shares.get(name)
        if share is None:
            share = self._add(name)
        if (is_granted := share.take(amount, window)) is None:
            # Those who wait meanwhile are granted from the same lease.
            async with share.lock:
                while (is_granted := share.take(amount, window)) is None:
                    await self._lease(name, share, window, amount)
        return share.tell(is_granted=is_granted)

    def give_back(self, name: str, amount: int = 1) -> None:
        """Give back an amount that was taken and not used, for this process to grant again."""
        share = self._shares.get(name)
        if share is not None and time.monotonic() < share.ends_at:
            share.left += amount

    async def look(self, names: Collection[str]) -> dict[str, Used]:
        """Return what is used of those of these allowances of which anything is.

        Raises:
            PyMongoError: the database cannot be reached.
        """
        which = {"_id": {"$in": list(names)}, "$expr": {"$gt": ["$expires_at", "$$NOW"]}}
        found = self._collection.find(which, {"taken": True, "expires_at": True})
        used = {}
        async for each in found:
            share = self._shares.get(each["_id"])
            is_leased = share is not None and time.monotonic() < share.ends_at
            left = share.left if share is not None and is_leased else 0
            used[each["_id"]] = Used(max(0, each["taken"] - left), each["expires_at"])
        return used

    def _add(self, name: str) -> _Share:
        if len(self._shares) >= MANY_NAMES:
            at = time.monotonic()
            self._shares = {
                each: share
                for each, share in self._shares.items()
                if share.ends_at > at or share.lock.locked()
            }
        share = self._shares[name] = _Share()
        return share

    async def _lease(self, name: str, share: _Share, window: Window, amount: int) -> None:
        """Lease at least what is missing of the amount, or what is left."""
        asked_at = time.monotonic()
        if asked_at >= share.ends_at:
            share.left = 0
        wanted = max(window.lease, amount - share.left)
        over = {"$lte": [{"$ifNull": ["$expires_at", "$$NOW"]}, "$$NOW"]}
        taken = {"$cond": [over, 0, "$taken"]}
        granted = {"$max": [0, {"$min": [wanted, {"$subtract": [window.amount, taken]}]}]}
        leased = await self._collection.find_one_and_update(
            {"_id": name},
            [
                {
                    "$set": {
                        "taken": {"$add": [taken, granted]},
                        "granted": granted,
                        "asked_at": "$$NOW",
                        "expires_at": {"$cond": [over, window.end, "$expires_at"]},
                    }
                }
            ],
            upsert=True,
            return_document=ReturnDocument.AFTER,
        )
        if leased is not None:
            share.add(leased, window, asked_at)
