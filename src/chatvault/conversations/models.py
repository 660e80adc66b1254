"""The conversation document, and the only queries that reach it: scoped by owner."""

from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar, cast

from beanie import Document
from bson import ObjectId
from pydantic import BaseModel, Field
from pymongo import DESCENDING, IndexModel
from pymongo.asynchronous.client_session import AsyncClientSession

from chatvault.actor import Actor
from chatvault.conversations.shapes import ConversationDoc
from chatvault.errors import NotFound
from chatvault.fields import Id, Raw

# What a list without messages shows.
SUMMARY_FIELDS = (
    "user_id", "title", "status", "tags", "metadata", "created_at", "updated_at",
    "last_message_at", "archived_at", "agent_id", "system_prompt", "mcp_enabled", "summary",
    "active_reply_id", "total_messages", "total_tokens_used", "version",
)  # fmt: skip
# A statement that names the id and more has many indexes to choose from; this one is the best.
BY_ID = "_id_"
DEFAULT_TITLE = "New Conversation"


class Status(StrEnum):
    """Whether a conversation is in the way."""

    ACTIVE = "active"
    ARCHIVED = "archived"


class MessageRole(StrEnum):
    """Who says it."""

    USER = "user"
    ASSISTANT = "assistant"
    SYSTEM = "system"


class Message(BaseModel):
    """One message; fields that are None are not stored. Its `seq` follows from its place.

    Attributes:
        id: unique in the conversation, the client's own or a UUID of ours.
        extra: what a client keeps beside, returned among the message's own fields.
        reply_id: the reply that this is the answer of.
        interrupted: the answer ends where something failed.
        alternative_to: the answer that this one stands beside, and instead of, for the model.
        tool_calls: what the model wants done.
        commands: what became of that, and what people had done, each with its result.
        version: rises with every edit; absent means 1.
        sent_id: the id that an answer came with which took another's place, and its id.
        deleted: what is left of a message that was removed: its id and its place.
    """

    id: str
    role: MessageRole | None = None
    content: str | None = None
    timestamp: datetime | None = None
    model: str | None = None
    metrics: dict[str, Any] | None = None
    cancelled: bool | None = None
    extra: dict[str, Any] | None = None
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
    tool_calls: list[dict[str, Any]] | None = None
    commands: list[dict[str, Any]] | None = None
    version: int | None = None
    sent_id: str | None = None
    deleted: bool | None = None


class Conversation(Document):
    """One user's conversation: its fields and its newest messages, the tail.

    Attributes:
        messages: the tail; older ones lie in segments of the same generation.
        generation: which segments are this conversation's; a replace begins another.
        agent_id: who answers; None is the built-in agent.
        system_prompt: stands in place of the agent's.
        summary: of the messages before `summary_seq`.
        active_reply_id: the one reply that is being written now.
        waiting_reply: the reply that waits for a person's word, and the message it waits on.
        stopping_reply_id: the reply that somebody wants ended while it is being written.
        total_tokens_used: what the model's provider counted, all replies together.
        reserved_tokens: what replies that are being written may still use.
        has_revisions: a message was edited or replaced once.
        edits: how often a message was edited, replaced or removed.
        source: whence it was imported, as `format:id`; at most one a user.
        version: rises with every change; the ETag.
        first_seq: the place of the oldest message.
        tail_seq: the place of the oldest embedded message.
        next_seq: the place of the message to come.
        total_messages: how many messages are not deleted.
        message_bytes: BSON size of all messages, in bytes.
        tail_bytes: BSON size of the embedded ones, in bytes.
    """

    user_id: Id
    title: str = DEFAULT_TITLE
    messages: list[Message] = Field(default_factory=list)
    generation: Id
    status: Status = Status.ACTIVE
    tags: list[str] = Field(default_factory=list)
    metadata: dict[str, Any] = Field(default_factory=dict)
    source: str | None = None
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
    version: int = 1

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
                ],
                name="newest_first",
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
        actor: Actor,
        *,
        title: str,
        tags: list[str],
        metadata: dict[str, Any],
        at: datetime,
        **more: Any,
    ) -> ConversationDoc:
        """Return a conversation of the actor's that begins, as it is stored.

        Its messages follow.
        """
        begun = cls(
            user_id=actor.owner_id,
            generation=ObjectId(),
            title=title,
            tags=tags,
            metadata=metadata,
            created_at=at,
            updated_at=at,
            **more,
        )
        fields = begun.model_dump(mode="python", exclude={"id", "messages"})
        return cast("ConversationDoc", {"_id": ObjectId(), **fields})

    @classmethod
    def owned_by(cls, actor: Actor, **more: Any) -> Raw:
        """Return the filter that every query about an actor's conversations begins with."""
        return {"user_id": actor.owner_id, **more}

    @classmethod
    async def get_for_repeat(
        cls, actor: Actor, conversation_id: ObjectId, session: AsyncClientSession
    ) -> ConversationDoc:
        """Return what repeated requests ask about, read in their transaction.

        Raises:
            NotFound: the actor has no such conversation, or no more.
        """
        found = await cls.get_pymongo_collection().find_one(
            cls.owned_by(actor, _id=conversation_id),
            {"generation": True, "summary": True},
            session=session,
        )
        if found is None:
            raise NotFound("Conversation not found")
        return cast("ConversationDoc", found)

    @classmethod
    async def list_ids(cls, actor: Actor) -> list[ObjectId]:
        """Return the ids of all that the actor has."""
        found = cls.get_pymongo_collection().find(cls.owned_by(actor), {"_id": True})
        return [document["_id"] async for document in found]

    @classmethod
    async def list_sources(cls, actor: Actor) -> set[str]:
        """Whence the actor's imported conversations came."""
        query = cls.owned_by(actor, source={"$type": "string"})
        found = cls.get_pymongo_collection().find(query, {"_id": False, "source": True})
        return {document["source"] async for document in found}
