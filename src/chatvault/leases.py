"""Leases in server time: of many processes, one at a time does a job that needs doing once."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any, ClassVar

from beanie import Document
from pymongo import IndexModel, ReturnDocument
from pymongo.errors import DuplicateKeyError, PyMongoError

from chatvault.tasks import stop

HELD_SECONDS = 10
RENEW_SECONDS = 3.0
POLL_SECONDS = 0.1
# Nobody waits for a lease that ended so long ago: its process died.
FORGOTTEN = timedelta(hours=1)


class Lease(Document):
    """Who does a job, and until when nobody else may."""

    id: str  # type: ignore[assignment]  # the job
    holder: str
    until: datetime

    class Settings:
        """Beanie's."""

        name = "leases"
        indexes: ClassVar = [IndexModel("until", expireAfterSeconds=int(FORGOTTEN.total_seconds()))]


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
    """
    holder = uuid.uuid4().hex
    while not await take(job, holder=holder, seconds=HELD_SECONDS):  # noqa: ASYNC110  # other processes set no event
        await asyncio.sleep(POLL_SECONDS)
    renewing = asyncio.create_task(_renew(job, holder))
    try:
        yield
    finally:
        await stop(renewing)
        with contextlib.suppress(PyMongoError):  # it ends by itself
            await release(job, holder=holder)


async def _renew(job: str, holder: str) -> None:
    while True:
        await asyncio.sleep(RENEW_SECONDS)
        with contextlib.suppress(PyMongoError):  # the next try may come in time
            await take(job, holder=holder, seconds=HELD_SECONDS)


def extension(field: str, seconds: int) -> list[dict[str, Any]]:
    """The update that sets a document's own lease to end so many seconds from now."""
    end = {"$dateAdd": {"startDate": "$$NOW", "unit": "second", "amount": seconds}}
    return [{"$set": {field: end}}]


def expired(field: str) -> dict[str, Any]:
    """The condition that a document's own lease has ended."""
    return {"$expr": {"$lt": ["$" + field, "$$NOW"]}}
