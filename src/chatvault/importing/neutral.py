"""What every format is read into: conversations as trees of messages, with all that they hold."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal, NotRequired, TypedDict

from chatvault.fields import Raw

Role = Literal["user", "assistant", "system", "tool"]
# Where a message's time comes from: the file, a message beside it, the conversation, or the import.
TimeSource = Literal["exact", "neighbour", "conversation", "import"]
AttachmentState = Literal["present", "absent", "expired"]

UNTITLED: Final = "New Conversation"
MAX_TITLE: Final = 255
MAX_ID: Final = 255


class TextPart(TypedDict):
    """Words that everybody sees. `extra` holds, here and below, the source's other fields."""

    type: Literal["text"]
    text: str
    extra: NotRequired[Raw]


class ThinkingPart(TypedDict):
    """What a model thought before it answered: in full, summed up, or both."""

    type: Literal["thinking"]
    text: NotRequired[str]
    summary: NotRequired[list[str]]
    duration_s: NotRequired[float]
    signature: NotRequired[str]
    extra: NotRequired[Raw]


class ToolCallPart(TypedDict):
    """A call of a tool; `input` is JSON, or the text that the model wrote."""

    type: Literal["tool_call"]
    id: NotRequired[str]
    name: str
    input: Any
    extra: NotRequired[Raw]


class ToolResultPart(TypedDict):
    """What a tool answered."""

    type: Literal["tool_result"]
    call_id: NotRequired[str]
    name: NotRequired[str]
    output: Any
    is_error: NotRequired[bool]
    extra: NotRequired[Raw]


class FilePart(TypedDict):
    """A place where an attachment is shown; `attachment_id` is one of the conversation's.

    `transcript` is what was said in a recording, `text` what the source extracted from a document.
    """

    type: Literal["file"]
    attachment_id: str
    name: NotRequired[str]
    mime: NotRequired[str]
    size: NotRequired[int]
    width: NotRequired[int]
    height: NotRequired[int]
    source_ref: NotRequired[str]
    transcript: NotRequired[str]
    text: NotRequired[str]
    extra: NotRequired[Raw]


class CitationPart(TypedDict):
    """A source of what is said; `start` and `end` are places in the content, where known."""

    type: Literal["citation"]
    url: NotRequired[str]
    title: NotRequired[str]
    quote: NotRequired[str]
    start: NotRequired[int]
    end: NotRequired[int]
    extra: NotRequired[Raw]


class RawPart(TypedDict):
    """What has no other part: as the source had it."""

    type: Literal["raw"]
    source_type: str
    value: Any


Part = TextPart | ThinkingPart | ToolCallPart | ToolResultPart | FilePart | CitationPart | RawPart


@dataclass(slots=True, kw_only=True)
class Attachment:
    """What is known of a file beside a conversation.

    Attributes:
        id: unique within the conversation.
        source_ref: what the source calls it.
        state: whether the import has its bytes.
        member: the file in the archive that holds its bytes.
        data: its bytes in base64, where they stand in the message.
    """

    id: str
    name: str | None = None
    mime: str | None = None
    size: int | None = None
    source_ref: str | None = None
    state: AttachmentState = "absent"
    member: str | None = None
    data: str | None = None


@dataclass(slots=True, kw_only=True)
class NeutralMessage:
    """One message, with whatever the source knew of it.

    Attributes:
        source_id: the source's id of the message; unique in a tree, and None only in what has none.
        parent_id: the `source_id` of the message before it; None for the first of a branch.
        content: its text parts, as one text.
        parts: empty where the content says it all.
        timestamp: UTC in milliseconds.
        cancelled: whether the reply was stopped before its end, where that is known.
        hidden: whether the source did not show it.
        extra: fields of the source that have no place of their own, as they were.
    """

    source_id: str | None
    role: Role
    content: str
    timestamp: datetime | None
    parent_id: str | None = None
    time_source: TimeSource = "exact"
    parts: tuple[Part, ...] = ()
    model: str | None = None
    metrics: dict[str, Any] | None = None
    cancelled: bool | None = None
    hidden: bool = False
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class NeutralConversation:
    """One conversation with all its branches.

    Attributes:
        source_id: unique within the file, and the same whenever the file is read.
        format: the name of the format, which with `source_id` makes the source's key.
        messages: each after its parent, siblings by time.
        active_leaf: the `source_id` of the last message of the branch that is shown; None where
            the messages are a list, of which each is the parent of the next.
        notes: what had to be mended, in words without any content of the conversation.
        unknown: how many things of which kind were not understood, and kept as they are.
    """

    source_id: str
    title: str
    messages: tuple[NeutralMessage, ...]
    created_at: datetime
    updated_at: datetime
    metadata: dict[str, Any]
    format: str = "localstorage"
    active_leaf: str | None = None
    attachments: tuple[Attachment, ...] = ()
    notes: tuple[str, ...] = ()
    unknown: Mapping[str, int] = field(default_factory=dict)

    @property
    def source(self) -> str:
        """The key by which an import knows the conversation again."""
        return f"{self.format}:{self.source_id}"

    def active_path(self) -> tuple[NeutralMessage, ...]:
        """Return the messages of the branch that is shown, from its first to its last."""
        if self.active_leaf is None:
            return self.messages
        by_id = {message.source_id: message for message in self.messages}
        return tuple(reversed([*_upwards(by_id, self.active_leaf)]))

    def count_branches(self) -> int:
        """Return how many messages are followed by more than one."""
        if self.active_leaf is None:
            return 0
        children = Counter(message.parent_id for message in self.messages if message.parent_id)
        return sum(count > 1 for count in children.values())


def _upwards(
    by_id: Mapping[str | None, NeutralMessage], leaf: str | None
) -> Iterator[NeutralMessage]:
    while leaf is not None:
        message = by_id[leaf]
        yield message
        leaf = message.parent_id
