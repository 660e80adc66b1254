"""HTTP routes of quotas, for administrators."""

from aiohttp import web

from chatvault.actor import Actor, Scope
from chatvault.audit.actions import Action
from chatvault.cursors import encode_name_cursor
from chatvault.errors import Denied, InvalidInput, NotFound
from chatvault.http.requests import RECORDER, json_response, link_to
from chatvault.http.routing import Routes
from chatvault.quotas import service
from chatvault.quotas.opening import Quotas
from chatvault.quotas.schemas import (
    ListedQuotaOut,
    QuotaIn,
    QuotaOut,
    QuotaPath,
    QuotasQuery,
    listed_quota_wire,
    quota_wire,
)

QUOTAS = web.AppKey("quotas", Quotas)
PATH = "/admin/quotas/{subject}"
routes = Routes("quotas")


@routes.route(
    "GET",
    "/admin/quotas",
    Action.QUOTA_LIST,
    scope=Scope.ADMIN,
    returns=list[ListedQuotaOut],
    errors=(Denied,),
    sends=("Link",),
)
async def list_quotas(request: web.Request, actor: Actor, query: QuotasQuery) -> web.StreamResponse:
    """List the limits of roles, users and API keys that have any, sorted by subject.

    For admins. `Link` leads to the page after.
    """
    found = await service.list_quotas(
        actor, request.app[RECORDER], after=query.cursor, limit=query.limit
    )
    headers = {}
    if len(found) == query.limit:
        cursor = encode_name_cursor(found[-1]["_id"])
        headers["Link"] = f'<{link_to(request, cursor=cursor)}>; rel="next"'
    return json_response([listed_quota_wire(each) for each in found], headers=headers)


@routes.route(
    "GET",
    PATH,
    Action.QUOTA_GET,
    scope=Scope.ADMIN,
    returns=QuotaOut,
    errors=(Denied, NotFound),
)
async def get_quota(request: web.Request, actor: Actor, path: QuotaPath) -> web.StreamResponse:
    """Read the limits of a role, a user or an API key.

    For admins. The limits of a user are their own alone; where one is null, the role's counts.
    """
    shown = await service.get_quota(actor, request.app[RECORDER], subject=path.subject)
    return json_response(quota_wire(shown))


@routes.route(
    "PUT",
    PATH,
    Action.QUOTA_SET,
    scope=Scope.ADMIN,
    returns=QuotaOut,
    errors=(Denied, NotFound, InvalidInput),
)
async def put_quota(
    request: web.Request, actor: Actor, path: QuotaPath, body: QuotaIn
) -> web.StreamResponse:
    """Set the limits of a role, a user or an API key, in the place of those before.

    For admins. The limits of a user come before those of the role; those of an API key count beside
    them. Other processes follow within some seconds. An empty object removes all limits.
    """
    book = request.app[QUOTAS].book
    shown = await service.set_quota(actor, book, subject=path.subject, wanted=body)
    return json_response(quota_wire(shown))
