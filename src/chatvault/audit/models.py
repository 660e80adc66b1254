"""The audit log's entries, which are inserted and never updated."""

from datetime import datetime
from typing import Any, ClassVar

from beanie import Document
from pymongo import DESCENDING, IndexModel

from chatvault.actor import Door, Role
from chatvault.audit.actions import Action, Outcome
from chatvault.fields import Id


class AuditEntry(Document):
    """Who did what to what, when, from where, and how it ended; never any content.

    Attributes:
        at: when the operation ended, in UTC.
        duration_ms: from the arrival of the request to this entry.
        resource_id: the thing's id, as text; None where there is none yet.
        code: the stable error code of what was denied or failed.
        details: small counts, such as how many metadata keys changed.
    """

    at: datetime
    action: Action
    outcome: Outcome
    code: str | None = None
    door: Door
    user_id: Id | None = None
    role: Role | None = None
    session_id: Id | None = None
    resource_type: str
    resource_id: str | None = None
    address: str | None = None
    user_agent: str | None = None
    request_id: str
    duration_ms: float
    details: dict[str, Any] | None = None

    class Settings:
        """Beanie's."""

        name = "audit_logs"
        indexes: ClassVar = [
            IndexModel([(key, 1), ("at", DESCENDING), ("_id", DESCENDING)])
            for key in ("user_id", "resource_id", "action", "outcome", "address")
        ] + [IndexModel([("at", DESCENDING), ("_id", DESCENDING)]), IndexModel("request_id")]
