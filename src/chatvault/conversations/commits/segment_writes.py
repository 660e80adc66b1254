"""Write statements that extend, edit and split segments, or defer their deletion."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, cast

from bson import ObjectId
from pymongo import InsertOne, UpdateOne

from chatvault.access import Access
from chatvault.conversations.codec import ContentCodec, SegmentKey
from chatvault.conversations.segments import (
    MAX_BYTES,
    MAX_LENGTH,
    PendingDeletion,
    count_not_deleted,
    cut,
    size_of,
)
from chatvault.conversations.shapes import ConversationDoc, MessageDoc, SegmentDoc
from chatvault.conversations.tree import Link, links_within, to_links
from chatvault.fields import Raw, now

# A segment that an edit makes larger than this is split, so that it stays far below 16 MB.
SEGMENT_HARD_BYTES = 4 * 1024 * 1024
# How long replaced or deleted messages stay readable for reads that started before.
GRACE = timedelta(hours=1)

SegmentWrite = InsertOne[Any] | UpdateOne


def extend(
    last: SegmentDoc | None,
    moved: list[MessageDoc],
    codec: ContentCodec,
    links: Sequence[Link] = (),
) -> tuple[list[SegmentWrite], list[MessageDoc]]:
    """Append messages to the newest segment as far as it has room.

    Args:
        last: the newest segment without its messages, if there is one.
        moved: the messages that come after it.
        codec: encodes what is written.
        links: those of the messages.

    Returns:
        The statements, and the messages that did not fit.
    """
    if last is None:
        return [], moved
    room = MAX_LENGTH - last["length"]
    room_bytes = MAX_BYTES - last["bytes"]
    taken: list[MessageDoc] = []
    for message in moved[:room]:
        room_bytes -= size_of(message)
        if room_bytes < 0:
            break
        taken.append(message)
    if not taken:
        return [], moved
    grown = {
        "length": len(taken),
        "living": count_not_deleted(taken),
        "bytes": sum(map(size_of, taken)),
        "version": 1,
    }
    mine = _filter_of(last, length=last["length"])
    key = SegmentKey(last["user_id"], last["generation"], last["_id"])
    encoded = codec.encode_segment(key, taken, last["length"])
    pushed: Raw = {"messages": {"$each": encoded.messages}}
    if encoded.runs:
        pushed["runs"] = {"$each": encoded.runs}
    start = last["start"] + last["length"]
    if its_links := links_within(links, start, start + len(taken)):
        pushed["links"] = {"$each": [[*link] for link in its_links]}
    update = {"$push": pushed, "$inc": grown}
    return [UpdateOne(mine, update)], moved[len(taken) :]


def add(
    messages: list[MessageDoc],
    *,
    owner_id: ObjectId,
    generation: ObjectId,
    codec: ContentCodec,
    start: int,
    links: Sequence[Link] = (),
) -> list[SegmentWrite]:
    """Insert messages as new segments, the first of them at `start`."""
    made = cut(
        messages, owner_id=owner_id, generation=generation, codec=codec, start=start, links=links
    )
    return [InsertOne(segment) for segment in made]


def defer_deletion(
    fields: ConversationDoc, access: Access, *, whole: bool, keeps: bool = False
) -> list[SegmentWrite]:
    """Return the pending deletion of a conversation's segments and revisions.

    Args:
        fields: the conversation's fields before the change.
        access: to the data of the conversation's owner.
        whole: whether the conversation is deleted; otherwise its messages are replaced.
        keeps: whether a legal hold keeps them, until it is lifted.
    """
    may_be_revised = fields.get("has_revisions", True)
    has_more = fields["tail_seq"] > fields["first_seq"] or bool(fields.get("path"))
    if not (whole or may_be_revised or has_more):
        return []
    note = PendingDeletion.owned_by(
        access,
        _id=ObjectId(),
        generation=fields["generation"],
        conversation_id=fields["_id"] if whole or keeps or may_be_revised else None,
        before_seq=None if whole else fields["next_seq"],
        due_at=None if keeps else now() + GRACE,
        swept=False,
    )
    return [InsertOne(note)]


def put(
    segment: SegmentDoc, index: int, message: MessageDoc, codec: ContentCodec, *, deleted: bool
) -> tuple[list[SegmentWrite], bool]:
    """Replace one message of a segment.

    Args:
        segment: with its messages and the version that it is `changed_in`; it is changed too.
        index: the place within it.
        message: the new message.
        codec: encodes what is written.
        deleted: whether the new message is a deleted one, and the old one is not.

    Returns:
        The statements, and whether they split the segment, so that its places changed.
    """
    grown = size_of(message) - size_of(segment["messages"][index])
    segment["messages"][index] = message
    segment["bytes"] += grown
    if grown > 0 and segment["bytes"] > SEGMENT_HARD_BYTES:
        return _resplit(segment, codec), True
    mine = _filter_of(segment, **{f"messages.{index}.id": message["id"]})
    changed, pushed = codec.encode_edit(segment, index)
    update: Raw = {
        "$set": {**changed, "changed_in": segment["changed_in"]},
        "$inc": {"bytes": grown, "living": -int(deleted), "version": 1},
    }
    if pushed:
        update["$push"] = pushed
    return [UpdateOne(mine, update)], False


def _filter_of(segment: SegmentDoc, **more: Any) -> Raw:
    """Return the filter for one segment as it was read: by its id, and by its shard key."""
    key = {"user_id": segment["user_id"], "generation": segment["generation"]}
    return {"_id": segment["_id"], **key, **more}


def _resplit(segment: SegmentDoc, codec: ContentCodec) -> list[SegmentWrite]:
    """Split a segment that grew too large into several."""
    first, *others = cut(
        segment["messages"],
        owner_id=segment["user_id"],
        generation=segment["generation"],
        codec=codec,
        start=segment["start"],
        links=to_links(segment.get("links") or ()),
        first_id=segment["_id"],
    )
    changed_in = {"changed_in": segment["changed_in"]}
    names = ("length", "living", "bytes", "messages", "runs", "links")
    kept: Raw = {name: cast("Raw", first)[name] for name in names if name in first}
    mine = _filter_of(segment, length=segment["length"])
    update: Raw = {"$set": kept | changed_in, "$inc": {"version": 1}}
    if gone := [name for name in ("links", "runs") if name in segment and name not in first]:
        update["$unset"] = dict.fromkeys(gone, "")
    return [UpdateOne(mine, update), *(InsertOne(other | changed_in) for other in others)]
