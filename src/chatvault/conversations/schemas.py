"""Request and response schemas of conversations."""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal, Self, cast

from bson import ObjectId
from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from chatvault.agents.models import DEFAULT_AGENT_ID
from chatvault.agents.schemas import Prompt
from chatvault.conversations.message_schemas import MessageOut
from chatvault.conversations.models import (
    DEFAULT_TITLE,
    MessageRole,
    Status,
)
from chatvault.conversations.part_schemas import (
    GivenHidden,
    GivenParts,
    GivenTimeSource,
    is_own,
)
from chatvault.conversations.parts import with_text
from chatvault.conversations.shapes import MessageDoc
from chatvault.errors import TooLarge
from chatvault.fields import (
    FreeObject,
    Id,
    Instant,
    Raw,
    check_free,
    check_merged,
    merge_patch,
)
from chatvault.slices import in_slices

MAX_TITLE = 255
MAX_CONTENT_BYTES = 1024 * 1024
MAX_MESSAGES = 50_000
# Fields that chatvault sets; if a client sends them back, they are ignored.
OURS = frozenset({"seq", "version", "deleted", "replaces", "sent_id", "commands", "author_id"})
# Fields that are chatvault's or the client's, depending on the shape of their values.
SHARED = frozenset({"parts", "hidden", "time_source"})


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
    Field(description="unique in the conversation, preferably a UUID; makes a retry safe"),
]


class MessageIn(BaseModel):
    """A message to store; further fields are kept unchanged."""

    model_config = ConfigDict(extra="allow")

    id: MessageId | None = None
    role: MessageRole
    content: Content
    timestamp: Instant | None = None
    model: str | None = Field(None, max_length=255)
    metrics: FreeObject | None = None
    cancelled: bool | None = None
    parts: GivenParts = None
    hidden: GivenHidden = None
    time_source: GivenTimeSource = None
    parent_id: MessageId | None = Field(
        None,
        description="the earlier message that this one follows; null: none; by default the last"
        " one of the branch that is shown",
    )
    replaces: MessageId | None = Field(
        None, description="the last message, an assistant's, in whose place this one shall stand"
    )

    @model_validator(mode="after")
    def _check_extra(self) -> Self:
        check_free(self._further())
        if self.replaces is not None and self.role is not MessageRole.ASSISTANT:
            raise ValueError("only an assistant's message replaces another")
        if self.replaces is not None and "parent_id" in self.model_fields_set:
            raise ValueError("a message that replaces another has its parent")
        return self

    def _further(self) -> Raw:
        """Return the fields that are the client's own."""
        further = self.model_extra or {}
        if SHARED.isdisjoint(self.model_fields_set):
            return further
        shared = {name: getattr(self, name) for name in SHARED & self.model_fields_set}
        return further | {name: each for name, each in shared.items() if not is_own(name, each)}

    def _held(self) -> Raw:
        """Return the shared fields whose values are chatvault's by their shape."""
        shared = {name: getattr(self, name) for name in SHARED & self.model_fields_set}
        held = {name: each for name, each in shared.items() if is_own(name, each)}
        if "parts" in held:
            held["parts"] = list(held["parts"])
        return held

    def to_stored(self, at: datetime) -> MessageDoc:
        """Return the message as it is embedded, without its `seq`.

        A missing id is made here.
        """
        extra = {key: value for key, value in self._further().items() if key not in OURS}
        fields = {
            "id": self.id or str(uuid.uuid4()),
            "role": self.role.value,
            "content": self.content,
            "timestamp": self.timestamp or at,
            "model": self.model,
            "metrics": self.metrics,
            "cancelled": self.cancelled,
            "extra": extra or None,
        }
        stored = {name: value for name, value in fields.items() if value is not None}
        if not SHARED.isdisjoint(self.model_fields_set):
            stored |= self._held()
        return cast("MessageDoc", stored)


class AppendIn(MessageIn):
    """A message to append; without a role it is the user's."""

    role: MessageRole = MessageRole.USER


def to_stored(messages: Sequence[MessageIn], at: datetime) -> list[MessageDoc]:
    """Return messages as they are embedded."""
    return [message.to_stored(at) for message in messages]


async def to_stored_in_slices(messages: Sequence[MessageIn], at: datetime) -> list[MessageDoc]:
    """Return many messages as they are embedded, with pauses for other tasks."""
    return await in_slices(lambda message: message.to_stored(at), messages)


