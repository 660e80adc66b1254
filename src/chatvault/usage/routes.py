"""HTTP routes of statistics."""

from aiohttp import web

from chatvault.actor import Actor, Scope
from chatvault.audit.actions import Action
from chatvault.cursors import encode_count_cursor
from chatvault.errors import Denied
from chatvault.http.requests import RECORDER, json_response, link_to
from chatvault.http.routing import Routes
from chatvault.usage import review, service
from chatvault.usage.schemas import StatsOut, StatsQuery, UsageBy, UsageOut, UsageQuery

routes = Routes("usage")


@routes.route(
    "GET",
    "/conversations/stats",
    Action.CONVERSATION_STATS,
    scope=Scope.CONVERSATIONS_READ,
    returns=StatsOut,
)
async def get_stats(request: web.Request, actor: Actor, query: StatsQuery) -> web.StreamResponse:
    """Count my conversations, messages and tokens.

    Deleted conversations do not count. `tokens_per_day` has the days that had any.
    """
    return json_response(await service.stats(actor, request.app[RECORDER], days=query.days))


@routes.route(
    "GET",
    "/admin/usage",
    Action.USAGE_COUNT,
    scope=Scope.ADMIN,
    returns=list[UsageOut],
    errors=(Denied,),
    sends=("Link",),
)
async def count_usage(request: web.Request, actor: Actor, query: UsageQuery) -> web.StreamResponse:
    """Count tokens by user, most first, or by day.

    For admins. Counts by user come in pages, and `Link` leads to the one after.
    """
    rows = await review.count_usage(actor, request.app[RECORDER], query=query)
    headers = {}
    if query.by is UsageBy.USER and len(rows) == query.limit:
        last = rows[-1]
        cursor = encode_count_cursor(last["total_tokens"], last["user_id"])
        headers["Link"] = f'<{link_to(request, cursor=cursor)}>; rel="next"'
    return json_response(rows, headers=headers)
