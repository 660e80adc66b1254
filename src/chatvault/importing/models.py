"""Stored uploads, and imports that run in the background."""

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
from chatvault.owned import Owned

# An unused upload is removed after this time.
UPLOAD_TTL = timedelta(days=1)
# The same for an upload that an import is waiting for or working on.
JOB_TTL = timedelta(days=7)


class Upload(Owned, Document):
    """A file that is uploaded in parts; its bytes are in a file on one machine.

    Attributes:
        place: the data directory that has the file.
        name: the client's name of the file.
        length: its number of bytes once it is complete.
    """

    user_id: Id
    place: str
    name: str
    length: int
    created_at: datetime
    expires_at: datetime

    # Its bytes lie on one machine and go within a day: a backup would have the name without them.
    holds: ClassVar = Content(words=("name",), plain=("place",), backed_up=False)

    class Settings:
        """Beanie's."""

        name = "import_uploads"
        indexes: ClassVar = [
            IndexModel([("user_id", 1), ("_id", 1)]),
            IndexModel("expires_at", expireAfterSeconds=0),
        ]

    @classmethod
    async def get_raw(cls, access: Access, upload_id: ObjectId) -> Raw:
        """Return an owner's upload.

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
# The fields that tell how far an import is.
SHOWN_PROGRESS = ("user_id", "state", "size", "read", "found", "done", "version")


class ImportJob(Owned, Document):
    """An import of uploads, which a process with access to their files runs.

    Attributes:
        options: the fields of `ImportQuery`.
        uploads: the ids of the uploads to import.
        names: the client's names of their files.
        size: their number of bytes.
        place: the data directory that has the files.
        read: the number of bytes read; bytes that are read twice count twice.
        found: the number of conversations in them; None until it is known.
        done: the number of conversations that were processed.
        report: the results so far.
        code: the code of the error with which it failed.
        detail: the description of that error.
        cancel_requested: whether the process that runs it is to stop it.
        lease_until: the time from which another process may run it.
        attempts: how often it was started; identifies the holder of the lease.
        version: rises with every change; used as the event's number.
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
            # For the number of those that have not ended, on all machines.
            IndexModel("state"),
            # One import of a user's runs at a time, over all processes.
            IndexModel(
                [("user_id", 1)],
                unique=True,
                partialFilterExpression={"state": JobState.RUNNING.value},
                name="one_runs",
            ),
        ]

    @classmethod
    async def get_raw(
        cls, access: Access, import_id: ObjectId, session: AsyncClientSession | None = None
    ) -> Raw:
        """Return an owner's import.

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
        """Return the import that is waiting for or working on an upload of the owner's."""
        query = cls.owned_by(access, uploads=upload_id, state={"$in": ACTIVE})
        return await cls.get_pymongo_collection().find_one(query)

    @classmethod
    async def list_active(cls, access: Access) -> list[Raw]:
        """Return the owner's imports that wait or run."""
        query = cls.owned_by(access, state={"$in": ACTIVE})
        return await cls.get_pymongo_collection().find(query, SHOWN_PROGRESS).to_list()

    @classmethod
    async def list_progress(cls, access: Access, ids: list[ObjectId]) -> list[Raw]:
        """Return how far these imports of the owner's are."""
        query = cls.owned_by(access, _id={"$in": ids})
        return await cls.get_pymongo_collection().find(query, SHOWN_PROGRESS).to_list()
