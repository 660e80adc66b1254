"""What overflows a conversation's embedded array: segments, revisions, and what is to be swept."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter
from typing import Any, ClassVar

import bson
from beanie import Document
from bson import ObjectId
from cachetools import LRUCache
from pymongo import IndexModel
from pymongo.asynchronous.collection import AsyncCollection

from chatvault.actor import Actor
from chatvault.conversations.models import WITHOUT_ZONE, Message, Raw
from chatvault.fields import Id
from chatvault.mongodb.batching import Batcher

# A segment is rewritten when it grows and when one of its messages is edited.
MAX_LENGTH = 256
# Beyond one of these the older part of the tail moves; docs/decisions/ says how they were chosen.
TAIL_LENGTH = 48
TAIL_BYTES = 128 * 1024
TAIL_KEPT = 16
# What of them is kept in memory as JSON, in a process; and about what keeping one takes beside.
RENDERED_BYTES = 32 * 1024 * 1024
OVERHEAD = 512
MAX_BYTES = 256 * 1024


START = itemgetter("start")
# An owner and a generation.
Whose = tuple[ObjectId, ObjectId]
# The same, where in the generation the wanted messages end, and how many are wanted.
End = tuple[ObjectId, ObjectId, int, int]


@dataclass(frozen=True, slots=True)
class Generation:
    """Messages that lie in segments already and wait to be pointed to.

    Attributes:
        intent_id: the `PendingDeletion` document that stands for them until then.
    """

    id: ObjectId
    intent_id: ObjectId
    length: int
    bytes: int
    last_message_at: datetime | None


class Segment(Document):
    """A run of a conversation's older messages, in order and without gaps.

    Attributes:
        generation: the conversation's, while these are its messages.
        start: how many messages of the generation come before.
        length: how many messages lie here, removed ones included.
        living: how many of them are not deleted.
        bytes: their BSON size.
        version: rises with every change.
        changed_in: the conversation's version in which one of them was last edited or removed; 0
            where none was, or not since this is kept.
    """

    user_id: Id
    generation: Id
    start: int
    length: int
    living: int
    bytes: int
    version: int = 0
    changed_in: int = 0
    messages: list[Message]

    rendered: ClassVar[LRUCache[Any, Any]]
    documents: ClassVar[Batcher[Whose, list[Raw]]]
    reads: ClassVar[Batcher[Whose, list[Raw]]]
    ends: ClassVar[Batcher[End, list[Raw]]]

    class Settings:
        """Beanie's."""

        name = "segments"
        indexes: ClassVar = [
            IndexModel(
                [("user_id", 1), ("generation", 1), ("start", 1), ("length", 1), ("living", 1)],
                name="run",
            ),
            IndexModel([("user_id", 1), ("generation", 1), ("messages.id", 1)], name="message_id"),
        ]

    @classmethod
    def owned_by(cls, actor: Actor, **more: Any) -> Raw:
        """The filter that every query about an actor's segments begins with."""
        return {"user_id": actor.owner_id, **more}

    @classmethod
    def bind_reads(cls) -> None:
        """Let reads share queries, for as long as the class is bound to its database.

        What was rendered is forgotten, too: it may come of another database.
        """
        cls.rendered = LRUCache(RENDERED_BYTES, getsizeof=lambda each: len(each.json) + OVERHEAD)
        cls.documents = Batcher(cls._find_documents, max_size=32, concurrency=2)
        cls.reads = Batcher(cls._find_many, max_size=32, concurrency=2)
        cls.ends = Batcher(cls._find_ends, max_size=32, concurrency=2)

    @classmethod
    async def find_all_of(cls, actor: Actor, generation: ObjectId) -> list[Raw]:
        """The actor's segments of a generation; reads that arrive together share a query."""
        return await cls.reads.submit((actor.owner_id, generation))

    @classmethod
    async def find_heads_of(cls, actor: Actor, generation: ObjectId) -> list[Raw]:
        """The same without their messages."""
        return await cls.documents.submit((actor.owner_id, generation))

    @classmethod
    async def find_some_of(
        cls, actor: Actor, generation: ObjectId, starts: Sequence[int]
    ) -> list[Raw]:
        """Those of the actor's segments of a generation that start at these places, in order."""
        query = cls.owned_by(actor, generation=generation, start={"$in": [*starts]})
        return await cls.for_reading().find(query).sort("start", 1).to_list()

    @classmethod
    async def _find_many(cls, wanted: list[Whose]) -> list[list[Raw]]:
        return await cls._find(wanted, {})

    @classmethod
    async def _find_documents(cls, wanted: list[Whose]) -> list[list[Raw]]:
        return await cls._find(wanted, {"messages": False})

    @classmethod
    async def _find(cls, wanted: list[Whose], projection: Raw) -> list[list[Raw]]:
        pairs = [{"user_id": owner, "generation": each} for owner, each in dict.fromkeys(wanted)]
        query = {"$or": pairs} if pairs[1:] else pairs[0]
        runs: dict[Whose, list[Raw]] = {pair: [] for pair in wanted}
        async for segment in cls.for_reading().find(query, projection):
            runs[segment["user_id"], segment["generation"]].append(segment)
        return [sorted(runs[pair], key=START) for pair in wanted]

    @classmethod
    async def find_end_of(
        cls, actor: Actor, generation: ObjectId, *, end: int, most: int
    ) -> list[Raw]:
        """The segments that the newest messages before `end` lie in, oldest first.

        Args:
            actor: whose they are.
            generation: which ones.
            end: the place after the wanted messages, counted from the generation's beginning.
            most: how many messages are needed; each segment comes with so many of its newest, or,
                for others, with more.
        """
        return await cls.ends.submit((actor.owner_id, generation, end, most))

    @classmethod
    async def _find_ends(cls, wanted: list[End]) -> list[list[Raw]]:
        clauses = [
            {
                "user_id": owner,
                "generation": generation,
                "start": {"$gt": end - most - MAX_LENGTH, "$lt": end},
                "$expr": {"$gt": [{"$add": ["$start", "$length"]}, end - most]},
            }
            for owner, generation, end, most in dict.fromkeys(wanted)
        ]
        shown = dict.fromkeys(("user_id", "generation", "start", "length", "changed_in"), True)
        newest = {"messages": {"$slice": -max(most for *_, most in wanted)}}
        runs: dict[Whose, list[Raw]] = {each[:2]: [] for each in wanted}
        query = {"$or": clauses} if clauses[1:] else clauses[0]
        found = await cls.for_reading().find(query, {**shown, **newest}).to_list()
        for segment in sorted(found, key=START):
            runs[segment["user_id"], segment["generation"]].append(segment)
        return [runs[each[:2]] for each in wanted]

    @classmethod
    def for_reading(cls) -> AsyncCollection[Raw]:
        """The collection, whose times come without zone: decoding takes half as long so."""
        return cls.get_pymongo_collection().with_options(codec_options=WITHOUT_ZONE)


