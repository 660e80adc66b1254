"""Text as the words that are searched for.

Words are made before the index sees them, so that an index, a scan and a query agree. Text is
normalized (NFKC) and case-folded; marks of Latin, Greek, Cyrillic, Arabic and Hebrew are dropped.
Scripts that are written without spaces become overlapping pairs of characters, and the last
character of a run alone, so that each character begins a word.
"""

import re
import unicodedata
from collections.abc import Iterator
from typing import Final

import regex

# Longer words are cut; an index would skip very long ones silently.
LONGEST: Final = 60
_UNSPACED: Final = (
    r"\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\u30FC"
)
_RUN: Final = regex.compile(
    rf"(?P<unspaced>[{_UNSPACED}]+)|[[\p{{L}}\p{{M}}\p{{N}}_]--[{_UNSPACED}]]+", regex.V1
)
_ASCII: Final = re.compile(r"[a-z0-9_]+")
_SCRIPTS: Final = regex.compile(r"[\p{Latin}\p{Greek}\p{Cyrillic}\p{Arabic}\p{Hebrew}]")
# Marks that no other script uses; those of the Indic scripts and of Kana are part of the word.
_MARKS: Final = (
    *(range(0x300, 0x370), range(0x483, 0x488), range(0x591, 0x5C8), range(0x610, 0x61B)),
    *(range(0x64B, 0x660), range(0x670, 0x671), range(0x6D6, 0x6EE), range(0x1AB0, 0x1B00)),
    *(range(0x1DC0, 0x1E00), range(0x20D0, 0x2100), range(0xFE20, 0xFE30)),
)
_LAST_WITH_MARK: Final = 0x2000


def _plain(code: int) -> str:
    """Return a letter without its marks."""
    parts = unicodedata.normalize("NFD", chr(code))
    return "".join(each for each in parts if not unicodedata.combining(each))


def _make_table() -> dict[int, str]:
    """Return what replaces characters with marks, and marks."""
    table = {
        code: _plain(code) for code in range(0x80, _LAST_WITH_MARK) if _SCRIPTS.match(chr(code))
    }
    table = {code: plain for code, plain in table.items() if plain != chr(code)}
    marks = (code for block in _MARKS for code in block)
    return table | {code: "" for code in marks if unicodedata.category(chr(code))[0] == "M"}


_WITHOUT_MARKS: Final = _make_table()


def normalize(text: str) -> str:
    """Return the text without differences of case, width and marks."""
    if text.isascii():
        return text.lower()
    folded = unicodedata.normalize("NFKC", text).casefold()
    return unicodedata.normalize("NFKC", folded).translate(_WITHOUT_MARKS)


def split(text: str) -> list[str]:
    """Return the words of a text, in order."""
    text = normalize(text)
    if text.isascii():
        return [word[:LONGEST] for word in _ASCII.findall(text)]
    return [word for run, is_unspaced in _runs(text) for word in _words(run, is_unspaced)]


def split_query(text: str) -> list[list[str]]:
    """Return the words of each run of a query; that of an unspaced script with its last one."""
    return [_words(run, is_unspaced) for run, is_unspaced in _runs(normalize(text))]


def is_unspaced(word: str) -> bool:
    """Whether the word is of a script that is written without spaces."""
    found = _RUN.match(word)
    return bool(found and found["unspaced"])


def _runs(text: str) -> Iterator[tuple[str, bool]]:
    for found in _RUN.finditer(text):
        yield found[0], found["unspaced"] is not None


def _words(run: str, is_unspaced: bool) -> list[str]:  # noqa: FBT001  # of one pair
    if not is_unspaced:
        return [run[:LONGEST]]
    return [*(run[place : place + 2] for place in range(len(run) - 1)), run[-1]]


def spans(text: str) -> Iterator[tuple[int, int, str]]:
    """Yield each word of a text as it is written: where it begins and ends, and the word."""
    if text.isascii():
        for word in _ASCII.finditer(text.lower()):
            yield word.start(), word.end(), word[0][:LONGEST]
        return
    for found in _RUN.finditer(text):
        start, end = found.span()
        run = found[0]
        if run.isascii():
            yield start, end, run.lower()[:LONGEST]
            continue
        if found["unspaced"] is None:
            for each in split(run):
                yield start, end, each
            continue
        for place in range(start, end):
            pair_end = min(place + 2, end)
            yield place, pair_end, normalize(text[place:pair_end])
