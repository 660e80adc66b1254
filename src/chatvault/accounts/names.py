"""The names of accounts, for what shows people by their names."""

from collections.abc import Iterable

from bson import ObjectId

from chatvault.accounts.models import User


async def find_names(ids: Iterable[ObjectId]) -> dict[ObjectId, str]:
    """Return the usernames of the accounts with these ids; nothing of those that are gone."""
    query = {"_id": {"$in": sorted(set(ids))}}
    found = User.get_pymongo_collection().find(query, {"username": True})
    return {each["_id"]: each["username"] async for each in found}
