"""Read whole collections as they were at one moment, while others write."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any, Final

import pymongo
import structlog
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import OperationFailure

from chatvault.backup.errors import SnapshotLost
from chatvault.mongodb.database import Client

# How long MongoDB is to be able to show the moment of a backup.
HISTORY_SECONDS: Final = 7200
_WINDOW: Final = "minSnapshotHistoryWindowInSeconds"
_BATCH_SECONDS: Final = 60.0
_TOO_OLD, _UNAVAILABLE = 239, 246
log = structlog.get_logger()


@contextlib.asynccontextmanager
async def open_snapshot(client: Client) -> AsyncIterator[AsyncClientSession]:
    """Yield a session whose reads all show the same moment, that of the first.

    MongoDB keeps what is needed for that for two hours, if we may tell it so; else, as a rule, for
    five minutes.

    Raises:
        PyMongoError: the database cannot be reached.
    """
    before = await _keep_history(client, HISTORY_SECONDS)
    try:
        async with client.start_session(snapshot=True) as session:
            yield session
    finally:
        if before is not None:
            with contextlib.suppress(OperationFailure):
                await client.admin.command({"setParameter": 1, _WINDOW: before})


async def _keep_history(client: Client, seconds: int) -> int | None:
    """Let MongoDB keep the history for so long; return the time of before if that was shorter.

    None also if we may not.
    """
    try:
        before = int((await client.admin.command({"getParameter": 1, _WINDOW: 1}))[_WINDOW])
        if before >= seconds:
            return None
        await client.admin.command({"setParameter": 1, _WINDOW: seconds})
    except OperationFailure:
        log.info("backup_has_to_be_short", setting=_WINDOW, seconds=300)
        return None
    return before


async def read_documents(
    collection: AsyncCollection[Any], session: AsyncClientSession
) -> AsyncIterator[bytes]:
    """Yield all documents in BSON, in batches of up to 16 MB, one after the other.

    Raises:
        SnapshotLost: the moment is too long ago, or the collection was made or rebuilt since.
        PyMongoError: the database cannot be reached.
    """
    found = collection.find_raw_batches({}, session=session)
    try:
        while True:
            # A time for each batch, whatever the whole takes.
            with pymongo.timeout(_BATCH_SECONDS):
                batch = await anext(found, None)
            if batch is None:
                return
            if batch:
                yield batch
    except OperationFailure as error:
        if error.code == _TOO_OLD:
            raise SnapshotLost(
                "MongoDB keeps the moment of the backup for too short a time: allow chatvault's "
                f"user to set {_WINDOW}, or set it to the seconds that a backup takes; nothing "
                "was kept"
            ) from error
        if error.code == _UNAVAILABLE:
            raise SnapshotLost(
                f"The collection {collection.name} was made or rebuilt during the backup; run it "
                "again; nothing was kept"
            ) from error
        raise
    finally:
        await found.close()
