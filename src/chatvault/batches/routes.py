"""HTTP routes of actions on many conversations."""

from aiohttp import web

from chatvault.actor import Actor, Scope
from chatvault.audit.actions import Action
from chatvault.batches import service, undo_service
from chatvault.batches.beginning import BatchInProgress
from chatvault.batches.schemas import BatchCreate, BatchesOut, BatchOut, BatchPath, batch_wire
from chatvault.batches.service import BatchDeps
from chatvault.batches.undo_service import NotUndoable
from chatvault.conversations.categories import CategoryNotFound
from chatvault.errors import Throttled
from chatvault.exporting.jobs.service import ExportInProgress
from chatvault.exporting.pdf.typesetter import PdfNotInstalled
from chatvault.http.bodies import FREE_BODY
from chatvault.http.requests import IdempotencyHeaders, idempotency_key_of, json_response
from chatvault.http.routing import Routes
from chatvault.idempotency import KeyReused

BATCH_DEPS = web.AppKey("batch_deps", BatchDeps)
routes = Routes("batches")


@routes.route(
    "POST",
    "/conversations:batch",
    Action.BATCH_CREATE,
    scope=Scope.CONVERSATIONS_WRITE,
    returns=BatchOut,
    other={202: BatchOut},
    errors=(
        Throttled,
        CategoryNotFound,
        BatchInProgress,
        ExportInProgress,
        PdfNotInstalled,
        KeyReused,
    ),
    sends=("Location",),
    max_body=FREE_BODY,
)
async def create_batch(
    request: web.Request, actor: Actor, headers: IdempotencyHeaders, body: BatchCreate
) -> web.StreamResponse:
    """Archive, tag, move, pin or export many conversations.

    Up to 100 that are named by `ids` are changed at once (200). More, and those that a `filter`
    chooses, up to 100,000, are changed in the background (202, `Location`): those that match now,
    as long as they still match at the moment of their change. An export needs the scope `export`.
    """
    made = await service.create(
        actor,
        request.app[BATCH_DEPS],
        wanted=body,
        idempotency_key=await idempotency_key_of(request, headers),
    )
    location = None
    if made.get("export_id") is not None:
        location = f"/exports/{made['export_id']}"
    elif made["_id"] is not None:
        location = f"/batches/{made['_id']}"
    if location is None:
        return json_response(batch_wire(made))
    return json_response(batch_wire(made), status=202, headers={"Location": location})


@routes.route(
    "GET", "/batches", Action.BATCH_LIST, scope=Scope.CONVERSATIONS_READ, returns=BatchesOut
)
async def list_batches(request: web.Request, actor: Actor) -> web.StreamResponse:
    """List my newest actions in the background.

    The newest twenty that ended are kept, for seven days.
    """
    found = await service.list_batches(actor, request.app[BATCH_DEPS])
    return json_response({"batches": [batch_wire(each) for each in found]})


@routes.route(
    "GET",
    "/batches/{batch_id}",
    Action.BATCH_GET,
    scope=Scope.CONVERSATIONS_READ,
    returns=BatchOut,
)
async def get_batch(request: web.Request, actor: Actor, path: BatchPath) -> web.StreamResponse:
    """Return the progress of an action in the background.

    It is kept for seven days after its end.
    """
    found = await service.get(actor, request.app[BATCH_DEPS], batch_id=path.batch_id)
    return json_response(batch_wire(found))


@routes.route(
    "POST",
    "/batches/{batch_id}/cancel",
    Action.BATCH_CANCEL,
    scope=Scope.CONVERSATIONS_WRITE,
    returns=BatchOut,
    errors=(KeyReused,),
)
async def cancel_batch(
    request: web.Request, actor: Actor, path: BatchPath, headers: IdempotencyHeaders
) -> web.StreamResponse:
    """Cancel an action in the background; what it has changed stays so.

    It ends after its current step. One that has ended is not changed.
    """
    job = await service.cancel(
        actor,
        request.app[BATCH_DEPS],
        batch_id=path.batch_id,
        idempotency_key=await idempotency_key_of(request, headers),
    )
    return json_response(batch_wire(job))


@routes.route(
    "POST",
    "/batches/{batch_id}/undo",
    Action.BATCH_UNDO,
    scope=Scope.CONVERSATIONS_WRITE,
    status=202,
    returns=BatchOut,
    errors=(NotUndoable, BatchInProgress, Throttled, KeyReused),
    sends=("Location",),
)
async def undo_batch(
    request: web.Request, actor: Actor, path: BatchPath, headers: IdempotencyHeaders
) -> web.StreamResponse:
    """Undo an action in the background that has ended.

    A job takes back each of its changes, unless others changed the same since then. Repeated, it
    answers with the same job.
    """
    job = await undo_service.undo(
        actor,
        request.app[BATCH_DEPS],
        batch_id=path.batch_id,
        idempotency_key=await idempotency_key_of(request, headers),
    )
    location = {"Location": f"/batches/{job['_id']}"}
    return json_response(batch_wire(job), status=202, headers=location)
