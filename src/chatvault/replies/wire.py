"""What comes from a provider: the JSON of each server-sent event, however its bytes are cut."""

from collections.abc import AsyncGenerator, AsyncIterable
from typing import Any

import orjson

MAX_LINE = 4 * 1024 * 1024


async def values_of(parts: AsyncIterable[bytes]) -> AsyncGenerator[Any, None]:
    """The values as they come; one that the end of the stream cuts is left out.

    Lines end where the protocol says, which is not wherever Unicode has an end of a line: JSON
    may hold those as they are.

    Raises:
        ValueError: an event is no JSON, or too long.
    """
    rest = b""
    async for part in parts:
        whole, newline, rest = (rest + part).rpartition(b"\n")
        if len(rest) > MAX_LINE or len(whole) > MAX_LINE:
            raise ValueError("too long a line")
        if newline:
            for line in whole.splitlines():
                if (data := _data_of(line)) is not None:
                    yield orjson.loads(data)
    data = _data_of(rest)
    if data is not None:
        try:
            value = orjson.loads(data)
        except ValueError:
            return
        yield value


def _data_of(line: bytes) -> str | None:
    if not line.startswith(b"data:"):
        return None
    # A character that the provider has cut in two is no reason to lose the others.
    data = line[5:].decode("utf-8", "replace").strip()
    return None if data in {"", "[DONE]"} else data
