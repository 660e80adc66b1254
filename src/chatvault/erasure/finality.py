"""Tell when MongoDB's oplog no longer has what was removed.

The oplog keeps each change until it needs the room: what was written, removed or replaced can be
read there until then by whoever may read the files of MongoDB.
"""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from bson.timestamp import Timestamp
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import OperationFailure

from chatvault.mongodb.changes import StreamLost, Watched, watch
from chatvault.mongodb.database import Client, to_domain_error

# An idle database's oplog would last for centuries.
_LONGEST: Final = timedelta(days=36_500)


async def read_clock(client: Client) -> Timestamp:
    """Return the time of MongoDB's clock, which orders the entries of the oplog."""
    time: Timestamp = (await client.admin.command("ping"))["operationTime"]
    return time


async def expect_passed(client: Client, at: Timestamp) -> datetime | None:
    """Return when the oplog is expected to begin after a time, by its present rate of changes.

    None if it cannot be read: with mongos, or without the right to.
    """
    oplog = client["local"]["oplog.rs"]
    try:
        first = await oplog.find_one({}, {"ts": 1}, sort=[("$natural", 1)])
        last = await oplog.find_one({}, {"ts": 1}, sort=[("$natural", -1)])
        sizes = await client["local"].command("collStats", "oplog.rs")
    except OperationFailure as error:
        if to_domain_error(error) is not None:
            raise
        return None
    if first is None or last is None:
        return None
    span = max(1, last["ts"].time - first["ts"].time)
    # Until it is full, nothing is dropped from it.
    seconds = span * max(1.0, sizes["maxSize"] / max(1, sizes["size"]))
    length = min(timedelta(seconds=min(seconds, _LONGEST.total_seconds())), _LONGEST)
    return datetime.fromtimestamp(at.time, UTC) + length


async def has_passed(client: Client, followed: AsyncCollection[Any], at: Timestamp) -> bool:
    """Whether the oplog begins after a time.

    Args:
        client: the connection.
        followed: a collection, on which a change stream is tried where the oplog cannot be read.
        at: the time of MongoDB's clock.
    """
    try:
        first = await client["local"]["oplog.rs"].find_one({}, {"ts": 1}, sort=[("$natural", 1)])
    except OperationFailure as error:
        if to_domain_error(error) is not None:
            raise
        first = None
    if first is not None:
        return bool(first["ts"] > at)
    seconds = (await read_clock(client)).time - at.time
    if seconds <= 0:
        return False
    try:
        async with watch(Watched(collection=followed, pipeline=[], look_back_seconds=seconds)):
            return False
    except StreamLost:
        return True
