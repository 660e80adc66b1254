"""Leases in server time: of many processes, one at a time does a job."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Mapping
from datetime import datetime, timedelta
from typing import Any, ClassVar

from beanie import Document
from pymongo import IndexModel, ReturnDocument
from pymongo.errors import DuplicateKeyError, PyMongoError

from chatvault.content import Content, Erased
from chatvault.errors import Busy
from chatvault.mongodb.turns import Turns
from chatvault.tasks import stop

HELD_SECONDS = 10
RENEW_SECONDS = 3.0
RETRY_SECONDS = 0.5
POLL_SECONDS = 0.1
# A lease that ended this long ago is removed: its process has ended, and nobody waits for it.
LEASE_TTL = timedelta(hours=1)


class LeaseLost(Busy):
    """Another process has taken this over, as this one was out of touch; try again shortly."""


class Lease(Document):
    """A lease: which process does a job, and until when no other may."""

    id: str  # type: ignore[assignment]  # the job
    holder: str
    until: datetime

    # Within this process, turns come before the lease, which holds between processes.
    turns: ClassVar[Turns]

    holds: ClassVar = Content(
        plain=("id", "holder"),
        erased=Erased.SOON,
        owner="_id",
        is_owner_within=True,
        backed_up=False,
    )

    class Settings:
        """Beanie's."""

        name = "leases"
        indexes: ClassVar = [IndexModel("until", expireAfterSeconds=int(LEASE_TTL.total_seconds()))]

    @classmethod
    def bind_turns(cls) -> None:
        """Bind turns within the process, while the class is bound to its database."""
        cls.turns = Turns()


async def take(job: str, *, holder: str, seconds: int) -> bool:
    """Begin or renew a lease; return whether the holder has it now.

    A lease that ends later than any could is free too: the server's clock was set back since.

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
    """Return the process that holds a lease, or held it last.

    Raises:
        PyMongoError: the database cannot be reached.
    """
    lease = await Lease.get_pymongo_collection().find_one({"_id": job})
    return None if lease is None else str(lease.get("holder"))


async def release(job: str, *, holder: str) -> None:
    """Release a lease, so that another process may take it at once.

    Raises:
        PyMongoError: the database cannot be reached; the lease then expires.
    """
    await Lease.get_pymongo_collection().delete_one({"_id": job, "holder": holder})


@contextlib.asynccontextmanager
async def hold(job: str) -> AsyncIterator[None]:
    """Wait for a lease, renew it during the work, and release it at the end.

    Raises:
        PyMongoError: the database cannot be reached; the work was not begun.
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
                with contextlib.suppress(PyMongoError):  # the lease expires
                    await release(job, holder=holder)
    except TimeoutError:
        if work.expired():
            raise LeaseLost(retry_after=1) from None
        raise


async def _renew(job: str, holder: str, work: asyncio.Timeout) -> None:
    """Renew a lease until cancelled; if another process has it, cancel the work."""
    pause = RENEW_SECONDS
    while True:
        await asyncio.sleep(pause)
        pause = RENEW_SECONDS
        try:
            if not await take(job, holder=holder, seconds=HELD_SECONDS):
                work.reschedule(asyncio.get_running_loop().time())
                return
        except PyMongoError:
            # The next attempt may succeed in time.
            pause = RETRY_SECONDS


def extension(field: str, seconds: float) -> list[dict[str, Any]]:
    """Return the update that makes a document's own lease end after these seconds."""
    return [{"$set": {field: _end(seconds)}}]


def written(document: Mapping[str, Any], field: str, seconds: float) -> list[dict[str, Any]]:
    """Return the update that writes these fields, and a lease that ends after these seconds.

    With `upsert` it inserts the document. It uses the server's clock only.
    """
    parts = ["$$ROOT", {"$literal": document}, {field: _end(seconds)}]
    return [{"$replaceWith": {"$mergeObjects": parts}}]


def expired(field: str) -> dict[str, Any]:
    """Return the filter of documents whose own lease has ended."""
    return {"$expr": {"$lte": ["$" + field, "$$NOW"]}}


def _end(seconds: float) -> dict[str, Any]:
    milliseconds = round(seconds * 1000)
    return {"$dateAdd": {"startDate": "$$NOW", "unit": "millisecond", "amount": milliseconds}}
