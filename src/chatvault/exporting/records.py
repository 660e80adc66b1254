"""Neutral records of conversations and messages, from which every format is written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple, Self

from bson import ObjectId

from chatvault.conversations.models import DEFAULT_TITLE
from chatvault.conversations.shapes import ConversationDoc, MessageDoc, StoredMessage
from chatvault.fields import Raw

# The names that lead to each category, by its id.
CategoryPaths = Mapping[ObjectId, Sequence[str]]
NO_CATEGORIES: CategoryPaths = MappingProxyType({})
# Fields of a stored message that have a field of their own in the record.
_OWN_FIELDS = frozenset({"id", "role", "content", "timestamp", "model"})


class Completeness(StrEnum):
    """Whether an exported conversation is a consistent snapshot.

    `changed`: a message was edited, removed or replaced during the export, so that some
    messages are from before and some from after it. `cut`: the rest of the messages is missing,
    because they were replaced and removed meanwhile.
    """

    WHOLE = "whole"
    CHANGED = "changed"
    CUT = "cut"


class ExportedMessage(NamedTuple):
    """A message to export.

    Attributes:
        seq: its place in the conversation.
        timestamp: None if none was stored.
        details: its other fields under their API names; the client's under `extra`.
        stored: the stored message, for formats in a model's protocol.
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
        """The message's own time; None if an import estimated it."""
        is_exact = self.details.get("time_source", "exact") == "exact"
        return self.timestamp if is_exact else None

    @property
    def is_hidden(self) -> bool:
        """Whether formats for people leave it out."""
        return bool(self.details.get("hidden"))

    @property
    def shown_model(self) -> str | None:
        """The model that wrote the message, if known."""
        return self.details.get("model_used") or self.model


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedAttachment:
    """The metadata of an attachment.

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
    """A conversation to export, without its messages, which come in pieces.

    Attributes:
        agent_id: None for the built-in agent.
        source: the source that it was imported from, as `format:id`.
        category: the names that lead to its category; empty without one.
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
    category: Sequence[str] = ()
    pinned_at: datetime | None = None

    @classmethod
    def of(cls, stored: ConversationDoc, categories: CategoryPaths = NO_CATEGORIES) -> Self:
        """Return the record of a stored conversation; older versions stored fewer fields."""
        agent_id, category_id = stored.get("agent_id"), stored.get("category_id")
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
            category=() if category_id is None else categories.get(category_id, ()),
            pinned_at=stored.get("pinned_at"),
        )

    @property
    def shown_title(self) -> str:
        """The title on one line."""
        return " ".join(self.title.split()) or DEFAULT_TITLE


@dataclass(frozen=True, slots=True)
class Piece:
    """Consecutive messages of one conversation.

    Attributes:
        is_first: whether the conversation begins with them.
        end: set if the conversation ends with them.
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
    """The metadata of an exported file.

    Attributes:
        program: the name and version of the program that wrote it.
    """

    exported_at: datetime
    program: str


@dataclass(slots=True, kw_only=True)
class Counts:
    """The counts of an export, updated during the export.

    Attributes:
        changed: the number of conversations that changed while they were exported.
        cut: the number of conversations whose rest is missing.
        deleted: the number that were deleted during the export and are not in the file.
        attachments: the number of attachments with bytes in the file, equal ones counted once.
    """

    conversations: int = 0
    messages: int = 0
    changed: int = 0
    cut: int = 0
    deleted: int = 0
    attachments: int = 0

    def count(self, piece: Piece) -> None:
        """Count the messages of a piece, and its conversation if it ends with the piece."""
        self.messages += len(piece.messages)
        if piece.end is not None:
            self.conversations += 1
            self.changed += piece.end is Completeness.CHANGED
            self.cut += piece.end is Completeness.CUT

    def to_raw(self) -> Raw:
        """Return the counts in the form written at the end of a file."""
        return {
            "conversations": self.conversations,
            "messages": self.messages,
            "changed": self.changed,
            "cut": self.cut,
            "deleted": self.deleted,
            "attachments": self.attachments,
        }
