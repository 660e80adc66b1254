"""Response schemas of messages."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from chatvault.conversations.models import MessageRole
from chatvault.conversations.part_schemas import (
    ShownHidden,
    ShownParts,
    ShownTimeSource,
    ShownUnreadable,
)
from chatvault.fields import Id, Instant


class CommandOnMessage(BaseModel):
    """A call of a tool, as stored on the message that carries it.

    Attributes:
        call_id: the id of the model's call; null if a person asked for it.
        server: the tool's server when it was proposed; the command runs only there.
        tool_hash: a hash of the tool's description and schema then; it runs only if they are equal.
        arguments: as JSON text.
        code: the reason if it failed, or was rejected without a decision of a person.
        truncated: whether the result was cut to 64 KB.
        decided_by: who decided: a person, or a rule of the user's.
        executed_at: the time at which it ended.
    """

    id: Id
    call_id: str | None
    tool: str
    server: str | None = None
    tool_hash: str | None = None
    arguments: str
    status: Literal["pending", "approved", "rejected", "executed", "failed"]
    code: str | None
    result: str | None
    truncated: bool
    created_at: Instant
    decided_at: Instant | None
    decided_by: Literal["person", "rule"] | None
    executed_at: Instant | None


class MessageOut(BaseModel):
    """A stored message, including the client's own fields."""

    model_config = ConfigDict(extra="allow")

    id: str
    seq: int
    role: MessageRole
    content: str
    timestamp: Instant
    model: str | None = None
    metrics: dict[str, Any] | None = None
    cancelled: bool | None = None
    parts: ShownParts = None
    hidden: ShownHidden = None
    unreadable: ShownUnreadable = None
    time_source: ShownTimeSource = None
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
    commands: list[CommandOnMessage] | None = None
    version: int | None = None
    sent_id: str | None = None
    author_id: Id | None = Field(
        None, description="who wrote it, if that is not the conversation's owner"
    )


class ActiveLeafIn(BaseModel):
    """The branch to show.

    Attributes:
        message_id: a message of the branch.
        to_end: whether to show the newest messages after it too, or to end the branch with it.
    """

    model_config = ConfigDict(extra="forbid")

    message_id: str = Field(max_length=255)
    to_end: bool = True


class ActiveLeafOut(BaseModel):
    """The branch that is shown."""

    active_leaf: str
    total_messages: int
    version: int


class SiblingOut(BaseModel):
    """One of several messages that follow the same one."""

    id: str
    seq: int


class ForkOut(BaseModel):
    """Several messages that follow the same one.

    Attributes:
        parent_id: the message before them; null if they begin the conversation.
        parent_seq: its place; -1 less the first place if there is none.
        messages: the newest 1,000 and the active one, by place, so the newest is the last one.
        total: how many messages follow it.
        active_id: the one on the branch that is shown; null if none is.
    """

    parent_id: str | None
    parent_seq: int
    messages: list[SiblingOut]
    total: int
    active_id: str | None


class ForksOut(BaseModel):
    """The forks of a conversation, the newest first."""

    forks: list[ForkOut]
    total: int
    hasMore: bool  # noqa: N815  # the name in the API


class RevisionOut(BaseModel):
    """A message as it was before an edit."""

    version: int
    replaced_at: Instant
    message: MessageOut


class PaginationOut(BaseModel):
    """The position of a page.

    Attributes:
        total: the number of all messages.
        offset: the number of messages before the page, if it was requested by offset.
        hasMore: whether there are more in the direction of reading.
    """

    total: int
    limit: int
    offset: int | None
    hasMore: bool  # noqa: N815  # the name in the API


class MessagePageOut(BaseModel):
    """A page of messages, oldest first."""

    messages: list[MessageOut]
    pagination: PaginationOut


class Appended(BaseModel):
    """The short answer to an append."""

    message: MessageOut
    total_messages: int
    version: int
    updated_at: Instant


class AppendedBatch(BaseModel):
    """The answer to a batch.

    Attributes:
        messages: all messages of the batch as stored.
        repeated_count: the number of them that were stored before.
    """

    messages: list[MessageOut]
    repeated_count: int
    total_messages: int
    version: int
    updated_at: Instant


class HeadingOut(BaseModel):
    """The first words of a message of the user's, and its place."""

    id: str
    seq: int
    timestamp: Instant | None
    words: str


class OutlineOut(BaseModel):
    """The messages of the user, in their order."""

    messages: list[HeadingOut]
    hasMore: bool  # noqa: N815  # the name clients know
