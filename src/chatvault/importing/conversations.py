"""What every source format yields, and how it says that a file cannot be imported."""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from chatvault.errors import InvalidInput
from chatvault.fields import to_milliseconds

Role = Literal["user", "assistant", "system"]
ImportedPreferences = dict[str, Any]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# As seconds this is the year 5138, as milliseconds it is 1973.
_LEAST_MILLISECONDS = 1e11
_ISO = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d.*)?", re.ASCII)


class ImportRejected(InvalidInput):
    """The file cannot be imported."""

    code = "import_rejected"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedMessage:
    """One message, with whatever the source knew of it.

    Attributes:
        source_id: the source's id of the message; not necessarily unique.
        timestamp: UTC in milliseconds.
        cancelled: whether the reply was stopped before its end, where that is known.
        extra: fields of the source that have no place of their own, as they were.
    """

    source_id: str | None
    role: Role
    content: str
    timestamp: datetime | None
    model: str | None
    metrics: dict[str, Any] | None
    cancelled: bool | None
    extra: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedConversation:
    """One conversation, its messages in the source's order.

    Attributes:
        source_id: unique within the file, and the same whenever the file is read.
        notes: what had to be mended, in words without any content of the conversation.
    """

    source_id: str
    title: str
    messages: tuple[ImportedMessage, ...]
    created_at: datetime
    updated_at: datetime
    metadata: dict[str, Any]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """Something in the file that is not imported: where it stands, and why."""

    place: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportFile:
    """All that one file holds.

    Attributes:
        preferences: display settings, where the file has any.
        truncated: whether reading stopped before the file's end.
    """

    conversations: tuple[ImportedConversation, ...] = ()
    preferences: ImportedPreferences | None = None
    skipped: tuple[Skipped, ...] = field(default=())
    truncated: bool = False


def parse_time(value: object) -> datetime | None:
    """Read a time as exports write them.

    Args:
        value: ISO 8601 (UTC where it names no zone), or seconds or milliseconds since 1970.

    Returns:
        The instant in UTC, cut to milliseconds; None if the value is no time.
    """
    try:
        if isinstance(value, str) and _ISO.fullmatch(value):
            return to_milliseconds(datetime.fromisoformat(value))
        if isinstance(value, int | float) and not isinstance(value, bool):
            unit = 1 if abs(value) >= _LEAST_MILLISECONDS else 1000
            return _EPOCH + timedelta(milliseconds=round(value * unit))
    except (ValueError, OverflowError):
        pass
    return None


def one_line(text: str) -> str:
    """Return the text as one printable line: a file's name may hold line breaks or stray bytes."""
    return "".join(char if char.isprintable() else "�" for char in text)
