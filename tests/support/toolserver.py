"""An MCP server for tests, which notes its calls in a file.


`python toolserver.py FILE PORT` speaks HTTP, by the official SDK. `python toolserver.py FILE` uses
its standard streams without the SDK, as importing it takes a second of processor time;
tests/commands/test_servers.py connects to programs of others that use the SDK.
"""

import asyncio
import inspect
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

notes = Path(sys.argv[1])
TYPES = {str: "string", int: "integer", float: "number"}
Message = dict[str, Any]


def note(text: str) -> None:
    with notes.open("a") as file:
        file.write(text + "\n")


def echo(text: str) -> str:
    """Say it again."""
    note(f"echo {text}")
    return f"heard: {text}"


async def sleep(seconds: float, key: str = "") -> str:
    """Take a while."""
    note(f"sleep {key}")
    await asyncio.sleep(seconds)
    note(f"slept {key}")
    return "rested"


def big(size: int) -> str:
    """Say much."""
    return "é" * size


def fail(reason: str) -> str:
    """Go wrong."""
    raise RuntimeError(reason)


def run(command: str, place: str) -> str:
    """Run a command line."""
    note(f"run {place} {command}")
    return f"{place}$ {command}"


def environment() -> str:
    """Return the arguments and the environment of this process."""
    return "\n".join(f"{name}={value}" for name, value in sorted(os.environ.items()))


def pid() -> str:
    """Name this process."""
    return str(os.getpid())


def die() -> str:
    """End without a word."""
    note("die")
    time.sleep(0.05)
    os._exit(1)


TOOLS: tuple[Callable[..., Any], ...] = (echo, sleep, big, fail, run, environment, pid, die)


def serve_http(port: int) -> None:
    """Serve the tools by the SDK."""
    from mcp.server.mcpserver import MCPServer  # noqa: PLC0415  # only where it is needed
    from mcp.server.mcpserver.exceptions import ToolError  # noqa: PLC0415  # the same

    def fail(reason: str) -> str:
        """Go wrong."""
        raise ToolError(reason)

    server = MCPServer("toolserver")
    for each in TOOLS:
        server.tool()(fail if each.__name__ == fail.__name__ else each)
    server.run(transport="streamable-http", port=port)


def entry(tool: Callable[..., Any]) -> Message:
    """Return a tool as the list shows it."""
    wanted = inspect.signature(tool).parameters
    schema = {
        "type": "object",
        "properties": {name: {"type": TYPES[each.annotation]} for name, each in wanted.items()},
        "required": [name for name, each in wanted.items() if each.default is each.empty],
    }
    return {"name": tool.__name__, "description": tool.__doc__, "inputSchema": schema}


async def call(params: Message) -> Message:
    """Run a tool, and return its result."""
    [tool] = [each for each in TOOLS if each.__name__ == params["name"]]
    try:
        said = tool(**params.get("arguments") or {})
        text, failed = str(await said if inspect.isawaitable(said) else said), False
    except RuntimeError as error:
        text, failed = str(error), True
    return {"content": [{"type": "text", "text": text}], "isError": failed}


async def answer(request: Message) -> None:
    """Answer a request in one line."""
    params, told = request.get("params", {}), {"jsonrpc": "2.0", "id": request["id"]}
    match request["method"]:
        case "initialize":
            told["result"] = {
                "protocolVersion": params["protocolVersion"],
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "toolserver", "version": "0"},
            }
        case "tools/list":
            told["result"] = {"tools": [entry(each) for each in TOOLS]}
        case "tools/call":
            told["result"] = await call(params)
        case "ping":
            told["result"] = {}
        case _:
            told["error"] = {"code": -32601, "message": "no such method"}
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


async def serve_stdio() -> None:
    """Serve until the standard input ends."""
    reader = asyncio.StreamReader(limit=2**26)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    answers: dict[Any, asyncio.Task[None]] = {}
    while line := await reader.readline():
        request = json.loads(line)
        if request.get("method") == "notifications/cancelled":
            answers[request["params"]["requestId"]].cancel()
        elif "id" in request and "method" in request:
            answers[request["id"]] = asyncio.create_task(answer(request))


if __name__ == "__main__":
    if len(sys.argv) > 2:
        serve_http(int(sys.argv[2]))
    else:
        asyncio.run(serve_stdio())
