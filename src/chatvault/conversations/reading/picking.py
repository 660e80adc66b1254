"""Reading single messages of many conversations by their places, in two queries."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from bson import ObjectId

from chatvault.access import Access
from chatvault.conversations.models import Conversation
from chatvault.conversations.newest import CONVERSATIONS
from chatvault.conversations.segments import MAX_LENGTH, Segment
from chatvault.conversations.shapes import ConversationDoc, SegmentDoc
from chatvault.conversations.store import SEGMENTS, MessageStore
from chatvault.fields import Raw


class PickedConversation(ConversationDoc):
    """A conversation with some of its embedded messages, and their places."""

    places: list[int]


class PickedSegment(SegmentDoc):
    """A segment with some of its messages, and their places in the generation."""

    places: list[int]


async def find_embedded_at(
    access: Access,
    store: MessageStore,
    places: Mapping[ObjectId, Sequence[int]],
    names: Sequence[str],
) -> list[PickedConversation]:
    """Return conversations with fields of these names and, of embedded messages, some.

    Args:
        access: to their owner's data.
        store: decodes the messages.
        places: of the messages, by conversation; those in segments are left out.
        names: of the fields.
    """
    pairs = [[each, place] for each, some in places.items() for place in some]
    query = Conversation.owned_by(access, _id={"$in": list(places)})
    shown = {**dict.fromkeys((*names, "user_id", "generation"), True), "tail_seq": True}
    picked = {**_pick("$_id", "$tail_seq", "$next_seq", pairs), "first_seq": True}
    found = (
        await Conversation.get_pymongo_collection()
        .with_options(codec_options=CONVERSATIONS)
        .aggregate([{"$match": query}, {"$project": shown | picked}])
    )
    return await store.open_conversations(cast("list[PickedConversation]", await found.to_list()))


async def find_in_segments_at(
    access: Access, store: MessageStore, places: Mapping[ObjectId, Sequence[int]]
) -> list[PickedSegment]:
    """Return segments with only the messages at these places, by generation.

    Places are counted from the beginning of the generation.
    """
    pairs: list[list[Any]] = [[each, place] for each, some in places.items() for place in some]
    clauses = [
        {
            **Segment.owned_by(access, generation=generation),
            "start": {"$gt": place - MAX_LENGTH, "$lte": place},
            "$expr": {"$gt": [{"$add": ["$start", "$length"]}, place]},
        }
        for generation, place in pairs
    ]
    end = {"$add": ["$start", "$length"]}
    shown = dict.fromkeys(("user_id", "generation", "start", "length", "runs"), True)
    picked = _pick("$generation", "$start", end, pairs)
    pipeline: list[Raw] = [{"$match": {"$or": clauses}}, {"$project": shown | picked}]
    found = (
        await Segment.get_pymongo_collection()
        .with_options(codec_options=SEGMENTS)
        .aggregate(pipeline)
    )
    segments = cast("list[PickedSegment]", await found.to_list())
    return await store.open_segments(segments, places=_places_within)


def _places_within(segment: SegmentDoc) -> list[int]:
    places = cast("PickedSegment", segment)["places"]
    return [place - segment["start"] for place in places]


def _pick(key: str, start: str, end: Any, pairs: list[list[Any]]) -> Raw:
    """Return the projection to those of a document's messages whose places are in the pairs.

    Args:
        key: the field that the first of a pair is compared with.
        start: the field with the place of the first message.
        end: the place after the last one.
        pairs: of a key and a place each.
    """
    place: Raw = {"$arrayElemAt": ["$$pair", 1]}
    is_there = [
        {"$eq": [{"$arrayElemAt": ["$$pair", 0]}, key]},
        {"$gte": [place, start]},
        {"$lt": [place, end]},
    ]
    mine = {"$filter": {"input": {"$literal": pairs}, "as": "pair", "cond": {"$and": is_there}}}
    message = {"$arrayElemAt": ["$messages", {"$subtract": [place, start]}]}
    return {
        "places": {"$map": {"input": mine, "as": "pair", "in": place}},
        "messages": {"$map": {"input": mine, "as": "pair", "in": message}},
    }
