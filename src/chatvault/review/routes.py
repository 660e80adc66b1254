"""HTTP routes of the audit log: for auditors and admins, and for users about themselves."""

from collections.abc import AsyncGenerator

from aiohttp import web

from chatvault.actor import Actor, Scope
from chatvault.audit.actions import Action
from chatvault.audit.models import Entry
from chatvault.cursors import encode_cursor
from chatvault.errors import Denied
from chatvault.http.requests import RECORDER, json_response, link_to, stream
from chatvault.http.routing import Routes
from chatvault.review import export, service
from chatvault.review.schemas import (
    AuditCountOut,
    AuditEntryOut,
    AuditExportQuery,
    AuditQuery,
    AuditStatsQuery,
    MyAuditQuery,
    entry_wire,
)

PATH = "/admin/audit-logs"
routes = Routes("audit")


def _answer(request: web.Request, entries: list[Entry], limit: int) -> web.Response:
    """Return a page; `Link` leads to the next."""
    headers = {}
    if len(entries) == limit:
        cursor = encode_cursor(entries[-1]["at"], entries[-1]["_id"])
        headers["Link"] = f'<{link_to(request, cursor=cursor)}>; rel="next"'
    return json_response([entry_wire(entry) for entry in entries], headers=headers)


@routes.route(
    "GET",
    PATH,
    Action.AUDIT_LIST,
    scope=Scope.AUDIT_READ,
    returns=list[AuditEntryOut],
    errors=(Denied,),
    sends=("Link",),
)
async def list_audit_logs(
    request: web.Request, actor: Actor, query: AuditQuery
) -> web.StreamResponse:
    """List entries; `Link` leads to the page after.

    For auditors and admins. All that is given has to match. Looking is itself recorded.
    """
    entries = await service.list_entries(actor, request.app[RECORDER], query=query)
    return _answer(request, entries, query.limit)


@routes.route(
    "GET",
    PATH + "/stats",
    Action.AUDIT_COUNT,
    scope=Scope.AUDIT_READ,
    returns=list[AuditCountOut],
    errors=(Denied,),
)
async def count_audit_logs(
    request: web.Request, actor: Actor, query: AuditStatsQuery
) -> web.StreamResponse:
    """Count entries by action, outcome or user, or over time.

    For auditors and admins, with the same filters as the list.
    """
    return json_response(await service.count_entries(actor, request.app[RECORDER], query=query))


@routes.route(
    "GET",
    PATH + "/export",
    Action.AUDIT_EXPORT,
    scope=Scope.AUDIT_READ,
    returns=str,
    media=tuple(export.MEDIA_TYPES.values()),
    errors=(Denied,),
    sends=("Content-Disposition",),
)
async def export_audit_logs(
    request: web.Request, actor: Actor, query: AuditExportQuery
) -> web.StreamResponse:
    """Export entries, oldest first, as NDJSON or CSV.

    For auditors and admins. It leaves as it is read, and breaks off where it cannot be given
    whole.
    """
    batches = await service.export_entries(actor, request.app[RECORDER], query=query)

    async def chunks() -> AsyncGenerator[bytes]:
        yield export.head(query.format)
        async for entries in batches:
            yield export.lines(entries, query.format)

    headers = {
        "Content-Type": export.MEDIA_TYPES[query.format],
        "Content-Disposition": f'attachment; filename="audit-logs.{query.format}"',
    }
    return await stream(request, chunks(), headers=headers)


@routes.route(
    "GET",
    "/users/me/audit-logs",
    Action.AUDIT_LIST_MINE,
    scope=Scope.AUDIT_READ,
    returns=list[AuditEntryOut],
    sends=("Link",),
)
async def list_my_audit_logs(
    request: web.Request, actor: Actor, query: MyAuditQuery
) -> web.StreamResponse:
    """List what I did and what was done to my account, newest first.

    `Link` leads to older ones.
    """
    entries = await service.list_mine(actor, request.app[RECORDER], query=query)
    return _answer(request, entries, query.limit)
