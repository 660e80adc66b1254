"""Read stored messages; all reads go through this module, which decodes them.

Writes go through the commit queue, which encodes with the codec of its store.
"""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from operator import itemgetter
from typing import Self

from bson import CodecOptions, ObjectId
from cachetools import LRUCache
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.cursor import AsyncCursor

from chatvault.access import Access
from chatvault.conversations.codec import ContentCodec, PlainCodec
from chatvault.conversations.decoding import ContentDecoder
from chatvault.conversations.fresh import FreshMessages
from chatvault.conversations.kept_pages import KeptPages
from chatvault.conversations.models import Conversation
from chatvault.conversations.newest import (
    CONVERSATIONS,
    Listing,
    count_many,
    find_versions,
    list_many,
)
from chatvault.conversations.segments import MAX_LENGTH, START, Revision, Segment
from chatvault.conversations.shapes import (
    LISTED_FIELDS,
    ConversationDoc,
    PathRunsDoc,
    RevisionDoc,
    SegmentDoc,
)
from chatvault.cursors import Cursor
from chatvault.errors import NotFound
from chatvault.fields import Raw
from chatvault.mongodb.batching import Batcher
from chatvault.vault.damage import OnDamage

# Decoding takes half as long when times have no zone.
SEGMENTS: CodecOptions[SegmentDoc] = CodecOptions(tz_aware=False)
# The limit of cached JSON in a process; each entry takes about OVERHEAD in addition.
RENDERED_BYTES = 32 * 1024 * 1024
OVERHEAD = 512
# The limit of cached documents of older runs, each without its runs: about 0.7 KB.
PATHS_COUNTED = 16_384
# The limit of cached documents of older runs with their runs: about 12 KB.
PATHS_KEPT = 512
# The limit of users of whom it is known how far last messages are ahead of changes.
LEADS_KEPT = 4_096
RUN = itemgetter("user_id", "generation")
WITHOUT_MESSAGES = {"messages": False, "runs": False}

# What decoding needs of a segment, beside its messages.
RUN_FIELDS = ("user_id", "generation", "start", "length", "runs")
# The access to a conversation, and its id.
ConversationKey = tuple[Access, ObjectId]
# The access to segments, and their generation.
GenerationKey = tuple[Access, ObjectId]
# The same, the end of the wanted messages in the generation, and how many are wanted.
End = tuple[Access, ObjectId, int, int]
# A segment's id, and its version.
SegmentVersion = tuple[ObjectId, int]
# A generation's owner and id, and the conversation's version.
PathVersion = tuple[ObjectId, ObjectId, int]


@dataclass(frozen=True, slots=True)
class RenderedSegments:
    """The messages in segments as JSON, without the deleted ones.

    Attributes:
        json: the messages, separated by commas; empty if there are none.
        count: the number of messages.
    """

    json: bytes = b""
    count: int = 0

    @classmethod
    def join(cls, parts: list[Self]) -> Self:
        """Join several runs into one."""
        return cls(b",".join(part.json for part in parts if part.json), sum(p.count for p in parts))


# What a legal hold alone keeps is not shown.
SHOWN: Raw = {"$ne": True}


