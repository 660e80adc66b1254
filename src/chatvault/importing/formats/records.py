"""Read the objects of a file one at a time, as most readers do."""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from chatvault.fields import Raw
from chatvault.importing.conversations import Skipped
from chatvault.importing.drafts import UnfitError
from chatvault.importing.files.jsontext import MAX_VALUE, Cursor
from chatvault.importing.files.streams import NotJsonError, Stream, read_text
from chatvault.importing.files.values import digest
from chatvault.importing.format import Item
from chatvault.importing.neutral import NeutralConversation
from chatvault.mongodb.storable import MAX_DEPTH


def read_records(
    stream: Stream, read_one: Callable[[Raw], NeutralConversation | None], *, deep: bool = False
) -> Iterator[Item]:
    """Read an array of conversations, or a single one.

    Args:
        stream: the file.
        read_one: returns the conversation of an object; None if it holds none.
        deep: whether conversations may be nested deeper than the parser can recurse.

    Raises:
        NotJsonError: The file is cut off or bad.
    """
    cursor = Cursor(read_text(stream), deep=deep)
    if cursor.peek() == "[":
        for number, raw in cursor.numbered():
            yield read_record(f"conversation {number}", raw, read_one)
        cursor.end()
    else:
        raw = cursor.value()
        cursor.end()
        yield read_record("the conversation", raw, read_one)


def read_record(
    place: str, raw: Any, read_one: Callable[[Raw], NeutralConversation | None]
) -> Item:
    """Read one conversation; skip it with the reason if it cannot be imported."""
    if not isinstance(raw, dict):
        return Skipped(place=place, reason="not an object")
    try:
        found = read_one(raw)
    except RecursionError:
        return Skipped(place=place, reason=f"nested deeper than {MAX_DEPTH} levels")
    except UnfitError as unfit:
        where = f"{place}, {unfit.place}" if unfit.place else place
        return Skipped(place=where, reason=unfit.reason)
    return Skipped(place=place, reason="holds no messages") if found is None else found


class Copies:
    """Gives ids to conversations that only their content identifies.

    Several with the same content get different ids, which are the same at each import.
    """

    def __init__(self) -> None:
        self._seen: Counter[str] = Counter()

    def name(self, *said: object) -> str:
        """Return the id of the next conversation with this content."""
        name = digest(*said)
        self._seen[name] += 1
        count = self._seen[name]
        return f"sha256:{name}" if count == 1 else f"sha256:{name}~{count}"


def read_lines(stream: Stream) -> Iterator[tuple[int, Raw | Skipped]]:
    """Read JSON with an object a line, each with its line's number; skip empty lines.

    A line that is no object is skipped; so is the last one if it is cut off.

    Raises:
        NotJsonError: The bytes cannot be decoded.
    """
    for number, line in enumerate(_lines(read_text(stream)), 1):
        if not line.strip():
            continue
        cursor = Cursor(line)
        try:
            value = cursor.value()
            cursor.end()
        except NotJsonError as stop:
            reason = "cut off" if stop.cut else "not JSON"
            yield number, Skipped(place=f"line {number}", reason=reason)
            continue
        if isinstance(value, dict):
            yield number, value
        else:
            yield number, Skipped(place=f"line {number}", reason="not an object")


def _lines(blocks: Iterator[str]) -> Iterator[str]:
    pending: list[str] = []
    length = 0
    for block in blocks:
        first, *others = block.split("\n")
        pending.append(first)
        length += len(first)
        if length > MAX_VALUE:
            raise NotJsonError(f"one line is larger than {MAX_VALUE // 1024**2} MB")
        for other in others:
            yield "".join(pending)
            pending = [other]
            length = len(other)
    yield "".join(pending)
