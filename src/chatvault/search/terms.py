"""The language of queries, and whether a text matches one.

Words are ANDed. `"…"` is a phrase, `-` excludes, `title:` looks in titles only, `*` at the end of a
word finds all words that begin so.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from chatvault.errors import FieldError, InvalidInput
from chatvault.search import words

MOST_CHARACTERS: Final = 256
MOST_TERMS: Final = 16
# The last word of a phrase that is being typed counts from this many letters on.
SHORTEST: Final = 3
TITLE: Final = "title:"
_PART: Final = re.compile(
    r'(?P<without>-?)(?P<title>(?:title:)?)(?:"(?P<phrase>[^"]*)(?P<closed>"?)|(?P<word>[^\s"]+))(?P<many>\*?)',
    re.IGNORECASE,
)
_SPACE: Final = re.compile(r"\s*")


class InvalidQuery(InvalidInput):
    """The query cannot be read."""

    code = "invalid_query"

    @classmethod
    def at(cls, place: int, why: str) -> "InvalidQuery":
        """Return the error that says at which character of the query something is wrong."""
        message = f"{why}, at character {place + 1} of the query"
        return cls(message, errors=(FieldError(("query", "q"), message, "invalid_query"),))


@dataclass(frozen=True, slots=True)
class Term:
    """Words that stand one after another.

    Attributes:
        words: one, or several of a phrase.
        is_prefix: the last of them may continue.
    """

    words: tuple[str, ...]
    is_prefix: bool = False

    @property
    def is_open_phrase(self) -> bool:
        """Whether it is several words of which the last may continue."""
        return self.is_prefix and len(self.words) > 1

    @property
    def spelled(self) -> str:
        """The words as `Words.joined` has them."""
        joined = " " + " ".join(self.words)
        return joined if self.is_prefix else joined + " "

    def is_in(self, text: "Words") -> bool:
        """Whether a text has the words."""
        return self.spelled in text.joined


class Words:
    """The words of a text, for queries.

    Args:
        found: the words, in order.

    Attributes:
        joined: the words, each with a blank before it, and one at the end.
        count: how many there are.
    """

    __slots__ = ("count", "joined")

    def __init__(self, found: Sequence[str]) -> None:
        self.count = len(found)
        self.joined = f" {' '.join(found)} "

    @classmethod
    def of(cls, text: str) -> "Words":
        """Return the words of a text."""
        return cls(words.split(text))

    def frequency(self, term: Term) -> int:
        """Return how often a term is in the text."""
        return self.joined.count(term.spelled)


@dataclass(frozen=True, slots=True)
class Query:
    """The terms to search for.

    Attributes:
        terms: each must be in a message, or in a title.
        without: none may be in it.
        title: each must be in the conversation's title.
        title_without: none may be in it.
    """

    terms: tuple[Term, ...] = ()
    without: tuple[Term, ...] = ()
    title: tuple[Term, ...] = ()
    title_without: tuple[Term, ...] = ()

    def matches(self, text: Words) -> bool:
        """Whether a message, or a title, has what is searched for."""
        return all(term.is_in(text) for term in self.terms) and not any(
            term.is_in(text) for term in self.without
        )

    def matches_title(self, title: Words) -> bool:
        """Whether a conversation's title has what is searched for in titles."""
        return all(term.is_in(title) for term in self.title) and not any(
            term.is_in(title) for term in self.title_without
        )

    @property
    def is_by_time(self) -> bool:
        """Whether all that fits does so equally, and the newest comes first."""
        return all(term.is_prefix and len(term.words) == 1 for term in self.terms)

    @property
    def has_open_phrase(self) -> bool:
        """Whether a phrase is searched for whose last word may continue."""
        return any(term.is_open_phrase for term in self.terms)

    @property
    def asks_titles(self) -> bool:
        """Whether something is searched for in titles only."""
        return bool(self.title or self.title_without)


def parse(text: str, *, typing: bool = False) -> Query:
    """Read a query.

    Args:
        text: the query.
        typing: it is still being typed: its last word may continue, and its last phrase is closed.

    Raises:
        InvalidQuery: it cannot be read, has no words, or too many.
    """
    found: dict[tuple[bool, bool], list[Term]] = {}
    place = _after_space(text, 0)
    count = 0
    while place < len(text):
        part = _PART.match(text, place)
        if part is None:
            raise InvalidQuery.at(place, "A word or a phrase is missing")
        is_open = part["phrase"] is not None and not part["closed"]
        if is_open and not typing:
            raise InvalidQuery.at(place, "A phrase is not closed")
        is_last = typing and part.end() == len(text) and (is_open or part["phrase"] is None)
        for term in _terms(part, is_last=is_last):
            count += 1
            if count > MOST_TERMS:
                raise InvalidQuery.at(place, f"There are more than {MOST_TERMS} terms")
            found.setdefault((bool(part["title"]), bool(part["without"])), []).append(term)
        place = _after_space(text, part.end())
    query = Query(*(tuple(found.get(key, ())) for key in _KINDS))
    if not (query.terms or query.title):
        raise InvalidQuery.at(0, "There is no word to search for")
    return query


_KINDS: Final = ((False, False), (False, True), (True, False), (True, True))


def _after_space(text: str, place: int) -> int:
    found = _SPACE.match(text, place)
    return found.end() if found else place


def _terms(part: re.Match[str], *, is_last: bool) -> list[Term]:
    """Return the terms of a part: one, or none where it has no words."""
    text = part["phrase"] if part["phrase"] is not None else part["word"]
    is_prefix = is_last or bool(part["many"]) or text.endswith("*")
    runs = words.split_query(text)
    if not runs:
        return []
    last = runs[-1]
    if is_last and len(runs) > 1 and len(last[0]) < SHORTEST and not words.is_unspaced(last[0]):
        # Too many phrases begin so.
        return [Term(tuple(word for run in runs[:-1] for word in run))]
    if words.is_unspaced(last[0]):
        # Pairs overlap, so that the run may continue behind the last pair.
        is_prefix = len(last) == 1
        runs[-1] = last[:-1] or last
    return [Term(tuple(word for run in runs for word in run), is_prefix)]


def every_word(terms: Iterable[Term]) -> tuple[set[str], tuple[str, ...]]:
    """Return the words of terms, and those that may continue, to mark them."""
    whole: set[str] = set()
    begun: list[str] = []
    for term in terms:
        whole.update(term.words[:-1] if term.is_prefix else term.words)
        begun += term.words[-1:] if term.is_prefix else ()
    return whole, tuple(begun)
