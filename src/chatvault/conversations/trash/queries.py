"""Queries for conversations in the trash, which no other query returns, and the check for one."""

from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple, cast

from bson import ObjectId
from pymongo import ASCENDING
from pymongo.asynchronous.client_session import AsyncClientSession

from chatvault.access import Access
from chatvault.conversations.models import BY_ID, Conversation
from chatvault.conversations.shapes import ConversationDoc
from chatvault.errors import NotFound
from chatvault.fields import Raw


class Trashed(NamedTuple):
    """A conversation in somebody's trash."""

    deleted_at: datetime
    id: ObjectId
    owner_id: ObjectId


async def check_not_gone(
    access: Access, conversation_id: ObjectId, what: str = "Conversation"
) -> None:
    """Check that an owner has a conversation, before something beside it (`what`) is read.

    Raises:
        NotFound: there is none, or it is in the trash.
    """
    query = Conversation.owned_by(access, _id=conversation_id)
    found = await Conversation.get_pymongo_collection().find_one(query, {"_id": True}, hint=BY_ID)
    if found is None:
        raise NotFound(f"{what} not found")


async def is_stored(access: Access, conversation_id: ObjectId, session: AsyncClientSession) -> bool:
    """Whether an owner has a conversation, in the trash or elsewhere."""
    query = Conversation.owned_with_trash_by(access, _id=conversation_id)
    found = await Conversation.get_pymongo_collection().find_one(
        query, {"_id": True}, hint=BY_ID, session=session
    )
    return found is not None


async def list_with_trash(
    access: Access, conversation_id: ObjectId | None, after: ObjectId | None, limit: int
) -> list[ObjectId]:
    """Return a page of the ids of an owner's conversations, in the trash or elsewhere, in order.

    Args:
        access: to the owner's data.
        conversation_id: the only one to return, if there is it; None for all.
        after: the last one of the page before.
        limit: the most of a page.
    """
    conditions: Raw = {} if conversation_id is None else {"$eq": conversation_id}
    if after is not None:
        conditions["$gt"] = after
    which = {"_id": conditions} if conditions else {}
    # The ids are read from the index alone.
    found = Conversation.get_pymongo_collection().find(
        Conversation.owned_with_trash_by(access, **which),
        {"_id": True},
        hint=Conversation.BY_CHANGE,
    )
    return [each["_id"] async for each in found.sort("_id", 1).limit(limit)]


async def find_trashed(access: Access, conversation_id: ObjectId) -> ConversationDoc | None:
    """Return what a restored conversation may have to lose, or None if it is not in the trash."""
    found = await Conversation.get_pymongo_collection().find_one(
        Conversation.trashed_by(access, _id=conversation_id),
        {"trashed_source": True, "category_id": True},
    )
    return cast("ConversationDoc | None", found)


async def list_trashed(
    access: Access, limit: int = 0, *, without: Collection[ObjectId] = ()
) -> list[ObjectId]:
    """Return the ids of the conversations in an owner's trash, all of them or up to a number."""
    which: Raw = {"_id": {"$nin": [*without]}} if without else {}
    found = Conversation.get_pymongo_collection().find(
        Conversation.trashed_by(access, **which), {"_id": True}, hint=Conversation.IN_TRASH
    )
    return [each["_id"] async for each in found.limit(limit)]


async def list_due(cutoff: datetime, after: Trashed | None, limit: int) -> list[Trashed]:
    """Return what lies in anybody's trash since a time or longer, the oldest first.

    Args:
        cutoff: the time.
        after: the last one of the page before.
        limit: the most of a page.
    """
    # Many may have been put there at the same time: the ids decide between them.
    since: Raw = {"$type": "date", "$lte": cutoff}
    beyond: list[Raw] = []
    if after is not None:
        since["$gte"] = after.deleted_at
        beyond = [{"deleted_at": {"$gt": after.deleted_at}}, {"_id": {"$gt": after.id}}]
    query: Raw = {"deleted_at": since} | ({"$or": beyond} if beyond else {})
    found = Conversation.get_pymongo_collection().find(query, {"user_id": True, "deleted_at": True})
    page = found.sort([("deleted_at", ASCENDING), ("_id", ASCENDING)]).limit(limit)
    due = await page.to_list()
    return [Trashed(each["deleted_at"], each["_id"], each["user_id"]) for each in due]


def _query(access: Access, since: datetime) -> Raw:
    return Conversation.owned_by(access, updated_at={"$lt": since}, pinned_at=None)


async def list_untouched(access: Access, since: datetime, limit: int) -> list[ObjectId]:
    """Return an owner's conversations that are not pinned and were not changed since a time.

    Those that were left the longest come first.
    """
    found = Conversation.get_pymongo_collection().find(
        _query(access, since), {"_id": True}, hint=Conversation.BY_CHANGE
    )
    page = found.sort([("updated_at", ASCENDING), ("_id", ASCENDING)]).limit(limit)
    return [each["_id"] for each in await page.to_list()]


async def count_untouched(access: Access, since: datetime) -> int:
    """Count an owner's conversations that are not pinned and were not changed since a time."""
    return await Conversation.get_pymongo_collection().count_documents(
        _query(access, since), hint=Conversation.BY_CHANGE
    )
