"""Replies, their events, and their background jobs."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, ClassVar, NotRequired, TypedDict, cast

from beanie import Document
from bson import ObjectId
from pymongo import IndexModel, UpdateOne

from chatvault.access import Access
from chatvault.content import Content
from chatvault.fields import Id, Raw
from chatvault.mongodb import leases
from chatvault.owned import Owned

EVENTS_LIFETIME = timedelta(days=1)


class Kind(StrEnum):
    """The API by which a reply was requested: ours, or OpenAI's."""

    REPLY = "reply"
    COMPLETION = "completion"


class State(StrEnum):
    """The state of a reply; a waiting one has proposed commands and holds no lock."""

    RUNNING = "running"
    WAITING = "waiting"
    SUPERSEDED = "superseded"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


class Mode(StrEnum):
    """The position of the answer: at the end, in place of the last answer, or beside it."""

    APPEND = "append"
    REPLACE = "replace"
    BRANCH = "branch"


class ReplyDoc(TypedDict):
    """A reply as it is stored; `Reply` describes the fields."""

    _id: ObjectId
    user_id: ObjectId
    conversation_id: ObjectId
    kind: str
    state: str
    code: str | None
    mode: str
    agent_id: ObjectId | None
    provider: str
    model: str
    temperature: float | None
    user_message_id: str | None
    answer_id: str
    target_id: str | None
    parent_id: NotRequired[str | None]
    reserved: int
    input_tokens: int
    output_tokens: int | None
    started_at: datetime
    ended_at: datetime | None
    lease_until: NotRequired[datetime]
    cancel_requested: bool
    rounds: NotRequired[int]


class Reply(Owned, Document):
    """One answer of a model: its settings and progress, without its text.

    Attributes:
        code: the code of the error with which it failed.
        user_message_id: the message that it answers.
        answer_id: the id of the answer's message.
        target_id: the answer that it replaces or is an alternative to.
        parent_id: the message that an alternative follows.
        reserved: tokens reserved for it until it ends.
        input_tokens: of the request, as counted here.
        lease_until: the time by which the process that writes it must renew this; otherwise the
            process has ended.
        cancel_requested: whether the process that writes it is to stop it.
        rounds: how often the model was called for it: once, and again after each run of commands.
    """

    user_id: Id
    conversation_id: Id
    kind: Kind
    state: State
    code: str | None = None
    mode: Mode
    agent_id: Id | None
    provider: str
    model: str
    temperature: float | None
    user_message_id: str | None
    answer_id: str
    target_id: str | None
    parent_id: str | None = None
    reserved: int
    input_tokens: int
    output_tokens: int | None = None
    started_at: datetime
    ended_at: datetime | None = None
    lease_until: datetime
    cancel_requested: bool = False
    rounds: int = 1

    holds: ClassVar = Content(
        plain=(
            "code",
            "provider",
            "model",
            "user_message_id",
            "answer_id",
            "target_id",
            "parent_id",
        )
    )

    class Settings:
        """Beanie's."""

        name = "replies"
        indexes: ClassVar = [
            IndexModel([("user_id", 1), ("conversation_id", 1), ("_id", 1)]),
            IndexModel(
                [("lease_until", 1)],
                partialFilterExpression={"state": "running"},
                name="running_lease",
            ),
        ]

    @classmethod
    async def find_raw(
        cls, access: Access, conversation_id: ObjectId, reply_id: ObjectId
    ) -> ReplyDoc | None:
        """Return a reply of the actor's, or None."""
        query = cls.owned_by(access, conversation_id=conversation_id, _id=reply_id)
        return cast("ReplyDoc | None", await cls.get_pymongo_collection().find_one(query))


class ReplyEvents(Owned, Document):
    """Consecutive events of a reply; numbers begin with 1.

    Attributes:
        conversation_id: None if no conversation records the answer.
        first: the number of the first event.
        last: the number of the last event.
        events: each with `type` and `data`.
    """

    user_id: Id
    conversation_id: Id | None
    reply_id: Id
    first: int
    last: int
    events: list[dict[str, Any]]
    expires_at: datetime

    holds: ClassVar = Content(words=("events",))

    class Settings:
        """Beanie's."""

        name = "reply_events"
        indexes: ClassVar = [
            IndexModel(
                [("user_id", 1), ("reply_id", 1), ("first", 1)], unique=True, name="event_unique"
            ),
            IndexModel("expires_at", expireAfterSeconds=0),
        ]

    @classmethod
    async def list_raw(cls, access: Access, reply_id: ObjectId, after: int) -> list[Raw]:
        """Return the stored documents with events above `after`."""
        query = cls.owned_by(access, reply_id=reply_id, last={"$gt": after})
        return await cls.get_pymongo_collection().find(query).sort("first", 1).to_list()


class JobKind(StrEnum):
    """The kind of a background job."""

    TITLE = "title"
    SUMMARY = "summary"
    CONTINUE = "continue"


class Job(Owned, Document):
    """Something to do after a reply, by any process.

    Attributes:
        due_at: when it is due; a process that takes it postpones it, so that it is done again after
            a crash.
        attempts: how often it was started.
        reply_id: the reply to resume.
    """

    user_id: Id
    conversation_id: Id
    kind: JobKind
    due_at: datetime
    attempts: int = 0
    reply_id: Id | None = None

    holds: ClassVar = Content()

    class Settings:
        """Beanie's."""

        name = "reply_jobs"
        indexes: ClassVar = [
            IndexModel("due_at"),
            IndexModel([("user_id", 1), ("conversation_id", 1)]),
        ]

    @classmethod
    def insertion_of(
        cls,
        access: Access,
        *,
        conversation_id: ObjectId,
        kind: JobKind,
        reply_id: ObjectId | None = None,
    ) -> UpdateOne:
        """Return the write that stores a job for a conversation of the actor's, due at once."""
        job: Raw = {
            "_id": ObjectId(),
            **cls.owned_by(access),
            "conversation_id": conversation_id,
            "kind": kind.value,
            "attempts": 0,
            "reply_id": reply_id,
        }
        mine = cls.owned_by(access, _id=job["_id"])
        return UpdateOne(mine, leases.written(job, "due_at", 0), upsert=True)