def _check_together(messages: list[MessageIn]) -> list[MessageIn]:
    if any(message.replaces is not None for message in messages):
        raise ValueError("replaces is for a message that comes alone")
    ids = [message.id for message in messages if message.id is not None]
    if len(ids) != len(set(ids)):
        raise ValueError("two messages have the same id")
    return messages


Messages = Annotated[
    list[MessageIn], Field(max_length=MAX_MESSAGES), AfterValidator(_check_together)
]


def stored_agent_id(agent_id: ObjectId | None) -> ObjectId | None:
    """Return the agent's id as stored: None for the built-in one."""
    return None if agent_id == DEFAULT_AGENT_ID else agent_id


Variables = Annotated[
    dict[
        Annotated[str, StringConstraints(min_length=1, max_length=64)],
        Annotated[str, StringConstraints(max_length=100_000)],
    ],
    Field(max_length=100),
]
# The fields of a new conversation that its document does not have, or not as they are.
NOT_STORED = {"messages", "initial_message", "pinned", "template_id", "variables"}


class ConversationCreate(BaseModel):
    """A conversation to create, empty or with messages."""

    model_config = ConfigDict(extra="forbid", validate_by_name=True)

    title: Title = DEFAULT_TITLE
    messages: Messages = Field(default_factory=list)
    metadata: FreeObject = Field(default_factory=dict)
    tags: Tags = Field(default_factory=list)
    category_id: Id | None = Field(None, description="one of my categories")
    pinned: bool = False
    agent_id: Id | None = Field(None, description="who answers; none: the built-in agent")
    system_prompt: Prompt | None = Field(
        None,
        validation_alias=AliasChoices("systemPrompt", "system_prompt"),
        description="in place of the agent's",
    )
    initial_message: Annotated[str, Field(min_length=1), AfterValidator(_check_content)] | None = (
        Field(None, description="sent to the agent at once, which starts a reply")
    )
    mcp_enabled: bool = False
    template_id: Id | None = Field(
        None, description="one of my templates, which gives the fields that are not given here"
    )
    variables: Variables | None = Field(None, description="values of the template's variables")

    def fields(self, at: datetime) -> Raw:
        """Return the fields stored beside the messages, of a conversation begun at this time."""
        fields = self.model_dump(exclude=NOT_STORED)
        fields["pinned_at"] = at if self.pinned else None
        return {**fields, "agent_id": stored_agent_id(self.agent_id)}


class ConversationUpdate(BaseModel):
    """Fields to replace; others stay."""

    model_config = ConfigDict(extra="forbid")

    title: Title | None = None
    messages: Messages | None = None
    metadata: FreeObject | None = None
    status: Status | None = None
    tags: Tags | None = None
    category_id: Id | None = Field(None, description="one of my categories")
    pinned: bool | None = None

    def fields(self, _metadata: Raw, at: datetime) -> Raw:
        """Return the fields to store, except messages."""
        fields = self.model_dump(exclude={"messages", "pinned"}, exclude_none=True)
        if self.pinned is not None:
            fields["pinned_at"] = at if self.pinned else None
        return fields


class ConversationPatch(BaseModel):
    """A JSON Merge Patch (RFC 7396): null removes the title, the tags or a metadata key."""

    model_config = ConfigDict(extra="forbid")

    title: Title = DEFAULT_TITLE
    tags: Tags | None = None
    category_id: Id | None = Field(None, description="one of my categories; null: none")
    pinned: bool = False
    status: Status = Status.ACTIVE
    metadata: FreeObject | None = None
    agent_id: Id | None = None
    system_prompt: Prompt | None = None
    mcp_enabled: bool = False

    @property
    def messages(self) -> None:
        """Always None, as a patch does not change messages."""
        return

    def fields(self, metadata: Raw, at: datetime) -> Raw:
        """Return the fields to store, given the stored metadata, and the time of the change."""
        fields = self.model_dump(include=self.model_fields_set - {"metadata", "pinned"})
        if "pinned" in self.model_fields_set:
            fields["pinned_at"] = at if self.pinned else None
        if "agent_id" in fields:
            fields["agent_id"] = stored_agent_id(self.agent_id)
        if "tags" in fields:
            fields["tags"] = self.tags or []
        if "metadata" in self.model_fields_set:
            patched = {} if self.metadata is None else merge_patch(metadata, self.metadata)
            fields["metadata"] = check_merged("metadata", patched)
        return fields