class MessageStore(ContentDecoder):
    """Reads conversations, segments and revisions by owner; concurrent reads share a query.

    Args:
        codec: encodes and decodes the messages.
        on_damage: records what does not open; by default it is logged only.

    Attributes:
        rendered: segments as JSON, the most recently used ones.
        path_counts: the documents of older runs of branches, without the runs.
        path_runs: some of the same documents with the runs, in order and without a gap.
        leads: by user, the longest time by which a last message is later than its conversation's
            last change; it never rises.
        fresh: the messages that this process has just appended.
        newest: the newest messages of conversations as JSON.
    """

    def __init__(
        self, codec: ContentCodec | None = None, on_damage: OnDamage | None = None
    ) -> None:
        super().__init__(codec or PlainCodec(), on_damage)
        self.rendered: LRUCache[SegmentVersion, RenderedSegments] = LRUCache(
            RENDERED_BYTES, getsizeof=lambda each: len(each.json) + OVERHEAD
        )
        self.path_counts: LRUCache[PathVersion, list[PathRunsDoc]] = LRUCache(
            PATHS_COUNTED, getsizeof=lambda each: len(each) + 1
        )
        self.path_runs: LRUCache[PathVersion, list[PathRunsDoc]] = LRUCache(
            PATHS_KEPT, getsizeof=len
        )
        self.leads: LRUCache[ObjectId, timedelta] = LRUCache(LEADS_KEPT)
        self.fresh = FreshMessages()
        self.newest = KeptPages()
        self._conversations = Batcher(self._find_conversations, max_size=32, concurrency=2)
        self._listings = Batcher(self._list_many, max_size=16, concurrency=2)
        self._summaries = Batcher(self._find_summaries, max_size=128, concurrency=2)
        self._versions = Batcher(find_versions, max_size=128, concurrency=2)
        self._counts = Batcher(count_many, max_size=32, concurrency=2)
        self._segments = Batcher(self._find_segments, max_size=32, concurrency=2)
        self._fields = Batcher(_find_segment_fields, max_size=32, concurrency=2)
        self._ends = Batcher(self._find_ends, max_size=32, concurrency=2)

    async def find_conversation(
        self, access: Access, conversation_id: ObjectId
    ) -> ConversationDoc | None:
        """Return the document of a conversation of the actor's, with embedded messages, or None."""
        return await self._conversations.submit((access, conversation_id))

    async def get_conversation(self, access: Access, conversation_id: ObjectId) -> ConversationDoc:
        """Return the document of a conversation of the actor's, with embedded messages.

        Raises:
            NotFound: the actor has no such conversation.
        """
        found = await self.find_conversation(access, conversation_id)
        if found is None:
            raise NotFound("Conversation not found")
        return found

    async def find_conversation_in(
        self, session: AsyncClientSession, access: Access, conversation_id: ObjectId
    ) -> ConversationDoc | None:
        """Return the document of a conversation of the actor's in a transaction, or None."""
        query = Conversation.owned_by(access, _id=conversation_id)
        found = await _conversations().find_one(query, session=session)
        return None if found is None else (await self.open_conversations([found]))[0]

    async def find_conversations(
        self, access: Access, ids: list[ObjectId]
    ) -> dict[ObjectId, ConversationDoc]:
        """Return the documents with these ids that are the actor's, by id."""
        query = Conversation.owned_by(access, _id={"$in": ids})
        found = await self.open_conversations(await _conversations().find(query).to_list())
        return {each["_id"]: each for each in found}

    async def find_with_trash(
        self, access: Access, ids: list[ObjectId], *, with_messages: bool = False
    ) -> list[ConversationDoc]:
        """Return documents by id, also those in the trash; without messages unless asked for."""
        query = Conversation.owned_with_trash_by(access, _id={"$in": ids})
        shown = None if with_messages else WITHOUT_MESSAGES
        found = await _conversations().find(query, shown).to_list()
        return sorted(await self.open_conversations(found), key=itemgetter("_id"))

    async def list_conversations(
        self,
        access: Access,
        *,
        which: Raw,
        limit: int,
        offset: int,
        after: Cursor | None = None,
        counted: bool = True,
    ) -> tuple[list[ConversationDoc], int]:
        """Return documents without messages, newest change first, and the count, if asked for."""
        wanted = (access, tuple(which.items()), limit, offset, after, counted)
        return await self._listings.submit(wanted)

    async def find_summary(
        self, access: Access, conversation_id: ObjectId
    ) -> ConversationDoc | None:
        """Return a conversation without its messages, or None."""
        return await self._summaries.submit((access, conversation_id))

    async def find_version(self, access: Access, conversation_id: ObjectId) -> int | None:
        """Return the version of a conversation of the actor's, or None."""
        return await self._versions.submit((access, conversation_id))

    async def count_conversations(self, access: Access) -> int:
        """Count the conversations of the actor."""
        return await self._counts.submit(access)

    async def list_fields(
        self, access: Access, names: Sequence[str], ids: list[ObjectId] | None = None
    ) -> list[ConversationDoc]:
        """Return some fields of all conversations of the actor's, or of those with these ids."""
        which = {} if ids is None else {"_id": {"$in": ids}}
        found = _conversations().find(
            Conversation.owned_by(access, **which), dict.fromkeys(("user_id", *names), True)
        )
        return await self.open_conversations(await found.to_list())

    async def list_segments(self, access: Access, generation: ObjectId) -> list[SegmentDoc]:
        """Return the segments of a generation, in order."""
        return await self._segments.submit((access, generation))

    async def list_segment_fields(self, access: Access, generation: ObjectId) -> list[SegmentDoc]:
        """Return the segments of a generation without their messages, in order."""
        return await self._fields.submit((access, generation))

    async def list_segments_at(
        self, access: Access, generation: ObjectId, starts: Sequence[int]
    ) -> list[SegmentDoc]:
        """Return the segments of a generation that start at these places, in order."""
        return await self.list_segments_where(access, generation, {"$in": [*starts]})

    async def list_segments_where(
        self, access: Access, generation: ObjectId, start: Raw, *, order: int = 1, limit: int = 0
    ) -> list[SegmentDoc]:
        """Return the segments of a generation whose `start` meets a condition.

        Args:
            access: to their owner's data.
            generation: the generation's id.
            start: the condition.
            order: 1 for the oldest first, -1 for the newest.
            limit: the maximum number; 0 for no limit.
        """
        query = Segment.owned_by(access, generation=generation, start=start)
        found = _segments().find(query).sort("start", order).limit(limit)
        return await self.open_segments(await found.to_list())

    async def list_segments_within(
        self, access: Access, generation: ObjectId, first: int, end: int, *, most: int = 0
    ) -> list[SegmentDoc]:
        """Return the segments with the messages from one place up to another, with only those.

        Each has its messages from `first` or from its start on. With `most`, these are the first
        of them, up to that number.
        """
        start = {"$gt": first - MAX_LENGTH, "$lt": end}
        after = {"$gt": [{"$add": ["$start", "$length"]}, first]}
        query = Segment.owned_by(access, generation=generation, start=start)
        if most:
            query["$expr"] = after
        shown = dict.fromkeys((*RUN_FIELDS, "changed_in"), True)
        skipped = {"$max": [0, {"$subtract": [first, "$start"]}]}
        wanted = {"messages": {"$slice": ["$messages", skipped, end - first]}}
        found = _segments().find(query, {**shown, **wanted}).sort("start", 1).limit(most)
        return await self.open_segments(await found.to_list(), places=partial(_places_from, first))

    async def list_ids_within(
        self, access: Access, generation: ObjectId, first: int, end: int
    ) -> dict[int, str]:
        """Return the ids of messages in segments, by place."""
        start = {"$gt": first - MAX_LENGTH, "$lt": end}
        query = Segment.owned_by(access, generation=generation, start=start)
        found = _segments().find(query, {"start": True, "messages.id": True})
        return {
            place: message["id"]
            async for segment in found
            for place, message in enumerate(segment["messages"], segment["start"])
            if first <= place < end
        }

    def walk_segment_fields(
        self, access: Access, generation: ObjectId, *, before: int
    ) -> AsyncCursor[SegmentDoc]:
        """Return a cursor of the segments that start before a place, in order, without messages."""
        query = Segment.owned_by(access, generation=generation, start={"$lt": before})
        return _segments().find(query, WITHOUT_MESSAGES).sort("start", 1)

    async def walk_segments_with(
        self,
        access: Access,
        generation: ObjectId,
        message_ids: list[str],
        session: AsyncClientSession | None = None,
    ) -> AsyncGenerator[SegmentDoc]:
        """Yield the segments of a generation that have any of these messages."""
        ids = {"$in": message_ids}
        query = {**Segment.owned_by(access, generation=generation), "messages.id": ids}
        async for segment in _segments().find(query, session=session):
            [opened] = await self.open_segments([segment])
            yield opened

    async def list_segment_ends(
        self, access: Access, generation: ObjectId, *, end: int, most: int
    ) -> list[SegmentDoc]:
        """Return the segments with the newest messages before `end`, oldest first.

        Args:
            access: to their owner's data.
            generation: the generation's id.
            end: the place after the wanted messages, counted from the generation's beginning.
            most: how many messages are needed; each segment has this many of its newest, or more if
                another caller needs more.
        """
        return await self._ends.submit((access, generation, end, most))

    async def list_revisions(
        self, access: Access, conversation_id: ObjectId, message_id: str
    ) -> list[RevisionDoc]:
        """Return a message's versions before its edits, oldest first."""
        its = {"conversation_id": conversation_id, "message_id": message_id}
        query = Revision.owned_by(access, **its, kept=SHOWN)
        found = Revision.get_pymongo_collection().find(query)
        revisions = await found.sort([("seq", 1), ("version", 1)]).to_list()
        return await self.open_revisions(revisions)

    async def list_kept_revisions(
        self,
        access: Access,
        conversation_id: ObjectId,
        after: tuple[str, int, int] | None,
        limit: int,
    ) -> list[RevisionDoc]:
        """Return revisions of all messages of a conversation, also those that a hold keeps.

        By the message's id, its place and its version, after another one.
        """
        query = Revision.owned_by(access, conversation_id=conversation_id)
        if after is not None:
            message_id, seq, version = after
            query["$or"] = [
                {"message_id": {"$gt": message_id}},
                {"message_id": message_id, "seq": {"$gt": seq}},
                {"message_id": message_id, "seq": seq, "version": {"$gt": version}},
            ]
        order = [(name, 1) for name in ("message_id", "seq", "version")]
        found = Revision.get_pymongo_collection().find(query).sort(order).limit(limit)
        return await self.open_revisions(await found.to_list())

    async def walk_revisions(
        self, access: Access, conversation_id: ObjectId | None = None
    ) -> AsyncGenerator[RevisionDoc]:
        """Walk the revisions of all messages, by conversation and message, oldest first.

        With an id, only those of this conversation.
        """
        its = {} if conversation_id is None else {"conversation_id": conversation_id}
        found = Revision.get_pymongo_collection().find(Revision.owned_by(access, kept=SHOWN, **its))
        order = [(name, 1) for name in ("conversation_id", "message_id", "seq", "version")]
        async for revision in found.sort(order):
            [opened] = await self.open_revisions([revision])
            yield opened

    async def _find_conversations(
        self, wanted: list[ConversationKey]
    ) -> list[ConversationDoc | None]:
        pairs = [Conversation.owned_by(access, _id=each) for access, each in dict.fromkeys(wanted)]
        found = await _conversations().find({"$or": pairs} if pairs[1:] else pairs[0]).to_list()
        await self.open_conversations(found)
        documents = {(each["user_id"], each["_id"]): each for each in found}
        return [documents.get((access.owner_id, each)) for access, each in wanted]

    async def _find_summaries(self, wanted: list[ConversationKey]) -> list[ConversationDoc | None]:
        pairs = [Conversation.owned_by(access, _id=each) for access, each in dict.fromkeys(wanted)]
        found = _conversations().find({"$or": pairs}, dict.fromkeys(LISTED_FIELDS, True))
        opened = await self.open_conversations(await found.to_list())
        documents = {(each["user_id"], each["_id"]): each for each in opened}
        return [documents.get((access.owner_id, each)) for access, each in wanted]

    async def _find_segments(self, wanted: list[GenerationKey]) -> list[list[SegmentDoc]]:
        found = await _segments().find(_query(wanted)).to_list()
        return _by_generation(await self.open_segments(found), wanted)

    async def _find_ends(self, wanted: list[End]) -> list[list[SegmentDoc]]:
        clauses = [
            {
                **Segment.owned_by(access, generation=generation),
                "start": {"$gt": end - most - MAX_LENGTH, "$lt": end},
                "$expr": {"$gt": [{"$add": ["$start", "$length"]}, end - most]},
            }
            for access, generation, end, most in dict.fromkeys(wanted)
        ]
        shown = dict.fromkeys((*RUN_FIELDS, "changed_in"), True)
        newest = {"messages": {"$slice": -max(most for *_, most in wanted)}}
        query = {"$or": clauses} if clauses[1:] else clauses[0]
        found = await _segments().find(query, {**shown, **newest}).to_list()
        return _by_generation(await self.open_segments(found), [each[:2] for each in wanted])

    async def _list_many(self, wanted: list[Listing]) -> list[tuple[list[ConversationDoc], int]]:
        pages = await list_many(wanted)
        await self.open_conversations([each for page, _ in pages for each in page])
        return pages


