"""One application for all tests that neither configure nor patch it.

To start and end one takes longer than most tests.
"""

import asyncio
import inspect
import socket
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer, get_port_socket

import chatvault
from chatvault.accounts.models import User
from chatvault.app import create_app
from chatvault.http.health import CLIENT
from chatvault.http.middlewares import REFUSALS
from chatvault.replies.models import Job
from chatvault.settings import Settings

# A test that asks for one of these gets an application that has seen no other test.
APART = {"monkeypatch", "own_application", "elsewhere"}
PACKAGE = Path(chatvault.__file__).parent
LOOKS = 20  # at what a test has left running, until nothing is


def may_share(request: pytest.FixtureRequest) -> bool:
    """Return whether the test leaves its application as it finds it.

    A test that takes the application itself may change what is in it.
    """
    names = set(request.fixturenames)
    is_changed = names & APART or "app" in inspect.signature(request.function).parameters
    return "app" in names and not is_changed


class Shared:
    """The application that tests share; the next test gets another if one left work in it.

    Args:
        mongodb_url: its database.

    Attributes:
        settings: those of the application.
        server: the running server; None if there is none now.
    """

    def __init__(self, mongodb_url: str) -> None:
        self.settings: Settings | None = None
        self.server: TestServer | None = None
        self._mongodb_url = mongodb_url
        self._tasks: set[asyncio.Task[object]] = set()
        self._port = 0

    def bind(self, host: str, _port: int, family: socket.AddressFamily) -> socket.socket:
        """Return a socket for a server, at the address of the one before if that is free.

        By its address the page of a browser is kept, and the programs that it has compiled.
        """
        try:
            bound = get_port_socket(host, self._port, family)
        except OSError:
            bound = get_port_socket(host, 0, family)
        self._port = bound.getsockname()[1]
        return bound

    async def take(self, settings: Settings) -> web.Application:
        """Return the application with these settings; it may not have been started."""
        if settings != self.settings or not self._is_bound():
            await self.close()
        if self.server is None:
            self.settings = settings
            app = create_app(settings, mongodb_url=self._mongodb_url)
            self.server = TestServer(app, socket_factory=self.bind)
        return self.server.app

    async def start(self) -> TestServer:
        """Return the server of the application, started."""
        assert self.server is not None
        if self.server.runner is None:
            await self.server.start_server()
            # Loops begin tasks of their own.
            await asyncio.sleep(0)
            self._tasks = asyncio.all_tasks()
        return self.server

    async def give_back(self) -> None:
        """Keep the application if the test has left nothing running in it."""
        if self.server is None or self.server.runner is None:
            return
        if not self._is_bound():
            await self.close()
            return
        await self.server.app[REFUSALS].close_minute()
        for _ in range(LOOKS):
            if not self._is_busy() and not await self._has_jobs():
                return
            await asyncio.sleep(0.001)
        await self.close()

    def end_connections(self) -> None:
        """End the connections that nobody uses at the moment."""
        if self.server is not None and self.server.runner is not None:
            handler = self.server.runner.server
            for each in handler.connections if handler is not None else ():
                # Its own `close` leaves the socket to the other side, and a browser keeps that.
                if each._current_request is None and each.transport is not None:
                    each.transport.close()

    async def close(self) -> None:
        """End the application, if there is one."""
        if self.server is not None:
            server, self.server = self.server, None
            await server.close()

    def _is_bound(self) -> bool:
        """Return whether the documents are still stored through this application's connection."""
        if self.server is None or self.server.runner is None:
            return True
        return User.get_pymongo_collection().database.client is self.server.app[CLIENT]

    def _is_busy(self) -> bool:
        assert self.server is not None
        assert self.server.runner is not None
        handler = self.server.runner.server
        left = asyncio.all_tasks() - self._tasks - {asyncio.current_task()}
        return bool(handler is None or handler.connections or any(map(_is_work, left)))

    async def _has_jobs(self) -> bool:
        """Return whether the application would still ask a model for something."""
        assert self.settings is not None
        is_asking = bool(self.settings.providers)
        return is_asking and await Job.get_pymongo_collection().find_one({}) is not None


async def leave(browser: TestClient[web.Request, web.Application]) -> None:
    """Close all that the browser has opened, and not the server, as its own `close` would."""
    for answer in browser._responses:  # as its own `close` does
        answer.close()
    await browser.session.close()


def _is_work(task: asyncio.Task[object]) -> bool:
    """Return whether the task runs code of the package; its loops wait in tasks of asyncio's."""
    code = getattr(task.get_coro(), "cr_code", None)
    return code is not None and Path(code.co_filename).is_relative_to(PACKAGE)
