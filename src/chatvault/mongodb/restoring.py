"""The mark in a database whose restore has not ended, so that nobody takes it for whole."""

from datetime import UTC, datetime
from typing import Any, Final

from pymongo.asynchronous.database import AsyncDatabase

from chatvault.content import Content, Erased
from chatvault.errors import Conflict

COLLECTION: Final = "restores"
HOLDS: Final = Content(plain=("backup",), erased=Erased.SOON, backed_up=False)
_UNFINISHED: Final = {"_id": "unfinished"}


class HalfRestored(Conflict):
    """A backup was not restored to its end; run `chatvault restore` with its file again."""

    code = "half_restored"


async def begin(database: AsyncDatabase[Any], *, backup: str) -> None:
    """Mark the database as half restored.

    Raises:
        PyMongoError: the database cannot be reached.
    """
    marked = {"backup": backup, "began_at": datetime.now(UTC)}
    await database[COLLECTION].update_one(_UNFINISHED, {"$set": marked}, upsert=True)


async def find_unfinished(database: AsyncDatabase[Any]) -> dict[str, Any] | None:
    """Return the mark of a restore that has not ended; None without one.

    Raises:
        PyMongoError: the database cannot be reached.
    """
    found: dict[str, Any] | None = await database[COLLECTION].find_one(_UNFINISHED)
    return found


async def end(database: AsyncDatabase[Any]) -> None:
    """Remove the mark: everything is there.

    Raises:
        PyMongoError: the database cannot be reached.
    """
    await database[COLLECTION].delete_one(_UNFINISHED)


async def refuse_half_restored(database: AsyncDatabase[Any]) -> None:
    """Raise if the restore into this database has not ended.

    Raises:
        HalfRestored: it has not.
        PyMongoError: the database cannot be reached.
    """
    if await find_unfinished(database) is not None:
        raise HalfRestored(
            f"The database {database.name} is half restored: run `chatvault restore` with the "
            "backup's file again, to its end"
        )
