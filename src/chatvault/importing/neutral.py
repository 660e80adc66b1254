"""The neutral form into which every format is read: conversations as trees of messages."""

import io
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal

from bson import ObjectId

from chatvault.conversations.parts import Part, TimeSource
from chatvault.fields import Raw

Role = Literal["user", "assistant", "system", "tool"]
AttachmentState = Literal["present", "absent", "expired"]

UNTITLED: Final = "New Conversation"
MAX_TITLE: Final = 255
MAX_ID: Final = 255


@dataclass(slots=True, kw_only=True)
class Attachment:
    """A file that belongs to a conversation.

    Attributes:
        id: unique within the conversation.
        source_ref: its name or id in the source.
        state: whether the import has its bytes.
        member: the file in the archive that holds its bytes.
        data: its bytes in base64, if the message holds them.
        content: its bytes, if they were made from values of the message.
        archive: opens the archive that has the member.
        created_at: when it was first stored, if the source has that; else its conversation's.
    """

    id: str
    name: str | None = None
    mime: str | None = None
    size: int | None = None
    source_ref: str | None = None
    state: AttachmentState = "absent"
    member: str | None = None
    data: str | None = None
    content: bytes | None = None
    archive: Callable[[], io.BufferedIOBase] | None = field(default=None, compare=False)
    created_at: datetime | None = None


@dataclass(slots=True, kw_only=True)
class NeutralMessage:
    """One message with everything that the source has for it.

    Attributes:
        source_id: the source's id of the message; unique in a tree, and None only in what has none.
        parent_id: the `source_id` of the message before it; None for the first of a branch.
        content: its text parts, as one text.
        parts: empty if the content is all that there is.
        timestamp: UTC in milliseconds.
        cancelled: whether the reply was stopped before its end; None if unknown.
        hidden: whether the source did not show it.
        extra: fields of the source without a counterpart here, unchanged.
        own: further stored fields, which only chatvault's own export has.
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
    own: Raw = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnRecord:
    """Facts about a conversation that only chatvault's own export has.

    Attributes:
        source: the key of the import that it came from; None if it was created in chatvault.
        ids: the ids under which it may already be stored.
        fields: further stored fields.
        category: the names that lead to its category, from the top; empty without one.
    """

    source: str | None
    ids: tuple[ObjectId, ...]
    fields: Raw
    category: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NeutralConversation:
    """One conversation with all its branches.

    Attributes:
        source_id: unique within the file, and the same each time the file is read.
        format: the name of the format, which with `source_id` makes the source's key.
        messages: each after its parent, siblings by time.
        active_leaf: the `source_id` of the last message of the branch that is shown; None where
            the messages are a list, of which each is the parent of the next.
        notes: what had to be repaired, without any content of the conversation.
        unknown: the number of values that were not understood and kept unchanged, by kind.
        own: set if the conversation comes from chatvault's own export.
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
    own: OwnRecord | None = None

    @property
    def source(self) -> str:
        """The key by which a later import recognises the conversation."""
        if self.own is not None and self.own.source is not None:
            return self.own.source
        return f"{self.format}:{self.source_id}"

    def active_path(self) -> tuple[NeutralMessage, ...]:
        """Return the messages of the branch that is shown, from its first to its last."""
        if self.active_leaf is None:
            return self.messages
        by_id = {message.source_id: message for message in self.messages}
        return tuple(reversed([*_upwards(by_id, self.active_leaf)]))

    def count_branches(self) -> int:
        """Return the number of messages that more than one message follows."""
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
