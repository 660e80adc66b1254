"""The one MongoDB call behind each measured request, as the two yardsticks make it."""

from datetime import UTC, datetime
from typing import Any

from bson import ObjectId
from pymongo import AsyncMongoClient
from pymongo.asynchronous.collection import AsyncCollection

COLLECTION = "yardstick"
Raw = dict[str, Any]
Collection = AsyncCollection[Raw]


def open_collection(url: str, database: str) -> Collection:
    """The yardsticks' conversations, with the service's own concerns: majority, journaled."""
    client: AsyncMongoClient[Raw] = AsyncMongoClient(
        url, w="majority", journal=True, readConcernLevel="majority", timeoutMS=20_000
    )
    return client[database][COLLECTION]


async def append(collection: Collection, user_id: ObjectId, _id: ObjectId, wanted: Raw) -> Raw:
    """Push a message and update the counters, guarded by the owner."""
    at = datetime.now(UTC)
    message = {**wanted, "timestamp": at, "seq": 0}
    await collection.update_one(
        {"_id": _id, "user_id": user_id},
        {
            "$push": {"messages": message},
            "$inc": {"total_messages": 1, "version": 1},
            "$set": {"updated_at": at, "last_message_at": at},
        },
    )
    return message


async def get(collection: Collection, user_id: ObjectId, _id: ObjectId) -> Raw:
    """Return one conversation with its messages."""
    found = await collection.find_one({"_id": _id, "user_id": user_id})
    assert found
    return found


async def list_summaries(collection: Collection, user_id: ObjectId, limit: int) -> list[Raw]:
    """Return the newest conversations without their messages."""
    without = {"messages": False, "messages_truncated": False}
    found = collection.find({"user_id": user_id}, without)
    return await found.sort([("updated_at", -1), ("_id", -1)]).limit(limit).to_list()


async def newest(collection: Collection, user_id: ObjectId, _id: ObjectId, limit: int) -> Raw:
    """Return the newest messages of one conversation."""
    found = await collection.find_one(
        {"_id": _id, "user_id": user_id},
        {"messages": {"$slice": -limit}, "total_messages": True},
    )
    assert found
    return found
