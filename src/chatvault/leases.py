"""Leases in server time: of many processes, one at a time does a job that needs doing once."""

from datetime import datetime
from typing import Any

from beanie import Document
from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError


class Lease(Document):
    """Who does a job, and until when nobody else may."""

    id: str  # type: ignore[assignment]  # the job
    holder: str
    until: datetime

    class Settings:
        """Beanie's."""

        name = "leases"


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
