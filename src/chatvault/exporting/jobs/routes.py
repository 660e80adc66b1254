"""Exports in the background over HTTP, with downloads that can be resumed."""

from aiohttp import web

from chatvault.actor import Actor, Scope
from chatvault.audit.actions import Action
from chatvault.errors import NotFound, RangeNotSatisfiable, Throttled
from chatvault.exporting.files import ARCHIVE
from chatvault.exporting.jobs import service
from chatvault.exporting.jobs.schemas import (
    ExportCreate,
    ExportJobOut,
    ExportPath,
    PartHeaders,
    PartOut,
    PartPath,
)
from chatvault.exporting.jobs.service import ExportInProgress
from chatvault.exporting.jobs.writing import GZIP
from chatvault.exporting.pdf.typesetter import PdfNotInstalled
from chatvault.exporting.routes import EXPORT_DEPS, STALLED_SECONDS
from chatvault.fields import Raw
from chatvault.http.attachments import content_disposition
from chatvault.http.bodies import FREE_BODY
from chatvault.http.requests import (
    IdempotencyHeaders,
    idempotency_key_of,
    json_response,
    stream_range,
)
from chatvault.http.routing import Routes
from chatvault.idempotency import KeyReused

routes = Routes("exports")


@routes.route(
    "POST",
    "/exports",
    Action.EXPORT_CREATE,
    scope=Scope.EXPORT,
    status=202,
    returns=ExportJobOut,
    errors=(Throttled, NotFound, ExportInProgress, PdfNotInstalled, KeyReused),
    sends=("Location",),
    max_body=FREE_BODY,
)
async def create_export(
    request: web.Request, actor: Actor, headers: IdempotencyHeaders, body: ExportCreate
) -> web.StreamResponse:
    """Export conversations in the background, in parts of 64 MB, each of them a complete file.

    For exports that are too large for one download. It excludes conversations created later. A
    restart of the service only delays it.
    """
    made = await service.create(
        actor,
        request.app[EXPORT_DEPS],
        wanted=body,
        idempotency_key=await idempotency_key_of(request, headers),
    )
    location = {"Location": f"/exports/{made['_id']}"}
    return json_response(_wire(made), status=202, headers=location)


@routes.route("GET", "/exports", Action.EXPORT_LIST, scope=Scope.EXPORT, returns=list[ExportJobOut])
async def list_exports(request: web.Request, actor: Actor) -> web.StreamResponse:
    """List my newest exports in the background.

    The newest five that ended are kept, for seven days.
    """
    found = await service.list_exports(actor, request.app[EXPORT_DEPS])
    return json_response([_wire(each) for each in found])


@routes.route(
    "GET", "/exports/{export_id}", Action.EXPORT_GET, scope=Scope.EXPORT, returns=ExportJobOut
)
async def get_export(request: web.Request, actor: Actor, path: ExportPath) -> web.StreamResponse:
    """Return the progress of an export in the background.

    Its parts can be downloaded as soon as they are listed.
    """
    deps = request.app[EXPORT_DEPS]
    return json_response(_wire(await service.get(actor, deps, export_id=path.export_id)))


@routes.route(
    "GET",
    "/exports/{export_id}/parts/{number}",
    Action.EXPORT_GET_PART,
    scope=Scope.EXPORT,
    returns=str,
    media=(GZIP[1], ARCHIVE[1]),
    other={206: ARCHIVE[1]},
    errors=(RangeNotSatisfiable,),
    sends=("Content-Disposition", "ETag", "Accept-Ranges", "Content-Range"),
)
async def get_export_part(
    request: web.Request, actor: Actor, path: PartPath, headers: PartHeaders
) -> web.StreamResponse:
    """Download a part of an export, or the rest of it.

    Supports `Range` and `If-Range` of RFC 9110.
    """
    part = await service.get_part(
        actor,
        request.app[EXPORT_DEPS],
        export_id=path.export_id,
        number=path.number,
        wanted=headers.range,
        if_range=headers.if_range,
    )
    sent = {"ETag": part.tag, "Cache-Control": "private, no-transform"}
    known = {each.strip().removeprefix("W/") for each in headers.if_none_match.split(",")}
    if known & {part.tag, "*"}:
        return web.Response(status=304, headers=sent)
    sent["Content-Type"] = part.document["media_type"]
    sent["Content-Disposition"] = content_disposition(part.document["name"])
    return await stream_range(
        request, part.read(), part.bounds, headers=sent, patience=STALLED_SECONDS
    )


@routes.route(
    "DELETE", "/exports/{export_id}", Action.EXPORT_DELETE, scope=Scope.EXPORT, status=204
)
async def delete_export(request: web.Request, actor: Actor, path: ExportPath) -> web.StreamResponse:
    """Cancel an export in the background, or remove it with its parts.

    Its bytes are deleted within about a minute.
    """
    await service.delete(actor, request.app[EXPORT_DEPS], export_id=path.export_id)
    return web.Response(status=204)


def _wire(job: Raw) -> Raw:
    names = ExportJobOut.model_fields.keys() - {"id", "parts"}
    parts = [
        {
            "number": number,
            "sha256": part["hash"],
            **{name: part[name] for name in PartOut.model_fields.keys() - {"number", "sha256"}},
        }
        for number, part in enumerate(job["parts"], 1)
    ]
    return {"id": job["_id"], **{name: job[name] for name in names}, "parts": parts}
