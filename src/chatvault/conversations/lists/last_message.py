"""Lists by the last message, whose order no index has: one of it would make each append dearer.

A conversation changes no earlier than its last message comes. So those whose last message is of a
time or later are among those that changed at that time or later, which an index has in order.
"""

from datetime import UTC, datetime, timedelta

from bson import ObjectId
from pymongo import DESCENDING

from chatvault.access import Access
from chatvault.conversations.lists.filters import NEVER, Position, Sort
from chatvault.conversations.models import Conversation
from chatvault.conversations.newest import conversations
from chatvault.conversations.shapes import ConversationDoc
from chatvault.conversations.store import MessageStore
from chatvault.fields import Raw

# The longest part of the list that is looked for among the newest changes.
MOST_COUNTED = 1_000
# The most conversations, before those of a page, whose last message has the time of its position.
MOST_EQUAL = 16
AT = Sort.LAST_MESSAGE.field
SHOWN = {"_id": True, AT: True}


async def list_newest(
    access: Access,
    store: MessageStore,
    query: Raw,
    after: Position | None,
    count: int,
    hint: str | None,
) -> list[ObjectId] | None:
    """Return the first ids of a list, or the first after a position, if newest changes tell them.

    Args:
        access: to the owner's data.
        store: keeps how far last messages are ahead of changes.
        query: for all conversations of the list.
        after: the position.
        count: how many.
        hint: the index of changes where it has all fields of the query; else MongoDB chooses.

    Returns:
        The ids, or None where conversations without messages may be among them, others whose last
        message came long before they changed, or many whose last messages have the same time.
    """
    if count > MOST_COUNTED or (after is not None and after.value is None):
        return None
    since = await _find_start(query, after, count, hint)
    if since is None:
        return None
    which = {**query, "updated_at": {"$gte": since - await _find_lead(access, store)}}
    limit = count
    if after is not None:
        # Ids are compared here: MongoDB takes twice the time for both conditions.
        which[AT], limit = {"$lte": after.value}, count + MOST_EQUAL
    found = conversations().find(which, SHOWN, hint=hint)
    ids = _beyond(await found.sort(Sort.LAST_MESSAGE.order).limit(limit).to_list(), after)[:count]
    return [each for _, each in ids] if len(ids) == count else None


def _beyond(
    found: list[ConversationDoc], after: Position | None
) -> list[tuple[datetime, ObjectId]]:
    """Return the last messages' times, and the ids, of what has any and is after the position."""
    end = None if after is None else (after.value, after.last_id)
    times = [(each["last_message_at"], each["_id"]) for each in found]
    pairs = [(at.replace(tzinfo=UTC), each) for at, each in times if at is not None]
    return [pair for pair in pairs if end is None or pair < end]


async def _find_start(
    query: Raw, after: Position | None, count: int, hint: str | None
) -> datetime | None:
    """Return a time that enough last messages reach, of the list or of what is after a position.

    Some conversations may have changed long after their last message; twice as many are read.
    """
    changed = {} if after is None else {"updated_at": {"$lte": after.value}}
    found = conversations().find({**query, **changed}, SHOWN, hint=hint)
    newest = await found.sort(Sort.UPDATED.order).limit(2 * count).to_list()
    reached = sorted(_beyond(newest, after), reverse=True)
    return reached[count - 1][0] if len(reached) >= count else None


async def _find_lead(access: Access, store: MessageStore) -> timedelta:
    """Return the longest time by which a last message is later than its conversation's change.

    Imports of earlier versions stored such ones. As none is stored any more, it never rises.
    """
    if (kept := store.leads.get(access.owner_id)) is not None:
        return kept
    pipeline: list[Raw] = [
        {"$match": Conversation.owned_with_trash_by(access)},
        # The order of the index, so that MongoDB takes that one.
        {"$sort": dict(Sort.UPDATED.order)},
        {"$project": {"_id": False, "lead": {"$subtract": [f"${AT}", "$updated_at"]}}},
        {"$group": {"_id": None, "longest": {"$max": "$lead"}}},
    ]
    found = await Conversation.get_pymongo_collection().aggregate(pipeline)
    longest = max([0, *[each["longest"] or 0 async for each in found]])
    store.leads[access.owner_id] = lead = timedelta(milliseconds=longest)
    return lead


async def list_all(
    query: Raw, after: Position | None, *, limit: int, offset: int, hint: str | None
) -> list[ObjectId]:
    """Return the ids of a page, from the entries of all conversations of the list.

    Args:
        query: for all conversations of the list.
        after: the position; with None, the page is at the offset.
        limit: how many.
        offset: of the page.
        hint: the index; None for the one that MongoDB chooses.
    """
    if after is None:
        every = conversations().find(query, SHOWN, hint=hint).sort(Sort.LAST_MESSAGE.order)
        return [each["_id"] for each in await every.skip(offset).limit(limit).to_list()]
    pipeline: list[Raw] = [
        {"$match": query},
        # In a filter, MongoDB would look up each time in the index: three times as long.
        {"$project": {"_id": True, "at": {"$ifNull": [f"${AT}", NEVER]}}},
        {"$match": after.to_raw("at")},
        {"$sort": {"at": DESCENDING, "_id": DESCENDING}},
        {"$limit": limit},
    ]
    chosen: Raw = {} if hint is None else {"hint": hint}
    found = await conversations().aggregate(pipeline, **chosen)
    return [each["_id"] for each in await found.to_list()]
