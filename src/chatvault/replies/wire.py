"""Parse the JSON of a provider's server-sent events, however their bytes are split."""

import json
import re
from collections.abc import AsyncGenerator, AsyncIterable, Callable
from typing import Any, NoReturn

import orjson

from chatvault.replies.surrogates import Halves

MAX_LINE = 4 * 1024 * 1024
MAX_INTEGER = 2**63
# The escape of one half of a character beyond the first 65,536.
SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


async def values_of(
    parts: AsyncIterable[bytes], on_part: Callable[[], None]
) -> AsyncGenerator[Any, None]:
    """Yield the values of the events, without an incomplete event at the end of the stream.

    Lines end as the protocol says, and not at Unicode's further line ends, which JSON may contain.

    Args:
        parts: the bytes as they arrive.
        on_part: called for each part, with or without a value; may raise to end the reading.

    Raises:
        ValueError: an event is no JSON, or too long.
    """
    rest, halves = b"", Halves()
    async for part in parts:
        on_part()
        whole, newline, rest = (rest + part).rpartition(b"\n")
        if len(rest) > MAX_LINE or len(whole) > MAX_LINE:
            raise ValueError("too long a line")
        if newline:
            for line in whole.splitlines():
                if (data := _data_of(line)) is not None:
                    yield _parse(data, halves)
    data = _data_of(rest)
    if data is not None:
        try:
            value = _parse(data, halves)
        except ValueError:
            return
        yield value


def _data_of(line: bytes) -> str | None:
    if not line.startswith(b"data:"):
        return None
    # A character that the provider has split must not lose the others.
    data = line[5:].decode("utf-8", "replace").strip()
    return None if data in {"", "[DONE]"} else data


def _parse(data: str, halves: Halves) -> Any:
    """Return the value of an event, with halves of characters from earlier events joined."""
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:
        if SURROGATE.search(data) is None:
            raise
        value = _parse_halves(data)
    else:
        if not halves.is_waiting:
            return value
    try:
        return halves.join(value)
    except RecursionError:
        raise ValueError("nested too deep") from None


def _parse_halves(data: str) -> Any:
    """Return an event's value; its texts may hold half of a character, which orjson refuses."""
    try:
        return json.loads(data, parse_constant=_refuse, parse_int=_integer)
    except RecursionError:
        raise ValueError("nested too deep") from None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


def _integer(digits: str) -> int | float:
    """Return a number as orjson reads it: a float if it has more than 64 bits."""
    value = int(digits)
    return value if -MAX_INTEGER <= value < MAX_INTEGER else float(digits)
