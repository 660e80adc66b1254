"""Cursors of lists, as opaque text: a time and an id, a count and an id, or a name."""

import base64
from datetime import UTC, datetime

from bson import ObjectId
from bson.errors import InvalidId
from pydantic_core import PydanticCustomError

Cursor = tuple[datetime, ObjectId]
CountCursor = tuple[int, ObjectId]
# The range of MongoDB's integers.
MOST = 2**63


def encode_cursor(at: datetime, last_id: ObjectId) -> str:
    """Encode where a page ended; a time without zone is UTC."""
    instant = at if at.tzinfo else at.replace(tzinfo=UTC)
    return encode_count_cursor(round(instant.timestamp() * 1000), last_id)


def encode_count_cursor(count: int, last_id: ObjectId) -> str:
    """Encode where a page ended that is sorted by a count."""
    return encode_name_cursor(f"{count}:{last_id}")


def encode_name_cursor(name: str) -> str:
    """Encode where a page ended that is sorted by name."""
    return base64.urlsafe_b64encode(name.encode()).decode().rstrip("=")


def decode_cursor(text: object) -> Cursor | None:
    """Decode where the page before ended.

    Raises:
        PydanticCustomError: the text is not a cursor.
    """
    found = decode_count_cursor(text)
    if found is None:
        return None
    milliseconds, last_id = found
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC), last_id
    except (ValueError, OverflowError, OSError):
        raise not_ours() from None


def decode_count_cursor(text: object) -> CountCursor | None:
    """Decode where the page before ended, sorted by a count.

    Raises:
        PydanticCustomError: the text is not a cursor.
    """
    name = decode_name_cursor(text)
    if name is None:
        return None
    try:
        count, last_id = name.split(":")
        found = int(count), ObjectId(last_id)
    except (ValueError, InvalidId):
        raise not_ours() from None
    if abs(found[0]) >= MOST:
        raise not_ours()
    return found


def decode_name_cursor(text: object) -> str | None:
    """Decode where the page before ended, sorted by name.

    Raises:
        PydanticCustomError: the text is not a cursor.
    """
    if text is None:
        return None
    try:
        padded = f"{text}{'=' * (-len(str(text)) % 4)}".encode()
        return base64.b64decode(padded, altchars=b"-_", validate=True).decode()
    except ValueError:
        raise not_ours() from None


def not_ours() -> PydanticCustomError:
    """Return the error for a text that is not a cursor."""
    return PydanticCustomError("cursor", "Cursor is none that was given out")
