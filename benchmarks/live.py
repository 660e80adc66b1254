"""What live events cost, and how soon they come: 200 users append, and each listens.

`python benchmarks/live.py [rounds] [idle connections]`. In each round a new service first takes
appends of users who do not listen, then of the same users while each follows `GET /events`. The
processor time of service and MongoDB an append is compared, over all rounds. At the end idle
connections are opened, for the memory of one. Clients and service share the machine, so the delays
are those of a busy one.
"""

import asyncio
import secrets
import statistics
import sys
import tempfile
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

import orjson  # noqa: E402  # the path has to be set first
import psutil  # type: ignore[import-untyped]  # noqa: E402  # the same; it carries no annotations
import uvloop  # noqa: E402  # the same
from bson import ObjectId  # noqa: E402  # the same
from pymongo import MongoClient  # noqa: E402  # the same

from chatvault.mongodb.embedded import embedded_mongodb  # noqa: E402  # the same
from processes import cpu_seconds  # noqa: E402  # the same
from support.running import Service, mongod_of  # noqa: E402  # the same

USERS, APPENDERS, SECONDS = 200, 32, 8.0


class Client:
    """A user's raw connections: one that appends, one that listens."""

    def __init__(self, service: Service, cookie: str) -> None:
        self.host, self.port = "127.0.0.1", int(service.url.rpartition(":")[2])
        self.cookie = cookie
        self.path = ""
        self.delays: list[float] = []
        self.gaps = 0
        self._next = 0
        self._listening: asyncio.Task[None] | None = None

    async def request(
        self, streams: tuple[asyncio.StreamReader, asyncio.StreamWriter], path: str, body: Any
    ) -> bytes:
        """Return the body of an answer."""
        reader, writer = streams
        text = orjson.dumps(body)
        head = (
            f"POST {path} HTTP/1.1\r\nHost: x\r\nCookie: session_id={self.cookie}\r\n"
            f"Prefer: return=minimal\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(text)}\r\n\r\n"
        )
        writer.write(head.encode() + text)
        answer = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        assert answer.split()[1] in {"200", "201"}, answer
        length = int(answer.partition("content-length: ")[2].partition("\r\n")[0])
        return await reader.readexactly(length)

    async def begin(self) -> None:
        """Make the conversation."""
        streams = await asyncio.open_connection(self.host, self.port)
        made = orjson.loads(await self.request(streams, "/conversations", {}))
        self.path = f"/conversations/{made['id']}/messages"
        streams[1].close()

    async def append(self, streams: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> None:
        """Append a message that tells when it was sent."""
        await self.request(streams, self.path, {"role": "user", "content": str(time.monotonic())})

    async def listen(self) -> None:
        """Follow the events, once the first is there."""
        reader, writer = await asyncio.open_connection(self.host, self.port)
        head = f"GET /events HTTP/1.1\r\nHost: x\r\nCookie: session_id={self.cookie}\r\n\r\n"
        writer.write(head.encode())
        await reader.readuntil(b"ready")
        self._listening = asyncio.create_task(self._hear(reader, writer))

    async def _hear(self, reader: asyncio.StreamReader, _kept: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError):
            while True:
                line = await reader.readuntil(b"\n")
                if line.startswith(b"data: "):
                    self._note(orjson.loads(line[6:]))

    def _note(self, frame: dict[str, Any]) -> None:
        for message in frame.get("messages", ()):
            self.delays.append(time.monotonic() - float(message["content"]))
            self.gaps += self._next not in {0, message["seq"]}
            self._next = message["seq"] + 1


def insert_sessions(data_dir: Path, count: int) -> list[str]:
    """Return the cookies of new users."""
    cookies = [secrets.token_urlsafe(16) for _ in range(count)]
    at = datetime.now(UTC)
    with embedded_mongodb(data_dir) as url, MongoClient[dict[str, Any]](url) as mongodb:
        mongodb["chatvault"]["sessions"].insert_many(
            {
                "user_id": ObjectId(),
                "token_hash": sha256(cookie.encode()).digest(),
                "role": "user",
                "created_at": at,
                "last_seen_at": at,
                "expires_at": at + timedelta(days=1),
            }
            for cookie in cookies
        )
    return cookies


async def load(clients: list[Client]) -> tuple[int, float]:
    """Append by turns for some seconds; return how often, and how long it took."""
    began, count = time.monotonic(), 0

    async def appender(number: int) -> None:
        nonlocal count
        streams = await asyncio.open_connection(clients[0].host, clients[0].port)
        turn = number
        while time.monotonic() - began < SECONDS:
            await clients[turn % len(clients)].append(streams)
            turn += APPENDERS + 1
            count += 1
        streams[1].close()

    await asyncio.gather(*map(appender, range(APPENDERS)))
    return count, time.monotonic() - began


async def one_round(service: Service) -> tuple[float, float, list[Client], float]:
    """Return milliseconds of processor time an append, without and with listeners, and a rate."""
    measured = [psutil.Process(service.process.pid), mongod_of(service.data_dir)]
    cookies = insert_sessions(service.data_dir, USERS)
    clients = [Client(service, cookie) for cookie in cookies]
    for client in clients:
        await client.begin()
    await load(clients)  # warms up
    costs, rate = [], 0.0
    for listens in (False, True):
        if listens:
            await asyncio.sleep(2.0)  # for the events of what came before
            await asyncio.gather(*(client.listen() for client in clients))
        before = sum(map(cpu_seconds, measured))
        count, seconds = await load(clients)
        costs.append((sum(map(cpu_seconds, measured)) - before) / count * 1000)
        rate = count / seconds
    await asyncio.sleep(1.0)  # for the last events
    heard = sum(len(client.delays) for client in clients)
    assert heard == count, f"{heard} of {count} events came"
    assert not sum(client.gaps for client in clients)
    return costs[0], costs[1], clients, rate


async def memory(service: Service, idle: int) -> float:
    """Return the KB of memory that an idle connection takes."""
    process = psutil.Process(service.process.pid)
    cookies = insert_sessions(service.data_dir, idle // 20)
    clients = [Client(service, cookie) for cookie in cookies for _ in range(20)]
    await clients[0].listen()
    before = process.memory_info().rss
    for start in range(1, len(clients), 100):
        await asyncio.gather(*(client.listen() for client in clients[start : start + 100]))
    return float(process.memory_info().rss - before) / 1024 / (len(clients) - 1)


def main() -> None:
    """Measure, and print."""
    rounds, idle = (int(each) for each in [*sys.argv[1:], "4", "2000"][:2])
    settings: dict[str, Any] = {
        "connections_per_address": 0,
        "live_connections": USERS + idle + 1,
        "log_level": "warning",
        "ui": "off",
        "host": "127.0.0.1",
    }
    without, along, delays, rates = [], [], list[float](), []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(rounds):
            data_dir = Path(folder) / str(number) / "data"
            data_dir.parent.mkdir()
            with (
                Service(data_dir, **settings) as service,
                asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
            ):
                first, second, clients, rate = runner.run(one_round(service))
                without.append(first)
                along.append(second)
                rates.append(rate)
                delays += [delay for client in clients for delay in client.delays]
                kilobytes = runner.run(memory(service, idle)) if number == rounds - 1 else 0.0
    delays.sort()
    ratios = [more / less for less, more in zip(without, along, strict=True)]
    print(f"{rounds} rounds of {USERS} users, at least {min(rates):.0f} appends/s")
    print(
        f"processor time an append: {statistics.median(without):.2f} ms without listeners, "
        f"{statistics.median(along):.2f} ms with them; ratio {statistics.median(ratios):.2f} "
        f"({min(ratios):.2f} to {max(ratios):.2f})"
    )
    p50, p99 = (delays[int(len(delays) * part)] * 1000 for part in (0.5, 0.99))
    print(f"from the request to the listening client: p50 {p50:.1f} ms, p99 {p99:.1f} ms")
    print(f"an idle connection: {kilobytes:.1f} KB")


if __name__ == "__main__":
    main()
