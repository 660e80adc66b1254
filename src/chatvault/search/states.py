"""The state of an index: the messages of each conversation that it has."""

import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, NamedTuple, Self

from bson import ObjectId

from chatvault.conversations.shapes import ConversationDoc
from chatvault.search.terms import Words

_ROW: Final = struct.Struct(">12s12sQQQ")
# What is read of a conversation to know whether the index has it, and whether it is filtered out.
HEAD_FIELDS: Final = (
    *("user_id", "title", "tags", "status", "agent_id", "category_id", "generation", "first_seq"),
    *("next_seq", "edits", "updated_at"),
)


class State(NamedTuple):
    """The messages of a conversation that an index has.

    Attributes:
        generation: that of the messages; `PUT messages` makes a new one.
        first_seq: the place of the first message.
        next_seq: the place after the last one.
        edits: how often a message had been edited, replaced or removed.
    """

    generation: ObjectId
    first_seq: int
    next_seq: int
    edits: int


@dataclass(slots=True)
class Head:
    """A conversation as far as searching needs to know it.

    Attributes:
        state: how far an index with all its messages would be.
        updated_at: in milliseconds.
    """

    state: State
    title: str
    tags: frozenset[str]
    status: str
    agent_id: ObjectId | None
    category_id: ObjectId | None
    updated_at: int
    _words: Words | None = None

    @classmethod
    def of(cls, fields: ConversationDoc) -> Self:
        """Return it from a conversation's document without messages."""
        return cls(
            state=State(
                fields["generation"],
                fields["first_seq"],
                fields["next_seq"],
                fields.get("edits", 0),
            ),
            title=fields["title"],
            tags=frozenset(fields["tags"]),
            status=fields["status"],
            agent_id=fields.get("agent_id"),
            category_id=fields.get("category_id"),
            updated_at=to_milliseconds(fields["updated_at"]),
        )

    @property
    def title_words(self) -> Words:
        """The words of the title."""
        if self._words is None:
            self._words = Words.of(self.title)
        return self._words


def missing(indexed: State | None, now: State) -> range:
    """Return the places of the messages that an index does not have as they are."""
    if indexed is None or is_outdated(indexed, now):
        return range(now.first_seq, now.next_seq)
    return range(indexed.next_seq, now.next_seq)


def is_outdated(indexed: State, now: State) -> bool:
    """Whether messages that an index has were edited, replaced or removed since."""
    known = (indexed.generation, indexed.first_seq, indexed.edits)
    return known != (now.generation, now.first_seq, now.edits)


def pack(states: Mapping[ObjectId, State]) -> bytes:
    """Return states as bytes."""
    return zlib.compress(
        b"".join(
            _ROW.pack(each.binary, state[0].binary, *state[1:]) for each, state in states.items()
        ),
        1,
    )


def unpack(data: bytes) -> dict[ObjectId, State]:
    """Return states from bytes.

    Raises:
        ValueError: they are none.
    """
    try:
        rows = _ROW.iter_unpack(zlib.decompress(data))
        return {
            ObjectId(each): State(ObjectId(generation), first, after, edits)
            for each, generation, first, after, edits in rows
        }
    except (zlib.error, struct.error) as error:
        raise ValueError("not the states of an index") from error


def to_milliseconds(at: datetime) -> int:
    """Return a time as milliseconds; one without zone is UTC."""
    return round((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)
