"""The numbers of conversations with each tag, kept by the changes of conversations.

A change of tags writes its counts in its own transaction. All are counted when a user's tags are
first asked for, as earlier versions kept none; until then the counts may lack conversations, and
nobody reads them. A day later they are counted again, in case that a process of an earlier version
changed tags beside this one.
"""

import contextlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar

from beanie import Document
from pymongo import DESCENDING, DeleteOne, IndexModel, UpdateOne
from pymongo.asynchronous.client_session import AsyncClientSession

from chatvault.access import Access
from chatvault.content import Content
from chatvault.conversations.models import TRASHED, Conversation
from chatvault.errors import Busy
from chatvault.fields import Id, Raw, now
from chatvault.mongodb.database import transaction
from chatvault.owned import Owned

# In the place of the tag in the document that says that a user's tags are counted; no tag is empty.
NO_TAG = ""
# The attempts to count between the changes of others, before the tags are counted for one answer.
ATTEMPTS = 2
COUNT_AGAIN = timedelta(days=1)
# The counts of more tags are not kept: to count them would be one large transaction.
MOST_KEPT = 10_000


class TagCount(Owned, Document):
    """The number of a user's conversations with a tag, those in the trash left out.

    Attributes:
        counted_at: when all tags of the user were last counted; only where the tag is empty. Its
            number is 0 there, or that of tags if there are too many.
    """

    user_id: Id
    tag: str
    conversations: int
    counted_at: datetime | None = None

    holds: ClassVar = Content(plain=("tag",))

    class Settings:
        """Beanie's."""

        name = "tag_counts"
        indexes: ClassVar = [
            IndexModel([("user_id", 1), ("tag", 1)], unique=True, name="tag_of_user")
        ]


def counted_tags(fields: Mapping[str, Any] | None) -> set[str]:
    """Return the tags for which a conversation counts: its own, and none in the trash."""
    if fields is None or fields.get("status") == TRASHED:
        return set()
    return set(fields["tags"])


def tag_writes(
    changes: Iterable[tuple[Access, set[str], set[str]]],
) -> list[UpdateOne | DeleteOne]:
    """Return what is written beside changes of conversations' tags.

    Args:
        changes: of each conversation the access, and its counted tags before and after.
    """
    changed: Counter[tuple[Access, str]] = Counter()
    for access, before, after in changes:
        changed.update((access, tag) for tag in after - before)
        changed.subtract((access, tag) for tag in before - after)
    writes: list[UpdateOne | DeleteOne] = []
    for (access, tag), number in changed.items():
        its = TagCount.owned_by(access, tag=tag)
        if number:
            writes.append(UpdateOne(its, {"$inc": {"conversations": number}}, upsert=True))
        if number < 0:
            writes.append(DeleteOne({**its, "conversations": 0}))
    return writes


async def list_tags(access: Access, limit: int) -> list[Raw]:
    """Return tags with the numbers of their conversations, the most used ones first."""
    found = await _find_or_count(access, limit)
    return await _read(access, limit) if found is None else found


async def find_counts(access: Access, tags: Sequence[str]) -> dict[str, int] | None:
    """Return how many conversations have each of some tags; None if that cannot be told soon."""
    found = await _find_or_count(access, len(tags), tag={"$in": [NO_TAG, *tags]})
    if found is None:
        return None
    return dict.fromkeys(tags, 0) | {each["tag"]: each["conversations"] for each in found}


async def _find_or_count(access: Access, limit: int, **which: Any) -> list[Raw] | None:
    """Return the kept counts; None if there are too many, or others changed them meanwhile."""
    found = await _find(access, limit, **which)
    if _is_due(found):
        with contextlib.suppress(Busy):
            await transaction(lambda session: _count(access, session), attempts=ATTEMPTS)
            found = await _find(access, limit, **which)
    return None if _is_due(found) or found[0]["conversations"] > MOST_KEPT else found[1:]


async def _find(access: Access, limit: int, **which: Any) -> list[Raw]:
    """Return the document that says that the tags are counted, if there is one, and counts."""
    shown = {"_id": False, "tag": True, "conversations": True, "counted_at": True}
    # The document that says that they are counted comes first.
    order = [("counted_at", DESCENDING), ("conversations", DESCENDING), ("tag", 1)]
    kept = TagCount.get_pymongo_collection().find(TagCount.owned_by(access, **which), shown)
    return await kept.sort(order).limit(limit + 1).to_list()


def _is_due(found: Sequence[Raw]) -> bool:
    """Whether the user's tags were not counted yet, or long ago."""
    counted_at = found[0].get("counted_at") if found else None
    return counted_at is None or counted_at <= now() - COUNT_AGAIN


async def _count(access: Access, session: AsyncClientSession) -> None:
    """Count all tags of a user; a change of them at the same time conflicts."""
    collection = TagCount.get_pymongo_collection()
    its = TagCount.owned_by(access)
    found = await _read(access, MOST_KEPT + 1, session)
    mark = {**its, "tag": NO_TAG}
    if len(found) > MOST_KEPT:
        told = {"$set": {"conversations": len(found), "counted_at": now()}}
        await collection.update_one(mark, told, upsert=True, session=session)
        return
    await collection.delete_many(its, session=session)
    mark |= {"conversations": 0, "counted_at": now()}
    await collection.insert_many([mark, *({**its, **each} for each in found)], session=session)


async def _read(access: Access, limit: int, session: AsyncClientSession | None = None) -> list[Raw]:
    """Count the tags of all conversations; return those that are listed first."""
    # Conversations without tags are not in the index of tags.
    tagged = Conversation.owned_by(access, tags={"$type": "string"})
    pipeline: list[Raw] = [
        {"$match": tagged},
        {"$project": {"_id": False, "tags": {"$setUnion": ["$tags"]}}},
        {"$unwind": "$tags"},
        {"$group": {"_id": "$tags", "conversations": {"$sum": 1}}},
        {"$sort": {"conversations": DESCENDING, "_id": 1}},
        {"$limit": limit},
        {"$project": {"_id": False, "tag": "$_id", "conversations": True}},
    ]
    found = await Conversation.get_pymongo_collection().aggregate(pipeline, session=session)
    return await found.to_list()
