"""Request and response schemas of the audit log."""

import re
from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from chatvault.audit.actions import Action, Outcome
from chatvault.cursors import decode_cursor
from chatvault.fields import Id, Instant

PREFIXES = {action.resource_type for action in Action}


class Order(StrEnum):
    """The order of the entries."""

    NEWEST = "newest"
    OLDEST = "oldest"


class GroupBy(StrEnum):
    """The field by which entries are counted."""

    ACTION = "action"
    OUTCOME = "outcome"
    USER = "user"
    HOUR = "hour"
    DAY = "day"


class ExportFormat(StrEnum):
    """The format of an export."""

    NDJSON = "ndjson"
    CSV = "csv"


def _check_action(value: str) -> str:
    known = {action.value for action in Action}
    if value not in known and value.removesuffix(".*") not in PREFIXES:
        raise PydanticCustomError("action", "Action should be known, or a prefix such as session.*")
    return value


class AuditFilter(BaseModel):
    """The filters of entries, all of which have to match."""

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    user_id: Id | None = Field(None, description="whose operations")
    action: Annotated[
        str | None,
        AfterValidator(lambda value: value if value is None else _check_action(value)),
        Field(description="such as `session.login`, or a prefix: `session.*`"),
    ] = None
    resource_type: str | None = Field(None, max_length=64, description="such as `conversation`")
    resource_id: str | None = Field(None, max_length=64, description="what was acted on")
    outcome: Outcome | None = None
    address: str | None = Field(None, max_length=64, description="from where")
    request_id: str | None = Field(None, max_length=64)
    key_id: Id | None = Field(None, description="by which API key")
    since: Instant | None = Field(None, description="the earliest time, inclusive")
    until: Instant | None = Field(None, description="the latest time, exclusive")

    def to_query(self) -> dict[str, Any]:
        """Return the MongoDB filter; each of its fields has an index."""
        fields = ("user_id", "resource_type", "resource_id", "address", "request_id")
        given = {name: getattr(self, name) for name in fields}
        query: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        if self.key_id is not None:
            query["api_key_id"] = self.key_id
        if self.action is not None:
            prefix = re.escape(self.action.removesuffix("*"))
            is_prefix = self.action.endswith(".*")
            query["action"] = {"$regex": f"^{prefix}"} if is_prefix else self.action
        if self.outcome is not None:
            query["outcome"] = self.outcome.value
        period = {"$gte": self.since, "$lt": self.until}
        period = {operator: at for operator, at in period.items() if at is not None}
        if period:
            query["at"] = period
        return query


class AuditQuery(AuditFilter):
    """A page of entries."""

    order: Order = Order.NEWEST
    cursor: Annotated[
        Any,
        BeforeValidator(decode_cursor),
        Field(description="where the page before ended", json_schema_extra={"type": "string"}),
    ] = None
    limit: int = Field(50, ge=1, le=1000)

    @property
    def direction(self) -> int:
        """MongoDB's sort direction: 1 for oldest first."""
        return 1 if self.order is Order.OLDEST else -1

    def to_query(self) -> dict[str, Any]:
        """Return the filter, with the condition for entries after the cursor."""
        query = super().to_query()
        if self.cursor is not None:
            at, last_id = self.cursor
            beyond = "$gt" if self.order is Order.OLDEST else "$lt"
            after = [{"at": {beyond: at}}, {"at": at, "_id": {beyond: last_id}}]
            query = {"$and": [query, {"$or": after}]}
        return query


class AuditStatsQuery(AuditFilter):
    """The query of statistics."""

    by: GroupBy = GroupBy.ACTION


class AuditExportQuery(AuditFilter):
    """The query of an export, oldest entries first."""

    format: ExportFormat = ExportFormat.NDJSON


class MyAuditQuery(BaseModel):
    """A page of the entries about oneself."""

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    cursor: Annotated[
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
    owner_id: Id | None = Field(
        None, description="whose conversation it was, where the user worked with it by a grant"
    )
    key_id: Id | None = Field(description="the API key that was used; null for a session")


class AuditCountOut(BaseModel):
    """The number of entries with this action, outcome, user or period."""

    key: str | None
    count: int
    denied: int
    failed: int


# The fields that are stored under the names that the API has.
SAME_NAMES = tuple(
    name for name in AuditEntryOut.model_fields if name not in {"id", "key_id", "owner_id"}
)


def entry_wire(stored: dict[str, Any]) -> dict[str, Any]:
    """Return a stored entry as the API shows it.

    `key_id` is the API key there; the stored field of that name is the key of the MAC.
    """
    shown = {name: stored[name] for name in SAME_NAMES}
    further = {"owner_id": stored.get("owner_id"), "key_id": stored.get("api_key_id")}
    return {"id": stored["_id"], **shown, **further}
