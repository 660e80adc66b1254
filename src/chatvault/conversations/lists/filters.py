"""The conditions and the order of a list of conversations, and positions in it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Literal, NamedTuple

from bson import ObjectId
from bson.errors import InvalidId
from pymongo import ASCENDING, DESCENDING

from chatvault.conversations.models import TRASHED, Status
from chatvault.conversations.shapes import ConversationDoc
from chatvault.cursors import (
    Cursor,
    decode_cursor,
    decode_name_cursor,
    encode_cursor,
    encode_name_cursor,
)
from chatvault.cursors import not_ours as not_a_cursor
from chatvault.fields import Raw

# An order by letters as people know it; strings that differ in anything are not equal in it.
BY_LETTERS = {"locale": "en"}
NONE_YET = "-"
# In the place of the time of the last message, where there is none.
NEVER = datetime.min.replace(tzinfo=UTC)


class Sort(StrEnum):
    """The order of a list: by time the newest first, by title from A to Z.

    `deleted` is the one of the trash, and of nothing else.
    """

    UPDATED = "updated"
    CREATED = "created"
    LAST_MESSAGE = "last_message"
    TITLE = "title"
    DELETED = "deleted"

    @property
    def field(self) -> str:
        """The stored field."""
        return FIELDS[self]

    @property
    def direction(self) -> int:
        """That of MongoDB's sort; ids, which decide between equals, have the same."""
        return ASCENDING if self is Sort.TITLE else DESCENDING

    @property
    def order(self) -> list[tuple[str, int]]:
        """MongoDB's sort."""
        return [(self.field, self.direction), ("_id", self.direction)]


FIELDS = {
    Sort.UPDATED: "updated_at",
    Sort.CREATED: "created_at",
    Sort.LAST_MESSAGE: "last_message_at",
    Sort.TITLE: "title",
    Sort.DELETED: "deleted_at",
}


class Position(NamedTuple):
    """The end of a page of a list.

    Attributes:
        sort: the order of the list.
        value: the last conversation's time or title; None without messages.
        last_id: its id.
    """

    sort: Sort
    value: datetime | str | None
    last_id: ObjectId

    @property
    def time_and_id(self) -> Cursor:
        """The position in a list by a time.

        Raises:
            PydanticCustomError: the list is in another order.
        """
        if not isinstance(self.value, datetime):
            raise not_a_cursor()
        return self.value, self.last_id

    @classmethod
    def after(cls, sort: Sort, last: ConversationDoc) -> "Position":
        """Return the position after a conversation."""
        fields: Raw = {**last}
        return cls(sort, fields.get(sort.field), last["_id"])

    def encode(self) -> str:
        """Return it as opaque text; by the last change, as all versions know it."""
        if isinstance(self.value, datetime):
            at = encode_cursor(self.value, self.last_id)
            return at if self.sort is Sort.UPDATED else encode_name_cursor(f"{self.sort}:{at}")
        value = NONE_YET if self.value is None else self.value
        return encode_name_cursor(f"{self.sort}:{value}:{self.last_id}")

    @classmethod
    def decode(cls, text: object) -> "Position":
        """Read the opaque text.

        Raises:
            PydanticCustomError: the text is not a cursor.
        """
        name = decode_name_cursor(text) or ""
        kind, _, rest = name.partition(":")
        if kind not in {*Sort} - {Sort.UPDATED}:
            return cls(Sort.UPDATED, *_decode_time(text))
        if kind == Sort.TITLE or rest.startswith(NONE_YET):
            value, _, last_id = rest.rpartition(":")
            try:
                found = ObjectId(last_id)
            except InvalidId:
                raise not_a_cursor() from None
            return cls(Sort(kind), value if kind == Sort.TITLE else None, found)
        return cls(Sort(kind), *_decode_time(rest))

    def to_raw(self, field: str | None = None) -> Raw:
        """Return the filter for what comes after it.

        Args:
            field: has the time, with NEVER for none, instead of the stored field.
        """
        name, before = field or self.sort.field, "$gt" if self.sort is Sort.TITLE else "$lt"
        value = NEVER if self.value is None else self.value
        beyond: list[Raw] = [{name: {before: value}}, {"_id": {before: self.last_id}}]
        return {name: {f"{before}e": value}, "$or": beyond}


def _decode_time(text: object) -> tuple[datetime, ObjectId]:
    found = decode_cursor(text)
    if found is None:
        raise not_a_cursor()
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Conditions on conversations; those that are given all hold.

    Attributes:
        in_trash: in the trash; else not there.
        agent_id: as stored, in a tuple, as None is the built-in agent.
        tags: each of them.
        any_tags: at least one of them.
        category_ids: one of these categories; empty for none at all.
        pinned: whether they are pinned.
        attached: the ids of all conversations with attachments, and whether those are wanted.
        created: from the first time to before the second.
        updated: the same of the last change.
    """

    in_trash: bool = False
    status: Status | None = None
    agent_id: tuple[ObjectId | None] | None = None
    tags: tuple[str, ...] = ()
    any_tags: tuple[str, ...] = ()
    category_ids: tuple[ObjectId, ...] | None = None
    pinned: bool | None = None
    attached: tuple[Sequence[ObjectId], bool] | None = None
    created: tuple[datetime | None, datetime | None] = (None, None)
    updated: tuple[datetime | None, datetime | None] = (None, None)

    @property
    def is_plain(self) -> bool:
        """Whether the index of the list by the last change has all that is asked."""
        return self == Filter(status=self.status, agent_id=self.agent_id)

    @property
    def is_in_most_times(self) -> bool:
        """Whether conversations that fit are among those of most times, if there are many."""
        anywhere = Filter(
            status=self.status,
            agent_id=self.agent_id,
            tags=self.tags,
            any_tags=self.any_tags,
            category_ids=self.category_ids,
        )
        return self == anywhere

    def to_raw(self) -> Raw:
        """Return MongoDB's filter; conditions of partial indexes are repeated in it."""
        which: Raw = {}
        if self.in_trash:
            which["status"] = TRASHED
        elif self.status is not None:
            which["status"] = self.status.value
        if self.agent_id is not None:
            which["agent_id"] = self.agent_id[0]
        if self.tags or self.any_tags:
            which["tags"] = self._tags()
        if self.category_ids is not None:
            some: Raw = {"$in": [*self.category_ids], "$type": "objectId"}
            which["category_id"] = some if self.category_ids else None
        if self.pinned is not None:
            which["pinned_at"] = {"$type": "date"} if self.pinned else None
        if self.attached is not None:
            ids, wanted = self.attached
            which["_id"] = {"$in" if wanted else "$nin": [*ids]}
        times = {"created_at": _bounds(*self.created), "updated_at": _bounds(*self.updated)}
        return which | {field: bounds for field, bounds in times.items() if bounds}

    def _tags(self) -> Raw:
        conditions: Raw = {"$type": "string"}
        if self.tags:
            conditions["$all"] = [*self.tags]
        if self.any_tags:
            conditions["$in"] = [*self.any_tags]
        return conditions


@dataclass(frozen=True, slots=True)
class Selection:
    """Conditions on conversations as they are asked for.

    Attributes:
        which: those that need no look at other documents.
        category: the category, with those within it, or `none`.
        has_attachments: whether they have any.
    """

    which: Filter = Filter()
    category: ObjectId | Literal["none"] | None = None
    has_attachments: bool | None = None


def _bounds(start: datetime | None, end: datetime | None) -> dict[str, Any]:
    given = {"$gte": start, "$lt": end}
    return {name: at.astimezone(UTC) for name, at in given.items() if at is not None}
