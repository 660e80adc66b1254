"""Store counts of refusals that have no audit entry yet, so that they survive their process."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar

import bson
from beanie import Document
from bson import ObjectId
from pymongo import IndexModel, ReplaceOne

from chatvault.audit.models import AWARE, AuditEntry, Entry
from chatvault.content import Content, Erased
from chatvault.fields import now
from chatvault.mongodb import leases

LEASE = timedelta(seconds=15)
# How many documents of half a kilobyte to read in one round trip.
BATCH = 1_000


class PendingRefusals(Document):
    """One process's count of refusals of one address and action, not yet stored as an entry.

    Attributes:
        id: the id of the future entry, so that it is stored once.
        owner: the process that counts.
        until: when another process may take it over.
        counted: the entry so far, under `entry`, with a MAC, so that nobody can add an entry to the
            log by writing here.
    """

    owner: str
    until: datetime
    counted: dict[str, Any]

    # Each becomes an entry of the audit log within a minute.
    holds: ClassVar = Content(plain=("owner", "counted"), erased=Erased.SOON, owner=None)

    class Settings:
        """Beanie's."""

        name = "pending_refusals"
        indexes: ClassVar = [IndexModel("until"), IndexModel("owner")]

    @classmethod
    async def keep(cls, owner: str, entries: Sequence[Entry]) -> None:
        """Store the present counts, and renew all of this owner's.

        Raises:
            PyMongoError: they could not be stored.
        """
        keys = AuditEntry.keys()
        until = now() + LEASE
        statements = []
        for entry in entries:
            mine = {"_id": entry["_id"], "owner": owner}
            counted = keys.stamp({"_id": entry["_id"], "entry": entry})
            statements.append(
                ReplaceOne(mine, {**mine, "until": until, "counted": counted}, upsert=True)
            )
        collection = cls.get_pymongo_collection()
        for first in range(0, len(statements), BATCH):
            await collection.bulk_write(statements[first : first + BATCH], ordered=False)
        # By the server's clock, which all processes share.
        extension = leases.extension("until", int(LEASE.total_seconds()))
        await collection.update_many({"owner": owner}, extension)

    @classmethod
    async def drop(cls, ids: Iterable[ObjectId]) -> None:
        """Remove counts whose entries are stored.

        Raises:
            PyMongoError: some may remain; the process that takes them over finds their entries
                stored.
        """
        await cls.get_pymongo_collection().delete_many({"_id": {"$in": list(ids)}})

    @classmethod
    async def find_expired(cls) -> dict[ObjectId, datetime]:
        """Return the counts that were not renewed, with the time until which they were held.

        Raises:
            PyMongoError: the database cannot be reached.
        """
        expired = leases.expired("until")
        found = cls.get_pymongo_collection().find(expired, {"until": True}).limit(BATCH)
        return {each["_id"]: each["until"] async for each in found}

    @classmethod
    async def read(cls, ids: Iterable[ObjectId]) -> tuple[list[Entry], list[Any]]:
        """Return the entries of these counts, and the ids of those that no key of ours stamped.

        Raises:
            PyMongoError: the database cannot be reached.
        """
        keys = AuditEntry.keys()
        raw = cls.get_pymongo_collection().with_options(codec_options=AuditEntry.RAW)
        genuine: list[Entry] = []
        forged: list[Any] = []
        async for stored in raw.find({"_id": {"$in": list(ids)}}):
            counted = bytes(getattr(stored.get("counted"), "raw", b""))
            entry = bson.decode(counted, AWARE) if keys.is_genuine(counted) else {}
            if entry.get("_id") == stored["_id"] and "entry" in entry:
                genuine.append(entry["entry"])
            else:
                forged.append(stored["_id"])
        return genuine, forged
