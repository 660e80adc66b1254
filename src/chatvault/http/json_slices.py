"""Parsing large JSON in slices: its structure is weighed first, and its long lists are divided.

A parser holds the interpreter for a whole text, and turns a few bytes into a list or an object of a
hundred. So the structure of a text is weighed before it is parsed, and each list that is a value of
the outermost object is parsed some elements at a time.
"""

import itertools
import re
import secrets
from collections.abc import Generator, Iterator
from typing import Any, Final

from pydantic_core import from_json

from chatvault.errors import Malformed, TooLarge
from chatvault.slices import SliceQueue, sliced

# The weight of a text that one call may parse: 50 milliseconds at worst.
UNIT_WEIGHT: Final = 300_000
# The weight of a text parsed in parts: 50,000 messages of a dozen fields each weigh less.
BULK_WEIGHT: Final = 4_000_000
# Bytes of memory that a parsed text takes for each unit of weight, at most.
WEIGHT_BYTES: Final = 32
# The relative time that the parser takes for what follows each character.
_COSTS: Final = ((b",", 1), (b"[", 2), (b"{", 2), (b":", 3))
# Numbers and white space can be long, too.
_BYTES_A_WEIGHT: Final = 16
_WINDOW: Final = 256 * 1024
# A string beyond it is searched for its end alone, which takes a tenth of the time.
_STRETCH: Final = 16 * 1024
# Elements of a list are parsed together up to this many bytes, which cannot weigh too much.
_RUN: Final = 64 * 1024
_QUOTE: Final = ord('"')
_DEPTH: Final = 6  # depth to which one regular expression recognises elements


def _elements(depth: int) -> re.Pattern[bytes]:
    """Return a pattern of whole list elements, each with the comma after it."""
    string = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
    flat = rb'[^"\[\]{}]*+(?:' + string + rb'[^"\[\]{}]*+)*+'
    container = rb"[\[{]" + flat + rb"[\]}]"
    for _ in range(depth):
        container = rb"[\[{]" + flat + rb"(?:" + container + flat + rb")*+[\]}]"
    scalar = rb'[^"\[\]{},]*+'
    value = rb"(?:" + string + rb"|" + container + rb")?+"
    return re.compile(rb"(?:" + scalar + value + scalar + rb",)*+", re.DOTALL)


_ELEMENTS: Final = _elements(_DEPTH)
# Up to the next bracket outside strings, or to a string that does not end in the window.
_TO_BRACKET: Final = re.compile(
    rb'[^"\[\]{}]*+(?:"[^"\\]*+(?:\\.[^"\\]*+)*+"[^"\[\]{}]*+)*+', re.DOTALL
)
_TO_QUOTE: Final = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)
_TO_COMMA: Final = re.compile(rb"[ \t\r\n]*+,")

Text = bytes | bytearray


async def weigh(text: Text, *, limit: int) -> int:
    """Return the weight of a text's structure; the content of strings weighs nothing.

    Raises:
        TooLarge: the weight is above the limit.
    """
    weight, in_string = 0, False
    async for window in sliced(_windows(text)):
        outside, in_string = _outside(window, in_string=in_string)
        weight += sum(outside.count(mark) * cost for mark, cost in _COSTS)
        weight += len(outside) // _BYTES_A_WEIGHT
        if weight > limit:
            raise TooLarge(
                "The body holds too many values: it may have about "
                f"{limit // 4:,} fields, or {limit:,} elements of lists."
            )
    return weight


def _windows(text: Text) -> Iterator[bytes]:
    """Yield the text in pieces; none ends between a backslash and the character it escapes."""
    start = 0
    while start < len(text):
        window = bytes(text[start : start + _WINDOW])
        if (len(window) - len(window.rstrip(b"\\"))) % 2:
            window = bytes(text[start : start + _WINDOW + 1])
        start += len(window)
        yield window


def _outside(window: bytes, *, in_string: bool) -> tuple[bytes, bool]:
    """Return the window without its strings, and whether a string continues after it."""
    if b"\\" in window:
        window = window.replace(b"\\\\", b"").replace(b'\\"', b"")
    parts = window.split(b'"')
    return b"".join(parts[in_string::2]), in_string is (len(parts) % 2 == 1)


async def parse(text: Text, queue: SliceQueue) -> Any:
    """Return the value of a JSON text that has been weighed.

    Raises:
        Malformed: it is not JSON.
        TooLarge: a part that cannot be divided has too much structure.
    """
    cuts = await _cut(text) if len(text) > _RUN else []
    if not cuts:
        return await _parse_unit(text, queue)
    marker = secrets.token_hex(16)
    lists = {f"{marker}{number}": cut for number, cut in enumerate(cuts)}
    value = await _parse_unit(_frame(text, lists), queue, is_part=True)
    for key, found in value.items():
        if isinstance(found, list) and len(found) == 1 and isinstance(found[0], str):
            bounds = lists.get(found[0])
            if bounds is not None:
                value[key] = await _parse_list(text, bounds, queue)
    return value


