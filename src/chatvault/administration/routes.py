"""HTTP routes of the service's health and metrics, for administrators."""

from aiohttp import hdrs, web

from chatvault.actor import Actor, Scope
from chatvault.administration import review
from chatvault.administration.review import HealthDeps
from chatvault.administration.schemas import ServiceHealthOut
from chatvault.audit.actions import Action
from chatvault.errors import Denied
from chatvault.http.requests import json_response
from chatvault.http.routing import Routes
from chatvault.metrics.exposition import CONTENT_TYPE

HEALTH_DEPS = web.AppKey("health_deps", HealthDeps)
routes = Routes("administration")


@routes.route(
    "GET",
    "/admin/health",
    Action.HEALTH_GET,
    scope=Scope.ADMIN,
    returns=ServiceHealthOut,
    errors=(Denied,),
)
async def get_service_health(request: web.Request, actor: Actor) -> web.StreamResponse:
    """Read how the service does: queue, feeds, indexes, sealing and jobs.

    For admins. What MongoDB says may be five seconds old.
    """
    return json_response(await review.get_health(actor, request.app[HEALTH_DEPS]))


@routes.route(
    "GET",
    "/metrics",
    Action.METRICS_GET,
    scope=Scope.ADMIN,
    returns=str,
    media=("text/plain",),
    errors=(Denied,),
)
async def get_metrics(request: web.Request, actor: Actor) -> web.StreamResponse:
    """Read the metrics of all worker processes, in Prometheus' text form.

    For admins. Each reading is recorded; a program that reads every few seconds should take the
    address of `CHATVAULT_METRICS` instead, which asks for nothing.
    """
    text = await review.get_metrics(actor, request.app[HEALTH_DEPS])
    return web.Response(body=text, headers={hdrs.CONTENT_TYPE: CONTENT_TYPE})
