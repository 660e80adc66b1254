"""HTTP routes of the audit log's verification: for auditors and admins."""

from datetime import datetime
from typing import Any

from aiohttp import web
from pydantic import BaseModel

from chatvault.actor import Actor, Scope
from chatvault.audit.actions import Action
from chatvault.errors import Denied
from chatvault.fields import Id, Instant
from chatvault.http.requests import (
    RECORDER,
    IdempotencyHeaders,
    idempotency_key_of,
    json_response,
)
from chatvault.http.routing import Routes
from chatvault.idempotency import KeyReused
from chatvault.sealing import verifications
from chatvault.sealing.verifications import VerificationState, Verifier

PATH = "/admin/audit-logs/verifications"
VERIFIER = web.AppKey("verifier", Verifier)
routes = Routes("audit")


class StartedOut(BaseModel):
    """The running verification."""

    id: Id


class VerificationOut(BaseModel):
    """A verification of the audit log: its progress or its result.

    `done` and `total` count blocks, `entries` the entries that are unchanged, `removed` those
    that were removed as announced, `unsealed` the newest, which are in no block yet. `finding` is
    the first difference from the seals.
    """

    id: Id
    started_by: Id
    started_at: Instant
    ended_at: Instant | None
    state: VerificationState
    done: int
    total: int
    entries: int
    removed: int
    unsealed: int
    finding: str | None


@routes.route(
    "POST",
    PATH,
    Action.AUDIT_START_VERIFICATION,
    scope=Scope.AUDIT_READ,
    status=201,
    returns=StartedOut,
    errors=(Denied, KeyReused),
)
async def verify_audit_log(
    request: web.Request, actor: Actor, headers: IdempotencyHeaders
) -> web.StreamResponse:
    """Start a verification of the whole audit log in the background.

    For auditors and admins. If one is running, it is returned, and no other is started.
    """
    key = await idempotency_key_of(request, headers)
    found = await verifications.start_verification(
        actor, request.app[VERIFIER], idempotency_key=key
    )
    return json_response({"id": found}, status=201)


@routes.route(
    "GET",
    PATH,
    Action.AUDIT_LIST_VERIFICATIONS,
    scope=Scope.AUDIT_READ,
    returns=list[VerificationOut],
    errors=(Denied,),
)
async def list_audit_verifications(request: web.Request, actor: Actor) -> web.StreamResponse:
    """List the newest verifications of the audit log with their progress.

    For auditors and admins.
    """
    found = await verifications.list_verifications(actor, request.app[RECORDER])
    return json_response([_wire(each) for each in found])


def _wire(stored: dict[str, Any]) -> dict[str, datetime | int | str | None]:
    names = VerificationOut.model_fields
    return {"id": stored["_id"], **{name: stored[name] for name in names if name != "id"}}
