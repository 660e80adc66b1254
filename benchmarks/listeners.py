"""Clients that follow `GET /events`, in a process of their own, whose work is not measured.

`live.py` starts it. It reads one line of JSON, `{"port", "cookies"}`, and prints a line once all
are connected. When its input ends, it prints a line of JSON: the delays of the messages that came,
in seconds, and how often one did not follow the one before it.
"""

import asyncio
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field

import orjson
import uvloop


@dataclass
class Heard:
    """What came to all connections."""

    delays: list[float] = field(default_factory=list)
    gaps: int = 0


async def connect(port: int, cookie: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Return a connection whose first event has come."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"GET /events HTTP/1.1\r\nHost: x\r\nCookie: session_id={cookie}\r\n\r\n"
    writer.write(head.encode())
    await reader.readuntil(b"ready")
    return reader, writer


async def hear(reader: asyncio.StreamReader, heard: Heard) -> None:
    """Note the messages of one connection, which tell when they were sent."""
    following = 0
    with suppress(asyncio.IncompleteReadError):
        while True:
            line = await reader.readuntil(b"\n")
            if not line.startswith(b"data: "):
                continue
            for message in orjson.loads(line[6:]).get("messages", ()):
                heard.delays.append(time.monotonic() - float(message["content"]))
                heard.gaps += following not in {0, message["seq"]}
                following = message["seq"] + 1


async def main() -> None:
    """Connect, and listen until the input ends."""
    job = orjson.loads(sys.stdin.readline())
    heard, cookies = Heard(), job["cookies"]
    connections, tasks = [], []
    for start in range(0, len(cookies), 100):
        some = cookies[start : start + 100]
        connections += await asyncio.gather(*(connect(job["port"], each) for each in some))
    for reader, _ in connections:
        tasks.append(asyncio.create_task(hear(reader, heard)))
    print("connected", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    for task in tasks:
        task.cancel()
    print(orjson.dumps({"delays": heard.delays, "gaps": heard.gaps}).decode(), flush=True)


if __name__ == "__main__":
    uvloop.run(main())
