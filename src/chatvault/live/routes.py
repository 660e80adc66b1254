"""HTTP routes of live events: server-sent events, and a WebSocket with the same frames."""

from aiohttp import web

from chatvault.actor import Actor, Scope
from chatvault.audit.actions import Action
from chatvault.errors import ForeignOrigin, UpgradeRequired
from chatvault.http.routing import Routes
from chatvault.http.sse import EVENT_STREAM
from chatvault.live import service, sockets
from chatvault.live.hub import TooManyStreams
from chatvault.live.schemas import Dialect, EventsHeaders, EventsQuery, SocketQuery
from chatvault.live.sending import is_gone_of, send_events

LIVE_DEPS = web.AppKey("live", service.LiveDeps)
routes = Routes("live")


@routes.route(
    "GET",
    "/events",
    Action.EVENTS_FOLLOW,
    scope=Scope.CONVERSATIONS_READ,
    returns=str,
    media=(EVENT_STREAM,),
    errors=(TooManyStreams, ForeignOrigin),
    checks_origin=True,
)
async def follow_events(
    request: web.Request, actor: Actor, query: EventsQuery, headers: EventsHeaders
) -> web.StreamResponse:
    """Follow everything that happens to my data, as it happens, on whichever device.

    The first event, `ready`, tells the id to resume after; a stream that broke off continues after
    `Last-Event-ID` or `after`, each event once. Where that is not possible, the first event is
    `reset`. docs/live.md describes all of them.
    """
    stream = await service.open_stream(
        actor,
        request.app[LIVE_DEPS],
        after=headers.last_event_id or query.after,
        is_gone=is_gone_of(request),
        follows=query.follow,
    )
    async with stream:
        return await send_events(request, stream)


@routes.route(
    "GET",
    "/ws",
    Action.EVENTS_FOLLOW,
    scope=Scope.CONVERSATIONS_READ,
    status=101,
    errors=(TooManyStreams, ForeignOrigin, UpgradeRequired),
    checks_origin=True,
)
async def open_socket(request: web.Request, actor: Actor, query: SocketQuery) -> web.StreamResponse:
    """Follow everything that happens to my data by a WebSocket, with the frames of `/events`.

    A client can resume, ask for the pieces of replies as they are written, and ping. With the
    subprotocol `chatvault.simple` or `frames=simple` it gets `new_message` and `command_update`
    only. docs/live.md describes the frames.
    """
    opened = sockets.new_socket(request)
    stream = await service.open_stream(
        actor,
        request.app[LIVE_DEPS],
        after=query.after,
        is_gone=is_gone_of(request),
        is_simple=query.frames is Dialect.SIMPLE or sockets.is_simple(request),
    )
    async with stream:
        return await sockets.converse(request, opened, stream)