def _conversations() -> AsyncCollection[ConversationDoc]:
    return Conversation.get_pymongo_collection().with_options(codec_options=CONVERSATIONS)


def _segments() -> AsyncCollection[SegmentDoc]:
    return Segment.get_pymongo_collection().with_options(codec_options=SEGMENTS)


def _places_from(first: int, segment: SegmentDoc) -> range:
    """Return the places of a segment's messages if those before `first` were left out."""
    start = max(0, first - segment["start"])
    return range(start, start + len(segment["messages"]))


def _query(wanted: list[GenerationKey]) -> Raw:
    pairs = [Segment.owned_by(access, generation=each) for access, each in dict.fromkeys(wanted)]
    return {"$or": pairs} if pairs[1:] else pairs[0]


def _by_generation(
    segments: list[SegmentDoc], wanted: list[GenerationKey]
) -> list[list[SegmentDoc]]:
    """Return the segments in the order of the requested generations."""
    keys = [(access.owner_id, generation) for access, generation in wanted]
    runs: dict[tuple[ObjectId, ObjectId], list[SegmentDoc]] = {key: [] for key in keys}
    for segment in sorted(segments, key=START):
        runs[RUN(segment)].append(segment)
    return [runs[key] for key in keys]


async def _find_segment_fields(wanted: list[GenerationKey]) -> list[list[SegmentDoc]]:
    found = await _segments().find(_query(wanted), WITHOUT_MESSAGES).to_list()
    return _by_generation(found, wanted)
