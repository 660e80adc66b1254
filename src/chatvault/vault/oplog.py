"""Find the oldest operation in MongoDB's log of changes."""

from datetime import datetime

from pymongo.errors import PyMongoError

from chatvault.vault.models import UserKey


async def find_oldest_operation() -> datetime | None:
    """Return the time of the oldest operation in the oplog; None if it cannot be read."""
    oplog = UserKey.get_pymongo_collection().database.client["local"]["oplog.rs"]
    try:
        oldest = await oplog.find_one({}, {"ts": True}, sort=[("$natural", 1)])
    except PyMongoError:
        return None
    at: datetime | None = oldest["ts"].as_datetime() if oldest else None
    return at
