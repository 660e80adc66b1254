"""The document of one erasure, which says how far it is and becomes its receipt."""

from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

from beanie import Document, PydanticObjectId
from bson import ObjectId
from pydantic import Field
from pymongo import DESCENDING, IndexModel
from pymongo.asynchronous.client_session import AsyncClientSession

from chatvault.content import Content, Erased
from chatvault.fields import Id, Raw
from chatvault.mongodb import leases
from chatvault.mongodb.leases import expired

# The time for which a process has a step of an erasure; another may then repeat the step.
LEASE_SECONDS = 60.0


class ErasureState(StrEnum):
    """The state of an erasure.

    `removing` covers the first three steps: the account is closed, and its documents are being
    removed. `pending` is after the receipt, while MongoDB's oplog still has what was removed.
    """

    REMOVING = "removing"
    PENDING = "pending"
    FINAL = "final"


class Step(StrEnum):
    """The next step of an erasure."""

    STOP = "stop"
    REMOVE = "remove"
    LOOK = "look"
    WATCH = "watch"
    DONE = "done"


class Erasure(Document):
    """One erasure; it holds ids, counts and times, and stays as the receipt.

    Attributes:
        user_id: whose; after the removal of the account this id leads to no person.
        token_hash: of the secret with which the erased person may read this; None without one.
        due_at: when a process may do the next step; the process that does it postpones this.
        counts: the number of removed documents by collection.
        uploads: the uploaded files on the disks of machines: `{place, upload_id, is_removed}`.
        removed_at: when nothing was found any more.
        removed_after: the time of MongoDB's clock up to which the oplog has what was removed.
        final_at: when the oplog is expected to have it no more; None if that is unknown.
        ended_at: when that was seen.
    """

    id: PydanticObjectId = Field(default_factory=PydanticObjectId, alias="_id")
    user_id: Id
    token_hash: bytes | None = None
    state: ErasureState = ErasureState.REMOVING
    step: Step = Step.STOP
    is_open: bool = True
    due_at: datetime
    started_at: datetime
    counts: dict[str, int] = Field(default_factory=dict)
    uploads: list[dict[str, Any]] = Field(default_factory=list)
    removed_at: datetime | None = None
    removed_after: Any = None
    final_at: datetime | None = None
    ended_at: datetime | None = None

    holds: ClassVar = Content(
        plain=("counts", "uploads", "removed_after"), erased=Erased.NEVER, owner=None
    )

    class Settings:
        """Beanie's."""

        name = "erasures"
        indexes: ClassVar = [
            IndexModel("due_at", partialFilterExpression={"is_open": True}, name="due"),
            IndexModel([("started_at", DESCENDING)]),
        ]

    @classmethod
    async def list_open(cls) -> list[Raw]:
        """Return the erasures that are not final."""
        found: list[Raw] = await cls.get_pymongo_collection().find({"is_open": True}).to_list()
        return found

    @classmethod
    async def take(cls) -> Raw | None:
        """Lease and return an erasure whose next step is due."""
        found: Raw | None = await cls.get_pymongo_collection().find_one_and_update(
            {"is_open": True, **expired("due_at")},
            leases.extension("due_at", LEASE_SECONDS),
            return_document=True,
        )
        return found

    @classmethod
    async def move(
        cls,
        erasure: Raw,
        step: Step,
        seconds: float,
        session: AsyncClientSession | None = None,
        **fields: Any,
    ) -> bool:
        """Go to a step, which is due after some seconds; return False if another process has.

        Args:
            erasure: as it was taken.
            step: the next one.
            seconds: until it is due.
            session: of a transaction.
            fields: further fields to set.
        """
        same = {
            "_id": erasure["_id"],
            "user_id": erasure["user_id"],
            "step": erasure["step"],
            "is_open": True,
        }
        literal = {name: {"$literal": value} for name, value in fields.items()}
        update = [*leases.extension("due_at", seconds), {"$set": {"step": step.value, **literal}}]
        moved = await cls.get_pymongo_collection().update_one(same, update, session=session)
        return bool(moved.matched_count)

    @classmethod
    async def note_removed_file(cls, erasure: Raw, upload_id: ObjectId) -> None:
        """Note that this machine has removed the file of an upload."""
        same = {"user_id": erasure["user_id"], "_id": erasure["_id"]}
        gone = {"$set": {"uploads.$.is_removed": True}}
        await cls.get_pymongo_collection().update_one(
            {**same, "uploads.upload_id": upload_id}, gone
        )

    @classmethod
    async def find_raw(cls, erasure_id: ObjectId) -> Raw | None:
        """Return an erasure."""
        found: Raw | None = await cls.get_pymongo_collection().find_one({"_id": erasure_id})
        return found
