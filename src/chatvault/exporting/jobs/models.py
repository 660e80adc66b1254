"""The documents of exports in the background: the job, and the bytes of its parts."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, ClassVar, TypedDict

from beanie import Document
from bson import ObjectId
from pymongo import IndexModel
from pymongo.asynchronous.client_session import AsyncClientSession

from chatvault.actor import Actor
from chatvault.content import Content, Erased
from chatvault.errors import NotFound
from chatvault.fields import Id, Raw, now
from chatvault.owned import Personal

KEPT = timedelta(days=7)
LISTED = 20
# The number of finished exports kept for a user.
MOST_KEPT = 5
CHUNK_BYTES = 1024 * 1024


class ExportState(StrEnum):
    """The state of an export in the background; removed ones are hidden."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    REMOVED = "removed"


KEPT_STATES = {"$ne": ExportState.REMOVED.value}
SHOWN_PROGRESS = ("user_id", "state", "total", "done", "code", "parts.bytes")


class PartDoc(TypedDict):
    """A finished part.

    Attributes:
        writing: the id under which its bytes are stored; differs for each attempt.
        hash: SHA-256 of its bytes.
    """

    writing: ObjectId
    name: str
    media_type: str
    bytes: int
    hash: str
    conversations: int
    messages: int


class ExportJob(Personal, Document):
    """An export in the background.

    Attributes:
        format: a `ConversationFormat`.
        attachments: whether the bytes of attachments are in it.
        filter: the query for the conversations.
        until: the newest conversation at the time of the request.
        cursor: the last conversation in a finished part.
        total: the number of requested conversations.
        done: the number of them that are in finished parts or were deleted meanwhile.
        is_open: whether it has not ended; at most one of a user's has not.
        due_at: when a process may take it; its current process keeps postponing this.
        attempts: how often a process took it; only the newest attempt may change it.
        failures: the number of failures since the last finished part.
        code: the code of the error with which it failed.
        expires_at: when it is removed.
    """

    user_id: Id
    format: str
    # Earlier versions stored no such field, and left them out.
    attachments: bool = False
    ids: list[Id] | None
    filter: dict[str, Any]
    created_at: datetime
    until: Id
    cursor: Id | None
    total: int
    done: int
    counts: dict[str, int]
    parts: list[dict[str, Any]]
    state: ExportState
    is_open: bool
    due_at: datetime
    attempts: int
    failures: int
    code: str | None
    expires_at: datetime | None

    holds: ClassVar = Content(
        plain=("format", "filter", "counts", "parts", "code"), erased=Erased.SOON, backed_up=False
    )

    class Settings:
        """Beanie's."""

        name = "exports"
        indexes: ClassVar = [
            IndexModel(
                "user_id",
                unique=True,
                partialFilterExpression={"is_open": True},
                name="one_open_of_a_user",
            ),
            IndexModel([("user_id", 1), ("created_at", -1)]),
            IndexModel("due_at", partialFilterExpression={"is_open": True}, name="due"),
            IndexModel("expires_at"),
        ]

    @classmethod
    async def get_raw(
        cls, actor: Actor, export_id: ObjectId, session: AsyncClientSession | None = None
    ) -> Raw:
        """Return an export of the actor's.

        Raises:
            NotFound: there is none.
        """
        mine = cls.owned_by(actor, _id=export_id, state=KEPT_STATES)
        found: Raw | None = await cls.get_pymongo_collection().find_one(mine, session=session)
        if found is None:
            raise NotFound("Export not found")
        return found

    @classmethod
    async def list_raw(cls, actor: Actor) -> list[Raw]:
        """Return the actor's newest exports, the newest first."""
        mine = cls.owned_by(actor, state=KEPT_STATES)
        found = cls.get_pymongo_collection().find(mine).sort("created_at", -1).limit(LISTED)
        jobs: list[Raw] = await found.to_list()
        return jobs

    @classmethod
    async def list_active(cls, actor: Actor) -> list[Raw]:
        """Return how far the actor's exports are that have not ended."""
        query = cls.owned_by(actor, is_open=True)
        return await cls.get_pymongo_collection().find(query, SHOWN_PROGRESS).to_list()

    @classmethod
    async def list_progress(cls, actor: Actor, ids: list[ObjectId]) -> list[Raw]:
        """Return how far these exports of the actor's are."""
        query = cls.owned_by(actor, _id={"$in": ids}, state=KEPT_STATES)
        return await cls.get_pymongo_collection().find(query, SHOWN_PROGRESS).to_list()

    @classmethod
    async def expire_oldest(cls, actor: Actor) -> None:
        """Expire the actor's finished exports except the newest."""
        exports = cls.get_pymongo_collection()
        finished = cls.owned_by(actor, state=KEPT_STATES, is_open=False)
        older = exports.find(finished, {"_id": True}).sort("created_at", -1).skip(MOST_KEPT)
        if ids := [each["_id"] for each in await older.to_list()]:
            await exports.update_many(
                cls.owned_by(actor, _id={"$in": ids}), {"$min": {"expires_at": now()}}
            )


class ExportChunk(Personal, Document):
    """Some bytes of a part.

    Attributes:
        writing: identifies the part and the attempt to write it.
        no: its number in the part, from 0 on.
        data: the bytes.
    """

    user_id: Id
    export_id: Id
    writing: Id
    no: int
    data: Any

    holds: ClassVar = Content(
        words=("data",), bound_to=("export_id", "writing", "no"), backed_up=False
    )

    class Settings:
        """Beanie's."""

        name = "export_parts"
        indexes: ClassVar = [
            IndexModel(
                [("user_id", 1), ("export_id", 1), ("writing", 1), ("no", 1)],
                unique=True,
                name="chunk_unique",
            )
        ]

    @classmethod
    async def find_data(
        cls, actor: Actor, export_id: ObjectId, writing: ObjectId, no: int
    ) -> bytes | None:
        """Return a chunk's bytes; None if the part was removed."""
        mine = cls.owned_by(actor, export_id=export_id, writing=writing, no=no)
        found = await cls.get_pymongo_collection().find_one(mine, {"data": True})
        return None if found is None else bytes(found["data"])

    @classmethod
    async def remove(cls, actor: Actor, export_id: ObjectId, keep: Sequence[ObjectId]) -> None:
        """Remove an export's chunks except those of these parts."""
        mine = cls.owned_by(actor, export_id=export_id, writing={"$nin": list(keep)})
        await cls.get_pymongo_collection().delete_many(mine)
