"""Audit entries as they go over the wire."""

import base64
from datetime import UTC, datetime
from typing import Annotated, Any

from bson import ObjectId
from bson.errors import InvalidId
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from chatvault.audit.actions import Action, Outcome
from chatvault.fields import Id, Instant

Cursor = tuple[datetime, ObjectId]


def encode_cursor(at: datetime, entry_id: ObjectId) -> str:
    """Where a page ended, as an opaque text."""
    raw = f"{round(at.timestamp() * 1000)}:{entry_id}".encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def decode_cursor(text: object) -> Cursor | None:
    """Where the page before ended.

    Raises:
        PydanticCustomError: the text is none of ours.
    """
    if text is None:
        return None
    try:
        raw = base64.urlsafe_b64decode(f"{text}==".encode()).decode()
        milliseconds, entry_id = raw.split(":")
        return datetime.fromtimestamp(int(milliseconds) / 1000, UTC), ObjectId(entry_id)
    except (ValueError, OverflowError, InvalidId):
        raise PydanticCustomError("cursor", "Cursor is none that was given out") from None


class AuditQuery(BaseModel):
    """Which entries to show, newest first."""

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    user_id: Id | None = None
    action: Action | None = None
    resource_type: str | None = Field(None, max_length=64)
    resource_id: str | None = Field(None, max_length=64)
    outcome: Outcome | None = None
    since: Instant | None = None
    until: Instant | None = None
    before: Annotated[
        Any,
        BeforeValidator(decode_cursor),
        Field(description="where the page before ended", json_schema_extra={"type": "string"}),
    ] = None
    limit: int = Field(50, ge=1, le=1000)


class AuditEntryOut(BaseModel):
    """Who did what to what, when, from where, and how it ended."""

    id: Id
    at: Instant
    action: str
    outcome: Outcome
    code: str | None
    door: str
    user_id: Id | None
    role: str | None
    session_id: Id | None
    resource_type: str
    resource_id: str | None
    address: str | None
    user_agent: str | None
    request_id: str
    duration_ms: float
    details: dict[str, Any] | None


def entry_wire(stored: dict[str, Any]) -> dict[str, Any]:
    """A stored entry as it is shown."""
    names = AuditEntryOut.model_fields
    return {"id": stored["_id"], **{name: stored[name] for name in names if name != "id"}}
