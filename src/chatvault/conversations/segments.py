"""Further documents of a conversation: segments, revisions and pending deletions."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter
from typing import Any, ClassVar

import bson
from beanie import Document
from bson import ObjectId
from pydantic import BaseModel
from pymongo import IndexModel

from chatvault.content import Content
from chatvault.conversations.codec import ContentCodec, SegmentKey
from chatvault.conversations.models import Message
from chatvault.conversations.shapes import MessageDoc, SegmentDoc
from chatvault.conversations.tree import Link, links_within
from chatvault.fields import Id
from chatvault.owned import Owned

# Limited, as a segment is rewritten when it grows and when one of its messages is edited.
MAX_LENGTH = 256
# Beyond one of these the older part of the tail moves to segments; docs/decisions/ has the reasons.
TAIL_LENGTH = 48
TAIL_BYTES = 128 * 1024
TAIL_KEPT = 16
MAX_BYTES = 256 * 1024
START = itemgetter("start")


@dataclass(frozen=True, slots=True)
class Generation:
    """Messages in segments that no conversation refers to yet.

    Attributes:
        intent_id: the `PendingDeletion` document by which they are deleted if none ever does.
        links: those of the messages.
    """

    id: ObjectId
    intent_id: ObjectId
    length: int
    bytes: int
    last_message_at: datetime | None
    links: tuple[Link, ...] = ()


class SealedRun(BaseModel):
    """Sealed messages of a segment; `shapes.RunDoc` describes the fields."""

    at: int
    n: int
    c: bytes


class Segment(Owned, Document):
    """Consecutive older messages of a conversation.

    Attributes:
        generation: that of the conversation, while these are its messages.
        start: how many messages of the generation are before these.
        length: how many messages it has, deleted ones included.
        living: how many of them are not deleted.
        bytes: their BSON size.
        version: rises with every change.
        changed_in: the conversation's version in which one of them was last edited or removed; 0 if
            none was, or before this was stored.
        links: the place of each message whose parent is not the message before it, and the
            parent's place; None without any.
        messages: in order; of a sealed one only its id, its parent's, and whether it was deleted.
        runs: the content of sealed messages. Of two runs with a message the later one counts.
    """

    user_id: Id
    generation: Id
    start: int
    length: int
    living: int
    bytes: int
    version: int = 0
    changed_in: int = 0
    links: list[list[int]] | None = None
    messages: list[Message]
    runs: list[SealedRun] | None = None

    holds: ClassVar = Content(exported=True, has_codec=True).with_parts("messages", Message.holds)

    class Settings:
        """Beanie's."""

        name = "segments"
        indexes: ClassVar = [
            IndexModel(
                [("user_id", 1), ("generation", 1), ("start", 1), ("length", 1), ("living", 1)],
                name="run",
            ),
            IndexModel([("user_id", 1), ("generation", 1), ("messages.id", 1)], name="message_id"),
            IndexModel(
                [("user_id", 1), ("generation", 1), ("start", 1)],
                partialFilterExpression={"links": {"$exists": True}},
                name="with_links",
            ),
        ]


class Revision(Owned, Document):
    """A message as it was before an edit.

    Attributes:
        kept: whether it is kept because of a legal hold alone, and nobody is shown it.
        version: the message's version then.
        seq: its place.
        message: the message before the edit.
        replaced_at: the time of the edit.
    """

    user_id: Id
    conversation_id: Id
    message_id: str
    version: int
    seq: int
    message: Message
    replaced_at: datetime
    kept: bool | None = None

    holds: ClassVar = Content(plain=("message_id",), exported=True, has_codec=True).with_parts(
        "message", Message.holds
    )

    class Settings:
        """Beanie's."""

        name = "revisions"
        indexes: ClassVar = [
            # A message that a replacement contains again has another place.
            IndexModel(
                [
                    ("user_id", 1),
                    ("conversation_id", 1),
                    ("message_id", 1),
                    ("seq", 1),
                    ("version", 1),
                ],
                unique=True,
                name="revision_unique",
            )
        ]


class PendingDeletion(Owned, Document):
    """Segments and revisions without references, to be deleted by the garbage collection.

    It is written before the first segment of a bulk write and removed by the transaction that
    makes them visible, so that a crash in between leaves nothing behind permanently.

    Attributes:
        generation: the generation whose segments are to be deleted, or None.
        conversation_id: the conversation whose revisions are to be deleted too, or None.
        before_seq: only revisions of lower places are deleted, if their messages are; None if
            the whole conversation was deleted.
        due_at: when they are deleted; until then a slow reader or writer may still need them; None
            while a legal hold keeps them.
        swept: whether the deletion has started, so that they must not be referred to again.
    """

    user_id: Id
    generation: Id | None = None
    conversation_id: Id | None = None
    before_seq: int | None = None
    due_at: datetime | None
    swept: bool = False

    holds: ClassVar = Content()

    class Settings:
        """Beanie's."""

        name = "retired"
        indexes: ClassVar = [IndexModel("due_at")]


def size_of(message: Mapping[str, Any]) -> int:
    """Return the BSON size of a message, in bytes."""
    return len(bson.encode(message))


def is_deleted(message: MessageDoc) -> bool:
    """Whether the message was deleted; then it has only its id and its place."""
    return bool(message.get("deleted"))


def count_not_deleted(messages: list[MessageDoc]) -> int:
    """Count the messages that are not deleted."""
    return sum(not is_deleted(message) for message in messages)


def split_tail(messages: list[MessageDoc]) -> tuple[list[MessageDoc], list[MessageDoc]]:
    """Return the older messages, for segments, and the newest, which stay embedded."""
    kept = TAIL_KEPT
    while kept > 1 and sum(map(size_of, messages[-kept:])) > TAIL_BYTES:
        kept //= 2
    return messages[:-kept], messages[-kept:]


def cut(
    messages: list[MessageDoc],
    *,
    owner_id: ObjectId,
    generation: ObjectId,
    codec: ContentCodec,
    start: int = 0,
    links: Sequence[Link] = (),
    first_id: ObjectId | None = None,
) -> Iterator[SegmentDoc]:
    """Yield the segments to insert for messages, the first of them at `start`.

    `first_id` is the id of the first segment if it exists already.
    """
    run: list[MessageDoc] = []
    run_bytes = 0
    for message in [*messages, None]:
        size = 0 if message is None else size_of(message)
        is_full = len(run) == MAX_LENGTH or run_bytes + size > MAX_BYTES
        if run and (message is None or is_full):
            key = SegmentKey(owner_id, generation, first_id or ObjectId())
            first_id = None
            encoded = codec.encode_segment(key, run)
            segment: SegmentDoc = {
                "_id": key.id,
                "user_id": owner_id,
                "generation": generation,
                "start": start,
                "length": len(run),
                "living": count_not_deleted(run),
                "bytes": run_bytes,
                "messages": encoded.messages,
            }
            if encoded.runs:
                segment["runs"] = encoded.runs
            if mine := links_within(links, start, start + len(run)):
                segment["links"] = [[*link] for link in mine]
            yield segment
            start += len(run)
            run, run_bytes = [], 0
        if message is not None:
            run.append(message)
            run_bytes += size
