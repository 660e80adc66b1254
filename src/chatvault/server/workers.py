"""Several worker processes on one listening socket; a worker that ends is replaced."""

import asyncio
import contextlib
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing.context import SpawnProcess
from pathlib import Path

import aiohttp
import structlog
from pymongo.errors import PyMongoError

from chatvault.errors import ChatvaultError
from chatvault.logs import configure_logs
from chatvault.server import http as server
from chatvault.server import metrics
from chatvault.server.listening import Listener, address_of, listen
from chatvault.server.metrics import Worker, Workers
from chatvault.settings import Settings

# A worker that ends sooner counts as unable to start.
SHORT_LIFE_SECONDS = 5.0
MAX_SHORT_LIVES = 5
STOP_SECONDS = server.DRAIN_SECONDS + 5
log = structlog.get_logger()


class WorkersFail(ChatvaultError):
    """The workers die as soon as they start; the lines above say why."""

    code = "workers_fail"


class Supervisor:
    """Starts the workers, replaces those that end, and stops all on a signal.

    The embedded MongoDB belongs to this process; workers end when this process does, even if it is
    killed.

    Args:
        settings: the service's.
        mongodb_url: the database that all workers use.
        workers: how many processes.
    """

    def __init__(self, settings: Settings, *, mongodb_url: str, workers: int) -> None:
        self._settings = settings
        self._url = mongodb_url
        self._count = workers
        self._context = multiprocessing.get_context("spawn")
        self._workers: dict[SpawnProcess, float] = {}
        self._short_lives = 0
        self._stopping = asyncio.Event()
        self._all_ended = asyncio.Event()

    async def run(self, on_listening: Callable[[str], None]) -> None:
        """Serve until SIGTERM or SIGINT, then let the workers finish, and return.

        Raises:
            CannotListen: the address is taken, or not one of this machine.
            WorkersFail: the workers end as soon as they start.
        """
        server.call_on_signals(self._stopping.set)
        with listen(self._settings) as listener, tempfile.TemporaryDirectory() as folder:
            workers = Workers(Path(folder), self._count)
            async with metrics.listening(self._settings, workers):
                for number in range(self._count):
                    self._start(listener, Worker(number, workers))
                await self._await_answer(listener)
                on_listening(address_of(listener, self._settings))
                await self._stopping.wait()
                await self._stop()
        if self._short_lives > MAX_SHORT_LIVES:
            raise WorkersFail

    async def _await_answer(self, listener: Listener) -> None:
        """Return once a worker answers or the service is stopping."""
        url = f"{listener.url}/health"
        async with aiohttp.ClientSession() as session:
            while not self._stopping.is_set():
                with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                    async with session.get(url, timeout=aiohttp.ClientTimeout(1)):
                        return
                await asyncio.sleep(0.05)

    def _start(self, listener: Listener, which: Worker) -> None:
        worker = self._context.Process(
            target=run_worker,
            args=(self._settings, self._url, listener, which),
            name="chatvault worker",
        )
        worker.start()
        self._workers[worker] = time.monotonic()
        loop = asyncio.get_running_loop()
        loop.add_reader(worker.sentinel, self._on_end, worker, listener, which)

    def _on_end(self, worker: SpawnProcess, listener: Listener, which: Worker) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(worker.sentinel)
        worker.join()
        lived = time.monotonic() - self._workers.pop(worker)
        if not self._workers:
            self._all_ended.set()
        if self._stopping.is_set():
            return
        log.error("worker_died", status=worker.exitcode, lived_seconds=round(lived, 1))
        self._short_lives = self._short_lives + 1 if lived < SHORT_LIFE_SECONDS else 0
        if self._short_lives > MAX_SHORT_LIVES:
            self._stopping.set()
            return
        loop.call_later(0.1 * 2**self._short_lives, self._replace, listener, which)

    def _replace(self, listener: Listener, which: Worker) -> None:
        if not self._stopping.is_set():
            self._start(listener, which)

    async def _stop(self) -> None:
        if not self._workers:
            return
        self._all_ended.clear()
        for worker in self._workers:
            worker.terminate()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS):
                await self._all_ended.wait()
        for worker in list(self._workers):
            log.error("worker_killed", reason="it did not end in time")
            worker.kill()
            worker.join()


def run_worker(settings: Settings, mongodb_url: str, listener: Listener, which: Worker) -> None:
    """Run one worker until a signal, or until its supervisor ends."""
    configure_logs(settings)
    parent = multiprocessing.parent_process()

    async def work() -> None:
        stopping = asyncio.Event()
        loop = asyncio.get_running_loop()
        if parent is not None:
            sentinel = parent.sentinel

            def end() -> None:
                # The pipe stays readable, and would keep the loop busy until the end.
                loop.remove_reader(sentinel)
                stopping.set()

            loop.add_reader(sentinel, end)
        await server.serve(
            settings, mongodb_url=mongodb_url, listener=listener, stopping=stopping, worker=which
        )

    try:
        with asyncio.Runner(loop_factory=server.loop_factory()) as runner:
            runner.run(work())
    except (PyMongoError, ChatvaultError) as error:
        reason = error.detail if isinstance(error, ChatvaultError) else None
        log.error(  # noqa: TRY400  # no trace
            "worker_cannot_start", error=type(error).__name__, reason=reason
        )
        sys.exit(1)
