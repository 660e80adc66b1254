"""The place in a text where the words are, with marks."""

from typing import Final, TypedDict

from chatvault.search import words
from chatvault.search.terms import Query, every_word

BEFORE: Final = 60
LENGTH: Final = 240
# A text is looked through so far for a place to begin.
MOST: Final = 200_000


class Piece(TypedDict):
    """A part of a snippet.

    Attributes:
        mark: whether it was searched for.
    """

    text: str
    mark: bool


def cut(text: str, query: Query, *, is_title: bool = False) -> list[Piece]:
    """Return the part of a text around the first word that is searched for."""
    terms = (*query.terms, *query.title) if is_title else query.terms
    whole, begun = every_word(terms)
    start, end, marks = 0, min(len(text), LENGTH), list[tuple[int, int]]()
    for first, last, word in words.spans(text[:MOST]):
        if not marks and last > end:
            start = max(0, first - BEFORE)
            end = min(len(text), start + LENGTH)
        if first >= end:
            break
        if word in whole or (begun and word.startswith(begun)):
            if not marks:
                start = max(0, first - BEFORE)
                end = min(len(text), start + LENGTH)
            marks.append((max(first, marks[-1][1]) if marks else first, min(last, end)))
    if not marks:
        start, end = 0, min(len(text), LENGTH)
    return _pieces(text, start, end, marks)


def _pieces(text: str, start: int, end: int, marks: list[tuple[int, int]]) -> list[Piece]:
    pieces: list[Piece] = []
    place = start
    for first, last in marks:
        if first >= last:
            continue
        if first > place:
            pieces.append({"text": text[place:first], "mark": False})
        if pieces and pieces[-1]["mark"] and first == place:
            pieces[-1]["text"] += text[first:last]
        else:
            pieces.append({"text": text[first:last], "mark": True})
        place = last
    if place < end:
        pieces.append({"text": text[place:end], "mark": False})
    if start > 0 and pieces:
        pieces.insert(0, {"text": "…", "mark": False})
    if end < len(text):
        pieces.append({"text": "…", "mark": False})
    return pieces
