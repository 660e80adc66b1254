"""A connection to one MCP server: connecting, listing tools, calling one.

Imported only if there is a server, as it takes most of a second.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import mcp
import mcp_types as types
import structlog
from mcp.client import stdio
from mcp.shared.jsonrpc_dispatcher import JSONRPCDispatcher
from mcp.shared.transport_context import TransportContext
from pydantic import TypeAdapter, ValidationError

from chatvault.commands.bounds import InvalidAnswer, check_result
from chatvault.commands.http_streams import over_http
from chatvault.commands.listing import Selection
from chatvault.commands.programs import Program
from chatvault.commands.tools import Result, cut, read_result
from chatvault.external import McpServer
from chatvault.version import VERSION

MAX_PAGES = 50
LIST_TIMEOUT = 30.0  # seconds
MAX_LOG = 1024 * 1024  # bytes; checked when a program starts
MAX_WORDS = 200  # characters of a server's own error text in our log
TIMED_OUT = Result(text="The tool took too long; it may have done its work.", code="tool_timed_out")
LOST = Result(text="The connection broke; the tool may have done its work.", code="connection_lost")
WANTS_MORE = Result(text="The tool asks for more than its arguments.", code="tool_failed")
# The SDK's wording. A server's own error may have the same code, but another wording.
SYNTHESIZED = (types.CONNECTION_CLOSED, types.PARSE_ERROR)
LOST_WORDS = ("Connection closed", "SSE stream ended")
INVALID_WORDS = ("Failed to parse ", "SSE stream failed")
OUR_WORDS = "sent a "
ANSWER: TypeAdapter[Any] = TypeAdapter(types.CallToolResult | types.InputRequiredResult)

log = structlog.get_logger()


class ServerDown(Exception):
    """A connection could not be made, or has ended.

    Args:
        reason: a clause for operators.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class _Dispatcher(JSONRPCDispatcher[TransportContext]):
    """The SDK's dispatcher, which checks servers' answers before the SDK validates them.

    The SDK's validation takes seconds for large answers, and refuses a whole list for one malformed
    tool.
    """

    selection: Selection | None = None

    async def send_raw_request(
        self, method: str, params: Mapping[str, Any] | None, opts: Any = None, **more: Any
    ) -> dict[str, Any]:
        """Send a request and wait for its answer.

        Raises:
            InvalidAnswer: it is too large.
            MCPError: the server answered with an error, or the connection has ended.
        """
        answer = await super().send_raw_request(method, params, opts, **more)
        if method == "tools/list" and self.selection is not None:
            return {**answer, "tools": self.selection.take(answer.get("tools"))}
        if method == "tools/call":
            check_result(answer)
        return answer


class Connection:
    """A connection to a server, after the handshake."""

    def __init__(
        self, session: mcp.ClientSession, dispatcher: _Dispatcher, program: Program | None
    ) -> None:
        self._session = session
        self._dispatcher = dispatcher
        self._program = program

    async def list_tools(self, selection: Selection) -> None:
        """Add the server's tools to a selection.

        Raises:
            Exception: the connection must not be used any more.
        """
        self._dispatcher.selection = selection
        cursor: str | None = None
        for _ in range(MAX_PAGES):
            async with asyncio.timeout(LIST_TIMEOUT):
                params = types.PaginatedRequestParams(cursor=cursor)
                page = await self._session.list_tools(params=params)
            selection.confirm({tool.name for tool in page.tools})
            cursor = page.next_cursor
            if not cursor or selection.is_full:
                return

    async def call(
        self,
        name: str,
        arguments: dict[str, Any],
        *,
        meta: dict[str, Any] | None,
        timeout: float,  # noqa: ASYNC109  # a call's end is a result, not an exception
    ) -> Result:
        """Call a tool, exactly once whatever happens, and return its result.

        The session's `call_tool` is not used: it validates the result by the server's schema, whose
        regular expressions may take hours.
        """
        params = types.CallToolRequestParams.model_validate(
            {"name": name, "arguments": arguments, "_meta": meta}
        )
        try:
            async with asyncio.timeout(timeout):
                answer = await self._session.send_request(
                    types.CallToolRequest(params=params), ANSWER
                )
            return read_result(answer) if isinstance(answer, types.CallToolResult) else WANTS_MORE
        except TimeoutError:
            return TIMED_OUT
        except mcp.MCPError as error:
            return self._result_of(error)
        except (InvalidAnswer, ValidationError) as error:
            return _invalid(str(error) if isinstance(error, InvalidAnswer) else None)
        except Exception as error:  # noqa: BLE001  # what others' servers do is not foreseen
            log.warning("mcp_call_broke_off", error=type(error).__name__)
            return LOST

    def _result_of(self, error: mcp.MCPError) -> Result:
        said = error.message
        if error.code in SYNTHESIZED and said.startswith(INVALID_WORDS):
            _, _, fault = said.partition(": ")
            return _invalid(fault if fault.startswith(OUR_WORDS) else None)
        if error.code == types.CONNECTION_CLOSED and said.startswith(LOST_WORDS):
            broken = self._program.fault if self._program is not None else None
            return LOST if broken is None else _invalid(broken)
        return cut(said, code="tool_failed")


