"""Connections to the MCP servers of the settings: kept, looked after, and made again."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

import structlog

from chatvault.commands.errors import ServerUnavailable
from chatvault.commands.tools import Result, Tool, cut, describe, read_result
from chatvault.fields import now
from chatvault.settings import McpServer
from chatvault.tasks import stop
from chatvault.version import VERSION

LOOK_EVERY = 5.0  # seconds; a server says what tools it has, and so that it lives
FIRST_WAIT = 0.5  # seconds; doubles with each failure
MAX_WAIT = 30.0
CONNECT_TIMEOUT = 30.0  # seconds; the first start of a program may install it
MAX_PAGES = 50
MAX_LOG = 1024 * 1024  # bytes; looked at when a program starts
TIMED_OUT = Result(text="The tool took too long; it may have done its work.", code="tool_timed_out")
LOST = Result(text="The connection broke; the tool may have done its work.", code="connection_lost")
log = structlog.get_logger()


class ServerState(StrEnum):
    """Whether a server can be used."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    DOWN = "down"


class Server:
    """One server, and its connection while there is one.

    Args:
        name: in the settings.
        settings: of it.
        timeout: seconds that a call may take.
        log_path: takes what a program writes to its standard error, after what is there.
    """

    def __init__(self, name: str, settings: McpServer, *, timeout: float, log_path: Path) -> None:
        self.name = name
        self.transport = "stdio" if settings.command else "http"
        self.state = ServerState.CONNECTING
        self.since: datetime = now()
        self.failures = 0
        self.tools: tuple[Tool, ...] = ()
        self._settings = settings
        self._timeout = timeout
        self._log_path = log_path
        self._client: Any = None
        self._look = asyncio.Event()

    async def run(self) -> None:
        """Stay connected, until cancelled."""
        while True:
            try:
                async with asyncio.timeout(CONNECT_TIMEOUT) as begun, self._connect() as client:
                    await self._list_tools(client)
                    begun.reschedule(None)
                    self._become(ServerState.CONNECTED, client)
                    await self._watch(client)
            except Exception as error:  # noqa: BLE001  # what others' servers do is not foreseen
                self.failures += 1
                log.warning(
                    "mcp_server_down", server=self.name, error=_name_of(error), tries=self.failures
                )
            finally:
                self._become(ServerState.DOWN, None)
            await asyncio.sleep(min(MAX_WAIT, FIRST_WAIT * 2 ** min(self.failures, 10)))

    async def _watch(self, client: Any) -> None:
        while True:
            self._look.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY):
                    await self._look.wait()
            await self._list_tools(client)
            self.failures = 0

    async def _list_tools(self, client: Any) -> None:
        found: list[Tool] = []
        cursor: str | None = None
        for _ in range(MAX_PAGES):
            page = await client.list_tools(cursor=cursor)
            found += [describe(self.name, self._settings, each) for each in page.tools]
            cursor = page.next_cursor
            if not cursor:
                break
        self.tools = tuple(found)

    def _become(self, state: ServerState, client: Any) -> None:
        if state is not self.state:
            self.state, self.since = state, now()
            if state is ServerState.CONNECTED:
                log.info("mcp_server_connected", server=self.name, tools=len(self.tools))
        self._client = client

    async def call(self, tool: Tool, arguments: dict[str, Any]) -> Result:
        """What the tool answers; asked once, whatever happens.

        Raises:
            ServerUnavailable: it was not asked, as there is no connection.
        """
        client = self._client
        if client is None:
            raise ServerUnavailable
        import anyio  # noqa: PLC0415  # imported by now; named here only
        import mcp  # noqa: PLC0415  # the same
        import mcp_types  # noqa: PLC0415  # the same

        try:
            async with asyncio.timeout(self._timeout + 1):
                answer = await client.call_tool(
                    tool.remote_name,
                    {**arguments, **tool.fixed},
                    read_timeout_seconds=self._timeout,
                )
        except mcp.MCPError as error:
            self._look.set()
            if error.code == mcp_types.REQUEST_TIMEOUT:
                return TIMED_OUT
            if error.code == mcp_types.CONNECTION_CLOSED:
                return LOST
            return cut(error.message, code="tool_failed")
        except TimeoutError:
            self._look.set()
            return TIMED_OUT
        except (
            *(ValueError, OSError, RuntimeError),
            *(anyio.ClosedResourceError, anyio.BrokenResourceError),
        ):
            self._look.set()
            return LOST
        return read_result(answer)

    @contextlib.asynccontextmanager
    async def _connect(self) -> AsyncIterator[Any]:
        # In a thread, as it takes most of a second; and only where there is a server.
        mcp = await asyncio.to_thread(_import_mcp)
        async with contextlib.AsyncExitStack() as stack:
            info = mcp.types.Implementation(name="chatvault", version=VERSION)
            transport = await self._transport(stack)
            client = mcp.Client(transport, client_info=info, cache=None, read_timeout_seconds=30)
            yield await stack.enter_async_context(client)

    async def _transport(self, stack: contextlib.AsyncExitStack) -> Any:
        from mcp.client import stdio, streamable_http  # noqa: PLC0415  # takes most of a second

        settings = self._settings
        if settings.command is None:
            import httpx2  # noqa: PLC0415  # the same

            headers = {key: value.get_secret_value() for key, value in settings.headers.items()}
            timeout = httpx2.Timeout(30.0, read=self._timeout + 5)
            client = httpx2.AsyncClient(headers=headers, timeout=timeout)
            await stack.enter_async_context(client)
            return streamable_http.streamable_http_client(settings.url or "", http_client=client)
        # The SDK hands on PATH, HOME and the like, and nothing else of our environment.
        parameters = stdio.StdioServerParameters(
            command=settings.command,
            args=list(settings.args),
            env={key: value.get_secret_value() for key, value in settings.env.items()},
            cwd=settings.cwd,
        )
        written = stack.enter_context(await asyncio.to_thread(self._open_log))
        return stdio.stdio_client(parameters, errlog=written)

    def _open_log(self) -> Any:
        self._log_path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._log_path.touch(mode=0o600)
        # Appended to, as the workers' programs write beside each other.
        opened = self._log_path.open("a", encoding="utf-8")
        if opened.tell() > MAX_LOG:
            opened.truncate(0)
        return opened


class Servers:
    """All servers of the settings, as this process is connected to them.

    Args:
        settings: by name.
        timeout: seconds that a call may take.
        log_dir: takes what the programs write to their standard error.
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
        """Begin to connect; nobody waits for it."""
        self._tasks = [asyncio.create_task(server.run()) for server in self]

    async def close(self) -> None:
        """End the connections, and the programs that were started."""
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

    async def call(self, tool: Tool, arguments: dict[str, Any]) -> Result:
        """What the tool answers; asked once, whatever happens.

        Raises:
            ServerUnavailable: it was not asked, as there is no connection.
        """
        return await self._servers[tool.server].call(tool, arguments)


def _import_mcp() -> Any:
    import mcp  # noqa: PLC0415  # takes most of a second, and memory

    # It would log what servers say, which is what people wrote and tools found.
    logging.getLogger("mcp").setLevel(logging.CRITICAL + 1)
    return mcp


def _name_of(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return type(error).__name__
