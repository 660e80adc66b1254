"""Where a page of a list ended: a time and an id, as an opaque text."""

import base64
from datetime import UTC, datetime

from bson import ObjectId
from bson.errors import InvalidId
from pydantic_core import PydanticCustomError

Cursor = tuple[datetime, ObjectId]


def encode_cursor(at: datetime, last_id: ObjectId) -> str:
    """Return where a page ended; a time without zone is UTC."""
    instant = at if at.tzinfo else at.replace(tzinfo=UTC)
    raw = f"{round(instant.timestamp() * 1000)}:{last_id}".encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def decode_cursor(text: object) -> Cursor | None:
    """Return where the page before ended.

    Raises:
        PydanticCustomError: the text is none of ours.
    """
    if text is None:
        return None
    try:
        raw = base64.urlsafe_b64decode(f"{text}==".encode()).decode()
        milliseconds, last_id = raw.split(":")
        return datetime.fromtimestamp(int(milliseconds) / 1000, UTC), ObjectId(last_id)
    except (ValueError, OverflowError, InvalidId):
        raise PydanticCustomError("cursor", "Cursor is none that was given out") from None
