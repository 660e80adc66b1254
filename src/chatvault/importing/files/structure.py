"""Parse the beginning of a file, from which formats are detected without the file's name."""

import codecs
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

from chatvault.fields import Raw
from chatvault.importing.files.jsondeep import outline
from chatvault.importing.files.values import fields, items

# The number of bytes from which a format is detected.
HEAD: Final = 1024 * 1024
_TOKENS: Final = 60_000
_LINES: Final = 50
_SHOWN_KEYS: Final = 12

Kind = Literal["array", "object", "lines", "string", "html", "other"]


@dataclass(frozen=True, slots=True)
class Structure:
    """The structure of a file's beginning.

    Attributes:
        kind: a JSON array, object or string, objects one a line, HTML, or none of these.
        records: the first elements, the object, or the first lines; the last may be incomplete.
        text: the unparsed beginning.
    """

    kind: Kind
    records: tuple[Any, ...] = ()
    text: str = ""

    @property
    def objects(self) -> list[Raw]:
        """The records that are JSON objects."""
        return [each for each in self.records if isinstance(each, dict)]

    @property
    def first(self) -> Raw:
        """The first record that is a JSON object; empty if none is."""
        return next(iter(self.objects), {})

    def any(self, test: Callable[[Raw], bool]) -> bool:
        """Return whether a predicate is true for one of the objects."""
        return any(map(test, self.objects))

    def describe(self) -> str:
        """Describe the structure without any of the content."""
        if self.kind == "html":
            return "HTML"
        if self.kind in {"other", "string"}:
            return "neither JSON of conversations nor HTML or ZIP" if self.text else "empty"
        keys = ", ".join(repr(_shown(key)) for key in [*self.first][:_SHOWN_KEYS])
        what = {"array": "a list of objects", "object": "an object", "lines": "lines of objects"}
        return f"{what[self.kind]} with {keys}" if keys else "JSON without objects"


def look_at(head: bytes) -> Structure:
    """Return the structure of a file that begins with these bytes."""
    text = _decode(head)
    begin = text[:64].lstrip(" \t\r\n")[:1]
    if begin == "<":
        return Structure("html", text=text)
    if begin == '"':
        value, _, _ = outline(text, most=1, longest=len(text))
        return Structure("string", text=value if isinstance(value, str) else "")
    if begin not in ("[", "{") or not begin:
        records = _lines(text)
        return Structure("lines" if records else "other", records, text)
    value, end, is_whole = outline(text, most=_TOKENS)
    if isinstance(value, list):
        return Structure("array", tuple(value[:_LINES]), text)
    if is_whole and text[end:].strip():
        return Structure("lines", _lines(text) or (value,), text)
    return Structure("object", (value,), text)


def holds(value: Raw, *names: str) -> bool:
    """Return whether an object has all of these keys."""
    return all(name in value for name in names)


def first_of(value: Raw, name: str) -> Raw:
    """Return the first object of a list in an object's field; empty if there is none."""
    return next((each for each in items(value.get(name)) if isinstance(each, dict)), {})


def first_value(value: Raw, name: str) -> Raw:
    """Return the first object of a map in an object's field, such as a map by id."""
    held = fields(value.get(name)).values()
    return next((each for each in held if isinstance(each, dict)), {})


def _lines(text: str) -> tuple[Any, ...]:
    found = []
    for line in text.split("\n", _LINES)[:_LINES]:
        value, _, is_whole = outline(line, most=_TOKENS // _LINES)
        if isinstance(value, dict) and (is_whole or value):
            found.append(value)
    return tuple(found)


def _decode(head: bytes) -> str:
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return head.decode("utf-16", "replace")
    return head.decode("utf-8-sig", "replace")


def _shown(key: str) -> str:
    printable = "".join(char if char.isprintable() else "�" for char in key)
    return printable if len(printable) <= 40 else f"{printable[:39]}…"  # noqa: PLR2004  # enough to know it