class Revision(Document):
    """A message as it was before an edit.

    Attributes:
        version: the message's version then.
        seq: its place.
        message: the message then.
        replaced_at: when the edit came.
    """

    user_id: Id
    conversation_id: Id
    message_id: str
    version: int
    seq: int
    message: Message
    replaced_at: datetime

    class Settings:
        """Beanie's."""

        name = "revisions"
        indexes: ClassVar = [
            # A message that a replacement brings in again has another place.
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

    @classmethod
    def owned_by(cls, actor: Actor, **more: Any) -> Raw:
        """The filter that every query about an actor's revisions begins with."""
        return {"user_id": actor.owner_id, **more}


class PendingDeletion(Document):
    """Segments and revisions that nothing points to, or may never point to; the sweeper's list.

    It is written before the first segment of a bulk write and removed by the transaction that
    makes them visible, so that a crash in between leaves nothing behind for ever.

    Attributes:
        generation: whose segments may go, or None.
        conversation_id: whose revisions may go too, or None.
        before_seq: only revisions of lower places may go, of messages that do not stand any more;
            None where the whole conversation is gone.
        due_at: from when on; until then a slow reader or writer may still need them.
        swept: the sweeper has begun, so that it is too late to point to them.
    """

    user_id: Id
    generation: Id | None = None
    conversation_id: Id | None = None
    before_seq: int | None = None
    due_at: datetime
    swept: bool = False

    class Settings:
        """Beanie's."""

        name = "retired"
        indexes: ClassVar = [IndexModel("due_at")]

    @classmethod
    def owned_by(cls, actor: Actor, **more: Any) -> Raw:
        """The fields that every note of an actor's begins with."""
        return {"user_id": actor.owner_id, **more}


def size_of(message: Raw) -> int:
    """The BSON size of a message, in bytes."""
    return len(bson.encode(message))


def is_deleted(message: Raw) -> bool:
    """Whether the message was deleted, so that only its id and its place are left."""
    return bool(message.get("deleted"))


def count_not_deleted(messages: list[Raw]) -> int:
    """Count the messages that are not deleted."""
    return sum(not is_deleted(message) for message in messages)


def split_tail(messages: list[Raw]) -> tuple[list[Raw], list[Raw]]:
    """The older messages, which are to lie in segments, and the newest, which stay embedded."""
    kept = TAIL_KEPT
    while kept > 1 and sum(map(size_of, messages[-kept:])) > TAIL_BYTES:
        kept //= 2
    return messages[:-kept], messages[-kept:]


def cut(
    messages: list[Raw], *, owner_id: ObjectId, generation: ObjectId, start: int = 0
) -> Iterator[Raw]:
    """The messages as segments to insert, the first of them at `start`."""
    run: list[Raw] = []
    run_bytes = 0
    for message in [*messages, None]:
        size = 0 if message is None else size_of(message)
        is_full = len(run) == MAX_LENGTH or run_bytes + size > MAX_BYTES
        if run and (message is None or is_full):
            yield {
                "_id": ObjectId(),
                "user_id": owner_id,
                "generation": generation,
                "start": start,
                "length": len(run),
                "living": count_not_deleted(run),
                "bytes": run_bytes,
                "messages": run,
            }
            start += len(run)
            run, run_bytes = [], 0
        if message is not None:
            run.append(message)
            run_bytes += size
