"""Lists of conversations by the last change, and numbers about them; they share queries."""

from typing import Any, cast

from bson import CodecOptions, ObjectId
from pymongo import DESCENDING
from pymongo.asynchronous.collection import AsyncCollection

from chatvault.access import Access
from chatvault.conversations.models import Conversation
from chatvault.conversations.shapes import LISTED_FIELDS, ConversationDoc
from chatvault.cursors import Cursor
from chatvault.fields import Raw

# Decoding takes half as long when times have no zone.
CONVERSATIONS: CodecOptions[ConversationDoc] = CodecOptions(tz_aware=False)
LISTED_AT_ONCE = 10_000
SHOWN = dict.fromkeys(LISTED_FIELDS, True)
ORDER = [("updated_at", DESCENDING), ("_id", DESCENDING)]
# Fields of conversations, and their values.
Which = tuple[tuple[str, Any], ...]
# The owner, the filter, the limit, the offset, the cursor, and whether they are to be counted.
Listing = tuple[Access, Which, int, int, Cursor | None, bool]


def conversations() -> AsyncCollection[ConversationDoc]:
    """Return the collection; times that it reads have no zone."""
    return Conversation.get_pymongo_collection().with_options(codec_options=CONVERSATIONS)


def _listing_pipelines(
    access: Access,
    which: Which,
    limit: int,
    offset: int,
    after: Cursor | None,
    counted: bool,  # noqa: FBT001  # a field of the tuple
    *,
    tag: Raw,
) -> list[list[Raw]]:
    """Return the pipelines for a page of conversations, and for their count if it is asked for."""
    mine = Conversation.owned_by(access, **dict(which))
    page: list[Raw] = [
        {"$match": mine | _after_cursor(after)},
        {"$sort": dict(ORDER)},
        {"$skip": offset},
        {"$limit": limit},
        {"$project": SHOWN},
        tag,
    ]
    return [page, [{"$match": mine}, {"$count": "total"}, tag]] if counted else [page]


def _after_cursor(after: Cursor | None) -> Raw:
    """Return the filter for conversations after the last one of the page before."""
    if after is None:
        return {}
    at, last_id = after
    return {
        "updated_at": {"$lte": at},
        "$or": [{"updated_at": {"$lt": at}}, {"_id": {"$lt": last_id}}],
    }


async def list_many(wanted: list[Listing]) -> list[tuple[list[ConversationDoc], int]]:
    """Return the page and the count of each listing, by one query."""
    if len(wanted) == 1 and not wanted[0][-1]:
        return [(await _list_one(*wanted[0][:-1]), 0)]
    pipeline: list[Raw] = []
    pages: dict[Listing, list[ConversationDoc]] = {each: [] for each in wanted}
    totals: dict[Listing, int] = dict.fromkeys(wanted, 0)
    asked = list(pages)
    for number, listing in enumerate(asked):
        for part in _listing_pipelines(*listing, tag={"$set": {"asked": number}}):
            whole = {"coll": Conversation.Settings.name, "pipeline": part}
            pipeline += [{"$unionWith": whole}] if pipeline else part
    # All in one answer, up to MongoDB's limit.
    cursor = await conversations().aggregate(pipeline, batchSize=LISTED_AT_ONCE)
    for found in cast("list[Raw]", await cursor.to_list()):
        listing = asked[found.pop("asked")]
        if "total" in found:
            totals[listing] = found["total"]
        else:
            pages[listing].append(cast("ConversationDoc", found))
    return [(pages[each], totals[each]) for each in wanted]


async def _list_one(
    access: Access, which: Which, limit: int, offset: int, after: Cursor | None
) -> list[ConversationDoc]:
    """Return one page, which a plain query finds in less time."""
    query = Conversation.owned_by(access, **dict(which)) | _after_cursor(after)
    found = conversations().find(query, SHOWN, hint=Conversation.BY_CHANGE)
    return await found.sort(ORDER).skip(offset).limit(limit).to_list()


async def count_many(wanted: list[Access]) -> list[int]:
    """Return the number of conversations of each owner, by one query."""
    mine = [Conversation.owned_by(access) for access in dict.fromkeys(wanted)]
    each_owners = {"$group": {"_id": "$user_id", "count": {"$sum": 1}}}
    match = {"$match": {"$or": mine} if mine[1:] else mine[0]}
    found = await Conversation.get_pymongo_collection().aggregate([match, each_owners])
    counts = {each["_id"]: each["count"] async for each in found}
    return [counts.get(access.owner_id, 0) for access in wanted]


async def find_versions(wanted: list[tuple[Access, ObjectId]]) -> list[int | None]:
    """Return the version of each conversation, or None if there is no such one, by one query."""
    pairs = [Conversation.owned_by(access, _id=each) for access, each in dict.fromkeys(wanted)]
    query = {"$or": pairs} if pairs[1:] else pairs[0]
    found = await conversations().find(query, {"user_id": True, "version": True}).to_list()
    versions = {(each["user_id"], each["_id"]): each["version"] for each in found}
    return [versions.get((access.owner_id, each)) for access, each in wanted]
