"""Encoding conversations, segments and revisions for MongoDB, and decoding them."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from bson import ObjectId

from chatvault.conversations.shapes import ConversationDoc, MessageDoc, RunDoc, SegmentDoc
from chatvault.errors import Conflict
from chatvault.fields import Raw
from chatvault.vault.damage import Damage

# The fields of a conversation that have somebody's words, beside its messages.
WORDS = ("title", "metadata", "system_prompt", "summary")


class MessageUnreadable(Conflict):
    """The stored message cannot be read, so it cannot be changed; it can be deleted."""

    code = "message_unreadable"


class UnreadableMessage(dict[str, Any]):
    """The form in which a message is shown that does not open.

    Attributes:
        stored: the message as it is stored, to be written back unchanged; None if it is part of a
            run.
    """

    __slots__ = ("stored",)

    def __init__(self, shown: Mapping[str, Any], stored: MessageDoc | None = None) -> None:
        super().__init__(shown)
        self.stored = stored


class SegmentKey(NamedTuple):
    """The segment whose messages are encoded."""

    user_id: ObjectId
    generation: ObjectId
    id: ObjectId


class EncodedRun(NamedTuple):
    """Consecutive messages as a segment stores them.

    Attributes:
        messages: one for each, of which a sealed one has only its id and its place in the tree.
        runs: the sealed content.
    """

    messages: list[MessageDoc]
    runs: list[RunDoc]


class ContentCodec(Protocol):
    """Encodes what has somebody's words for MongoDB, and decodes it.

    Each message is encoded once when written and decoded once when read. `id`, `deleted` and
    `parent_id` stay as they are, because queries name them. Sizes (`message_bytes`, `tail_bytes`, a
    segment's `bytes`) are those of decoded messages. Encoding does not change what it is given;
    decoding changes documents in place, and leaves those alone that are decoded already.

    Neither waits for anything: whoever calls them has fetched the owners' keys.
    """

    @property
    def reads_sealed(self) -> bool:
        """Whether there may be sealed values to decode."""

    @property
    def seals(self) -> bool:
        """Whether what is encoded is sealed."""

    def missing(self, owner_ids: Iterable[ObjectId], *, to_write: bool = False) -> list[ObjectId]:
        """Return those owners whose keys must be fetched first."""

    async def fetch(self, owner_ids: Collection[ObjectId], *, to_write: bool = False) -> None:
        """Fetch the keys of these owners."""

    def forget(self, owner_id: ObjectId) -> None:
        """Drop what is kept in memory of an owner."""

    def encode_tail(
        self, conversation: ConversationDoc, messages: Sequence[MessageDoc]
    ) -> list[MessageDoc]:
        """Return messages as a conversation's document embeds them."""

    def encode_fields(self, conversation: ConversationDoc, fields: Raw) -> Raw:
        """Return some fields of a conversation as they are stored."""

    def encode_segment(
        self, key: SegmentKey, messages: Sequence[MessageDoc], first: int = 0
    ) -> EncodedRun:
        """Return messages as a segment stores them, the first of them at a place within it."""

    def encode_edit(self, segment: SegmentDoc, index: int) -> tuple[Raw, Raw]:
        """Return what an update sets, and what it pushes, for one changed message of a segment.

        The segment is decoded and has the new message; its runs are changed in place.
        """

    def encode_revision(self, revision: Raw) -> Raw:
        """Return a revision as it is stored."""

    def decode_conversation(
        self,
        document: ConversationDoc,
        *,
        final: bool = True,
        aware: bool = False,
        keep_stored: bool = False,
    ) -> None:
        """Decode a conversation's fields and the messages that were read with them.

        Args:
            document: at least its `_id`, its `user_id` and, with messages, its `generation`.
            final: whether the keys were read after it.
            aware: whether times have a zone.
            keep_stored: whether its `stored` are to be the messages as they are stored.
        """

    def decode_segment(
        self,
        document: SegmentDoc,
        places: Sequence[int] | None = None,
        *,
        final: bool = True,
        aware: bool = False,
    ) -> None:
        """Decode the messages of a segment; `places` are theirs within it, if some are missing.

        By default they are its last ones.
        """

    def decode_revision(self, revision: Raw, *, final: bool = True) -> None:
        """Decode a revision."""

    def take_damage(self) -> list[Damage]:
        """Return what did not open since the last call, each value once."""


class PlainCodec:
    """Stores everything as it is."""

    reads_sealed = False
    seals = False

    def missing(self, owner_ids: Iterable[ObjectId], *, to_write: bool = False) -> list[ObjectId]:  # noqa: ARG002  # protocol
        """Return an empty list."""
        return []

    async def fetch(self, owner_ids: Collection[ObjectId], *, to_write: bool = False) -> None:
        """Do nothing."""

    def forget(self, owner_id: ObjectId) -> None:
        """Do nothing."""

    def encode_tail(
        self,
        conversation: ConversationDoc,  # noqa: ARG002  # protocol
        messages: Sequence[MessageDoc],
    ) -> list[MessageDoc]:
        """Return the messages."""
        return [*messages]

    def encode_fields(self, conversation: ConversationDoc, fields: Raw) -> Raw:  # noqa: ARG002  # protocol
        """Return the fields."""
        return fields

    def encode_segment(
        self,
        key: SegmentKey,  # noqa: ARG002  # protocol
        messages: Sequence[MessageDoc],
        first: int = 0,  # noqa: ARG002  # protocol
    ) -> EncodedRun:
        """Return the messages, without runs."""
        return EncodedRun([*messages], [])

    def encode_edit(self, segment: SegmentDoc, index: int) -> tuple[Raw, Raw]:
        """Return the message as it is."""
        return {f"messages.{index}": segment["messages"][index]}, {}

    def encode_revision(self, revision: Raw) -> Raw:
        """Return the revision."""
        return revision

    def decode_conversation(
        self,
        document: ConversationDoc,
        *,
        final: bool = True,
        aware: bool = False,
        keep_stored: bool = False,
    ) -> None:
        """Do nothing."""

    def decode_segment(
        self,
        document: SegmentDoc,
        places: Sequence[int] | None = None,
        *,
        final: bool = True,
        aware: bool = False,
    ) -> None:
        """Do nothing."""

    def decode_revision(self, revision: Raw, *, final: bool = True) -> None:
        """Do nothing."""

    def take_damage(self) -> list[Damage]:
        """Return an empty list."""
        return []
