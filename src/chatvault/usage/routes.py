"""Statistics over HTTP."""

from aiohttp import web

from chatvault.actor import Actor
from chatvault.audit.actions import Action
from chatvault.http.requests import RECORDER, json_response
from chatvault.http.routing import Routes
from chatvault.usage import service
from chatvault.usage.schemas import StatsOut, StatsQuery

routes = Routes("usage")


@routes.route("GET", "/conversations/stats", Action.CONVERSATION_STATS, returns=StatsOut)
async def get_stats(request: web.Request, actor: Actor, query: StatsQuery) -> web.StreamResponse:
    """Count my conversations, messages and tokens.

    Deleted conversations do not count. `tokens_per_day` has the days that had any.
    """
    return json_response(await service.stats(actor, request.app[RECORDER], days=query.days))
