"""Making entries, and showing them to those who review."""

import time
from typing import Any

from bson import ObjectId

from chatvault.actor import Actor, Door, Role
from chatvault.audit.actions import Action, Outcome
from chatvault.audit.models import AuditEntry
from chatvault.audit.recorder import Entry, Recorder
from chatvault.audit.schemas import AuditQuery
from chatvault.fields import now


def entry(
    actor: Actor,
    action: Action,
    resource_id: ObjectId | str | None = None,
    *,
    outcome: Outcome = Outcome.SUCCESS,
    code: str | None = None,
    details: dict[str, Any] | None = None,
) -> Entry:
    """The document that says what the actor did, to be inserted with the change itself."""
    return {
        "_id": ObjectId(),
        "at": now(),
        "action": action.value,
        "outcome": outcome.value,
        "code": code,
        "door": actor.door.value,
        "user_id": actor.user_id,
        "role": actor.role.value if actor.role else None,
        "session_id": actor.session_id,
        "resource_type": action.resource_type,
        "resource_id": None if resource_id is None else str(resource_id),
        "address": actor.address,
        "user_agent": actor.user_agent,
        "request_id": actor.request_id,
        "duration_ms": round((time.perf_counter() - actor.started) * 1000, 3),
        "details": details,
    }


async def list_entries(actor: Actor, recorder: Recorder, *, query: AuditQuery) -> list[Entry]:
    """A page of entries, newest first, that match all filters; itself audited.

    Args:
        actor: an auditor, an admin, or the operator at the command line.
        recorder: takes the entry about this reading.
        query: the filters and where the page before ended.

    Raises:
        Denied: the actor is neither auditor nor admin.
    """
    if actor.door is not Door.CLI:
        actor.require_role(Role.AUDITOR, Role.ADMIN)
    found = AuditEntry.get_pymongo_collection().find(_to_filter(query))
    page = await found.sort([("at", -1), ("_id", -1)]).limit(query.limit).to_list()
    await recorder.record(entry(actor, Action.AUDIT_LIST, details={"entries": len(page)}))
    return page


def _to_filter(query: AuditQuery) -> dict[str, Any]:
    exact = query.model_dump(
        include={"user_id", "action", "resource_type", "resource_id", "outcome"},
        exclude_none=True,
    )
    if query.user_id is not None:
        exact["user_id"] = query.user_id
    period = {"$gte": query.since, "$lt": query.until}
    period = {operator: value for operator, value in period.items() if value is not None}
    if period:
        exact["at"] = period
    if query.before is not None:
        at, last_id = query.before
        exact["$or"] = [{"at": {"$lt": at}}, {"at": at, "_id": {"$lt": last_id}}]
    return exact
