"""The types of stored documents with messages, for the type checker.

A field that an older version did not store, or that a query leaves out, is not required.
"""

from datetime import datetime
from typing import NamedTuple, NotRequired, TypedDict

from bson import ObjectId

from chatvault.conversations.parts import Part, TimeSource
from chatvault.fields import Raw

# The fields that lists without messages leave out.
SUMMARY_FIELDS = (
    "user_id", "title", "status", "tags", "metadata", "created_at", "updated_at",
    "last_message_at", "archived_at", "agent_id", "system_prompt", "mcp_enabled", "summary",
    "active_reply_id", "total_messages", "total_tokens_used", "version",
)  # fmt: skip
# What lists read beside them, to know how much the conversations hold; some may be absent.
LISTED_FIELDS = (
    *SUMMARY_FIELDS, "category_id", "pinned_at", "message_bytes", "tail_bytes", "stored_messages",
    "access_version", "notes_version",
)  # fmt: skip


class RunDoc(TypedDict):
    """Sealed messages of a segment.

    Attributes:
        at: the place of the first one within the segment.
        n: how many there are.
        c: their sealed content.
    """

    at: int
    n: int
    c: bytes


class MessageDoc(TypedDict):
    """A message; `models.Message` describes the fields. A deleted one has its id only."""

    id: str
    role: NotRequired[str]
    content: NotRequired[str]
    timestamp: NotRequired[datetime]
    model: NotRequired[str]
    metrics: NotRequired[Raw]
    cancelled: NotRequired[bool]
    extra: NotRequired[Raw]
    parts: NotRequired[list[Part]]
    hidden: NotRequired[bool]
    time_source: NotRequired[TimeSource]
    reply_id: NotRequired[ObjectId]
    model_used: NotRequired[str]
    llm_provider: NotRequired[str]
    temperature: NotRequired[float]
    input_tokens: NotRequired[int]
    output_tokens: NotRequired[int]
    total_tokens: NotRequired[int]
    response_time_ms: NotRequired[int]
    finish_reason: NotRequired[str]
    interrupted: NotRequired[bool]
    alternative_to: NotRequired[str]
    parent_id: NotRequired[str | None]
    tool_calls: NotRequired[list[Raw]]
    commands: NotRequired[list[Raw]]
    version: NotRequired[int]
    sent_id: NotRequired[str]
    author_id: NotRequired[ObjectId]
    deleted: NotRequired[bool]
    unreadable: NotRequired[bool]
    c: NotRequired[bytes]


class SegmentDoc(TypedDict):
    """Consecutive older messages; `segments.Segment` describes the fields."""

    _id: ObjectId
    user_id: ObjectId
    generation: ObjectId
    start: int
    length: int
    living: int
    bytes: int
    version: NotRequired[int]
    changed_in: NotRequired[int]
    links: NotRequired[list[list[int]]]
    messages: NotRequired[list[MessageDoc]]
    runs: NotRequired[list[RunDoc]]


class PathDoc(TypedDict):
    """The branch that is shown; `paths.ActiveBranch` describes the fields."""

    older: int
    older_living: int
    runs: list[list[int]]
    first: int
    leaf: NotRequired[int]
    leaf_id: NotRequired[str]
    links: list[list[int]]


class PathRunsDoc(TypedDict):
    """Older runs of the branch that is shown; `paths.PathRuns` describes the fields."""

    _id: ObjectId
    user_id: ObjectId
    generation: ObjectId
    start: int
    first: int
    last: int
    living: int
    runs: list[list[int]]
    changed_in: int


class ConversationDoc(TypedDict):
    """A conversation; `models.Conversation` describes the fields."""

    _id: ObjectId
    user_id: ObjectId
    title: str
    messages: NotRequired[list[MessageDoc]]
    # These two are never stored: the messages as they are, and the fields that do not open.
    stored: NotRequired[list[MessageDoc]]
    damaged: NotRequired[list[str]]
    generation: ObjectId
    status: str
    tags: list[str]
    metadata: NotRequired[Raw]
    category_id: NotRequired[ObjectId | None]
    pinned_at: NotRequired[datetime | None]
    arrived_at: NotRequired[datetime]
    linked_at: NotRequired[datetime | None]
    deleted_at: NotRequired[datetime | None]
    status_before: NotRequired[str | None]
    trashed_source: NotRequired[str | None]
    source: NotRequired[str | None]
    import_fingerprint: NotRequired[str]
    created_at: datetime
    updated_at: datetime
    archived_at: NotRequired[datetime | None]
    last_message_at: datetime | None
    agent_id: NotRequired[ObjectId | None]
    system_prompt: NotRequired[str | None]
    mcp_enabled: NotRequired[bool]
    summary: NotRequired[str | None]
    summary_seq: NotRequired[int]
    active_reply_id: NotRequired[ObjectId | None]
    waiting_reply: NotRequired[Raw | None]
    stopping_reply_id: NotRequired[ObjectId | None]
    total_tokens_used: NotRequired[int]
    reserved_tokens: NotRequired[int]
    has_revisions: NotRequired[bool]
    edits: NotRequired[int]
    total_messages: int
    message_bytes: int
    tail_bytes: int
    first_seq: int
    tail_seq: int
    next_seq: int
    path: NotRequired[PathDoc | None]
    stored_messages: NotRequired[int | None]
    version: int
    notes_version: NotRequired[int | None]
    access_version: NotRequired[int | None]


class RevisionDoc(TypedDict):
    """A message as it was before an edit; `segments.Revision` describes the fields."""

    _id: ObjectId
    user_id: ObjectId
    conversation_id: ObjectId
    message_id: str
    version: int
    seq: int
    message: MessageDoc
    replaced_at: datetime
    kept: NotRequired[bool]


class StoredMessage(NamedTuple):
    """A stored message with its place.

    Attributes:
        seq: the place in the conversation.
        message: its stored fields.
        segment: the segment with it, if a change may edit it there; None if it is embedded.
    """

    seq: int
    message: MessageDoc
    segment: SegmentDoc | None = None