def _invalid(fault: str | None) -> Result:
    what = fault or "sent an answer that is malformed"
    return Result(
        text=f"The server {what}; the tool may have done its work.", code="invalid_result"
    )


@contextlib.asynccontextmanager
async def connect(
    settings: McpServer, *, log_path: Path, read_timeout: float, on_end: Callable[[], None]
) -> AsyncIterator[Connection]:
    """Connect to a server, and disconnect with the context.

    Args:
        settings: the server's settings.
        log_path: the file to which a program's standard error is appended.
        read_timeout: seconds between two bytes over HTTP.
        on_end: called when a program has closed its output.

    Raises:
        ServerDown: it cannot be reached, or the connection has ended.
    """
    # These loggers log servers' messages, which contain people's and tools' text.
    for name in ("mcp", "client", "httpx2"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    program: Program | None = None
    is_connected = False
    try:
        async with contextlib.AsyncExitStack() as stack:
            if settings.command is None:
                streams = await stack.enter_async_context(over_http(settings, read_timeout))
            else:
                errors = stack.enter_context(await asyncio.to_thread(_open_log, log_path))
                program = Program(_parameters(settings), errors, on_end)
                streams = await stack.enter_async_context(program.run())
            dispatcher = _Dispatcher(*streams)
            info = types.Implementation(name="chatvault", version=VERSION)
            session = mcp.ClientSession(dispatcher=dispatcher, client_info=info)
            await stack.enter_async_context(session)
            await _initialize(session)
            is_connected = True
            yield Connection(session, dispatcher, program)
    except Exception as error:
        raise ServerDown(_reason(error, program, is_connected=is_connected)) from error


async def _initialize(session: mcp.ClientSession) -> None:
    """Negotiate the protocol version: that of 2026 first, else the older handshake."""
    try:
        await session.discover()
    except (mcp.MCPError, ValidationError, RuntimeError):
        try:
            await session.initialize()
        except mcp.MCPError as error:
            if error.code != types.UNSUPPORTED_PROTOCOL_VERSION:
                raise
            # It was asked while it started, and supports the newer version after all.
            await session.discover()


def _parameters(settings: McpServer) -> stdio.StdioServerParameters:
    return stdio.StdioServerParameters(
        command=settings.command or "",
        args=list(settings.args),
        env={key: value.get_secret_value() for key, value in settings.env.items()},
        cwd=settings.cwd,
    )


def _open_log(path: Path) -> Any:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.touch(mode=0o600)
    # Opened to append, as the programs of all workers write to it.
    opened = path.open("a", encoding="utf-8")
    if opened.tell() > MAX_LOG:
        opened.truncate(0)
    return opened


def _reason(error: BaseException, program: Program | None, *, is_connected: bool) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    reason = type(error).__name__
    if program is not None and program.fault is not None:
        reason = f"it {program.fault}"
    elif program is not None and program.has_ended:
        when = "" if is_connected else " before it answered"
        reason = f"its program ended with status {program.status}{when}"
    elif isinstance(error, InvalidAnswer):
        reason = f"it {error}"
    elif isinstance(error, ValidationError):
        reason = "its answer is malformed"
    elif isinstance(error, TimeoutError):
        reason = "it did not answer in time"
    elif isinstance(error, OSError) and program is not None:
        reason = f"its program cannot be started: {_printable(str(error))}"
    elif isinstance(error, mcp.MCPError) and not is_connected:
        # Nobody has sent it anything yet that its message could repeat.
        reason = f"it answered with error {error.code}: {_printable(error.message)}"
    return reason


def _printable(text: str) -> str:
    return "".join(each if each.isprintable() else "?" for each in text[:MAX_WORDS])
