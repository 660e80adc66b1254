"""The knowledge of a process about a user whose messages are searched."""

import asyncio
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from bson import ObjectId

from chatvault.access import Access
from chatvault.search.index import Reader
from chatvault.search.opened import OpenIndex
from chatvault.search.states import Head, State, is_outdated, missing
from chatvault.search.terms import Words


@dataclass(frozen=True, slots=True)
class Unit:
    """A message that the index does not have yet.

    Attributes:
        conversation: the conversation's id, as text.
        at: its time, in milliseconds.
    """

    conversation: str
    seq: int
    at: int
    role: str
    words: Words


@dataclass(frozen=True, slots=True)
class Waiting:
    """Messages of one conversation that the index does not have yet.

    Attributes:
        state: the conversation's, when they were read.
        wanted: their places.
        places: those of them that were read, from the first on.
    """

    state: State
    wanted: range
    places: range
    units: list[Unit]

    @property
    def characters(self) -> int:
        """The number of characters that are kept."""
        return sum(len(each.words.joined) for each in self.units)


@dataclass(slots=True)
class Known:
    """The knowledge of a process about a user whose messages are searched.

    Attributes:
        heads: of all conversations, by id; never changed, but exchanged; None until they are read.
        stale: the conversations that changed since.
        opened: the index, if there is one.
        missing: the places that the index does not have, by conversation.
        newest_first: those conversations, newest change first.
        waiting: the messages there, as far as they were read.
        is_outdated: the index has messages that were changed or are gone.
        used_at: by the monotonic clock.
        update: brings the index up to date, while that is done.
        may_hold_grants: whether others may share conversations with the user.
    """

    access: Access
    heads: dict[ObjectId, Head] | None = None
    stale: set[ObjectId] = field(default_factory=set)
    opened: OpenIndex | None = None
    missing: dict[ObjectId, range] = field(default_factory=dict)
    newest_first: list[ObjectId] = field(default_factory=list)
    waiting: dict[ObjectId, Waiting] = field(default_factory=dict)
    is_outdated: bool = False
    is_purged_later: bool = False
    used_at: float = field(default_factory=time.monotonic)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    update: asyncio.Task[None] | None = None
    may_hold_grants: bool = True

    def forget(self) -> None:
        """Have all conversations looked at again, as changes may have been missed."""
        self.heads = None
        self.may_hold_grants = True

    @property
    def states(self) -> Mapping[ObjectId, State]:
        """The messages that the index has."""
        return self.opened.states if self.opened else {}

    def compare(self, changed: set[ObjectId] | None = None) -> None:
        """Find what the index does not have.

        Args:
            changed: the conversations to look at; None for all.
        """
        heads = self.heads or {}
        if changed is None:
            self.missing = {}
            self.is_outdated = False
        for each in heads.keys() | self.states.keys() if changed is None else changed:
            head, state = heads.get(each), self.states.get(each)
            places = missing(state, head.state) if head else range(0)
            if state is not None:
                self.is_outdated |= head is None or is_outdated(state, head.state)
            if places:
                self.missing[each] = places
            else:
                self.missing.pop(each, None)
        for each in self.waiting.keys() - self.missing.keys():
            del self.waiting[each]
        self.newest_first = sorted(
            self.missing, key=lambda each: heads[each].updated_at, reverse=True
        )

    @property
    def missing_count(self) -> int:
        """The number of messages that the index does not have."""
        return sum(map(len, self.missing.values()))

    @property
    def characters(self) -> int:
        """The number of characters of messages that the index does not have, and that were read."""
        return sum(each.characters for each in self.waiting.values())

    def indexed_of(self, heads: Mapping[ObjectId, Head]) -> float:
        """Return the share of these conversations' messages that a search finds, from 0 to 1."""
        missed = sum(len(places) for each, places in self.missing.items() if each in heads)
        read = sum(len(each.places) for known, each in self.waiting.items() if known in heads)
        unread = max(0, missed - read)
        if not unread:
            return 1.0
        total = sum(each.state.next_seq - each.state.first_seq for each in heads.values())
        return min(0.999, max(0.0, 1 - unread / max(total, 1)))

    def snapshot(self, only: Collection[ObjectId] | None = None) -> "Snapshot":
        """Return what a search looks through, which does not change meanwhile.

        Args:
            only: the conversations that a guest's search looks through; None for all. The index
                has others, too: the search is to name these.
        """
        heads, waiting = self.heads or {}, self.waiting
        if only is not None:
            heads = {each: heads[each] for each in only if each in heads}
            waiting = {each: waiting[each] for each in only if each in waiting}
        units = [unit for each in waiting.values() for unit in each.units]
        reader = self.opened.reader if self.opened else None
        return Snapshot(heads, units, reader, self.indexed_of(heads))

    def close(self) -> None:
        """Give up the index."""
        if self.opened is not None:
            self.opened.close()
            self.opened = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The data that one search looks through.

    Attributes:
        heads: of all conversations.
        units: messages that the index does not have.
        reader: searches the index, if there is one.
        indexed: the share of messages that is searched.
    """

    heads: Mapping[ObjectId, Head]
    units: Sequence[Unit]
    reader: Reader | None
    indexed: float
