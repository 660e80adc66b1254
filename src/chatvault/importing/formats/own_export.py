"""Chatvault's own lossless JSON and NDJSON, described by docs/schema/export-1.json."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

from chatvault.fields import Raw
from chatvault.importing.conversations import ImportRejected, Skipped, one_line
from chatvault.importing.files.jsontext import Cursor
from chatvault.importing.files.streams import NotJsonError, Stream, read_text
from chatvault.importing.files.structure import Structure
from chatvault.importing.files.values import fields, number
from chatvault.importing.format import Context, Format, Item
from chatvault.importing.formats.own_export_fields import NAME, read_conversation
from chatvault.importing.formats.records import read_lines, read_record
from chatvault.importing.neutral import NeutralConversation

VERSION: Final = 1
_LINES: Final = "lines"
_NO_END: Final = "the counts at the end are missing"


def detect(structure: Structure) -> str | None:
    """Detect the header with the version, which an archive's list of files also has."""
    first = structure.first
    if "version" not in fields(first.get("chatvault")):
        return None
    if structure.kind == "lines" or first.keys() == {"chatvault"}:
        return _LINES
    return "document" if structure.kind == "object" and "conversations" in first else None


def read(stream: Stream, context: Context) -> Iterator[Item]:
    """Yield the conversations of a file; counts at its end show that it is complete.

    Raises:
        ImportRejected: The version of the export is not supported.
        NotJsonError: It is cut off or bad.
    """
    reading = _Reading(context)
    if context.variant == _LINES:
        yield from reading.read_lines(stream)
    else:
        yield from reading.read_document(stream)


class _Reading:
    """Reads one file.

    Args:
        context: has the time of import.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._count = 0

    def read_document(self, stream: Stream) -> Iterator[Item]:
        cursor = Cursor(read_text(stream))
        has_header = False
        for key in cursor.members():
            if key == "conversations" and cursor.peek() == "[":
                for place, raw in cursor.numbered():
                    yield self._read(place, raw)
                continue
            value = cursor.value()
            if key == "chatvault":
                has_header = True
                _check_version(value)
            elif key == "end":
                yield from self._check_end(value)
            else:
                yield Skipped(place=f"the field {_shown(key)}", reason="not known")
        cursor.end()
        if not has_header:
            raise ImportRejected("has no header of chatvault's own export")

    def read_lines(self, stream: Stream) -> Iterator[Item]:
        has_end = False
        for line, raw in read_lines(stream):
            if isinstance(raw, Skipped):
                yield replace(raw, is_damage=raw.reason != "cut off")
            elif "chatvault" in raw:
                _check_version(raw["chatvault"])
            elif raw.keys() == {"end"}:
                has_end = True
                yield from self._check_end(raw["end"])
            else:
                yield self._read(line, raw, "line")
        if not has_end:
            raise NotJsonError(_NO_END, cut=True)

    def _read(self, place: int, raw: Any, noun: str = "conversation") -> Item:
        self._count += 1
        return read_record(f"{noun} {place}", raw, self._read_one)

    def _read_one(self, raw: Raw) -> NeutralConversation:
        return read_conversation(raw, now=self._context.now, beside=self._context.beside)

    def _check_end(self, value: Any) -> Iterator[Skipped]:
        told = number(fields(value).get("conversations"))
        if told is not None and told != self._count:
            reason = f"tells of {told} conversations, and {self._count} are in the file"
            yield Skipped(place="the end of the file", reason=reason)


def _check_version(header: Any) -> None:
    version = number(fields(header).get("version"))
    if version != VERSION:
        told = "an unknown version" if version is None else f"version {version}"
        raise ImportRejected(
            f"is {told} of chatvault's export, and this chatvault reads version {VERSION}"
        )


def _shown(name: str) -> str:
    return repr(one_line(name)[:40])


FORMAT: Final = Format(name=NAME, label="chatvault's own export", detect=detect, read=read)
