"""Uploads that imports are made of, and imports that run in the background."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, ClassVar

from beanie import Document
from bson import ObjectId
from pydantic import Field
from pymongo import DESCENDING, IndexModel
from pymongo.asynchronous.client_session import AsyncClientSession

from chatvault.access import Access
from chatvault.content import Content
from chatvault.errors import NotFound
from chatvault.fields import Id, Raw

# An upload that nothing happens with is removed.
UPLOAD_TTL = timedelta(days=1)
# One that an import waits for, or works on.
JOB_TTL = timedelta(days=7)


class Upload(Document):
    """A file that arrives in parts; its bytes lie in a file on one machine.

    Attributes:
        place: the data directory that has the file.
        name: what the client calls the file.
        length: how many bytes it is to have.
    """

    user_id: Id
    place: str
    name: str
    length: int
    created_at: datetime
    expires_at: datetime

    holds: ClassVar = Content(words=("name",), plain=("place",))

    class Settings:
        """Beanie's."""

        name = "import_uploads"
        indexes: ClassVar = [
            IndexModel([("user_id", 1), ("_id", 1)]),
            IndexModel("expires_at", expireAfterSeconds=0),
        ]

    @classmethod
    def owned_by(cls, access: Access, **more: Any) -> Raw:
        """Return the filter that every query of an owner's uploads begins with."""
        return {"user_id": access.owner_id, **more}

    @classmethod
    async def get_raw(cls, access: Access, upload_id: ObjectId) -> Raw:
        """Return an upload of the owner's.

        Raises:
            NotFound: there is none.
        """
        query = cls.owned_by(access, _id=upload_id)
        found: Raw | None = await cls.get_pymongo_collection().find_one(query)
        if found is None:
            raise NotFound("Upload not found")
        return found


class JobState(StrEnum):
    """The state of an import."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    NOTHING_IMPORTED = "nothing_imported"
    CANCELLED = "cancelled"
    FAILED = "failed"


ACTIVE = (JobState.QUEUED.value, JobState.RUNNING.value)


class ImportJob(Document):
    """An import of uploads, which a process with their files carries out.

    Attributes:
        options: how to import, as `ImportQuery` has it.
        uploads: the uploads that it is made of.
        names: what the client calls their files.
        size: how many bytes they have.
        place: the data directory that has the files.
        read: how many of the bytes were read, or read again.
        found: how many conversations they hold; None until that is known.
        done: how many of these were dealt with.
        report: what was done so far.
        code: the code of the error with which it failed.
        detail: a sentence about that error.
        cancel_requested: whether it is to end, whichever process carries it out.
        lease_until: when another process may take it over, or begin it.
        attempts: how often it was begun; it tells which process has the lease.
        version: rises with every change; the number of the event that tells of it.
    """

    user_id: Id
    state: JobState
    options: dict[str, Any]
    uploads: list[Id]
    names: list[str]
    size: int
    place: str
    read: int = 0
    found: int | None = None
    done: int = 0
    report: dict[str, Any] = Field(default_factory=dict)
    code: str | None = None
    detail: str | None = None
    cancel_requested: bool = False
    created_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    lease_until: datetime
    attempts: int = 0
    version: int = 1

    holds: ClassVar = Content(
        words=("names", "report", "detail"), plain=("options", "place", "code")
    )

    class Settings:
        """Beanie's."""

        name = "imports"
        indexes: ClassVar = [
            IndexModel([("user_id", 1), ("_id", DESCENDING)]),
            IndexModel([("place", 1), ("state", 1), ("_id", 1)]),
            # One user's imports take turns, whichever processes carry them out.
            IndexModel(
                [("user_id", 1)],
                unique=True,
                partialFilterExpression={"state": JobState.RUNNING.value},
                name="one_runs",
            ),
        ]

    @classmethod
    def owned_by(cls, access: Access, **more: Any) -> Raw:
        """Return the filter that every query of an owner's imports begins with."""
        return {"user_id": access.owner_id, **more}

    @classmethod
    async def get_raw(
        cls, access: Access, import_id: ObjectId, session: AsyncClientSession | None = None
    ) -> Raw:
        """Return an import of the owner's.

        Raises:
            NotFound: there is none.
        """
        query = cls.owned_by(access, _id=import_id)
        jobs = cls.get_pymongo_collection()
        found: Raw | None = await jobs.find_one(query, session=session)
        if found is None:
            raise NotFound("Import not found")
        return found

    @classmethod
    async def find_active(cls, access: Access, upload_id: ObjectId) -> Raw | None:
        """Return the import that waits for or works on an upload of the owner's."""
        query = cls.owned_by(access, uploads=upload_id, state={"$in": ACTIVE})
        return await cls.get_pymongo_collection().find_one(query)
