"""Building audit entries."""

import time
from typing import Any

from bson import ObjectId

from chatvault.access import Guest
from chatvault.actor import Actor
from chatvault.audit.actions import Action, Outcome
from chatvault.audit.models import Entry
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
    """Return the audit entry of an operation, which is inserted together with its change."""
    made: Entry = {
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
    if actor.key_id is not None:
        made["api_key_id"] = actor.key_id
    if isinstance(actor, Guest):
        made["owner_id"] = actor.access.owner_id
    return made
