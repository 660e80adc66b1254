"""HTTP routes of policies of retention: a user's own, and those of roles for admins."""

from aiohttp import web

from chatvault.actor import Actor, Scope
from chatvault.audit.actions import Action
from chatvault.errors import Denied
from chatvault.http.requests import RECORDER, json_response
from chatvault.http.routing import Routes
from chatvault.retention import service
from chatvault.retention.schemas import (
    RetentionIn,
    RetentionOut,
    RetentionQuery,
    RolePath,
    RoleRetentionOut,
)

PATH = "/users/me/retention"
OF_ROLES = "/admin/retention"
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


@routes.route(
    "GET",
    OF_ROLES,
    Action.RETENTION_LIST,
    scope=Scope.ADMIN,
    returns=list[RoleRetentionOut],
    errors=(Denied,),
)
async def list_retention(request: web.Request, actor: Actor) -> web.StreamResponse:
    """List the policy of each role: after how many days without a change conversations go.

    For admins.
    """
    found = await service.list_for_roles(actor, request.app[RECORDER])
    return json_response([RoleRetentionOut(role=role, days=days) for role, days in found.items()])


@routes.route(
    "PUT",
    f"{OF_ROLES}/{{role}}",
    Action.RETENTION_SET,
    scope=Scope.ADMIN,
    returns=RoleRetentionOut,
    errors=(Denied,),
)
async def put_role_retention(
    _: web.Request, actor: Actor, path: RolePath, body: RetentionIn
) -> web.StreamResponse:
    """Set the policy of all users with a role, or remove it with null.

    For admins. It counts within an hour. Pinned conversations stay, and what a user chose for
    themselves counts where it is shorter.
    """
    await service.set_for_role(actor, role=path.role, days=body.days)
    return json_response(RoleRetentionOut(role=path.role, days=body.days))
