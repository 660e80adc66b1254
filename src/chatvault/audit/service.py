"""Making entries, and showing them to those who review."""

import time
from datetime import datetime
from typing import Any

from bson import ObjectId

from chatvault.actor import Actor, Door, Role
from chatvault.audit.actions import Action, Outcome
from chatvault.audit.models import AuditEntry
from chatvault.audit.recorder import Entry, Recorder
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


async def list_entries(
    actor: Actor,
    recorder: Recorder,
    *,
    user_id: ObjectId | None = None,
    action: str | None = None,
    resource_type: str | None = None,
    resource_id: str | None = None,
    outcome: Outcome | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    before: tuple[datetime, ObjectId] | None = None,
    limit: int = 50,
) -> list[Entry]:
    """A page of entries, newest first, that match all filters; itself audited.

    Args:
        actor: an auditor, an admin, or the operator at the command line.
        recorder: takes the entry about this reading.
        user_id: whose operations.
        action: such as `conversation.create`.
        resource_type: such as `conversation`.
        resource_id: the id of what was acted on.
        outcome: success, denied or failed.
        since: the earliest time, inclusive.
        until: the latest time, exclusive.
        before: time and id of the last entry of the page before.
        limit: at most so many entries.

    Raises:
        Denied: the actor is neither auditor nor admin.
    """
    if actor.door is not Door.CLI:
        actor.require_role(Role.AUDITOR, Role.ADMIN)
    exact = {
        "user_id": user_id,
        "action": action,
        "resource_type": resource_type,
        "resource_id": resource_id,
        "outcome": outcome.value if outcome else None,
    }
    query: dict[str, Any] = {key: value for key, value in exact.items() if value is not None}
    period = {"$gte": since, "$lt": until}
    period = {operator: value for operator, value in period.items() if value is not None}
    if period:
        query["at"] = period
    if before is not None:
        at, last_id = before
        query["$or"] = [{"at": {"$lt": at}}, {"at": at, "_id": {"$lt": last_id}}]
    found = AuditEntry.get_pymongo_collection().find(query)
    page = await found.sort([("at", -1), ("_id", -1)]).limit(limit).to_list()
    await recorder.record(
        entry(
            actor,
            Action.AUDIT_LIST,
            details={"entries": len(page)},
        )
    )
    return page
