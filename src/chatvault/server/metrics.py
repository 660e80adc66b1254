"""The listener for metrics, and the sockets by which worker processes read each other's."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import structlog
from aiohttp import hdrs, web

from chatvault.administration.exposition import Exposition, Others
from chatvault.metrics.exposition import CONTENT_TYPE
from chatvault.server.listening import open_socket
from chatvault.settings import Settings

# A worker that does not answer in this time is shown as down.
ASK_SECONDS = 2.0
OWN, ALL = "/own", "/all"
HEADERS = {hdrs.CONTENT_TYPE: CONTENT_TYPE, "X-Content-Type-Options": "nosniff"}
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Workers:
    """The worker processes of a supervisor, as far as their metrics are concerned.

    Attributes:
        folder: has a socket for each, and is open to this user only.
        count: how many there are.
    """

    folder: Path
    count: int

    def socket_of(self, number: int) -> Path:
        """Return the path of a worker's socket."""
        return self.folder / f"{number}.sock"

    async def ask(self, number: int, path: str) -> bytes | None:
        """Return what a worker answers; None if it does not."""
        connector = aiohttp.UnixConnector(str(self.socket_of(number)))
        limit = aiohttp.ClientTimeout(ASK_SECONDS)
        try:
            async with (
                aiohttp.ClientSession(connector=connector, timeout=limit) as session,
                session.get(f"http://worker{path}") as answer,
            ):
                return await answer.read() if answer.ok else None
        except (aiohttp.ClientError, TimeoutError, OSError):
            return None

    async def ask_all(self, besides: int) -> Others:
        """Return the metrics of all workers but one."""
        others = [number for number in range(self.count) if number != besides]
        found = await asyncio.gather(*(self.ask(number, OWN) for number in others))
        return dict(zip(others, found, strict=True))

    async def ask_any(self) -> bytes | None:
        """Return the metrics of all workers, from the first that gives them."""
        for number in range(self.count):
            if (text := await self.ask(number, ALL)) is not None:
                return text
        return None


@dataclass(frozen=True, slots=True)
class Worker:
    """One worker process: its number, and those it belongs to."""

    number: int
    workers: Workers


@contextlib.asynccontextmanager
async def shown_to_others(exposition: Exposition, worker: Worker) -> AsyncIterator[None]:
    """Let the other workers read this one's metrics while the context lasts.

    Args:
        exposition: of this process.
        worker: this process.
    """
    exposition.worker = worker.number
    exposition.find_others = lambda: worker.workers.ask_all(worker.number)
    path = worker.workers.socket_of(worker.number)
    # A worker that was killed has left its own.
    path.unlink(missing_ok=True)
    async with _serving(_answers(exposition)) as runner:
        await web.UnixSite(runner, path).start()
        yield


def _answers(exposition: Exposition) -> web.Application:
    async def show_own(_: web.Request) -> web.Response:
        return web.Response(body=exposition.show_own(), headers=HEADERS)

    async def show_all(_: web.Request) -> web.Response:
        return web.Response(body=await exposition.show_all(), headers=HEADERS)

    app = web.Application()
    app.router.add_get(OWN, show_own)
    app.router.add_get(ALL, show_all)
    return app


@contextlib.asynccontextmanager
async def listening(settings: Settings, source: Workers | Exposition) -> AsyncIterator[str | None]:
    """Answer `GET /metrics` at the address of the settings, if they have one.

    Args:
        settings: the service's.
        source: the workers, or the metrics of the only process.

    Yields:
        The address.

    Raises:
        CannotListen: it is taken, or not one of this machine.
    """
    if not settings.metrics:
        yield None
        return

    async def show(_: web.Request) -> web.Response:
        if isinstance(source, Workers):
            text = await source.ask_any()
        else:
            text = await source.show_all()
        if text is None:
            return web.Response(status=503, text="no worker answers\n")
        return web.Response(body=text, headers=HEADERS)

    app = web.Application()
    app.router.add_get("/metrics", show)
    host, _, port = settings.metrics.rpartition(":")
    opened = open_socket(host.strip("[]"), int(port), setting="CHATVAULT_METRICS")
    async with _serving(app) as runner:
        await web.SockSite(runner, opened).start()
        address = f"http://{host}:{opened.getsockname()[1]}/metrics"
        log.info("metrics_are_served", address=address)
        yield address


@contextlib.asynccontextmanager
async def _serving(app: web.Application) -> AsyncIterator[web.AppRunner]:
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=ASK_SECONDS)
    await runner.setup()
    try:
        yield runner
    finally:
        await runner.cleanup()
