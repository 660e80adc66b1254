"""MCP servers that answer exactly what a test scripted."""

import json
import sys
from pathlib import Path
from typing import Any

from chatvault.commands.servers import Server
from chatvault.external import McpServer
from support.talking import until

PROGRAM = Path(__file__).parent / "rawserver.py"
OBJECT: dict[str, Any] = {"type": "object"}


def entry(name: str, schema: Any = OBJECT, **more: Any) -> dict[str, Any]:
    """Return a tool as an entry of a server's list."""
    return {"name": name, "inputSchema": schema, **more}


def result(text: str) -> bytes:
    """Return the line that answers a request."""
    return b'{"jsonrpc":"2.0","id":ID,"result":%b}' % text.encode()


def said(text: str) -> bytes:
    """Return the line that answers a call."""
    return result(json.dumps({"content": [{"type": "text", "text": text}]}))


class RawServer:
    """The scripted answers of an MCP server, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)

    def settings(self, **more: Any) -> McpServer:
        return McpServer(command=sys.executable, args=(str(PROGRAM), str(self.folder)), **more)

    def catalog(self, *entries: Any) -> None:
        self.answer("list", result(json.dumps({"tools": entries})))

    def answer(self, name: str, line: bytes) -> None:
        # In one step, as the server may read it at any moment.
        written = self.folder / f"{name}.new"
        written.write_bytes(line)
        written.rename(self.folder / name)

    @property
    def calls(self) -> list[str]:
        """The names of the called tools."""
        path = self.folder / "notes"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    @property
    def metas(self) -> list[Any]:
        """The `_meta` of the calls."""
        return [json.loads(line) for line in (self.folder / "metas").read_text().splitlines()]


async def look_again(server: Server) -> None:
    """Wait until a server was asked for its tools again."""
    before = server.tools
    server._look.set()
    await until(lambda: server.tools is not before)
