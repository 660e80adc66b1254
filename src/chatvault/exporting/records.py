"""What every format is written from: neutral records of conversations and messages."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple, Self

from bson import ObjectId

from chatvault.conversations.models import DEFAULT_TITLE
from chatvault.conversations.shapes import ConversationDoc, MessageDoc, StoredMessage
from chatvault.fields import Raw

# What of a stored message has a field of its own in the record.
_OWN_FIELDS = frozenset({"id", "role", "content", "timestamp", "model"})


class Completeness(StrEnum):
    """Whether an exported conversation is as it was at one moment.

    `changed`: a message was edited, removed or replaced while it was exported, so that some
    messages are from before and some from after. `cut`: the rest of the messages is missing,
    because they were replaced and removed meanwhile.
    """

    WHOLE = "whole"
    CHANGED = "changed"
    CUT = "cut"


class ExportedMessage(NamedTuple):
    """A message as formats see it.

    Attributes:
        seq: its place in the conversation.
        timestamp: None where none was stored.
        details: its other fields under their API names; the client's own ones under `extra`.
        stored: the message as it is stored, for formats that speak a model's protocol.
    """

    id: str
    seq: int
    role: str
    content: str
    timestamp: datetime | None
    model: str | None
    details: Raw
    stored: MessageDoc

    @classmethod
    def of(cls, stored: StoredMessage) -> Self:
        """Return the record of a stored message."""
        message = stored.message
        return cls(
            id=message["id"],
            seq=stored.seq,
            role=message.get("role", "user"),
            content=message.get("content", ""),
            timestamp=message.get("timestamp"),
            model=message.get("model"),
            details={name: value for name, value in message.items() if name not in _OWN_FIELDS},
            stored=message,
        )

    @property
    def exact_time(self) -> datetime | None:
        """The message's own time; None where it is a guess of the import."""
        is_exact = self.details.get("time_source", "exact") == "exact"
        return self.timestamp if is_exact else None

    @property
    def is_hidden(self) -> bool:
        """Whether people do not get to see it."""
        return bool(self.details.get("hidden"))

    @property
    def shown_model(self) -> str | None:
        """The model that wrote the message, where one is known."""
        return self.details.get("model_used") or self.model


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedAttachment:
    """What is known of a file beside a conversation.

    Attributes:
        file: the stored bytes; None where they are not here.
        path: of the bytes in the same archive, where the export takes them there.
    """

    id: str
    name: str | None
    mime: str | None
    size: int | None
    source_ref: str | None
    state: str
    created_at: datetime
    file: ObjectId | None = None
    path: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedConversation:
    """A conversation as formats see it, without its messages, which come in pieces.

    Attributes:
        agent_id: None is the built-in agent.
        source: what it was imported from, as `format:id`.
    """

    id: str
    title: str
    status: str
    tags: Sequence[str]
    metadata: Raw
    created_at: datetime
    updated_at: datetime
    last_message_at: datetime | None
    archived_at: datetime | None
    agent_id: str | None
    system_prompt: str | None
    mcp_enabled: bool
    summary: str | None
    source: str | None
    total_tokens_used: int
    total_messages: int
    version: int
    active_leaf: str | None = None
    attachments: Sequence[ExportedAttachment] = ()

    @classmethod
    def of(cls, stored: ConversationDoc) -> Self:
        """Return the record of a stored conversation; older versions stored fewer fields."""
        agent_id = stored.get("agent_id")
        return cls(
            id=str(stored["_id"]),
            title=stored["title"],
            status=stored["status"],
            tags=stored["tags"],
            metadata=stored.get("metadata", {}),
            created_at=stored["created_at"],
            updated_at=stored["updated_at"],
            last_message_at=stored["last_message_at"],
            archived_at=stored.get("archived_at"),
            agent_id=None if agent_id is None else str(agent_id),
            system_prompt=stored.get("system_prompt"),
            mcp_enabled=stored.get("mcp_enabled", False),
            summary=stored.get("summary"),
            source=stored.get("source"),
            total_tokens_used=stored.get("total_tokens_used", 0),
            total_messages=stored["total_messages"],
            version=stored["version"],
        )

    @property
    def shown_title(self) -> str:
        """The title on one line."""
        return " ".join(self.title.split()) or DEFAULT_TITLE


@dataclass(frozen=True, slots=True)
class Piece:
    """Some messages of one conversation, in order.

    Attributes:
        is_first: the conversation begins with them.
        end: set where the conversation ends with them.
    """

    conversation: ExportedConversation
    messages: list[ExportedMessage]
    is_first: bool
    end: Completeness | None

    def with_attachments(self, attachments: Sequence[ExportedAttachment]) -> Self:
        """Return the piece of a conversation that has these attachments."""
        conversation = replace(self.conversation, attachments=attachments)
        return replace(self, conversation=conversation)


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What a file says about itself.

    Attributes:
        program: the name and version of the program that wrote it.
    """

    exported_at: datetime
    program: str


@dataclass(slots=True, kw_only=True)
class Counts:
    """How much was exported, counted on the way.

    Attributes:
        changed: how many conversations changed while they were exported.
        cut: of how many the rest is missing.
        deleted: how many were deleted before their turn came, and are not in the file.
        attachments: of how many attachments the bytes are in the file, equal ones counted once.
    """

    conversations: int = 0
    messages: int = 0
    changed: int = 0
    cut: int = 0
    deleted: int = 0
    attachments: int = 0

    def count(self, piece: Piece) -> None:
        """Count the messages of a piece, and the conversation that ends with it."""
        self.messages += len(piece.messages)
        if piece.end is not None:
            self.conversations += 1
            self.changed += piece.end is Completeness.CHANGED
            self.cut += piece.end is Completeness.CUT

    def to_raw(self) -> Raw:
        """Return the counts as they stand at the end of a file."""
        return {
            "conversations": self.conversations,
            "messages": self.messages,
            "changed": self.changed,
            "cut": self.cut,
            "deleted": self.deleted,
            "attachments": self.attachments,
        }
