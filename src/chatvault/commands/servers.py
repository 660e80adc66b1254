"""Connections to the MCP servers of the settings: made, watched, and made again."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

import structlog
from bson import ObjectId

from chatvault.commands.errors import ServerUnavailable
from chatvault.commands.listing import LeftOut, Selection
from chatvault.commands.tools import Result, Tool
from chatvault.external import McpServer
from chatvault.fields import now
from chatvault.tasks import stop

LOOK_EVERY = 5.0  # seconds; listing the tools also shows that the server works
FIRST_WAIT = 0.5  # seconds; doubles with each failure
MAX_WAIT = 30.0
CONNECT_TIMEOUT = 30.0  # seconds; the first start of a program may install it
MAX_LOGGED = 5
# The name of the user's id in the `_meta` of a call.
USER_ID = "user_id"
log = structlog.get_logger()


class ServerState(StrEnum):
    """Whether a server can be used."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    DOWN = "down"


class Server:
    """One server, and its connection while there is one.

    Args:
        name: the server's name in the settings.
        settings: the server's settings.
        timeout: seconds that a call may take.
        log_path: the file to which a program's standard error is appended.
    """

    def __init__(self, name: str, settings: McpServer, *, timeout: float, log_path: Path) -> None:
        self.name = name
        self.transport = "stdio" if settings.command else "http"
        self.state = ServerState.CONNECTING
        self.since: datetime = now()
        self.failures = 0
        self.tools: tuple[Tool, ...] = ()
        self.left_out: tuple[LeftOut, ...] = ()
        self.left_out_count = 0
        self._settings = settings
        self._timeout = timeout
        self._log_path = log_path
        self._connection: Any = None
        self._look = asyncio.Event()

    async def run(self) -> None:
        """Stay connected until cancelled."""
        while True:
            try:
                async with asyncio.timeout(CONNECT_TIMEOUT) as begun, self._connect() as connection:
                    await self._list_tools(connection)
                    begun.reschedule(None)
                    self._set_state(ServerState.CONNECTED, connection)
                    await self._watch(connection)
            except Exception as error:  # noqa: BLE001  # what others' servers do is not foreseen
                self.failures += 1
                log.warning("mcp_server_down", **self._describe(error), tries=self.failures)
            finally:
                self._set_state(ServerState.DOWN, None)
            await asyncio.sleep(min(MAX_WAIT, FIRST_WAIT * 2 ** min(self.failures, 10)))

    def _describe(self, error: Exception) -> dict[str, Any]:
        reason = getattr(error, "reason", type(error).__name__)
        if isinstance(error, TimeoutError):
            reason = f"it did not answer in {CONNECT_TIMEOUT:g} seconds"
        # The file where a program explains itself: its own text stays there.
        written = {"log": str(self._log_path)} if self._settings.command else {}
        return {"server": self.name, "reason": reason, **written}

    async def _watch(self, connection: Any) -> None:
        while True:
            self._look.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY):
                    await self._look.wait()
            await self._list_tools(connection)
            self.failures = 0

    async def _list_tools(self, connection: Any) -> None:
        selection = Selection(self.name, self._settings)
        await connection.list_tools(selection)
        self.tools = selection.tools
        left_out = tuple(selection.left_out)
        if left_out and left_out != self.left_out:
            log.warning(
                "mcp_tools_left_out",
                server=self.name,
                count=selection.left_out_count,
                tools=[f"{each.tool} {each.reason}" for each in left_out[:MAX_LOGGED]],
            )
        self.left_out, self.left_out_count = left_out, selection.left_out_count

    def _set_state(self, state: ServerState, connection: Any) -> None:
        if state is not self.state:
            self.state, self.since = state, now()
            if state is ServerState.CONNECTED:
                log.info("mcp_server_connected", server=self.name, tools=len(self.tools))
        self._connection = connection

    def _on_lost(self) -> None:
        """Remove the tools at once; the connection ends when the next listing fails."""
        self._set_state(ServerState.DOWN, None)
        self._look.set()

    async def call(
        self, tool: Tool, arguments: dict[str, Any], user_id: ObjectId | None = None
    ) -> Result:
        """Call a tool for a user, exactly once whatever happens, and return its result.

        Raises:
            ServerUnavailable: it was not called, as there is no connection.
        """
        connection = self._connection
        if connection is None:
            raise ServerUnavailable
        result: Result = await connection.call(
            tool.remote_name,
            {**arguments, **tool.fixed},
            meta={USER_ID: str(user_id)} if self._settings.send_user_id and user_id else None,
            timeout=self._timeout,
        )
        if result.code is not None:
            self._look.set()
        return result

    @contextlib.asynccontextmanager
    async def _connect(self) -> AsyncIterator[Any]:
        # In a thread, as the import takes most of a second; and only if there is a server.
        connect = await asyncio.to_thread(_import_connect)
        async with connect(
            self._settings,
            log_path=self._log_path,
            read_timeout=self._timeout + 5,
            on_end=self._on_lost,
        ) as connection:
            yield connection


class Servers:
    """All servers of the settings, as connected to this process.

    Args:
        settings: by name.
        timeout: seconds that a call may take.
        log_dir: the directory for the programs' standard error.
    """

    def __init__(self, settings: Mapping[str, McpServer], *, timeout: float, log_dir: Path) -> None:
        self._servers = {
            name: Server(name, each, timeout=timeout, log_path=log_dir / f"{name}.log")
            for name, each in settings.items()
        }
        self._tasks: list[asyncio.Task[None]] = []

    def __iter__(self) -> Iterator[Server]:
        return iter(self._servers.values())

    def open(self) -> None:
        """Start connecting, without waiting."""
        self._tasks = [asyncio.create_task(server.run()) for server in self]

    async def close(self) -> None:
        """End the connections, and the started programs."""
        await asyncio.gather(*map(stop, self._tasks))

    @property
    def tools(self) -> dict[str, Tool]:
        """All tools that can be called now, by name; of two with one name, the first server's."""
        found: dict[str, Tool] = {}
        for server in self:
            if server.state is ServerState.CONNECTED:
                for tool in server.tools:
                    found.setdefault(tool.name, tool)
        return found

    @property
    def known(self) -> dict[str, Tool]:
        """All tools that the servers had when last listed, connected or not."""
        found: dict[str, Tool] = {}
        for server in self:
            for tool in server.tools:
                found.setdefault(tool.name, tool)
        return found

    async def call(
        self, tool: Tool, arguments: dict[str, Any], user_id: ObjectId | None = None
    ) -> Result:
        """Call a tool for a user, exactly once whatever happens, and return its result.

        Raises:
            ServerUnavailable: it was not called, as there is no connection.
        """
        return await self._servers[tool.server].call(tool, arguments, user_id)


def _import_connect() -> Any:
    from chatvault.commands.connections import connect  # noqa: PLC0415  # takes most of a second

    return connect