class MessageBatch(BaseModel):
    """Messages to append in one atomic step."""

    model_config = ConfigDict(extra="forbid")

    messages: Annotated[
        list[MessageIn], Field(min_length=1, max_length=1000), AfterValidator(_check_together)
    ]


class MessageEdit(BaseModel):
    """Fields of a message to change; others stay."""

    model_config = ConfigDict(extra="forbid")

    content: Content | None = None
    model: str | None = Field(None, max_length=255)
    metrics: FreeObject | None = None
    cancelled: bool | None = None
    version: int | None = Field(
        None, description="the expected version of the message; 412 if it has another"
    )

    def apply_to(self, message: MessageDoc) -> MessageDoc:
        """Return the message with these fields; null removes one."""
        named = self.model_dump(include=self.model_fields_set - {"version"})
        changed = {**message, **named}
        if "content" in named and "parts" in message:
            changed["parts"] = with_text(message["parts"], named["content"])
        edited = {name: value for name, value in changed.items() if value is not None}
        return cast("MessageDoc", edited)

    @model_validator(mode="after")
    def _check_content(self) -> Self:
        if "content" in self.model_fields_set and self.content is None:
            raise ValueError("content cannot be null")
        return self


class ArchiveIn(BaseModel):
    """Whether to archive a conversation."""

    model_config = ConfigDict(extra="forbid")

    archived: bool = Field(
        default=True,
        validation_alias=AliasChoices("archived", "archive"),
        description="true archives it, false restores it; `archive` is an alias",
    )


class ConversationSummary(BaseModel):
    """A conversation without its messages.

    Attributes:
        summary: a model's summary of older messages, if one was made.
        active_reply_id: the running reply.
        total_messages: the number of messages of the branch that is shown.
        branched: whether other branches have messages.
        category_id: the category it is in.
        shared: whether it is or was shared with other users; only where it is true.
        noted: whether there are or were notes beside its messages; only where it is true.
        deleted_at: when it was put into the trash; only there.
        purge_at: when it is deleted permanently, from then on; null under a legal hold; only there.
        held: whether a legal hold keeps it; only there.
    """

    id: Id
    user_id: Id
    title: str
    status: Status | Literal["deleted"]
    tags: list[str]
    metadata: dict[str, Any]
    created_at: Instant
    updated_at: Instant
    last_message_at: Instant | None
    archived_at: Instant | None
    agent_id: Id
    system_prompt: str | None
    mcp_enabled: bool
    summary: str | None
    active_reply_id: Id | None
    total_messages: int
    total_tokens_used: int
    version: int
    category_id: Id | None = None
    pinned: bool = False
    branched: bool = False
    shared: bool = False
    noted: bool = False
    deleted_at: Instant | None = None
    purge_at: Instant | None = None
    held: bool = False


class ConversationOut(ConversationSummary):
    """A conversation with its messages.

    Attributes:
        active_leaf: the id of the last message of the branch that is shown; only with branches.
    """

    messages: list[MessageOut]
    messages_truncated: bool
    active_leaf: str | None = None


class SharedConversation(ConversationSummary):
    """A conversation without its messages, which its owner shares with me.

    Attributes:
        owner: the username of its owner; null if the account is gone.
        shared_at: when it was granted.
        expires_at: when the grant ends by itself.
    """

    owner: str | None
    role: Literal["viewer", "commenter", "editor"]
    shared_at: Instant
    expires_at: Instant | None


class DeletedConversation(BaseModel):
    """A conversation that was deleted, in a list of changes."""

    id: Id
    deleted: Literal[True]
    deleted_at: Instant


class ConversationPath(BaseModel):
    """The path of one conversation."""

    conversation_id: Id


class MessagePath(ConversationPath):
    """The path of one message."""

    message_id: MessageId


class CountOut(BaseModel):
    """The number of the user's conversations."""

    count: int


class DeletedOut(BaseModel):
    """The number of deleted conversations."""

    deleted_count: int
    message: str


class EmptiedOut(BaseModel):
    """The number of conversations deleted from the trash, and whether it has more."""

    deleted_count: int
    has_more: bool
