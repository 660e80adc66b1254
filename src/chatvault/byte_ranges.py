"""Parse the `Range` header of a request (RFC 9110, section 14)."""

import re
from typing import Final, NamedTuple

from chatvault.errors import RangeNotSatisfiable

_RANGE: Final = re.compile(r"bytes=(\d{0,15})-(\d{0,15})")


class ByteRange(NamedTuple):
    """A range of a file's bytes, which is empty only for an empty file.

    Attributes:
        start: the position of the first byte.
        end: the position after the last byte.
        size: the size of the whole file.
        is_whole: whether no range was requested.
    """

    start: int
    end: int
    size: int
    is_whole: bool


def parse_range(header: str, size: int) -> ByteRange:
    """Return the requested range; anything but a single range means all bytes.

    Raises:
        RangeNotSatisfiable: the file ends before the range.
    """
    found = _RANGE.fullmatch(header.strip())
    if not found or not any(found.groups()):
        return ByteRange(0, size, size, is_whole=True)
    first, last = found.groups()
    if not first:
        start, end = max(0, size - int(last)), size
    else:
        start = int(first)
        end = min(size, int(last) + 1) if last else size
        if last and int(last) < start:
            return ByteRange(0, size, size, is_whole=True)
    if start >= end:
        raise RangeNotSatisfiable(f"The file has {size} bytes.")
    return ByteRange(start, end, size, is_whole=False)