def _frame(text: Text, lists: dict[str, list[int]]) -> Text:
    """Return the text with a name in place of each long list's content."""
    frame, start = bytearray(), 0
    for name, (first, *_, end) in lists.items():
        frame += text[start:first]
        frame += b'"%s"' % name.encode()
        start = end
    return frame + text[start:]


async def _parse_list(text: Text, bounds: list[int], queue: SliceQueue) -> list[Any]:
    """Return the elements between the bounds.

    A comma precedes each bound except the first and the last.
    """
    elements: list[Any] = []
    for start, end in itertools.pairwise(bounds):
        run = bytes(text[start : end if end == bounds[-1] else end - 1])
        if not run.strip():
            raise Malformed("The body is not JSON: expected value.")
        elements += await _parse_unit(b"[" + run + b"]", queue, is_part=True)
    return elements


async def _parse_unit(text: Text, queue: SliceQueue, *, is_part: bool = False) -> Any:
    if len(text) > 2 * _RUN:
        await weigh(text, limit=UNIT_WEIGHT)
    async with queue.take():
        return from_text(text, is_part=is_part)


def from_text(text: Text, *, is_part: bool = False) -> Any:
    """Parse a JSON text by one call.

    Args:
        text: a small text, or one that has been weighed.
        is_part: whether it is part of a longer text, so that errors name no line and column.

    Raises:
        Malformed: it is not JSON.
    """
    try:
        return from_json(text, allow_inf_nan=False)
    except ValueError as error:
        reason = str(error).partition(" at line ")[0] if is_part else str(error)
        raise Malformed(f"The body is not JSON: {reason}.") from None


async def _cut(text: Text) -> list[list[int]]:
    """Return where the outermost object's long lists begin, can be divided, and end.

    Each division is after a comma between two elements.
    """
    return [bounds async for bounds in sliced(_cuts(text)) if bounds is not None and bounds[2:]]


def _cuts(text: Text) -> Iterator[list[int] | None]:
    """Yield the bounds of these lists, and from time to time None, where other tasks may run."""
    depth = 0
    place = yield from _to_bracket(text, 0)
    if text[place : place + 1] != b"{":
        return
    while place < len(text):
        if text[place] in b"]}":
            depth -= 1
        elif depth == 1 and text[place] in b"[":
            bounds = yield from _list_bounds(text, place + 1)
            yield bounds
            place = bounds[-1]
        else:
            depth += 1
        place = yield from _to_bracket(text, place + 1)


def _list_bounds(text: Text, place: int) -> Generator[None, None, list[int]]:
    """Yield where a list begins, can be divided, and ends."""
    bounds = [place]
    while True:
        found = _ELEMENTS.match(text, place, place + _RUN)
        yield
        if found is not None and found.end() > place:
            place = found.end()
        else:
            # An element that is long or deeply nested, or the last one.
            place, is_last = yield from _after_element(text, place)
            if is_last:
                return [*bounds, place]
            comma = _TO_COMMA.match(text, place)
            if comma is None:
                continue
            place = comma.end()
        if place - bounds[-1] > _RUN // 2:
            bounds.append(place)


def _after_element(text: Text, place: int) -> Generator[None, None, tuple[int, bool]]:
    """Return the place after the next list or object, and whether the outer list ended instead."""
    depth = 0
    while True:
        place = yield from _to_bracket(text, place)
        if place == len(text):
            return place, True
        depth += 1 if text[place] in b"[{" else -1
        if depth < 0:
            return place, True
        place += 1
        if depth == 0:
            return place, False


def _to_bracket(text: Text, place: int) -> Generator[None, None, int]:
    """Return the place of the next bracket outside strings, or the end of the text."""
    while place < len(text):
        found = _TO_BRACKET.match(text, place, place + _STRETCH)
        place = found.end() if found else place
        yield
        if place < len(text) and text[place] in b"[]{}":
            return place
        if place < len(text) and text[place] == _QUOTE:
            place = yield from _after_string(text, place + 1)
    return len(text)


def _after_string(text: Text, place: int) -> Generator[None, None, int]:
    """Return the place after a string that began before, and is longer than a window."""
    quote = text.find(b'"', place)
    if quote < 0 or text[quote - 1 : quote] != b"\\":
        return quote + 1 or len(text)
    while place < len(text) and text[place] != _QUOTE:
        found = _TO_QUOTE.match(text, place, place + _WINDOW)
        yield
        # A backslash at the window's end is read again, with the character it escapes.
        place = max(found.end() if found else 0, place + 1)
    return place + 1
