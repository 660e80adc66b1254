"""Runs the application in this process: listens, drains on a signal, says where it is."""

import asyncio
import gc
import signal
import socket
import sys
from collections.abc import Callable

import structlog
from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from chatvault.app import create_app
from chatvault.errors import ChatvaultError, Malformed
from chatvault.middlewares import SECURITY_HEADERS
from chatvault.problems import InternalError, http_exception_response, problem_response
from chatvault.settings import Settings

DRAIN_SECONDS = 10.0
# A read makes some hundred objects, none of them a circle: by default each few reads would be
# searched for circles, and what lives long again and again.
COLLECT_AFTER = 20_000
log = structlog.get_logger()


class CannotListen(ChatvaultError):
    """The address is taken or not ours."""

    code = "cannot_listen"


class ProblemHandler(RequestHandler):
    """aiohttp's connection, whose own answers to what is no HTTP are problems too."""

    __slots__ = ()

    def data_received(self, data: bytes) -> None:
        """Take in the rest of a body that is under way when the drain begins.

        aiohttp drops it, so that the request could neither be answered nor end before its time.
        """
        closing = self._close, self._force_close
        if any(closing) and self._request_in_progress and self.transport is not None:
            self._close = self._force_close = False
        super().data_received(data)
        if any(closing):
            self._close, self._force_close = closing

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what could not even become a request of the application."""
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun already")
        del message  # It repeats what the client sent.
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
    """Makes problem-speaking connections."""

    def __call__(self) -> RequestHandler:
        """One connection."""
        return ProblemHandler(self, loop=self._loop, **self._kwargs)


class Runner(web.AppRunner):
    """aiohttp's runner with our connections."""

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()

        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            try:
                return await made.request_handler(request)
            except web.HTTPException as error:
                # Raised before any middleware: an Expect header that nobody can meet.
                return http_exception_response(error, request_id="-")

        return ProblemServer(
            handle,
            request_factory=made.request_factory,
            loop=asyncio.get_running_loop(),
            **made._kwargs,  # noqa: SLF001  # what AppRunner itself would pass
        )


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """What makes the event loop: uvloop's, where there is one."""
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


def listen(settings: Settings) -> socket.socket:
    """The socket that requests come in by.

    Raises:
        CannotListen: the address is taken or not ours.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family, backlog=1024)
    except OSError as error:
        raise CannotListen(
            f"Cannot listen on {settings.host}:{settings.port} ({error.strerror}); "
            "set CHATVAULT_HOST or CHATVAULT_PORT to another address."
        ) from None


def address_of(listener: socket.socket, settings: Settings) -> str:
    """Where a browser finds the service."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"http://{host}:{listener.getsockname()[1]}"


async def serve(
    settings: Settings,
    *,
    mongodb_url: str,
    listener: socket.socket,
    stopping: asyncio.Event,
    on_listening: Callable[[], None] = lambda: None,
) -> None:
    """Serve until SIGTERM, SIGINT or the event, then answer what is under way and return.

    Args:
        settings: the service's.
        mongodb_url: the database.
        listener: the socket that requests come in by.
        stopping: ends the service.
        on_listening: called once requests are answered.

    Raises:
        PyMongoError: the database cannot be reached.
    """
    call_on_signals(stopping.set)
    runner = Runner(
        create_app(settings, mongodb_url=mongodb_url),
        access_log=None,
        shutdown_timeout=DRAIN_SECONDS,
    )
    await runner.setup()
    _spare_the_collector()
    try:
        await web.SockSite(runner, listener).start()
        on_listening()
        await stopping.wait()
        log.info("stopping", drain_seconds=DRAIN_SECONDS)
    finally:
        await runner.cleanup()


def _spare_the_collector() -> None:
    """Let the garbage collector come seldom, and leave alone what the start has made."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER)
