"""HTTP routes of statistics."""

from aiohttp import web

from chatvault.actor import Actor, Scope
from chatvault.audit.actions import Action
from chatvault.errors import Denied, NotFound
from chatvault.http.requests import RECORDER, json_response, link_to
from chatvault.http.routing import Routes
from chatvault.usage import review, service
from chatvault.usage.schemas import (
    DaysQuery,
    MyUsageOut,
    StatsOut,
    StatsQuery,
    UsageBy,
    UsageOut,
    UsageQuery,
    cursor_after,
)

LIMITS: web.AppKey[service.ReadLimits] = web.AppKey("limits")
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
    errors=(Denied, NotFound),
    sends=("Link",),
)
async def count_usage(request: web.Request, actor: Actor, query: UsageQuery) -> web.StreamResponse:
    """Count tokens, messages and bytes by user, by day, or by user and day.

    For admins. By user, those with the most tokens come first; else the oldest day. Counts that
    are not by day alone come in pages, and `Link` leads to the one after.
    """
    rows = await review.count_usage(actor, request.app[RECORDER], query=query)
    headers = {}
    if query.by is not UsageBy.DAY and len(rows) == query.limit:
        cursor = cursor_after(query.by, rows[-1])
        headers["Link"] = f'<{link_to(request, cursor=cursor)}>; rel="next"'
    return json_response(rows, headers=headers)


@routes.route(
    "GET",
    "/usage",
    Action.USAGE_LIST_MINE,
    scope=Scope.CONVERSATIONS_READ,
    returns=MyUsageOut,
)
async def list_usage(request: web.Request, actor: Actor, query: DaysQuery) -> web.StreamResponse:
    """List my tokens, messages and bytes by day, oldest first, and the limits that hold for me.

    Days without any are left out. The newest seconds may be missing. With an API key its limits
    come beside those of its user.
    """
    app = request.app
    shown = await service.list_mine(actor, app[RECORDER], app[LIMITS], query=query)
    return json_response(shown)
