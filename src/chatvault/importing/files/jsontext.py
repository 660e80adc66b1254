"""Parse JSON incrementally in bounded memory, with the place of each error."""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

from chatvault.importing.files.jsondeep import MAX_NESTING, DeepError, parse_deep
from chatvault.importing.files.streams import NotJsonError
from chatvault.mongodb.storable import MAX_DEPTH

# One value, such as a conversation, has to fit into memory.
MAX_VALUE: Final = 256 * 1024 * 1024
# The limits of brackets and commas in the part of a value that was read so far: each list or
# object takes some hundred bytes of memory, each comma at least eight.
MAX_BRACKETS: Final = 500_000
MAX_COMMAS: Final = 4_000_000
_BLOCK: Final = 1024 * 1024

_SPACE = re.compile(r"[ \t\n\r]*")
# What may follow the last complete token of a file that was cut off:
# nothing, or the beginning of a number, a literal or an escape.
_CUT_TOKEN = re.compile(r"\s*[-+.\w\\\ufffd]{0,12}")
_NUMBER = re.compile(r"[-+.0-9eE]*")
_LONGEST_ESCAPE: Final = 6
# A value that ends with one of these is complete, whatever text follows.
_CLOSED: Final = '"]}'


def _blocks_of(text: str) -> Iterator[str]:
    return (text[at : at + _BLOCK] for at in range(0, len(text), _BLOCK))


