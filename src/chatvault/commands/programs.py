"""Programs that speak MCP over their standard streams.

The SDK starts and ends them. Their output is read here, as the SDK reads lines of any length, fails
at a byte that is not UTF-8, and drops an answer that it cannot parse: the call then times out.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any, TextIO

import anyio
import anyio.lowlevel
import mcp_types as types
from anyio.streams.buffered import BufferedByteReceiveStream
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.client import stdio
from mcp.shared.message import SessionMessage
from pydantic import ValidationError

from chatvault.commands.bounds import MAX_MESSAGE, InvalidAnswer, check_message

Inbox = MemoryObjectSendStream[SessionMessage | Exception]
Outbox = MemoryObjectReceiveStream[SessionMessage]
Streams = tuple[
    MemoryObjectReceiveStream[SessionMessage | Exception], MemoryObjectSendStream[SessionMessage]
]


class Program:
    """A running program, and how it ended.

    Args:
        parameters: how to start it.
        errors: receives its standard error.
        on_end: called when it has closed its output.

    Attributes:
        fault: what it sent after which its output cannot be read; None if nothing.
        has_ended: whether it closed its output before it was asked to end.
        status: its exit status, once it has one.
    """

    def __init__(
        self, parameters: stdio.StdioServerParameters, errors: TextIO, on_end: Callable[[], None]
    ) -> None:
        self._parameters = parameters
        self._errors = errors
        self._on_end = on_end
        self._is_stopping = False
        self.fault: str | None = None
        self.has_ended = False
        self.status: int | None = None

    @contextlib.asynccontextmanager
    async def run(self) -> AsyncIterator[Streams]:
        """Start the program, and end it with the context.

        Raises:
            OSError: it cannot be started.
        """
        process = await self._start()
        inbox, messages = anyio.create_memory_object_stream[SessionMessage | Exception](0)
        written, outbox = anyio.create_memory_object_stream[SessionMessage](0)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._read, process, inbox)
            tasks.start_soon(self._write, process, outbox, inbox)
            try:
                yield messages, written
            finally:
                self._is_stopping = True
                messages.close()
                written.close()
                await _end(process)
                self.status = process.returncode
                tasks.cancel_scope.cancel()

    async def _start(self) -> Any:
        wanted = self._parameters
        # Both support Windows too. As they are internal to the SDK, pyproject.toml pins its
        # version.
        command = await stdio._get_executable_command(wanted.command)  # noqa: SLF001  # as said
        return await stdio._create_platform_compatible_process(  # noqa: SLF001  # as said
            command=command,
            args=wanted.args,
            # The SDK passes on PATH, HOME and the like, and nothing else of our environment.
            env=stdio.get_default_environment() | (wanted.env or {}),
            errlog=self._errors,
            cwd=wanted.cwd,
        )

    async def _read(self, process: Any, inbox: Inbox) -> None:
        lines = BufferedByteReceiveStream(process.stdout)
        try:
            async with inbox:
                while True:
                    line = await lines.receive_until(b"\n", MAX_MESSAGE)
                    if (message := read_line(line)) is not None:
                        await inbox.send(SessionMessage(message))
                    # Lines that are no messages must not delay other tasks.
                    await anyio.lowlevel.checkpoint()
        except InvalidAnswer as error:
            self.fault = str(error)
        except anyio.DelimiterNotFound:
            self.fault = f"sent a message larger than {MAX_MESSAGE >> 20} MB"
        except (anyio.EndOfStream, anyio.IncompleteRead, OSError):
            self.has_ended = not self._is_stopping
        except (anyio.ClosedResourceError, anyio.BrokenResourceError):
            pass  # nobody reads any more
        finally:
            self._on_end()
        await _drain(process)

    async def _write(self, process: Any, outbox: Outbox, inbox: Inbox) -> None:
        try:
            async with outbox:
                async for sent in outbox:
                    text = sent.message.model_dump_json(by_alias=True, exclude_unset=True)
                    await process.stdin.send(text.encode() + b"\n")
        except (anyio.ClosedResourceError, anyio.BrokenResourceError, OSError):
            # Pending requests get an error, as no answer will come.
            await inbox.aclose()


async def _end(process: Any) -> None:
    """Close the program's input and wait for its end; a cancellation does not interrupt this."""
    # This takes six seconds at most.
    ending = asyncio.create_task(stdio._stop_server_process(process))  # noqa: SLF001  # see _start
    is_cancelled = False
    while not ending.done():
        try:
            await asyncio.wait({ending})
        except asyncio.CancelledError:
            is_cancelled = True
    error = ending.exception()
    if is_cancelled:
        raise asyncio.CancelledError from error
    if error is not None:
        raise error


async def _drain(process: Any) -> None:
    """Read and discard the rest: a program that is blocked on writing would not end."""
    gone = (anyio.EndOfStream, anyio.ClosedResourceError, anyio.BrokenResourceError, OSError)
    with contextlib.suppress(*gone):
        while True:
            await process.stdout.receive()
            await anyio.lowlevel.checkpoint()


def read_line(line: bytes) -> types.JSONRPCMessage | None:
    """Parse a line of output; None for anything but a message, such as a greeting.

    Bytes that are not UTF-8 become U+FFFD, halves of surrogate pairs `?`. A malformed answer
    becomes an error for the request that it names.

    Raises:
        InvalidAnswer: it is an answer, but not clear to which request.
    """
    check_message(line)
    text = line.decode("utf-8", "replace")
    with contextlib.suppress(ValidationError):
        return types.jsonrpc_message_adapter.validate_json(text, by_name=False)
    try:
        # This accepts what pydantic does not: half surrogate pairs, from texts cut by JavaScript.
        found = json.loads(text)
    except (ValueError, RecursionError):
        if text.lstrip().startswith("{"):
            raise InvalidAnswer("sent a message that is no JSON") from None
        return None
    replaced = json.dumps(found, ensure_ascii=False).encode("utf-8", "replace")
    with contextlib.suppress(ValidationError):
        return types.jsonrpc_message_adapter.validate_json(replaced, by_name=False)
    match found:
        case {"method": _}:
            return None  # nobody waits for it
        case {"id": int() | str() as request_id} if not isinstance(request_id, bool):
            fault = types.ErrorData(code=types.PARSE_ERROR, message=MALFORMED)
            return types.JSONRPCError(jsonrpc="2.0", id=request_id, error=fault)
        case {} | [{}, *_]:
            raise InvalidAnswer("sent a message that is not of the protocol")
    return None


# The first words are the SDK's for the same error over HTTP.
MALFORMED = "Failed to parse the answer"
