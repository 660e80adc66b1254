"""The documents of actions on many conversations: the job, its ids, and what it changed."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, ClassVar

from beanie import Document
from bson import ObjectId
from pydantic import Field
from pymongo import IndexModel
from pymongo.asynchronous.client_session import AsyncClientSession

from chatvault.access import Access
from chatvault.content import Content
from chatvault.errors import NotFound
from chatvault.fields import Id, Raw, now
from chatvault.owned import Owned

KEPT = timedelta(days=7)
# The number of finished jobs that are kept for a user, and listed.
MOST_KEPT = 20
# The number of ids in a document, and the bytes of each.
PART = 1_000
ID_BYTES = 12
FAILURES_SHOWN = 100


class BatchAction(StrEnum):
    """An action on each of many conversations."""

    ARCHIVE = "archive"
    UNARCHIVE = "unarchive"
    TAG = "tag"
    UNTAG = "untag"
    MOVE = "move"
    PIN = "pin"
    UNPIN = "unpin"
    TRASH = "trash"
    RESTORE = "restore"
    PURGE = "purge"
    EXPORT = "export"


class BatchState(StrEnum):
    """The state of an action on many conversations."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"


class BatchJob(Owned, Document):
    """An action on many conversations in the background.

    Attributes:
        options: the tags, or the category.
        filter: the query that the conversations must still match; None if they were named by id.
        role: the user's at the time of the request.
        total: the number of conversations.
        done: how many of them it has gone through.
        changed: how many of these it changed.
        failed: how many it could not change, by the code of the error.
        failures_shown: the ids and codes of the first of these.
        cancel_requested: whether it is to end after the current step.
        is_open: whether it has not ended; at most one of a user's has not.
        due_at: when a process may take it; its current process keeps postponing this.
        attempts: how often a process took it; only the newest attempt may change it.
        failures: the number of attempts since the last progress.
        code: the code of the error with which it failed.
        expires_at: when it is removed.
        undoes: the job that this one takes back.
        undone_by: the job that takes this one back.
    """

    user_id: Id
    action: BatchAction
    options: dict[str, Any]
    filter: dict[str, Any] | None
    role: str | None
    created_at: datetime
    total: int
    done: int = 0
    changed: int = 0
    failed: dict[str, int] = Field(default_factory=dict)
    failures_shown: list[dict[str, Any]] = Field(default_factory=list)
    cancel_requested: bool = False
    state: BatchState = BatchState.WAITING
    is_open: bool = True
    due_at: datetime
    attempts: int = 0
    failures: int = 0
    code: str | None = None
    expires_at: datetime | None = None
    undoes: Id | None = None
    undone_by: Id | None = None

    holds: ClassVar = Content(
        plain=("options", "filter", "role", "failed", "failures_shown", "code"),
        backed_up=False,
    )

    class Settings:
        """Beanie's."""

        name = "batches"
        indexes: ClassVar = [
            IndexModel(
                "user_id",
                unique=True,
                partialFilterExpression={"is_open": True},
                name="one_open_of_a_user",
            ),
            IndexModel([("user_id", 1), ("created_at", -1)]),
            IndexModel("due_at", partialFilterExpression={"is_open": True}, name="due"),
            IndexModel("expires_at", expireAfterSeconds=0),
        ]

    @classmethod
    async def get_raw(
        cls, access: Access, batch_id: ObjectId, session: AsyncClientSession | None = None
    ) -> Raw:
        """Return a job of the owner's.

        Raises:
            NotFound: there is none.
        """
        mine = cls.owned_by(access, _id=batch_id)
        found: Raw | None = await cls.get_pymongo_collection().find_one(mine, session=session)
        if found is None:
            raise NotFound("Batch not found")
        return found

    @classmethod
    async def list_raw(cls, access: Access) -> list[Raw]:
        """Return the owner's newest jobs, the newest first."""
        found = cls.get_pymongo_collection().find(cls.owned_by(access))
        jobs: list[Raw] = await found.sort("created_at", -1).limit(MOST_KEPT).to_list()
        return jobs

    @classmethod
    async def expire_oldest(cls, access: Access, session: AsyncClientSession) -> None:
        """Expire the owner's finished jobs except the newest."""
        jobs = cls.get_pymongo_collection()
        finished = cls.owned_by(access, is_open=False)
        older = jobs.find(finished, {"_id": True}, session=session).sort("created_at", -1)
        if ids := [each["_id"] for each in await older.skip(MOST_KEPT).to_list()]:
            mine = cls.owned_by(access, _id={"$in": ids})
            await jobs.update_many(mine, {"$min": {"expires_at": now()}}, session=session)


