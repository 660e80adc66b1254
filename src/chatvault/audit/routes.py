"""The audit log over HTTP, for auditors and admins."""

from aiohttp import web

from chatvault.actor import Actor
from chatvault.audit import service
from chatvault.audit.actions import Action
from chatvault.audit.schemas import AuditEntryOut, AuditQuery, encode_cursor, entry_wire
from chatvault.errors import Denied
from chatvault.routing import Routes
from chatvault.web import RECORDER, json_response, link_to

routes = Routes("audit")


@routes.route(
    "GET", "/admin/audit-logs", Action.AUDIT_LIST, returns=list[AuditEntryOut], errors=(Denied,)
)
async def list_audit_logs(
    request: web.Request, actor: Actor, query: AuditQuery
) -> web.StreamResponse:
    """List entries, newest first; `Link` leads to the page after."""
    entries = await service.list_entries(actor, request.app[RECORDER], query=query)
    headers = {}
    if len(entries) == query.limit:
        cursor = encode_cursor(entries[-1]["at"], entries[-1]["_id"])
        headers["Link"] = f'<{link_to(request, before=cursor)}>; rel="next"'
    return json_response([entry_wire(entry) for entry in entries], headers=headers)
