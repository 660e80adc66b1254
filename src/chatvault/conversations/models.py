"""The conversation document, and its queries, which filter by owner."""

import contextlib
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar, Literal, cast

from beanie import Document
from bson import ObjectId
from pydantic import BaseModel, Field
from pymongo import DESCENDING, IndexModel
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.collation import Collation
from pymongo.errors import OperationFailure

from chatvault.access import Access
from chatvault.content import Content
from chatvault.conversations.parts import TimeSource
from chatvault.conversations.shapes import ConversationDoc
from chatvault.errors import NotFound
from chatvault.fields import Id, Raw

# A filter by id and more has many possible indexes; this one is the best.
BY_ID = "_id_"
DEFAULT_TITLE = "New Conversation"


class Status(StrEnum):
    """Active, or archived by its owner."""

    ACTIVE = "active"
    ARCHIVED = "archived"


# The stored status of a conversation in the trash, which no client can set.
TRASHED = "deleted"
NOT_IN_TRASH: Raw = {"$ne": TRASHED}
# The condition of indexes of the trash, which queries repeat.
IN_TRASH: Raw = {"$type": "date"}


class MessageRole(StrEnum):
    """The author's role."""

    USER = "user"
    ASSISTANT = "assistant"
    SYSTEM = "system"
    TOOL = "tool"


class Message(BaseModel):
    """One message; fields that are None are not stored. Its `seq` follows from its place.

    Attributes:
        id: unique in the conversation; the client's, or a generated UUID.
        extra: further fields of the client's, returned beside the message's own fields.
        parts: its parts, if it holds more than text; `content` is the text of its text parts.
        hidden: whether it is left out for people and models unless requested.
        time_source: the origin of the timestamp, if it is not the message's own.
        reply_id: the reply whose answer this is.
        interrupted: whether a failure cut the answer short.
        alternative_to: the answer to which this one is an alternative; the model gets only this
            one.
        parent_id: its parent, if that is not the message stored before it; None if it has no
            parent.
        tool_calls: the model's calls of tools.
        commands: the commands for those calls, and those that people ran, each with its result.
        version: rises with every edit; absent means 1.
        sent_id: the id that an answer was sent with if it replaced another, whose id it took.
        deleted: whether the message was removed; only its id and its place are left.
        c: all other fields, sealed; then those that are not needed for queries are absent.
    """

    id: str
    role: MessageRole | None = None
    content: str | None = None
    timestamp: datetime | None = None
    model: str | None = None
    metrics: dict[str, Any] | None = None
    cancelled: bool | None = None
    extra: dict[str, Any] | None = None
    parts: list[dict[str, Any]] | None = None
    hidden: bool | None = None
    time_source: TimeSource | None = None
    reply_id: Id | None = None
    model_used: str | None = None
    llm_provider: str | None = None
    temperature: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    response_time_ms: int | None = None
    finish_reason: str | None = None
    interrupted: bool | None = None
    alternative_to: str | None = None
    parent_id: str | None = None
    tool_calls: list[dict[str, Any]] | None = None
    commands: list[dict[str, Any]] | None = None
    version: int | None = None
    sent_id: str | None = None
    author_id: Id | None = None
    deleted: bool | None = None
    c: bytes | None = None

    holds: ClassVar = Content(
        words=("content", "metrics", "extra", "parts", "tool_calls", "commands"),
        plain=(
            "id", "model", "model_used", "llm_provider", "finish_reason", "alternative_to",
            "parent_id", "sent_id",
        ),
    )  # fmt: skip


class ActiveBranch(BaseModel):
    """The branch that is shown, as runs of consecutive messages; tree.py defines places.

    Attributes:
        older: how many runs are in documents of their own, `paths`.
        older_living: how many messages of those are not deleted.
        runs: the newer runs but the last one: first and last place, and how many are not deleted.
        first: the first place of the last run.
        leaf: its last place, if messages were stored after it.
        leaf_id: the id of the message there.
        links: of embedded messages: the place of each whose parent is not the message before it,
            and the parent's place.
    """

    older: int
    older_living: int
    runs: list[list[int]]
    first: int
    leaf: int | None = None
    leaf_id: str | None = None
    links: list[list[int]]

    holds: ClassVar = Content(plain=("leaf_id",))


