"""Candidates of a search in the order of how well they fit, before they are read."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from chatvault.search.index import Candidate, Filter
from chatvault.search.known import Snapshot, Unit
from chatvault.search.terms import Query, Term, Words

# The place of a title, where messages have theirs.
TITLE_SEQ: Final = -1
# BM25's usual values.
K1: Final = 1.2
B: Final = 0.75
# A word in a title counts so much more.
TITLE_WEIGHT: Final = 2.0


@dataclass(frozen=True, slots=True)
class Ranked:
    """Candidates, best first.

    Attributes:
        candidates: the best of them.
        count: how many there are; some of them may be gone.
        is_cut: there are more than these.
    """

    candidates: Sequence[Candidate]
    count: int
    is_cut: bool


def rank(
    looked: Snapshot,
    query: Query,
    which: Filter,
    allowed: frozenset[str] | None,
    limit: int,
    *,
    is_exact: bool = True,
) -> Ranked:
    """Return the candidates of a query; it takes processor time only.

    A greater limit gives the same candidates first.

    Args:
        looked: what is looked through.
        query: what is searched for.
        which: of which messages.
        allowed: of which conversations; None for all.
        limit: at most that many candidates of the index.
        is_exact: as the index takes it.
    """
    stored: list[Candidate] = []
    count = 0
    if looked.reader is not None and query.terms:
        stored, count = looked.reader.search(query, which, limit, is_exact=is_exact)
    is_cut = count > len(stored)
    # Those that fit less than the last of the index come after what a greater limit gives.
    floor = stored[-1].score if is_cut and stored else -math.inf
    others = _others(looked, query, which, allowed)
    first = [each for each in others if each.score >= floor]
    seen = {each[1:] for each in others}
    new = [each for each in stored if each[1:] not in seen] if seen else stored
    repeated = len(stored) - len(new)
    merged = sorted([*first, *new], key=_by_score) if first else new
    return Ranked(merged, count + len(others) - repeated, is_cut)


def _by_score(candidate: Candidate) -> float:
    return -candidate.score


def _others(
    looked: Snapshot, query: Query, which: Filter, allowed: frozenset[str] | None
) -> list[Candidate]:
    """Return the candidates that the index does not have."""
    units = [
        each
        for each in looked.units
        if query.terms and _fits(each, which, allowed) and query.matches(each.words)
    ]
    weigh = _weighing(looked, query.terms, units)
    found = [
        Candidate(
            float(each.at) if query.is_by_time else weigh(each.words), each.conversation, each.seq
        )
        for each in units
    ]
    if which.role is None and which.since is None and which.until is None:
        found += _titles(looked, query, allowed, weigh)
    return found


def _titles(
    looked: Snapshot,
    query: Query,
    allowed: frozenset[str] | None,
    weigh: Callable[[Words], float],
) -> list[Candidate]:
    # There are many titles, and few have the first word.
    first = query.terms[0].spelled if query.terms else ""
    having = [pair for pair in looked.heads.items() if first in pair[1].title_words.joined]
    found = [
        (str(each), head)
        for each, head in having
        if query.matches(head.title_words) and (allowed is None or str(each) in allowed)
    ]
    return [
        Candidate(
            float(head.updated_at) if query.is_by_time else TITLE_WEIGHT * weigh(head.title_words),
            each,
            TITLE_SEQ,
        )
        for each, head in found
    ]


def _fits(unit: Unit, which: Filter, allowed: frozenset[str] | None) -> bool:
    return (
        (allowed is None or unit.conversation in allowed)
        and (which.role is None or unit.role == which.role)
        and (which.since is None or unit.at >= which.since)
        and (which.until is None or unit.at < which.until)
    )


def _weighing(
    looked: Snapshot, terms: Sequence[Term], units: Sequence[Unit]
) -> Callable[[Words], float]:
    """Return the function that weighs words as the index does (BM25), about."""
    reader = looked.reader
    total = (reader.count if reader else 0) + len(looked.units)
    average = sum(each.words.count for each in units) / len(units) if units else 1.0

    def rarity(term: Term) -> float:
        if term.is_prefix and len(term.words) == 1:
            return 0.0
        having = min(
            (reader.frequency(word) if reader else 0)
            for word in term.words[: -1 if term.is_prefix else None]
        ) + len(units)
        return math.log(1 + max(0.0, total - having + 0.5) / (having + 0.5)) * len(term.words)

    rarities = [(term, rarity(term)) for term in terms]

    def weigh(text: Words) -> float:
        length = K1 * (1 - B + B * text.count / max(average, 1.0))
        score = 0.0
        for term, rare in rarities:
            often = text.frequency(term)
            score += rare * often * (K1 + 1) / (often + length) if rare else 1.0
        return score

    return weigh
