"""An MCP server for tests, by the official SDK, which notes its calls in a file.

`python toolserver.py FILE` speaks over its standard streams, `python toolserver.py FILE PORT` HTTP.
"""

import asyncio
import os
import sys
import time
from pathlib import Path

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError

server = MCPServer("toolserver")
notes = Path(sys.argv[1])


def note(text: str) -> None:
    with notes.open("a") as file:
        file.write(text + "\n")


@server.tool()
def echo(text: str) -> str:
    """Say it again."""
    note(f"echo {text}")
    return f"heard: {text}"


@server.tool()
async def sleep(seconds: float, key: str = "") -> str:
    """Take a while."""
    note(f"sleep {key}")
    await asyncio.sleep(seconds)
    note(f"slept {key}")
    return "rested"


@server.tool()
def big(size: int) -> str:
    """Say much."""
    return "é" * size


@server.tool()
def fail(reason: str) -> str:
    """Go wrong."""
    raise ToolError(reason)


@server.tool()
def run(command: str, place: str) -> str:
    """Run a command line."""
    note(f"run {place} {command}")
    return f"{place}$ {command}"


@server.tool()
def environment() -> str:
    """Name what this process was told."""
    return "\n".join(f"{name}={value}" for name, value in sorted(os.environ.items()))


@server.tool()
def pid() -> str:
    """Name this process."""
    return str(os.getpid())


@server.tool()
def die() -> str:
    """End without a word."""
    note("die")
    time.sleep(0.05)
    os._exit(1)


if __name__ == "__main__":
    if len(sys.argv) > 2:
        server.run(transport="streamable-http", port=int(sys.argv[2]))
    else:
        server.run()
