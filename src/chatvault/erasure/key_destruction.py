"""Destroying the data keys of a user, as a step of an erasure."""

from bson import ObjectId

from chatvault.fields import now
from chatvault.vault.models import UserKey


async def destroy_keys(user_id: ObjectId) -> int:
    """Destroy a user's data keys, so that nothing sealed with them can be read; return how many.

    It can be repeated.
    """
    theirs = {"user_id": user_id, "wrapped": {"$ne": None}}
    destroyed = {"$set": {"wrapped": None, "destroyed_at": now()}}
    result = await UserKey.get_pymongo_collection().update_many(theirs, destroyed)
    return result.modified_count
