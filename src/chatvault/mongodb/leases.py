"""Leases in server time: of many processes, one at a time does a job that needs doing once."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Mapping
from datetime import datetime, timedelta
from typing import Any, ClassVar

from beanie import Document
from pymongo import IndexModel, ReturnDocument
from pymongo.errors import DuplicateKeyError, PyMongoError

from chatvault.errors import Busy
from chatvault.mongodb.turns import Turns
from chatvault.tasks import stop

HELD_SECONDS = 10
RENEW_SECONDS = 3.0
RETRY_SECONDS = 0.5
POLL_SECONDS = 0.1
# Nobody waits for a lease that ended so long ago: its process died.
LEASE_TTL = timedelta(hours=1)


class LeaseLost(Busy):
    """Another process has taken this over, as this one was out of touch; try again shortly."""


class Lease(Document):
    """Who does a job, and until when nobody else may."""

    id: str  # type: ignore[assignment]  # the job
    holder: str
    until: datetime

    # Beside the leases, which hold between processes, the turns within this one.
    turns: ClassVar[Turns]

    class Settings:
        """Beanie's."""

        name = "leases"
        indexes: ClassVar = [IndexModel("until", expireAfterSeconds=int(LEASE_TTL.total_seconds()))]

    @classmethod
    def bind_turns(cls) -> None:
        """Let changes take turns, for as long as the class is bound to its database."""
        cls.turns = Turns()


async def take(job: str, *, holder: str, seconds: int) -> bool:
    """Begin or renew a lease; whether it is the holder's now.

    A lease that ends later than any would is free too: the server's clock was set back since.

    Raises:
        PyMongoError: the database cannot be reached.
    """
    end: dict[str, Any] = {"$dateAdd": {"startDate": "$$NOW", "unit": "second", "amount": seconds}}
    until = {"$ifNull": ["$until", "$$NOW"]}
    free = {
        "$or": [
            {"$eq": ["$holder", holder]},
            {"$lte": [until, "$$NOW"]},
            {"$gt": [until, {"$dateAdd": {"startDate": end, "unit": "second", "amount": 1}}]},
        ]
    }
    chosen = {
        "holder": {"$cond": [free, holder, "$holder"]},
        "until": {"$cond": [free, end, "$until"]},
    }
    try:
        lease = await Lease.get_pymongo_collection().find_one_and_update(
            {"_id": job}, [{"$set": chosen}], upsert=True, return_document=ReturnDocument.AFTER
        )
    except DuplicateKeyError:
        return False
    return lease is not None and lease["holder"] == holder


async def find_holder(job: str) -> str | None:
    """Who holds a lease, or held it last.

    Raises:
        PyMongoError: the database cannot be reached.
    """
    lease = await Lease.get_pymongo_collection().find_one({"_id": job})
    return None if lease is None else str(lease.get("holder"))


async def release(job: str, *, holder: str) -> None:
    """Let another process begin at once.

    Raises:
        PyMongoError: the database cannot be reached; the lease ends by itself.
    """
    await Lease.get_pymongo_collection().delete_one({"_id": job, "holder": holder})


@contextlib.asynccontextmanager
async def hold(job: str) -> AsyncIterator[None]:
    """Wait for a lease, keep it for as long as the work takes, and let the next one begin.

    Raises:
        PyMongoError: the database cannot be reached; nothing was begun.
        LeaseLost: the lease could not be renewed in time, and another process has taken it; the
            work was cancelled.
    """
    holder = uuid.uuid4().hex
    while not await take(job, holder=holder, seconds=HELD_SECONDS):  # noqa: ASYNC110  # other processes set no event
        await asyncio.sleep(POLL_SECONDS)
    try:
        async with asyncio.timeout(None) as work:
            renewing = asyncio.create_task(_renew(job, holder, work))
            try:
                yield
            finally:
                await stop(renewing)
                with contextlib.suppress(PyMongoError):  # it ends by itself
                    await release(job, holder=holder)
    except TimeoutError:
        if work.expired():
            raise LeaseLost(retry_after=1) from None
        raise


async def _renew(job: str, holder: str, work: asyncio.Timeout) -> None:
    """Renew a lease until cancelled; where another process has it, cancel the work."""
    pause = RENEW_SECONDS
    while True:
        await asyncio.sleep(pause)
        pause = RENEW_SECONDS
        try:
            if not await take(job, holder=holder, seconds=HELD_SECONDS):
                work.reschedule(asyncio.get_running_loop().time())
                return
        except PyMongoError:
            # The next try may come in time.
            pause = RETRY_SECONDS


def extension(field: str, seconds: float) -> list[dict[str, Any]]:
    """Return the update that sets a document's own lease to end so many seconds from now."""
    return [{"$set": {field: _end(seconds)}}]


def written(document: Mapping[str, Any], field: str, seconds: float) -> list[dict[str, Any]]:
    """Return the update that writes these fields, and a lease that ends so many seconds from now.

    With `upsert` it inserts the document. No process's own clock has a part in it.
    """
    parts = ["$$ROOT", {"$literal": document}, {field: _end(seconds)}]
    return [{"$replaceWith": {"$mergeObjects": parts}}]


def expired(field: str) -> dict[str, Any]:
    """Return the condition that a document's own lease has ended."""
    return {"$expr": {"$lte": ["$" + field, "$$NOW"]}}


def _end(seconds: float) -> dict[str, Any]:
    milliseconds = round(seconds * 1000)
    return {"$dateAdd": {"startDate": "$$NOW", "unit": "millisecond", "amount": milliseconds}}
