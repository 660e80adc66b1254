"""Checking the master keys at the start, listing them, and changing to a new one."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from pymongo import UpdateOne
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.collection import AsyncCollection

from chatvault.actor import Actor
from chatvault.audit import service as audit
from chatvault.audit.actions import Action
from chatvault.audit.models import AuditEntry
from chatvault.audit.recorder import Recorder
from chatvault.errors import ChatvaultError
from chatvault.fields import Raw, now
from chatvault.mongodb.database import transaction
from chatvault.vault.masters import MasterKeys
from chatvault.vault.models import UserKey

BATCH = 200
SETTING = "CHATVAULT_MASTER_KEYS"


class MasterKeysMissing(ChatvaultError):
    """Data keys of this database are wrapped with a master key that was not given."""

    code = "master_keys_missing"


class DataKeyUnreadable(ChatvaultError):
    """A stored data key was changed: its master key does not unwrap it."""

    code = "data_key_unreadable"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedMaster:
    """A master key in the list of them.

    Attributes:
        id: identifies the key, and reveals nothing about it.
        is_newest: whether it wraps what is new.
        is_given: whether the settings have it.
        wraps: how many users' data keys it wraps.
        oldest: when the first of those was made.
    """

    id: str
    is_newest: bool
    is_given: bool
    wraps: int
    oldest: datetime | None = None


def _keys() -> AsyncCollection[Raw]:
    return UserKey.get_pymongo_collection()


async def check_masters(masters: MasterKeys | None) -> None:
    """Raise unless each data key of the database was wrapped with one of the master keys.

    Raises:
        MasterKeysMissing: one was wrapped with another.
        PyMongoError: the database cannot be read.
    """
    needed = {"wrapped": {"$ne": None}, "retired_at": None}
    used: list[str] = await _keys().distinct("key_id", needed)
    given = masters.ids if masters else []
    lacking = sorted(set(map(str, used)) - set(given))
    if not lacking:
        return
    if not given:
        raise MasterKeysMissing(
            f"Conversations of this database are sealed: set {SETTING} to the master key "
            f"{', '.join(lacking)} (the id of what `openssl rand -hex 32` made), from your copy "
            "of it. Without it nobody can read them; nothing was changed."
        )
    raise MasterKeysMissing(
        f"{SETTING} has the keys {', '.join(given)}, but conversations of this database are sealed "
        f"with {', '.join(lacking)}: add that key behind the newest, from your copy of it. Nothing "
        "was changed."
    )


async def list_masters(
    actor: Actor, recorder: Recorder, *, masters: MasterKeys
) -> list[ListedMaster]:
    """Return the master keys that are given, newest first, and those that are still used."""
    pipeline: list[Raw] = [
        {"$match": {"wrapped": {"$ne": None}}},
        {"$group": {"_id": "$key_id", "wraps": {"$sum": 1}, "oldest": {"$min": "$created_at"}}},
    ]
    used = {each["_id"]: each async for each in await _keys().aggregate(pipeline)}
    listed = [
        ListedMaster(
            id=each,
            is_newest=each == masters.newest.id,
            is_given=masters.find(each) is not None,
            wraps=used.get(each, {}).get("wraps", 0),
            oldest=used.get(each, {}).get("oldest"),
        )
        for each in [*masters.ids, *sorted(used.keys() - set(masters.ids))]
    ]
    await recorder.record(audit.entry(actor, Action.MASTER_KEY_LIST))
    return listed


async def rotate(actor: Actor, *, masters: MasterKeys) -> int:
    """Wrap all data keys with the newest master key; return how many were wrapped with another.

    No conversation is rewritten. It can be interrupted and repeated.

    Raises:
        DataKeyUnreadable: a stored data key was changed; those before it are wrapped again.
    """
    count = 0
    while True:
        query = {"key_id": {"$ne": masters.newest.id}, "wrapped": {"$ne": None}}
        found = await _keys().find(query).sort("_id", 1).limit(BATCH).to_list()
        if not found:
            return count
        await _wrap_again(actor, masters, found)
        count += len(found)


async def retire_data_keys(actor: Actor) -> int:
    """Note that nothing is sealed any more, so that the service starts without master keys.

    No key is removed: what was overlooked, or lies in a backup, opens again with its master key.
    """

    async def write(session: AsyncClientSession) -> int:
        result = await _keys().update_many(
            {"retired_at": None}, {"$set": {"retired_at": now()}}, session=session
        )
        details = {"data_keys": result.modified_count}
        await AuditEntry.store(
            [audit.entry(actor, Action.MASTER_KEY_RETIRE, details=details)], session
        )
        return result.modified_count

    return await transaction(write)


async def _wrap_again(actor: Actor, masters: MasterKeys, found: Collection[Raw]) -> None:
    writes = [_rewrap(masters, each) for each in found]
    details = {"key_id": masters.newest.id, "data_keys": len(writes)}
    entry = audit.entry(actor, Action.MASTER_KEY_ROTATE, masters.newest.id, details=details)

    async def write(session: AsyncClientSession) -> None:
        await _keys().bulk_write(writes, session=session)
        await AuditEntry.store([entry], session)

    await transaction(write)


def _rewrap(masters: MasterKeys, stored: Raw) -> UpdateOne:
    user_id, epoch = stored["user_id"], stored["epoch"]
    old = masters.find(stored["key_id"])
    root = old.unwrap(bytes(stored["wrapped"]), user_id, epoch) if old else None
    if root is None:
        raise DataKeyUnreadable(
            f"The data key {epoch} of the user {user_id} was changed in the database: restore the "
            "collection user_keys from a backup, and repeat this. No key was lost by this command."
        )
    mine = {"_id": stored["_id"], "user_id": user_id, "key_id": stored["key_id"]}
    wrapped = masters.newest.wrap(root, user_id, epoch)
    return UpdateOne(mine, {"$set": {"key_id": masters.newest.id, "wrapped": wrapped}})
