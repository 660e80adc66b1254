"""Lists of conversations by any condition and order, without their messages.

The plain list by the last change is `MessageStore.list_conversations`, which shares queries.
"""

import unicodedata

from bson import ObjectId
from pymongo import ASCENDING

from chatvault.access import Access
from chatvault.conversations.lists.filters import BY_LETTERS, Filter, Position, Sort
from chatvault.conversations.lists.indexes import choose_index, is_covered
from chatvault.conversations.lists.last_message import list_all, list_newest
from chatvault.conversations.models import BY_ID, Conversation
from chatvault.conversations.newest import conversations
from chatvault.conversations.shapes import LISTED_FIELDS, ConversationDoc
from chatvault.conversations.store import MessageStore
from chatvault.errors import InvalidInput
from chatvault.fields import Raw

# Sealed titles are read and sorted here, up to this number.
MOST_TITLES = 10_000
WITHOUT_MESSAGES = dict.fromkeys(LISTED_FIELDS, True)


class TooManyToSort(InvalidInput):
    """Titles are sealed, and yours are too many to be sorted; list them in another order."""

    code = "too_many_to_sort"


def _query(access: Access, wanted: Filter, after: Position | None) -> Raw:
    raw = wanted.to_raw()
    which = (
        Conversation.trashed_by(access, **raw)
        if wanted.in_trash
        else Conversation.owned_by(access, **raw)
    )
    # Apart from the condition, which may be about the same field.
    return which if after is None else {**which, "$and": [after.to_raw()]}


async def list_ordered(
    access: Access,
    store: MessageStore,
    wanted: Filter,
    sort: Sort,
    *,
    limit: int,
    offset: int = 0,
    after: Position | None = None,
) -> list[ConversationDoc]:
    """Return documents without messages, in order, from an offset or after a position.

    Raises:
        TooManyToSort: sealed titles are to be sorted, and they are too many.
    """
    page = {"limit": limit, "offset": offset}
    if sort is Sort.TITLE and store.codec.reads_sealed:
        return await _list_by_sealed_title(access, store, wanted, after=after, **page)
    if sort is Sort.LAST_MESSAGE:
        found = await _list_by_last_message(access, store, wanted, after=after, **page)
    else:
        found = await _list_by_index(access, wanted, sort, after=after, **page)
    return await store.open_conversations(found)


async def _list_by_index(
    access: Access,
    wanted: Filter,
    sort: Sort,
    *,
    limit: int,
    offset: int,
    after: Position | None,
) -> list[ConversationDoc]:
    shown = {**WITHOUT_MESSAGES, "deleted_at": True} if wanted.in_trash else WITHOUT_MESSAGES
    wanted, hint = await choose_index(access, wanted, sort)
    query = _query(access, wanted, after)
    if sort is Sort.TITLE and hint == Conversation.BY_TAG:
        # A collation has no use of the index of tags.
        tagged = await conversations().find(query, {"_id": True}, hint=hint).to_list()
        query, hint = {**query, "_id": {"$in": [each["_id"] for each in tagged]}}, BY_ID
    found = conversations().find(query, shown, hint=hint)
    if sort is Sort.TITLE:
        found = found.collation(BY_LETTERS)
    return await found.sort(sort.order).skip(offset).limit(limit).to_list()


async def _list_by_last_message(
    access: Access,
    store: MessageStore,
    wanted: Filter,
    *,
    limit: int,
    offset: int,
    after: Position | None,
) -> list[ConversationDoc]:
    """Return documents by their last message: first their ids, from an index, then themselves."""
    wanted, hint = await choose_index(access, wanted, Sort.LAST_MESSAGE)
    query, ids = _query(access, wanted, None), None
    if hint is None:
        hint = Conversation.BY_CHANGE if wanted.is_plain or is_covered(wanted) else None
        if wanted.is_in_most_times:
            ids = await list_newest(access, store, query, after, offset + limit, hint)
    if ids is None:
        ids = await list_all(query, after, limit=limit, offset=offset, hint=hint)
    else:
        ids = ids[offset:]
    return await _in_order(access, ids)


async def _in_order(access: Access, ids: list[ObjectId]) -> list[ConversationDoc]:
    """Return the documents with these ids, without messages, in this order."""
    query = Conversation.owned_by(access, _id={"$in": ids})
    found = await conversations().find(query, WITHOUT_MESSAGES).to_list()
    by_id = {each["_id"]: each for each in found}
    return [by_id[each] for each in ids if each in by_id]


async def _list_by_sealed_title(
    access: Access,
    store: MessageStore,
    wanted: Filter,
    *,
    limit: int,
    offset: int,
    after: Position | None,
) -> list[ConversationDoc]:
    """Return documents by their titles, which only this process can read, and sorts.

    Raises:
        TooManyToSort: there are too many.
    """
    query = _query(access, wanted, None)
    shown = {"user_id": True, "title": True}
    found = await conversations().find(query, shown).limit(MOST_TITLES + 1).to_list()
    if len(found) > MOST_TITLES:
        raise TooManyToSort
    titles = await store.open_conversations(found)
    keys = sorted((letters_of(each["title"]), each["_id"]) for each in titles)
    if after is not None:
        end = letters_of(str(after.value)), after.last_id
        keys = [each for each in keys if each > end]
    ids = [each for _, each in keys[offset : offset + limit]]
    return await store.open_conversations(await _in_order(access, ids))


def letters_of(title: str) -> tuple[str, str, str]:
    """Return what titles are sorted by: letters, then accents, then small letters first.

    It is nearly the order of MongoDB's collation of English.
    """
    parted = unicodedata.normalize("NFKD", title)
    folded = parted.casefold()
    base = "".join(char for char in folded if not unicodedata.combining(char))
    return base, folded, parted.swapcase()


async def count_matching(access: Access, wanted: Filter) -> int:
    """Count the conversations that a list has on all its pages."""
    hint: Raw = {"hint": Conversation.IN_TRASH} if wanted.in_trash else {}
    return await conversations().count_documents(_query(access, wanted, None), **hint)


async def find_in_order(
    access: Access, store: MessageStore, which: Raw, field: str, limit: int
) -> list[ConversationDoc]:
    """Return documents without messages that meet a condition, by a time, the oldest first."""
    shown = {**WITHOUT_MESSAGES, field: True}
    found = conversations().find(Conversation.owned_by(access, **which), shown)
    found = found.sort([(field, ASCENDING), ("_id", ASCENDING)]).limit(limit)
    return await store.open_conversations(await found.to_list())