class Conversation(Document):
    """One user's conversation: its fields and its newest messages, the tail.

    Attributes:
        messages: the tail; older ones are in segments of the same generation.
        status: active or archived; `deleted` in the trash; absent means active.
        generation: the id that its segments share; `PUT messages` makes a new one.
        agent_id: the agent that answers; None for the built-in one.
        system_prompt: replaces the agent's.
        summary: a summary of the messages before `summary_seq`.
        active_reply_id: the one running reply.
        waiting_reply: the reply that waits for a decision, and the message with its commands.
        stopping_reply_id: the running reply that is to be stopped.
        total_tokens_used: the tokens of all replies, by the provider's count.
        reserved_tokens: the tokens that replies being written may still use.
        has_revisions: whether a message was ever edited or replaced.
        edits: how often a message was edited, replaced or removed.
        category_id: the category it is in; absent until it was in one.
        pinned_at: when it was pinned; absent until then, None where it is not pinned any more.
        arrived_at: when a change was stored here whose own time, `updated_at`, lay long before, as
            those of imports do; absent where there was none.
        linked_at: when the last public link to it was made; absent or None if it has none.
        deleted_at: when it was put into the trash; absent if it is not there.
        status_before: the status that it had before.
        source: the source of an import, as `format:id`; unique for a user; None in the trash, so
            that a new import can take its place.
        trashed_source: the source that it had before it was put into the trash.
        import_fingerprint: a keyed hash of the imported messages; absent if it was not imported.
        version: rises with every change; the ETag.
        notes_version: rises with every change of its notes; absent until there was one.
        access_version: rises with every change of its grants; absent until there was one.
        first_seq: the place of the oldest message.
        tail_seq: the place of the oldest embedded message.
        next_seq: the place of the next message.
        path: the branch that is shown; None while each message follows the one before it.
        total_messages: how many messages of that branch are not deleted.
        stored_messages: how many of all branches are not deleted; None without branches.
        message_bytes: BSON size of all messages, in bytes.
        tail_bytes: BSON size of the embedded ones, in bytes.
    """

    user_id: Id
    title: str = DEFAULT_TITLE
    messages: list[Message] = Field(default_factory=list)
    generation: Id
    status: Status | Literal["deleted"] = Status.ACTIVE
    tags: list[str] = Field(default_factory=list)
    metadata: dict[str, Any] = Field(default_factory=dict)
    category_id: Id | None = None
    pinned_at: datetime | None = None
    arrived_at: datetime | None = None
    linked_at: datetime | None = None
    deleted_at: datetime | None = None
    status_before: Status | None = None
    trashed_source: str | None = None
    source: str | None = None
    import_fingerprint: str | None = None
    created_at: datetime
    updated_at: datetime
    archived_at: datetime | None = None
    last_message_at: datetime | None = None
    agent_id: Id | None = None
    system_prompt: str | None = None
    mcp_enabled: bool = False
    summary: str | None = None
    summary_seq: int = 0
    active_reply_id: Id | None = None
    waiting_reply: dict[str, Any] | None = None
    stopping_reply_id: Id | None = None
    total_tokens_used: int = 0
    reserved_tokens: int = 0
    has_revisions: bool = False
    edits: int = 0
    total_messages: int = 0
    message_bytes: int = 0
    tail_bytes: int = 0
    first_seq: int = 0
    tail_seq: int = 0
    next_seq: int = 0
    path: ActiveBranch | None = None
    stored_messages: int | None = None
    version: int = 1
    notes_version: int | None = None
    access_version: int | None = None

    holds: ClassVar = (
        Content(
            words=("title", "metadata", "system_prompt", "summary"),
            plain=("tags", "source", "trashed_source", "import_fingerprint", "waiting_reply"),
            exported=True,
            has_codec=True,
        )
        .with_parts("messages", Message.holds)
        .with_parts("path", ActiveBranch.holds)
    )

    # The one index that an append changes.
    BY_CHANGE: ClassVar = "newest_change_of_all"
    BY_CATEGORY: ClassVar = "category_and_status"
    BY_TAG: ClassVar = "by_tag"
    BY_AGENT: ClassVar = "by_agent"
    ARCHIVED: ClassVar = "archived"
    # The index of a user's trash.
    IN_TRASH: ClassVar = "in_trash"
    # Indexes whose places others have taken.
    REPLACED: ClassVar = ("newest_first", "newest_change", "by_category")

    class Settings:
        """Beanie's."""

        name = "conversations"
        indexes: ClassVar = [
            IndexModel(
                [
                    ("user_id", 1),
                    ("updated_at", DESCENDING),
                    ("_id", DESCENDING),
                    ("status", 1),
                    ("agent_id", 1),
                    ("last_message_at", DESCENDING),
                    ("category_id", 1),
                ],
                name="newest_change_of_all",
            ),
            IndexModel(
                [("user_id", 1), ("created_at", DESCENDING), ("_id", DESCENDING)],
                name="newest_creation",
            ),
            IndexModel(
                [("user_id", 1), ("title", 1), ("_id", 1)],
                collation=Collation("en"),
                name="by_title",
            ),
            IndexModel(
                [("user_id", 1), ("tags", 1)],
                partialFilterExpression={"tags": {"$type": "string"}},
                name="by_tag",
            ),
            IndexModel(
                [("user_id", 1), ("category_id", 1), ("status", 1)],
                partialFilterExpression={"category_id": {"$type": "objectId"}},
                name="category_and_status",
            ),
            IndexModel(
                [("user_id", 1), ("agent_id", 1), ("status", 1)],
                # Any id, as the built-in agent is stored as None.
                partialFilterExpression={"agent_id": {"$gt": ObjectId(bytes(12))}},
                name="by_agent",
            ),
            IndexModel(
                [("user_id", 1), ("status", 1)],
                partialFilterExpression={"status": Status.ARCHIVED.value},
                name="archived",
            ),
            IndexModel(
                [("user_id", 1), ("pinned_at", 1)],
                partialFilterExpression={"pinned_at": {"$type": "date"}},
                name="pinned",
            ),
            IndexModel(
                [("user_id", 1), ("arrived_at", 1), ("_id", 1)],
                partialFilterExpression={"arrived_at": {"$type": "date"}},
                name="by_arrival",
            ),
            IndexModel(
                [("user_id", 1), ("deleted_at", DESCENDING), ("_id", DESCENDING)],
                partialFilterExpression={"deleted_at": {"$type": "date"}},
                name="in_trash",
            ),
            IndexModel(
                [("deleted_at", 1), ("_id", 1)],
                partialFilterExpression={"deleted_at": {"$type": "date"}},
                name="trashed_first",
            ),
            IndexModel(
                [("user_id", 1), ("source", 1)],
                unique=True,
                partialFilterExpression={"source": {"$type": "string"}},
                name="source_unique",
            ),
        ]

    @classmethod
    def begin(
        cls,
        access: Access,
        *,
        title: str,
        tags: list[str],
        metadata: dict[str, Any],
        at: datetime,
        **more: Any,
    ) -> ConversationDoc:
        """Build a new conversation of the actor's, without messages."""
        begun = cls(
            user_id=access.owner_id,
            generation=ObjectId(),
            title=title,
            tags=tags,
            metadata=metadata,
            created_at=at,
            updated_at=at,
            **more,
        )
        absent = {
            "id", "messages", "path", "stored_messages", "import_fingerprint", "arrived_at",
            "linked_at", "deleted_at", "status_before", "trashed_source", "access_version",
            "notes_version",
            *(name for name in ("category_id", "pinned_at") if getattr(begun, name) is None),
        }  # fmt: skip
        fields = begun.model_dump(mode="python", exclude=absent)
        return cast("ConversationDoc", {"_id": ObjectId(), **fields})

    @classmethod
    def owned_by(cls, access: Access, **more: Any) -> Raw:
        """Return the filter with which every query for an actor's conversations begins.

        It leaves out those in the trash.
        """
        return {"user_id": access.owner_id, "status": NOT_IN_TRASH, **more}

    @classmethod
    def owned_with_trash_by(cls, access: Access, **more: Any) -> Raw:
        """Return the same filter without the condition that leaves out the trash."""
        return {"user_id": access.owner_id, **more}

    @classmethod
    def trashed_by(cls, access: Access, **more: Any) -> Raw:
        """Return the filter with which queries for an actor's trash begin."""
        return cls.owned_with_trash_by(access, deleted_at=IN_TRASH, **more)

    @classmethod
    async def get_for_repeat(
        cls, access: Access, conversation_id: ObjectId, session: AsyncClientSession
    ) -> ConversationDoc:
        """Return the fields that repeated requests need, read in their transaction.

        Raises:
            NotFound: the actor has no such conversation any more.
        """
        found = await cls.get_pymongo_collection().find_one(
            cls.owned_by(access, _id=conversation_id),
            {"user_id": True, "generation": True, "summary": True},
            session=session,
        )
        if found is None:
            raise NotFound("Conversation not found")
        return cast("ConversationDoc", found)

    @classmethod
    async def list_ids(cls, access: Access, **more: Any) -> list[ObjectId]:
        """Return the ids of all the actor's conversations, or of those that match."""
        found = cls.get_pymongo_collection().find(cls.owned_by(access, **more), {"_id": True})
        return [document["_id"] async for document in found]

    @classmethod
    async def list_versions(
        cls, access: Access, ids: Sequence[ObjectId], which: Raw
    ) -> dict[ObjectId, int]:
        """Return the versions of those of the actor's conversations with these ids that match."""
        query = cls.owned_by(access, **which) | {"_id": {"$in": [*ids]}}
        found = cls.get_pymongo_collection().find(query, {"version": True})
        return {document["_id"]: document["version"] async for document in found}

    @classmethod
    async def get_import(
        cls, access: Access, source: str, conversation_id: ObjectId | None
    ) -> tuple[ObjectId | None, str | None]:
        """Return the id and the fingerprint of a conversation, by its id or by its source."""
        # The condition of the partial index.
        which: Raw = {"source": {"$eq": source, "$type": "string"}}
        if conversation_id is not None:
            which = {"_id": conversation_id}
        found = await cls.get_pymongo_collection().find_one(
            cls.owned_by(access, **which), {"import_fingerprint": True}
        )
        return (None, None) if found is None else (found["_id"], found.get("import_fingerprint"))

    @classmethod
    async def list_sources(cls, access: Access) -> set[str]:
        """Return the sources from which the actor's conversations were imported."""
        # Those in the trash have no source; without the status, the index has all that is asked.
        query = cls.owned_with_trash_by(access, source={"$type": "string"})
        found = cls.get_pymongo_collection().find(query, {"_id": False, "source": True})
        return {document["source"] async for document in found}

    @classmethod
    async def count_categories(cls, access: Access) -> dict[ObjectId, int]:
        """Return the numbers of conversations in categories, by the category's id."""
        pipeline: list[Raw] = [
            {"$match": cls.owned_by(access, category_id={"$type": "objectId"})},
            {"$group": {"_id": "$category_id", "count": {"$sum": 1}}},
        ]
        found = await cls.get_pymongo_collection().aggregate(pipeline)
        return {each["_id"]: each["count"] async for each in found}


async def drop_replaced_indexes() -> None:
    """Drop indexes whose places others have taken, so that changes do not pay for both."""
    collection = Conversation.get_pymongo_collection()
    for name in Conversation.REPLACED:
        if name in await collection.index_information():
            with contextlib.suppress(OperationFailure):  # another process was faster
                await collection.drop_index(name)
