"""Limits on what an MCP server may send, checked before anything is parsed."""

import re

KB = 1024
MAX_MESSAGE = 4 * KB * KB  # bytes; a picture fits
MAX_EVENT = KB * KB  # bytes; a message in an event stream, which is parsed before we see it
MAX_ITEMS = 50_000  # values in a message
MAX_BLOCKS = 1_000  # parts of a result
MAX_TOOLS = 256  # of one server
MAX_LISTED = 512 * KB  # bytes; descriptions and schemas of a server's tools together
MAX_SCHEMA = 64 * KB  # bytes
MAX_DESCRIPTION = 16 * KB  # characters
MAX_REMOTE_NAME = 256  # characters

_TEXT = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_BEGIN_ITEM = (b"[", b"{", b",")


class InvalidAnswer(Exception):
    """A server sent something that is no message of the protocol, or too large."""


def check_message(data: bytes) -> None:
    """Raise unless a message can be parsed within some tens of milliseconds.

    Raises:
        InvalidAnswer: it is too large, or holds too many values.
    """
    if len(data) > MAX_MESSAGE:
        raise InvalidAnswer(f"sent a message larger than {MAX_MESSAGE // KB // KB} MB")
    if _count_items(data) > MAX_ITEMS:
        raise InvalidAnswer(f"sent a message of more than {MAX_ITEMS:,} values")


def _count_items(data: bytes) -> int:
    found = sum(map(data.count, _BEGIN_ITEM))
    if found <= MAX_ITEMS:
        return found
    # They may be commas in a text. With too many texts, there is no need to count.
    if data.count(b'"') - data.count(b'\\"') > 4 * MAX_ITEMS:
        return found
    bare = _TEXT.sub(b"", data)
    return sum(map(bare.count, _BEGIN_ITEM))


def check_result(result: dict[str, object]) -> None:
    """Raise if the result of a call has too many parts.

    Raises:
        InvalidAnswer: it has more.
    """
    content = result.get("content")
    if isinstance(content, list) and len(content) > MAX_BLOCKS:
        raise InvalidAnswer(f"answered with more than {MAX_BLOCKS:,} parts")
