"""The sources of one search: one's own conversations, and those that others share.

A shared conversation is searched in its owner's index, whose words are sealed with the owner's key
and go with the owner, with a filter on the conversations that are granted. The grants are read at
each search, so nothing is found by one that has ended.
"""

import asyncio
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from bson import ObjectId

from chatvault.access import Access, Guest
from chatvault.actor import Actor, Door
from chatvault.conversations.grants import is_in_force, list_held, to_guest
from chatvault.search.index import Filter
from chatvault.search.known import Known, Snapshot
from chatvault.search.ranking import Ranked, rank
from chatvault.search.searcher import Searcher
from chatvault.search.verifying import Wanted

# The most owners whose shared conversations are searched: each has an index of their own.
MOST_OWNERS: Final = 20


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """The conversations of one owner in a search.

    Attributes:
        access: with which messages are read again.
        looked: what is looked through.
        allowed: the conversations that are searched; None for all.
        guest: the actor as a guest of one of them; None in one's own.
    """

    access: Access
    looked: Snapshot
    allowed: frozenset[str] | None
    guest: Guest | None = None

    def rank(self, wanted: Wanted, most: int, is_exact: bool) -> Ranked:  # noqa: FBT001  # for a thread
        """Return the candidates; it takes processor time only."""
        if self.allowed is not None and not self.allowed:
            return Ranked([], 0, is_cut=False)
        which = Filter(
            conversations=None if self.allowed is None else [*self.allowed],
            role=wanted.role,
            since=wanted.since,
            until=wanted.until,
        )
        return rank(self.looked, wanted.query, which, self.allowed, most, is_exact=is_exact)


def merge(ranked: Sequence[Ranked]) -> Ranked:
    """Return the candidates of several sources, best first.

    Where a source has more candidates, none is kept that fits less than its last: a greater limit
    gives the same candidates first.
    """
    if not ranked[1:]:
        return ranked[0]
    is_cut = any(each.is_cut for each in ranked)
    floors = [each.candidates[-1].score for each in ranked if each.is_cut and each.candidates]
    floor = max(floors, default=float("-inf"))
    every = (each for some in ranked for each in some.candidates if each.score >= floor)
    merged = sorted(every, key=lambda each: -each.score)
    return Ranked(merged, sum(each.count for each in ranked), is_cut)


async def list_sources(
    actor: Actor, searcher: Searcher, known: Known, wanted: Wanted
) -> list[Source]:
    """Return what a search of the actor's looks through, the actor's own first.

    Who has no grants causes no query.

    Raises:
        PyMongoError: the database cannot be reached.
        Unavailable: its changes cannot be followed now.
    """
    looked = known.snapshot()
    sources = [Source(known.access, looked, _allowed(looked, wanted))]
    # The order that owners keep is theirs: it may not be found out by searching.
    asks_order = wanted.tag is not None or wanted.categories is not None
    if known.may_hold_grants and not asks_order:
        # Before it is asked, so that a grant that comes meanwhile is not lost.
        known.may_hold_grants = False
        grants = await list_held(actor)
        known.may_hold_grants = bool(grants)
        by_owner: dict[ObjectId, list[Guest]] = {}
        for grant in filter(is_in_force, grants):
            by_owner.setdefault(grant["owner_id"], []).append(to_guest(actor, grant))
        some = islice(by_owner.values(), MOST_OWNERS)
        sources += await asyncio.gather(*(_shared(searcher, guests, wanted) for guests in some))
    return sources


async def _shared(searcher: Searcher, guests: Sequence[Guest], wanted: Wanted) -> Source:
    """Return the conversations that one owner shares with a guest."""
    access = guests[0].access
    owner = Access.of(Actor(door=Door.BACKGROUND, user_id=access.owner_id))
    known = await searcher.refresh(owner)
    only = _asked({each.conversation_id for each in guests}, wanted)
    looked = known.snapshot(only)
    return Source(access, looked, _fitting(looked, looked.heads, wanted), guests[0])


def _asked(ids: Collection[ObjectId], wanted: Wanted) -> list[ObjectId]:
    asked = wanted.conversation_id
    if asked is None:
        return [*ids]
    return [asked] if asked in ids else []


def _allowed(looked: Snapshot, wanted: Wanted) -> frozenset[str] | None:
    """Return the actor's own conversations that are searched; None for all."""
    if not wanted.has_conversation_filter:
        return None
    return _fitting(looked, _asked(looked.heads.keys(), wanted), wanted)


def _fitting(looked: Snapshot, ids: Iterable[ObjectId], wanted: Wanted) -> frozenset[str]:
    """Return those of these conversations that are searched."""
    heads = ((each, looked.heads[each]) for each in ids)
    return frozenset(
        str(each)
        for each, head in heads
        if wanted.allows(
            tags=head.tags,
            status=head.status,
            agent_id=head.agent_id,
            category_id=head.category_id,
        )
        and (not wanted.query.asks_titles or wanted.query.matches_title(head.title_words))
    )
