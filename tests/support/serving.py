"""The service listening in the test's own process, and clients that send bytes to it."""

import asyncio
import contextlib
import json
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from chatvault.server import http as server
from chatvault.server import listening
from chatvault.settings import Settings

Address = tuple[str, int]


@contextlib.asynccontextmanager
async def serving(settings: Settings, mongodb_url: str) -> AsyncIterator[Address]:
    """Serve until the end of the context; yield the address."""
    stopping, answering = asyncio.Event(), asyncio.Event()
    free = settings.model_copy(update={"host": "127.0.0.1", "port": 0})
    listener = listening.listen(free)
    address: Address = listener.sockets[0].getsockname()
    task = asyncio.create_task(
        server.serve(
            free,
            mongodb_url=mongodb_url,
            listener=listener,
            stopping=stopping,
            on_listening=answering.set,
        )
    )
    await answering.wait()
    try:
        yield address
    finally:
        stopping.set()
        await task
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().remove_signal_handler(number)


@dataclass
class Wire:
    """One connection.

    Attributes:
        reader: the incoming bytes.
        writer: the outgoing bytes.
    """

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        """Send bytes."""
        self.writer.write(data)
        await self.writer.drain()

    async def head(self) -> tuple[int, dict[str, str]]:
        """Return the status and headers of the next answer."""
        received = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        status, *lines = received.strip().split("\r\n")
        pairs = (line.partition(": ") for line in lines)
        return int(status.split()[1]), {name.lower(): value for name, _, value in pairs}

    async def answer(self) -> tuple[int, Any]:
        """Return the status and JSON of the next answer, which has a Content-Length."""
        status, headers = await self.head()
        body = await self.reader.readexactly(int(headers["content-length"]))
        return status, json.loads(body) if body else None

    async def rest(self) -> bytes:
        """Return everything until the other side closes."""
        return await self.reader.read()


@contextlib.asynccontextmanager
async def wire(address: Address) -> AsyncIterator[Wire]:
    """Open a connection."""
    reader, writer = await asyncio.open_connection(*address[:2])
    try:
        yield Wire(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


def request(method: str, path: str, *lines: str, body: bytes = b"") -> bytes:
    """Return a request as it is sent."""
    head = [f"{method} {path} HTTP/1.1", "Host: localhost", *lines]
    if body:
        head += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*head, "", ""]).encode() + body
