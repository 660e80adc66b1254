"""What a server of tools may send: sizes, looked at before anything is parsed."""

import re

KB = 1024
MAX_MESSAGE = 4 * KB * KB  # bytes; a picture fits
MAX_EVENT = KB * KB  # bytes; a message in an event stream, which is parsed before we see it
MAX_ITEMS = 50_000  # values in a message
MAX_BLOCKS = 1_000  # parts of a result
MAX_TOOLS = 256  # of a server
MAX_LISTED = 512 * KB  # bytes; descriptions and schemas of a server's tools together
MAX_SCHEMA = 64 * KB  # bytes
MAX_DESCRIPTION = 16 * KB  # characters
MAX_REMOTE_NAME = 256  # characters

_TEXT = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_BEGIN_ITEM = (b"[", b"{", b",")


class InvalidAnswer(Exception):
    """A server sent what is no message of the protocol, or a larger one than is taken."""


def check_message(data: bytes) -> None:
    """Let only messages pass that can be parsed within some tens of milliseconds.

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
    # Perhaps they are commas in a text. Where there are too many texts, there is no need to look.
    if data.count(b'"') - data.count(b'\\"') > 4 * MAX_ITEMS:
        return found
    bare = _TEXT.sub(b"", data)
    return sum(map(bare.count, _BEGIN_ITEM))


def check_result(result: dict[str, object]) -> None:
    """Let only results of calls pass that have few enough parts.

    Raises:
        InvalidAnswer: it has more.
    """
    content = result.get("content")
    if isinstance(content, list) and len(content) > MAX_BLOCKS:
        raise InvalidAnswer(f"answered with more than {MAX_BLOCKS:,} parts")
