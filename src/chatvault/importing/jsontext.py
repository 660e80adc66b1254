"""Reading JSON piece by piece, so that what stands before a cut can be told and saved."""

import codecs
import json
import re
from collections.abc import Iterator
from typing import Any, Final

from chatvault.mongodb.storable import MAX_DEPTH

_SPACE = re.compile(r"[ \t\n\r]*")
# What may stand between the last thing that was understood and the end of a cut file:
# nothing, or the beginning of a number, a literal or an escape.
_STUMP = re.compile(r"\s*[-+.\w\\\ufffd]{0,12}")
_LONE_SURROGATE = re.compile(r"[\ud800-\udfff]")
_LONGEST_ESCAPE: Final = 6


class NotJsonError(ValueError):
    """The text stops being JSON.

    Attributes:
        reason: one line that names the line and column.
        cut: whether the text seems to be cut off, rather than wrong.
    """

    def __init__(self, reason: str, *, cut: bool = False) -> None:
        self.reason = reason
        self.cut = cut
        super().__init__(reason)


def decode(data: bytes) -> str:
    """Read UTF-8, or UTF-16 with a byte order mark.

    Returns:
        The text; U+FFFD at its end stands for a character that was cut in two.

    Raises:
        NotJsonError: The bytes are neither.
    """
    encoding = "utf-8-sig"
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    # Browsers keep lone surrogates, and some tools write them as they are.
    decoder = codecs.getincrementaldecoder(encoding)("surrogatepass")
    try:
        text = decoder.decode(data)
    except UnicodeDecodeError as error:
        raise NotJsonError(
            f"neither UTF-8 nor UTF-16 with a byte order mark (byte {error.start + 1:,})"
        ) from None
    return text + "�" if decoder.getstate()[0] else text


def mend_surrogates(value: Any, *, depth: int = 1) -> Any:
    """Return a copy with U+FFFD for each half surrogate pair in a text; keys stay as they are."""
    if isinstance(value, str):
        return _LONE_SURROGATE.sub("�", value)
    if depth <= MAX_DEPTH:
        if isinstance(value, list):
            return [mend_surrogates(item, depth=depth + 1) for item in value]
        if isinstance(value, dict):
            return {key: mend_surrogates(item, depth=depth + 1) for key, item in value.items()}
    return value


class Cursor:
    """A place in a JSON text that moves on as values are read."""

    def __init__(self, text: str, *, label: str = "") -> None:
        self._text = text
        self._at = 0
        self._label = label

    def peek(self) -> str:
        """Return the next character that is not white space; empty at the end."""
        self._at = _SPACE.match(self._text, self._at).end()  # type: ignore[union-attr]  # it matches nothing, too
        return self._text[self._at : self._at + 1]

    def value(self) -> Any:
        """Read one value; the cursor stays where it is if there is none.

        Integers and floats that cannot be stored are returned as such, for the check to find.

        Raises:
            NotJsonError: What follows is no JSON value.
        """
        self.peek()
        try:
            value, self._at = _DECODER.raw_decode(self._text, self._at)
        except json.JSONDecodeError as error:
            raise self._stop(error.pos, error.msg) from None
        except RecursionError:
            where = self._where(self._at)
            raise NotJsonError(f"nested deeper than {MAX_DEPTH} levels at {where}") from None
        return value

    def elements(self) -> Iterator[Any]:
        """Read an array, one element at a time."""
        self._take("[")
        if self._ends("]"):
            return
        while True:
            yield self.value()
            if self._ends("]"):
                return
            self._take(",")

    def members(self) -> Iterator[str]:
        """Read an object: yields each key with the cursor at its value, which is yours to read."""
        self._take("{")
        if self._ends("}"):
            return
        while True:
            if self.peek() not in ('"', ""):
                raise self._stop(self._at)
            key: str = self.value()
            self._take(":")
            yield key
            if self._ends("}"):
                return
            self._take(",")

    def string(self) -> tuple[str, NotJsonError | None]:
        """Read a string, or of one that is cut off what there is, with where it was cut."""
        try:
            text: str = self.value()
        except NotJsonError as stop:
            text = self._rest_of_string() if stop.cut else ""
            return text, stop
        return text, None

    def end(self) -> None:
        """Make sure that nothing follows.

        Raises:
            NotJsonError: Something follows.
        """
        if self.peek():
            where = self._where(self._at)
            raise NotJsonError(f"something follows the end of the JSON at {where}")

    def _ends(self, char: str) -> bool:
        found = self.peek() == char
        self._at += found
        return found

    def _take(self, char: str) -> None:
        if self.peek() != char:
            raise self._stop(self._at)
        self._at += 1

    def _rest_of_string(self) -> str:
        """Return the string that begins here and has no end, without a cut-off escape."""
        for missing in range(_LONGEST_ESCAPE + 1):
            closed = self._text[self._at : len(self._text) - missing] + '"'
            try:
                text: str = _DECODER.raw_decode(closed)[0]
            except json.JSONDecodeError:
                continue
            return text
        return ""

    def _stop(self, at: int, message: str = "") -> NotJsonError:
        cut = message.startswith("Unterminated string") or bool(_STUMP.fullmatch(self._text, at))
        if cut:
            return NotJsonError(f"not JSON at {self._where(len(self._text))}", cut=True)
        return NotJsonError(f"not JSON at {self._where(at)}")

    def _where(self, at: int) -> str:
        line = self._text.count("\n", 0, at) + 1
        column = at - self._text.rfind("\n", 0, at)
        return f"line {line} column {column}{self._label}"


def _integer(digits: str) -> int:
    # Python refuses to read integers of thousands of digits with a bare ValueError.
    return int(digits[:32])


_DECODER = json.JSONDecoder(parse_int=_integer)
