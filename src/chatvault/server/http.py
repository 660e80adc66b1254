"""Runs the application in this process: listens, and drains on a signal."""

import asyncio
import contextlib
import gc
import signal
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import structlog
from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from chatvault.administration.exposition import Exposition
from chatvault.app import create_app, exposition_of
from chatvault.errors import ChatvaultError, Malformed, TooManyConnections, TooSlow
from chatvault.http.middlewares import SECURITY_HEADERS
from chatvault.http.problems import InternalError, http_exception_response, problem_response
from chatvault.http.requests import METRICS
from chatvault.server.connections import Connections
from chatvault.server.listening import Listener
from chatvault.server.metrics import Worker, listening, shown_to_others
from chatvault.settings import Settings
from chatvault.tasks import stop

DRAIN_SECONDS = 10.0
# Seconds that an idle connection is kept; a proxy keeps its own for less.
IDLE_SECONDS = 75.0
# Bytes read of a body before a handler asks for it.
READ_BYTES = 64 * 1024
# A read allocates some hundred objects, none of them in a cycle: by default the collector would
# search long-lived objects for cycles every few reads.
COLLECT_AFTER = 20_000
log = structlog.get_logger()


class ProblemHandler(RequestHandler):
    """aiohttp's connection, with problem documents as the answers to requests that are not HTTP."""

    __slots__ = ("_connections", "waits_since")

    def __init__(self, manager: web.Server, *, connections: Connections, **more: Any) -> None:
        super().__init__(manager, **more)
        self._connections = connections
        self.waits_since: float | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the connection, unless the address has too many already."""
        peer = transport.get_extra_info("peername")
        if self._connections.admit(self, peer[0] if isinstance(peer, tuple) else None):
            super().connection_made(transport)
            self.waits_since = self._loop.time()
        else:
            self._force_close = True
            self._end(cast(asyncio.Transport, transport), TooManyConnections(retry_after=5))

    def connection_lost(self, exc: BaseException | None) -> None:
        """Release the connection's place."""
        self._connections.release(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take in the rest of a body that is still arriving when the drain begins.

        aiohttp drops it, so that the request could be neither answered nor ended early.
        """
        closing = self._close, self._force_close
        if any(closing) and self._request_in_progress and self.transport is not None:
            self._close = self._force_close = False
        super().data_received(data)
        if any(closing):
            self._close, self._force_close = closing
        if self._messages:
            self.waits_since = None
        elif data and self._waiter is not None and self.waits_since is None:
            self.waits_since = self._loop.time()

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Write the answer and release it; the connection would hold it until the next one."""
        finished = await super().finish_response(request, resp, start_time)
        if isinstance(resp, web.Response):
            resp.body = None
        return finished

    def time_out(self) -> None:
        """Answer that the head took too long, and close."""
        if self.transport is not None:
            self._end(self.transport, TooSlow())
        self.force_close()

    @staticmethod
    def _end(transport: asyncio.Transport, error: ChatvaultError) -> None:
        """Write an answer without a request, and close."""
        response = problem_response(error, request_id="-")
        headers = {**response.headers, **SECURITY_HEADERS, "Connection": "close"}
        body = response.body if isinstance(response.body, bytes) else b""
        lines = [
            f"HTTP/1.1 {response.status} {response.reason}",
            f"Content-Length: {len(body)}",
            *(f"{name}: {value}" for name, value in headers.items()),
        ]
        transport.write("\r\n".join([*lines, "", ""]).encode() + body)
        transport.close()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer a request that never reached the application."""
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun already")
        del message  # The message repeats what the client sent.
        error: ChatvaultError = InternalError()
        if status < 500:  # noqa: PLR2004  # the client's fault
            error = Malformed("This is not a valid HTTP request.")
        else:
            log.error("connection_failed", exc_info=exc)
        response = problem_response(error, request_id="-", status=status)
        response.headers.update(SECURITY_HEADERS)
        response.force_close()
        return response


class ProblemServer(web.Server):
    """Makes connections that answer with problem documents."""

    def __init__(self, handler: Any, *, bounds: Connections, **more: Any) -> None:
        super().__init__(handler, **more)
        self._bounds = bounds

    def __call__(self) -> RequestHandler:
        """Return a connection."""
        return ProblemHandler(self, connections=self._bounds, loop=self._loop, **self._kwargs)


class ServiceRunner(web.AppRunner):
    """aiohttp's runner, with limits on connections.

    Args:
        app: the application.
        bounds: the limits of its connections.
        more: aiohttp's own arguments.
    """

    __slots__ = ("_bounds",)

    def __init__(self, app: web.Application, *, bounds: Connections, **more: Any) -> None:
        super().__init__(app, **more)
        self._bounds = bounds

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()

        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            try:
                return await made.request_handler(request)
            except web.HTTPException as error:
                # Raised before any middleware: an Expect header that cannot be met.
                return http_exception_response(error, request_id="-")

        return ProblemServer(
            handle,
            bounds=self._bounds,
            request_factory=made.request_factory,
            loop=asyncio.get_running_loop(),
            **made._kwargs,  # noqa: SLF001  # what AppRunner itself would pass
        )


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return the factory of uvloop's event loop, or None without uvloop."""
    if sys.platform == "win32":
        return None
    import uvloop  # noqa: PLC0415  # not on Windows

    return uvloop.new_event_loop


def call_on_signals(stop: Callable[[], None]) -> None:
    """Call a function in the running loop on SIGTERM and SIGINT."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        try:
            loop.add_signal_handler(number, stop)
        except NotImplementedError:  # on Windows
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop))


async def serve(
    settings: Settings,
    *,
    mongodb_url: str,
    listener: Listener,
    stopping: asyncio.Event,
    on_listening: Callable[[], None] = lambda: None,
    worker: Worker | None = None,
) -> None:
    """Serve until SIGTERM, SIGINT or the event, then answer open requests and return.

    Args:
        settings: the service's.
        mongodb_url: the database.
        listener: the sockets that requests come in by.
        stopping: ends the service.
        on_listening: called once requests are answered.
        worker: this process among others; None if it is the only one.

    Raises:
        CannotListen: the address for metrics is taken, or not one of this machine.
        PyMongoError: the database cannot be reached.
    """
    call_on_signals(stopping.set)
    bounds = Connections(most=settings.connections_per_address, trusted=settings.trusted_proxies)
    app = create_app(settings, mongodb_url=mongodb_url)
    app[METRICS].connections.http.set_function(lambda: bounds.count)
    runner = ServiceRunner(
        app,
        bounds=bounds,
        access_log=None,
        shutdown_timeout=DRAIN_SECONDS,
        keepalive_timeout=IDLE_SECONDS,
        read_bufsize=READ_BYTES,
        # A body is decompressed where its limit is known; the rest of a refused one never is.
        auto_decompress=False,
    )
    watching = asyncio.create_task(bounds.watch())
    await runner.setup()
    _tune_garbage_collector()
    try:
        async with _showing_metrics(settings, exposition_of(app), worker):
            for each in listener.sockets:
                await web.SockSite(runner, each).start()
            on_listening()
            await stopping.wait()
            log.info("stopping", drain_seconds=DRAIN_SECONDS)
    finally:
        await runner.cleanup()
        await stop(watching)


@contextlib.asynccontextmanager
async def _showing_metrics(
    settings: Settings, exposition: Exposition, worker: Worker | None
) -> AsyncIterator[None]:
    """Show the metrics to the other workers, or at the address for them if there are none."""
    if worker is None:
        async with listening(settings, exposition):
            yield
    else:
        async with shown_to_others(exposition, worker):
            yield


def _tune_garbage_collector() -> None:
    """Run the garbage collector rarely, and exempt the objects made at the start."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER)
