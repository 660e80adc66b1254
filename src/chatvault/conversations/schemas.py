"""Conversations as they go over the wire."""

from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from chatvault.conversations.models import DEFAULT_TITLE, MessageRole, Raw, Status
from chatvault.errors import TooLarge
from chatvault.fields import (
    FreeObject,
    Id,
    Instant,
    check_free,
    check_merged,
    merge_patch,
)

MAX_TITLE = 255
MAX_CONTENT_BYTES = 1024 * 1024
MAX_MESSAGES = 50_000
# Ours; what a client sends back of them is not kept as its own.
RESERVED = frozenset({"id", "seq", "role", "content", "timestamp", "model", "metrics", "cancelled"})


def _check_content(value: str) -> str:
    if len(value) * 4 > MAX_CONTENT_BYTES and len(value.encode()) > MAX_CONTENT_BYTES:
        raise TooLarge("A message may have at most 1 MB (1048576 bytes) of content.")
    return value


def _default_title(value: object) -> object:
    return DEFAULT_TITLE if value is None else value


Title = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_TITLE),
    BeforeValidator(_default_title),
]
Content = Annotated[str, AfterValidator(_check_content)]
Tag = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=64)]
Tags = Annotated[list[Tag], Field(max_length=64)]
MessageId = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$"),
    Field(description="unique in the conversation, a UUID for choice; makes a retry harmless"),
]


class MessageIn(BaseModel):
    """A message to store; further fields are kept as they are."""

    model_config = ConfigDict(extra="allow")

    id: MessageId | None = None
    role: MessageRole
    content: Content
    timestamp: Instant | None = None
    model: str | None = Field(None, max_length=255)
    metrics: FreeObject | None = None
    cancelled: bool | None = None

    @model_validator(mode="after")
    def _check_extra(self) -> Self:
        check_free(self.model_extra)
        return self

    def to_stored(self, *, default_id: str, at: datetime) -> Raw:
        """The message as it is embedded, still without its `seq`."""
        extra = {key: value for key, value in (self.model_extra or {}).items() if key != "seq"}
        fields = {
            "id": self.id or default_id,
            "role": self.role.value,
            "content": self.content,
            "timestamp": self.timestamp or at,
            "model": self.model,
            "metrics": self.metrics,
            "cancelled": self.cancelled,
            "extra": extra or None,
        }
        return {name: value for name, value in fields.items() if value is not None}


def _check_unique_ids(messages: list[MessageIn]) -> list[MessageIn]:
    ids = [message.id for message in messages if message.id is not None]
    if len(ids) != len(set(ids)):
        raise ValueError("two messages have the same id")
    return messages


Messages = Annotated[
    list[MessageIn], Field(max_length=MAX_MESSAGES), AfterValidator(_check_unique_ids)
]


class ConversationCreate(BaseModel):
    """A conversation to begin, empty or with messages."""

    model_config = ConfigDict(extra="forbid")

    title: Title = DEFAULT_TITLE
    messages: Messages = Field(default_factory=list)
    metadata: FreeObject = Field(default_factory=dict)
    tags: Tags = Field(default_factory=list)


class ConversationUpdate(BaseModel):
    """Fields to replace; what is not named stays."""

    model_config = ConfigDict(extra="forbid")

    title: Title | None = None
    messages: Messages | None = None
    metadata: FreeObject | None = None
    status: Status | None = None
    tags: Tags | None = None

    def fields(self, _metadata: Raw) -> Raw:
        """What to store instead, beside the messages."""
        return self.model_dump(exclude={"messages"}, exclude_none=True)


class ConversationPatch(BaseModel):
    """A JSON Merge Patch (RFC 7396): null takes a title, the tags or a metadata key away."""

    model_config = ConfigDict(extra="forbid")

    title: Title = DEFAULT_TITLE
    tags: Tags | None = None
    status: Status = Status.ACTIVE
    metadata: FreeObject | None = None

    @property
    def messages(self) -> None:
        """A patch leaves messages alone."""
        return

    def fields(self, metadata: Raw) -> Raw:
        """What to store instead, given the stored metadata."""
        fields = self.model_dump(include=self.model_fields_set - {"metadata"})
        if "tags" in fields:
            fields["tags"] = self.tags or []
        if "metadata" in self.model_fields_set:
            patched = {} if self.metadata is None else merge_patch(metadata, self.metadata)
            fields["metadata"] = check_merged("metadata", patched)
        return fields


class MessageOut(BaseModel):
    """A stored message, with whatever else its client gave it."""

    model_config = ConfigDict(extra="allow")

    id: str
    seq: int
    role: MessageRole
    content: str
    timestamp: Instant
    model: str | None = None
    metrics: dict[str, Any] | None = None
    cancelled: bool | None = None


class ConversationSummary(BaseModel):
    """A conversation without its messages."""

    id: Id
    user_id: Id
    title: str
    status: Status
    tags: list[str]
    metadata: dict[str, Any]
    created_at: Instant
    updated_at: Instant
    last_message_at: Instant | None
    total_messages: int
    version: int


class ConversationOut(ConversationSummary):
    """A conversation with its messages."""

    messages: list[MessageOut]
    messages_truncated: bool


class Appended(BaseModel):
    """What an append answers where the client prefers little."""

    message: MessageOut
    total_messages: int
    version: int
    updated_at: Instant


class ConversationPath(BaseModel):
    """One conversation."""

    conversation_id: Id


class CountOut(BaseModel):
    """How many conversations the user has."""

    count: int


class DeletedOut(BaseModel):
    """How many conversations were deleted."""

    deleted_count: int
    message: str


SUMMARY_FIELDS = tuple(name for name in ConversationSummary.model_fields if name != "id")


def message_wire(stored: Raw) -> Raw:
    """A stored message as it is shown: the client's own fields beside ours."""
    if "extra" not in stored:
        return stored
    extra = stored["extra"]
    shown = {name: value for name, value in stored.items() if name != "extra"}
    return shown | {name: value for name, value in extra.items() if name not in RESERVED}


def summary_wire(stored: Raw) -> Raw:
    """A stored conversation as it is shown in a summary."""
    return {"id": stored["_id"], **{name: stored[name] for name in SUMMARY_FIELDS}}


def conversation_wire(stored: Raw) -> Raw:
    """A stored conversation as it is shown whole."""
    shown = summary_wire(stored)
    shown["messages"] = [message_wire(message) for message in stored["messages"]]
    shown["messages_truncated"] = False
    return shown
