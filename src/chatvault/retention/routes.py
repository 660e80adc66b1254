"""HTTP routes of a user's retention policy."""

from aiohttp import web

from chatvault.actor import Actor, Scope
from chatvault.audit.actions import Action
from chatvault.http.requests import RECORDER, json_response
from chatvault.http.routing import Routes
from chatvault.retention import service
from chatvault.retention.schemas import RetentionIn, RetentionOut, RetentionQuery

PATH = "/users/me/retention"
routes = Routes("retention")


@routes.route(
    "GET", PATH, Action.RETENTION_GET, scope=Scope.CONVERSATIONS_READ, returns=RetentionOut
)
async def get_retention(
    request: web.Request, actor: Actor, query: RetentionQuery
) -> web.StreamResponse:
    """Read my retention policy, and what would go to the trash now.

    With `days` it is a dry run: what would go if those were the days.
    """
    shown = await service.get(actor, request.app[RECORDER], days=query.days)
    return json_response(shown)


@routes.route(
    "PUT", PATH, Action.RETENTION_SET, scope=Scope.CONVERSATIONS_WRITE, returns=RetentionOut
)
async def put_retention(_: web.Request, actor: Actor, body: RetentionIn) -> web.StreamResponse:
    """Set after how many days without a change my conversations go to the trash.

    Pinned conversations stay. An operator may have set fewer days for my role.
    """
    return json_response(await service.set_mine(actor, days=body.days))