class BatchIds(Owned, Document):
    """Some of the ids that a job goes through; removed when it ends.

    Attributes:
        no: the number of the part, from 0 on.
        ids: the ids in order, of twelve bytes each.
        options: those of each conversation, where they differ.
    """

    user_id: Id
    batch_id: Id
    no: int
    ids: bytes
    options: list[dict[str, Any]] | None = None

    holds: ClassVar = Content(plain=("options",), backed_up=False)

    class Settings:
        """Beanie's."""

        name = "batch_ids"
        indexes: ClassVar = [
            IndexModel(
                [("user_id", 1), ("batch_id", 1), ("no", 1)], unique=True, name="part_unique"
            )
        ]

    @classmethod
    async def store(
        cls,
        access: Access,
        batch_id: ObjectId,
        ids: Sequence[ObjectId],
        session: AsyncClientSession,
        options: Sequence[Raw] | None = None,
    ) -> None:
        """Store the ids of a job, and the options of each if they differ."""
        parts = [
            cls.owned_by(
                access,
                batch_id=batch_id,
                no=number,
                ids=b"".join(each.binary for each in ids[start : start + PART]),
                **({} if options is None else {"options": options[start : start + PART]}),
            )
            for number, start in enumerate(range(0, len(ids), PART))
        ]
        if parts:
            await cls.get_pymongo_collection().insert_many(parts, session=session)

    @classmethod
    async def list_part(
        cls, access: Access, batch_id: ObjectId, no: int
    ) -> list[tuple[ObjectId, Raw | None]]:
        """Return the ids of a part with their own options, in order; none after the last one."""
        mine = cls.owned_by(access, batch_id=batch_id, no=no)
        found = await cls.get_pymongo_collection().find_one(mine)
        packed = bytes(found["ids"]) if found else b""
        starts = range(0, len(packed), ID_BYTES)
        ids = [ObjectId(packed[start : start + ID_BYTES]) for start in starts]
        options = (found or {}).get("options") or [None] * len(ids)
        return list(zip(ids, options, strict=True))

    @classmethod
    async def remove(cls, access: Access, batch_id: ObjectId, session: AsyncClientSession) -> None:
        """Remove the ids of a job."""
        mine = cls.owned_by(access, batch_id=batch_id)
        await cls.get_pymongo_collection().delete_many(mine, session=session)


class BatchChanges(Owned, Document):
    """The conversations that one step of a job changed, so that the job can be undone.

    Attributes:
        no: the number of conversations that the job had gone through before.
        changes: the id of each, with the options with which the inverse action takes it back.
        expires_at: when it is removed, after the job.
    """

    user_id: Id
    batch_id: Id
    no: int
    changes: list[dict[str, Any]]
    expires_at: datetime

    holds: ClassVar = Content(plain=("changes",), backed_up=False)

    class Settings:
        """Beanie's."""

        name = "batch_changes"
        indexes: ClassVar = [
            IndexModel(
                [("user_id", 1), ("batch_id", 1), ("no", 1)], unique=True, name="step_unique"
            ),
            IndexModel("expires_at", expireAfterSeconds=0),
        ]

    @classmethod
    async def store(
        cls, access: Access, batch_id: ObjectId, no: int, changes: Sequence[Raw]
    ) -> None:
        """Add what a step changed; to what is there of it where it was interrupted."""
        step = cls.owned_by(access, batch_id=batch_id, no=no)
        more = {
            "$push": {"changes": {"$each": list(changes)}},
            "$setOnInsert": {"expires_at": now() + KEPT + timedelta(days=1)},
        }
        await cls.get_pymongo_collection().update_one(step, more, upsert=True)

    @classmethod
    async def list_ids(cls, access: Access, batch_id: ObjectId, no: int) -> set[ObjectId]:
        """Return the ids of what is stored of a step."""
        step = cls.owned_by(access, batch_id=batch_id, no=no)
        found = await cls.get_pymongo_collection().find_one(step)
        return {each["id"] for each in found["changes"]} if found else set()

    @classmethod
    async def list_changes(cls, access: Access, batch_id: ObjectId) -> list[Raw]:
        """Return what a job changed, in order."""
        found = cls.get_pymongo_collection().find(cls.owned_by(access, batch_id=batch_id))
        return [change async for step in found.sort("no", 1) for change in step["changes"]]
