"""List the conversations that changed or were deleted since a time, the oldest change first.

A conversation that changes again comes again, further on; so a walk over the pages misses nothing.
"""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from bson import ObjectId

from chatvault.access import Access
from chatvault.conversations.lists.ordered import find_in_order
from chatvault.conversations.shapes import ConversationDoc
from chatvault.conversations.store import MessageStore
from chatvault.conversations.tombstones import Tombstone
from chatvault.cursors import decode_cursor, decode_name_cursor, encode_cursor, encode_name_cursor
from chatvault.cursors import not_ours as not_a_cursor
from chatvault.fields import Raw

KIND = "since:"


@dataclass(frozen=True, slots=True)
class Since:
    """The beginning of a page of changes.

    Attributes:
        at: the time; changes at this time are in the list.
        after_id: of those, only the ones of conversations with higher ids.
    """

    at: datetime
    after_id: ObjectId | None = None

    def encode(self) -> str:
        """Return it as opaque text, after the change that has this time and id."""
        if self.after_id is None:
            raise not_a_cursor()
        return encode_name_cursor(KIND + encode_cursor(self.at, self.after_id))

    @classmethod
    def decode(cls, text: object) -> Self:
        """Read the opaque text.

        Raises:
            PydanticCustomError: the text is not a cursor of a list of changes.
        """
        name = decode_name_cursor(text) or ""
        found = decode_cursor(name.removeprefix(KIND)) if name.startswith(KIND) else None
        if found is None:
            raise not_a_cursor()
        return cls(*found)

    def to_raw(self, field: str, id_field: str = "_id") -> Raw:
        """Return the filter for changes from here on, by the fields with their time and id."""
        if self.after_id is None:
            return {field: {"$gte": self.at}}
        beyond: list[Raw] = [{field: {"$gt": self.at}}, {id_field: {"$gt": self.after_id}}]
        return {field: {"$gte": self.at}, "$or": beyond}


@dataclass(frozen=True, slots=True)
class Changed:
    """A conversation that changed or was deleted.

    Attributes:
        at: when.
        document: the conversation without messages; None if it was deleted.
    """

    at: datetime
    id: ObjectId
    document: ConversationDoc | None


async def list_changed(
    access: Access, store: MessageStore, since: Since, limit: int
) -> tuple[list[Changed], Since | None]:
    """Return what changed, each conversation once, and where the next page begins, if there is one.

    What an import stored counts from the time at which it was stored.
    """
    arrived = since.to_raw("arrived_at")
    arrived["arrived_at"]["$type"] = "date"
    updated, stored, deleted = await asyncio.gather(
        find_in_order(access, store, since.to_raw("updated_at"), "updated_at", limit),
        find_in_order(access, store, arrived, "arrived_at", limit),
        Tombstone.list_after(access, since.to_raw("at", "conversation_id"), limit),
    )
    found = [Changed(_utc(each["updated_at"]), each["_id"], each) for each in updated]
    found += [Changed(_utc(each["arrived_at"]), each["_id"], each) for each in stored]
    found += [Changed(_utc(each["at"]), each["conversation_id"], None) for each in deleted]
    found.sort(key=lambda each: (each.at, each.id))
    page = found[:limit]
    once = {each.id: each for each in page}
    has_more = len(found) >= limit
    following = Since(page[-1].at, page[-1].id) if has_more else None
    return sorted(once.values(), key=lambda each: (each.at, each.id)), following


def _utc(at: datetime) -> datetime:
    return at if at.tzinfo else at.replace(tzinfo=UTC)