class Cursor:
    """A position in a JSON text that advances as values are read.

    It keeps a window of the text, from the current value to the end of the last block.

    Args:
        text: the text, or its blocks.
        label: what to add to a place in an error.
        deep: whether values may be nested deeper than can be stored, which takes longer to read.
    """

    def __init__(self, text: str | Iterable[str], *, label: str = "", deep: bool = False) -> None:
        self._blocks = iter(_blocks_of(text) if isinstance(text, str) else text)
        self._text = ""
        self._at = 0
        self._ended = False
        # Of the text before the window.
        self._lines = 0
        self._columns = 0
        self._label = label
        self._deep = deep

    def peek(self) -> str:
        """Return the next character that is not white space; empty at the end."""
        while True:
            self._at = _SPACE.match(self._text, self._at).end()  # type: ignore[union-attr]  # the pattern also matches the empty string
            if self._at < len(self._text) or not self._read_on():
                return self._text[self._at : self._at + 1]

    def value(self) -> Any:
        """Read one value; the cursor stays where it is if there is none.

        Integers and floats that cannot be stored are returned, and found by a later check.

        Raises:
            NotJsonError: What follows is no JSON value.
        """
        self.peek()
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                stop = self._stop(error.pos, error.msg)
                if not stop.cut or not self._read_on():
                    raise stop from None
            except RecursionError:
                return self._deep_value()
            else:
                # A number at the end of the window may continue in the next block.
                is_whole = self._text[end - 1] in _CLOSED
                if is_whole or not _NUMBER.fullmatch(self._text, end) or not self._read_on():
                    self._at = end
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

    def numbered(self, noun: str = "conversation") -> Iterator[tuple[int, Any]]:
        """Read an array, one element at a time, each with its number.

        Raises:
            NotJsonError: with the place of the element that is no JSON.
        """
        count = 0
        try:
            for count, value in enumerate(self.elements(), 1):  # the caller's
                yield count, value
        except NotJsonError as stop:
            if not stop.place and self.peek():
                stop.place = f"{noun} {count + 1}"
            raise

    def members(self) -> Iterator[str]:
        """Read an object: yield each key with the cursor at its value, which the caller reads."""
        self._take("{")
        if self._ends("}"):
            return
        while True:
            if self.peek() not in ('"', ""):
                raise self._stop_here()
            key: str = self.value()
            self._take(":")
            yield key
            if self._ends("}"):
                return
            self._take(",")

    def string(self) -> tuple[str, NotJsonError | None]:
        """Read a string; of one that is cut off, return the part that is there and the place."""
        try:
            text: str = self.value()
        except NotJsonError as stop:
            text = self._rest_of_string() if stop.cut else ""
            return text, stop
        return text, None

    def end(self) -> None:
        """Check that nothing follows.

        Raises:
            NotJsonError: Something follows.
        """
        if self.peek():
            where = self._where(self._at)
            raise NotJsonError(f"something follows the end of the JSON at {where}")

    def _read_on(self) -> bool:
        """Move the window to the cursor and at least double it; return False at the end."""
        if self._ended:
            return False
        passed = self._text[: self._at]
        if "\n" in passed:
            self._lines += passed.count("\n")
            self._columns = len(passed) - passed.rfind("\n") - 1
        else:
            self._columns += len(passed)
        pieces = [self._text[self._at :]]
        self._at = 0
        wanted = len(pieces[0])
        if wanted >= _BLOCK:
            self._check_count(pieces[0])
        if wanted >= MAX_VALUE:
            self._text = pieces[0]
            most = MAX_VALUE // 1024**2
            raise NotJsonError(f"one value is larger than {most} MB at {self._where(0)}")
        got, most_more = 0, min(wanted, MAX_VALUE - wanted)
        try:
            while got <= most_more:
                piece = next(self._blocks, None)
                if piece is None:
                    self._ended = True
                    break
                pieces.append(piece)
                got += len(piece)
        finally:
            self._text = "".join(pieces)
        return got > 0

    def _check_count(self, text: str) -> None:
        """Raise NotJsonError if an unfinished value has more parts than memory is planned for."""
        if text.count("[") + text.count("{") > MAX_BRACKETS or text.count(",") > MAX_COMMAS:
            self._text = text
            raise NotJsonError(f"one value has too many parts at {self._where(0)}")

    def _deep_value(self) -> Any:
        """Read the value at the cursor without recursion, if the cursor allows deep values."""
        while True:
            try:
                # Whatever else it holds, it is nested too deeply.
                most = MAX_NESTING if self._deep else 0
                value, self._at = parse_deep(self._text, self._at, most=most)
            except DeepError:
                where = self._where(self._at)
                raise NotJsonError(f"nested deeper than {MAX_DEPTH} levels at {where}") from None
            except json.JSONDecodeError as error:
                stop = self._stop(error.pos, error.msg)
                if not stop.cut or not self._read_on():
                    raise stop from None
            else:
                return value

    def _ends(self, char: str) -> bool:
        found = self.peek() == char
        self._at += found
        return found

    def _take(self, char: str) -> None:
        if self.peek() != char:
            raise self._stop_here()
        self._at += 1

    def _rest_of_string(self) -> str:
        """Return the unterminated string at the cursor, without an incomplete escape at its end."""
        for missing in range(_LONGEST_ESCAPE + 1):
            closed = self._text[self._at : len(self._text) - missing] + '"'
            try:
                text: str = _DECODER.raw_decode(closed)[0]
            except json.JSONDecodeError:
                continue
            return text
        return ""

    def _stop_here(self) -> NotJsonError:
        """Return the error at the cursor; the text after it shows whether the file is cut off."""
        while (stop := self._stop(self._at)).cut and self._read_on():
            pass
        return stop

    def _stop(self, at: int, message: str = "") -> NotJsonError:
        cut = message.startswith("Unterminated string") or bool(
            _CUT_TOKEN.fullmatch(self._text, at)
        )
        if cut:
            return NotJsonError(f"not JSON at {self._where(len(self._text))}", cut=True)
        return NotJsonError(f"not JSON at {self._where(at)}")

    def _where(self, at: int) -> str:
        line = self._text.count("\n", 0, at)
        column = at - self._text.rfind("\n", 0, at)
        if not line:
            column += self._columns
        return f"line {self._lines + line + 1} column {column}{self._label}"


def _integer(digits: str) -> int:
    # Python refuses to read integers of thousands of digits with a bare ValueError.
    return int(digits[:32])


_DECODER = json.JSONDecoder(parse_int=_integer)
