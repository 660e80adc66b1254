"""Searching one's own messages, and those that others share."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Final

from bson import ObjectId

from chatvault.access import Access
from chatvault.actor import Actor
from chatvault.audit import service as audit
from chatvault.audit.actions import Action
from chatvault.audit.recorder import Recorder
from chatvault.conversations.categories import list_family
from chatvault.fields import Raw
from chatvault.search.index import Candidate
from chatvault.search.ranking import TITLE_SEQ, Ranked
from chatvault.search.searcher import Searcher
from chatvault.search.sources import Source, list_sources, merge
from chatvault.search.verifying import Place, Verified, Wanted, verify

# The total is exact up to this number.
EXACT: Final = 200
# Beyond that it is estimated by as many as were read for the page, and by these.
SAMPLE: Final = 20
FIRST_LIMIT: Final = 256
# The newest candidates are often of few conversations, and finding them again costs most.
FIRST_BY_TIME: Final = 2048
MORE: Final = 4
# The least share of the sample that fits, so that candidates of an open phrase that only may fit
# are read sooner than found exactly.
LOOSE: Final = 0.15
# Pages end after as many candidates, as each page ranks all those before it again.
MOST_RANKED: Final = FIRST_LIMIT * MORE**4
# Candidates that are read at a time.
AT_ONCE: Final = 50
# Hits of one conversation in a result.
HITS: Final = 5


@dataclass(frozen=True, slots=True)
class Hit:
    """A message, or a title, that was found.

    Attributes:
        source: where, if another user shares the conversation; None in one's own.
    """

    candidate: Candidate
    verified: Verified
    source: Source | None = None

    @property
    def owner_id(self) -> ObjectId | None:
        """The owner of its conversation, if another user shares it."""
        return None if self.source is None else self.source.access.owner_id

    @property
    def is_title(self) -> bool:
        """Whether it is the conversation's title."""
        return self.candidate.seq == TITLE_SEQ


