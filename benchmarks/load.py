"""The load generator: a process of its own that sends ready-made requests and reads little.

It parses status and length of an answer and nothing else, so that it does not measure itself.
"""

import asyncio
import re
import time
from functools import partial
from itertools import count
from typing import cast

import uvloop

from measure import CpuClock, Result, Tally, read_job, write_result

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
NO_BODY = {204, 304}
UNIQUE = b"@unique-0000@"  # replaced by as many characters that no other request has
BROKEN = 0  # the status counted where a connection ended or an answer was unreadable


class Connection(asyncio.Protocol):
    """One keep-alive connection that sends the next request when the last is answered.

    Args:
        requests: ready-made; those at `start`, `start + step`, … are sent, around and around.
        start: where this connection begins.
        step: how far it goes on.
        tally: counts the answers.
    """

    # Offsets of ten thousand a second, so that two runs never share an id.
    _numbers = count(int(time.time() * 10_000))

    def __init__(self, requests: list[bytes], start: int, step: int, tally: Tally) -> None:
        self._requests = requests
        self._next = start % len(requests)
        self._step = step
        self._tally = tally
        self._head = b""
        self._missing = 0
        self._status = BROKEN
        self._sent = 0.0
        self._transport: asyncio.Transport | None = None
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first request."""
        self._transport = cast(asyncio.Transport, transport)
        self._send()

    def _send(self) -> None:
        assert self._transport
        request = self._requests[self._next]
        self._next = (self._next + self._step) % len(self._requests)
        if UNIQUE in request:
            request = request.replace(UNIQUE, b"%013x" % next(self._numbers))
        self._sent = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Read on; at the end of an answer send the next request."""
        if self._missing:
            self._missing -= len(data)
        else:
            self._head += data
            end = self._head.find(b"\r\n\r\n")
            if end < 0:
                return
            self._status = int(self._head[9:12])
            length = LENGTH.search(self._head, 0, end)
            if length is None and self._status not in NO_BODY:
                self._finish(BROKEN)
                return
            body = int(length[1]) if length else 0
            self._missing = body - (len(self._head) - end - 4)
            self._head = b""
        if self._missing > 0:
            return
        if self._tally.note(self._sent, self._status):
            self._send()
        else:
            self._finish(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """Count a connection that ended early."""
        del exc
        if not self.done.done():
            self._finish(BROKEN)

    def _finish(self, status: int | None) -> None:
        if status is not None:
            self._tally.note(self._sent, status)
        if not self.done.done():
            self.done.set_result(None)
        if self._transport:
            self._transport.close()


async def run() -> Result:
    """Do the job, all groups of connections at once."""
    job = read_job()
    loop = asyncio.get_running_loop()
    tallies: list[Tally] = []
    connections: list[Connection] = []
    clock = CpuClock()
    for group in job["groups"]:
        requests = [request.encode("latin-1") for request in group["requests"]]
        tally = Tally(job["warmup"], job["seconds"])
        tallies.append(tally)
        for number in range(group["connections"]):
            make = partial(
                Connection, requests, job["offset"] + number, group["connections"], tally
            )
            _, connection = await loop.create_connection(make, job["host"], job["port"])
            connections.append(connection)
    await asyncio.wait_for(
        asyncio.gather(*(connection.done for connection in connections)),
        job["warmup"] + job["seconds"] + 30,
    )
    return {"groups": [tally.summary() for tally in tallies], "cpu": clock.cores()}


if __name__ == "__main__":
    write_result(uvloop.run(run()))
