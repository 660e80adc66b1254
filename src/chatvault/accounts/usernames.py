"""Check usernames, and find those that look alike (Unicode TR36 and TR39)."""

import functools
import unicodedata

import regex
from pydantic_core import PydanticCustomError

MAX_USERNAME = 64
# Control, format, private and unassigned characters, white space, and characters shown as nothing.
UNSEEN = regex.compile(r"[\p{C}\p{Z}\p{Default_Ignorable_Code_Point}\u2800]")
# A mark at the start would combine with the text before; TR39 allows four in a row.
STRAY_MARKS = regex.compile(r"^\p{M}|[\p{Mn}\p{Me}]{5}")
LOOKS_LIKE_AN_ID = regex.compile(r"[0-9a-f]{24}")
# Not allowed in a full name; joiners are, as Persian and Hindi need them.
UNPRINTABLE = regex.compile(r"[\p{Cc}\p{Cs}\p{Bidi_Control}\u2028\u2029]")
# TR39, 5.2, "Highly Restrictive": one script, or scripts that are written together.
WRITTEN_TOGETHER = (
    {"LATIN", "HAN", "HIRAGANA", "KATAKANA"},
    {"LATIN", "HAN", "BOPOMOFO"},
    {"LATIN", "HAN", "HANGUL"},
)
OF_ALL_SCRIPTS = {"COMMON", "INHERITED"}


def fold(name: str) -> str:
    """Return the form in which equal names are equal: compatibility-normalised, casefolded."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def check_username(name: str) -> str:
    """Return the name; raise unless it is displayed as what it is.

    Raises:
        PydanticCustomError: with the reason.
    """
    folded = fold(name)
    if UNSEEN.search(name) or UNSEEN.search(folded):
        raise PydanticCustomError(
            "username_characters",
            "Username should have no white space and no control, format or invisible characters",
        )
    if "@" in folded:
        raise PydanticCustomError("username_characters", "Username should have no @")
    if STRAY_MARKS.search(name):
        raise PydanticCustomError(
            "username_characters", "Username should have its accents on letters"
        )
    if LOOKS_LIKE_AN_ID.fullmatch(folded):
        raise PydanticCustomError("username_id", "Username should not look like an id")
    if not folded.isascii() and _mixes_scripts(folded):
        raise PydanticCustomError(
            "username_scripts", "Username should be written in one script, such as all Latin"
        )
    return name


def check_full_name(name: str) -> str:
    """Return the name; raise unless a terminal displays it as it is.

    Raises:
        PydanticCustomError: with the reason.
    """
    if UNPRINTABLE.search(name):
        raise PydanticCustomError(
            "name_characters", "Name should have no control characters and no line breaks"
        )
    return name


def lookalike_keys(name: str) -> list[str]:
    """Return forms of which names that look alike share one: as written, and in lower case.

    They are TR39's skeletons, except that ASCII characters are kept: `bill` and `bi11`
    are two names.
    """
    if name.isascii():
        return [fold(name)]
    return sorted({_skeleton(fold(name)), _skeleton(fold(_skeleton(name)))})


def _mixes_scripts(name: str) -> bool:
    # Imported here and in _prototype: it reads a megabyte that few names need.
    from confusable_homoglyphs import categories  # type: ignore[import-untyped]  # noqa: PLC0415  # as said

    scripts = categories.unique_aliases(name) - OF_ALL_SCRIPTS
    return len(scripts) > 1 and not any(scripts <= together for together in WRITTEN_TOGETHER)


def _skeleton(name: str) -> str:
    decomposed = unicodedata.normalize("NFD", name)
    return unicodedata.normalize("NFD", "".join(map(_prototype, decomposed)))


@functools.lru_cache(maxsize=10_000)
def _prototype(char: str) -> str:
    """Return the prototype of all characters that look like this one.

    The data lists all lookalikes under a prototype, and the prototype under each of them.
    """
    if char.isascii():
        return char
    from confusable_homoglyphs.confusables import (  # type: ignore[import-untyped]  # noqa: PLC0415  # as said
        confusables_data,
    )

    def alike(text: str) -> list[str]:
        return [each["c"] for each in confusables_data.get(text, ())]

    return min((char, *alike(char)), key=lambda text: (-len(alike(text)), text))