@dataclass(frozen=True, slots=True)
class Result:
    """The hits of one conversation, best first; one may be its title."""

    hits: list[Hit]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The outcome of a search.

    Attributes:
        results: conversations, best first.
        total: how many messages and titles fit.
        about: whether the total is an estimate.
        indexed: the share of messages that was searched.
        next_offset: where the next page begins; None at the end.
        took_ms: how long it took.
    """

    results: list[Result]
    total: int
    about: bool
    indexed: float
    next_offset: int | None
    took_ms: float


@dataclass(slots=True)
class _Checked:
    """Candidates that were read again.

    Attributes:
        seen: all of them.
        verified: those that fit.
    """

    seen: set[Place] = field(default_factory=set)
    verified: dict[Place, Verified] = field(default_factory=dict)


async def search(
    actor: Actor,
    searcher: Searcher,
    recorder: Recorder,
    *,
    wanted: Wanted,
    limit: int,
    offset: int = 0,
    category: ObjectId | None = None,
) -> Answer:
    """Return the conversations with the messages that fit best.

    Args:
        actor: whose messages are searched.
        searcher: knows their index.
        recorder: takes the audit entry, which has no words.
        wanted: what is searched for.
        limit: at most that many conversations; of one conversation, that many messages.
        offset: how many were shown on the pages before.
        category: only conversations in this category or in one within it; None for all.

    Raises:
        Busy: searches of this user, which take turns, took too long.
    """
    began = time.perf_counter()
    access = Access.of(actor)
    if category is not None:
        wanted = replace(wanted, categories=await list_family(access, category))
    async with searcher.turns.take(access.owner_id):
        known = await searcher.refresh(access)
        sources = await list_sources(actor, searcher, known, wanted)
        found = await _Search(searcher, sources, wanted).find(limit, offset)
    took = round((time.perf_counter() - began) * 1000, 3)
    details = {"results": len(found.results), "total": found.total}
    entry = audit.entry(actor, Action.CONVERSATION_SEARCH, wanted.conversation_id, details=details)
    await recorder.record(entry)
    for each in _entries_of_owners(sources, found.results):
        await recorder.record(each)
    return Answer(
        results=found.results,
        total=found.total,
        about=found.about,
        indexed=min(each.looked.indexed for each in sources),
        next_offset=found.next_offset,
        took_ms=took,
    )


@dataclass(frozen=True, slots=True)
class _Found:
    results: list[Result]
    total: int
    about: bool
    next_offset: int | None


class _Search:
    """One search: ranks candidates, and reads them again until a page is full."""

    def __init__(self, searcher: Searcher, sources: Sequence[Source], wanted: Wanted) -> None:
        self._store = searcher.store
        self._sources = sources
        # The conversations that others share; all others are the actor's own.
        self._shared = {each: source for source in sources[1:] for each in source.allowed or ()}
        self._wanted = wanted
        self._checked = _Checked()
        self._each_hit = wanted.conversation_id is not None

    async def find(self, limit: int, offset: int) -> _Found:
        most = FIRST_BY_TIME if self._wanted.query.is_by_time else FIRST_LIMIT
        is_exact = not await self._fits_loosely(most)
        while True:
            ranked = await self._rank(most, is_exact)
            about = ranked.count > EXACT
            if not about:
                await self._check(ranked.candidates)
            groups = self._group(ranked.candidates)
            results, after = await self._fill(groups, limit, offset)
            if len(results) >= limit or not ranked.is_cut or most >= MOST_RANKED:
                break
            most *= MORE
        if not about:
            total = len(self._checked.verified)
        else:
            await self._check(ranked.candidates[:SAMPLE])
            share = len(self._checked.verified) / max(1, len(self._checked.seen))
            total = round(ranked.count * share)
        if self._each_hit and results:
            results = [Result([hit for each in results for hit in each.hits])]
        ends = after >= len(groups) and (not ranked.is_cut or most >= MOST_RANKED)
        return _Found(results, total, about, None if ends else after)

    async def _fits_loosely(self, most: int) -> bool:
        """Whether many candidates for an open phrase fit whose last word is anywhere in them.

        The first ones tell, which are the same for each page.
        """
        if not self._wanted.query.has_open_phrase:
            return False
        ranked = await self._rank(most, is_exact=False)
        await self._check(ranked.candidates[:SAMPLE])
        return len(self._checked.verified) >= LOOSE * len(self._checked.seen)

    async def _rank(self, most: int, is_exact: bool) -> Ranked:  # noqa: FBT001  # for a thread
        ranked = [
            await asyncio.to_thread(source.rank, self._wanted, most, is_exact)
            for source in self._sources
        ]
        return merge(ranked)

    def _group(self, candidates: Sequence[Candidate]) -> list[list[Candidate]]:
        """Return candidates by conversation, best first; each alone within one conversation."""
        if self._each_hit:
            return [[each] for each in candidates]
        groups: dict[str, list[Candidate]] = {}
        for each in candidates:
            groups.setdefault(each.conversation, []).append(each)
        return [*groups.values()]

    async def _fill(
        self, groups: Sequence[list[Candidate]], limit: int, offset: int
    ) -> tuple[list[Result], int]:
        """Return that many groups with hits, from an offset on, and the offset of the next."""
        results: list[Result] = []
        while offset < len(groups) and len(results) < limit:
            some = groups[offset : offset + limit - len(results)]
            offset += len(some)
            await self._check([each for group in some for each in group[:HITS]])
            for group in some:
                hits = [*islice(self._hits(group), HITS)]
                if len(hits) < min(HITS, len(group)):
                    # Some of the first do not fit any more; those after them may.
                    await self._check(group)
                    hits = [*islice(self._hits(group), HITS)]
                if hits:
                    results.append(Result(hits))
        return results, offset

    def _hits(self, group: Sequence[Candidate]) -> Iterator[Hit]:
        for each in group:
            if (found := self._checked.verified.get((each.conversation, each.seq))) is not None:
                yield Hit(each, found, self._shared.get(each.conversation))

    async def _check(self, candidates: Sequence[Candidate]) -> None:
        """Read candidates again, if they were not yet."""
        checked = self._checked
        new = [each for each in candidates if (each.conversation, each.seq) not in checked.seen]
        for first in range(0, len(new), AT_ONCE):
            some = new[first : first + AT_ONCE]
            for source, its in self._by_source(some):
                found = await verify(source.access, self._store, self._wanted, its)
                checked.verified |= found
            checked.seen.update((each.conversation, each.seq) for each in some)

    def _by_source(
        self, candidates: Sequence[Candidate]
    ) -> Iterator[tuple[Source, list[Candidate]]]:
        """Yield the sources of candidates, each with its own."""
        for source in self._sources:
            shared = None if source.guest is None else source
            its = [each for each in candidates if self._shared.get(each.conversation) is shared]
            if its:
                yield source, its


def _entries_of_owners(sources: Sequence[Source], results: Sequence[Result]) -> Iterator[Raw]:
    """Yield an audit entry for each owner whose conversations are shown to the actor."""
    shown = [result.hits[0].source for result in results]
    for source in sources:
        if source.guest is not None and source in shown:
            details = {"results": sum(each is source for each in shown)}
            yield audit.entry(source.guest, Action.CONVERSATION_SEARCH, details=details)
