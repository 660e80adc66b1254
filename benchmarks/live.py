"""What live events cost, and how soon they come: 200 users append, and each listens.

`python benchmarks/live.py [--rounds 20] [--seconds 5] [--rates 200 1000] [--idle 2000]`. Two
services take the same appends in turns, so many a second by a clock; to one of them 200 clients
listen, from a process of their own (`listeners.py`). Both commit as many appends together, and only
the processor time of services and MongoDB is compared, with the 95 % interval of the turns. In the
end idle connections are opened, for the memory of one.
"""

import argparse
import asyncio
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
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

USERS, APPENDERS = 200, 32
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass
class Side:
    """A service with its users.

    Attributes:
        cookies: of the users' sessions.
        paths: of their conversations' messages.
        spent: the processor's milliseconds an append, of the service and of mongod, by turn.
        rates: the appends a second, by turn.
        count: of all appends.
    """

    service: Service
    cookies: list[str]
    paths: list[str] = field(default_factory=list)
    spent: list[tuple[float, float]] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    count: int = 0

    @property
    def port(self) -> int:
        """Where the service listens."""
        return int(self.service.url.rpartition(":")[2])

    async def request(self, streams: Streams, cookie: str, path: str, body: Any) -> bytes:
        """Return the body of an answer."""
        reader, writer = streams
        text = orjson.dumps(body)
        head = (
            f"POST {path} HTTP/1.1\r\nHost: x\r\nCookie: session_id={cookie}\r\n"
            f"Prefer: return=minimal\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(text)}\r\n\r\n"
        )
        writer.write(head.encode() + text)
        answer = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        assert answer.split()[1] in {"200", "201"}, answer
        length = int(answer.partition("content-length: ")[2].partition("\r\n")[0])
        return await reader.readexactly(length)

    async def begin(self) -> None:
        """Make a conversation of each user."""
        streams = await asyncio.open_connection("127.0.0.1", self.port)
        for cookie in self.cookies:
            made = orjson.loads(await self.request(streams, cookie, "/conversations", {}))
            self.paths.append(f"/conversations/{made['id']}/messages")
        streams[1].close()

    async def load(self, rate: float, seconds: float) -> None:
        """Append so many messages a second, each of which tells when it was sent."""
        began, count = time.monotonic(), int(rate * seconds)

        async def appender(first: int) -> None:
            streams = await asyncio.open_connection("127.0.0.1", self.port)
            for number in range(first, count, APPENDERS):
                await asyncio.sleep(began + number / rate - time.monotonic())
                user = (self.count + number) % len(self.cookies)
                body = {"role": "user", "content": str(time.monotonic())}
                await self.request(streams, self.cookies[user], self.paths[user], body)
            streams[1].close()

        await asyncio.gather(*map(appender, range(APPENDERS)))
        self.count += count
        self.rates.append(count / (time.monotonic() - began))

    async def turn(self, rate: float, seconds: float) -> None:
        """Append, and note the processor time."""
        measured = psutil.Process(self.service.process.pid), mongod_of(self.service.data_dir)
        before, count = [*map(cpu_seconds, measured)], self.count
        await self.load(rate, seconds)
        # The events of the last appends are part of the turn.
        await asyncio.sleep(0.2)
        after, count = [*map(cpu_seconds, measured)], self.count - count
        own, mongod = (
            (late - early) / count * 1000 for early, late in zip(before, after, strict=True)
        )
        self.spent.append((own, mongod))


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


@contextmanager
def listening(port: int, cookies: list[str]) -> Iterator[dict[str, Any]]:
    """Let clients listen; in the end put into what is yielded what they heard."""
    heard: dict[str, Any] = {}
    command = [sys.executable, str(Path(__file__).with_name("listeners.py"))]
    process = subprocess.Popen(  # noqa: S603  # our own program
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin
    assert process.stdout
    with process:
        process.stdin.write(orjson.dumps({"port": port, "cookies": cookies}) + b"\n")
        process.stdin.flush()
        assert process.stdout.readline(), "the listeners did not connect"
        yield heard
        process.stdin.close()
        heard |= orjson.loads(process.stdout.readline())


def measure(options: argparse.Namespace, rate: float) -> None:
    """Print the figures of one rate."""
    settings: dict[str, Any] = {
        "connections_per_address": 0,
        "live_connections": USERS + options.idle + 1,
        "log_level": "warning",
        "ui": "off",
        "host": "127.0.0.1",
    }
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        runner = stack.enter_context(asyncio.Runner(loop_factory=uvloop.new_event_loop))
        sides = []
        for name in ("without", "with"):
            data_dir = folder / name / "data"
            data_dir.parent.mkdir()
            service = stack.enter_context(Service(data_dir, **settings))
            sides.append(Side(service, insert_sessions(data_dir, USERS)))
        without, along = sides
        for side in sides:
            runner.run(side.begin())
            runner.run(side.load(rate, options.seconds))  # warms up
            side.rates.clear()
        already = along.count
        with listening(along.port, along.cookies) as heard:
            for number in range(options.rounds):
                for side in sides if number % 2 else sides[::-1]:
                    runner.run(side.turn(rate, options.seconds))
            runner.run(asyncio.sleep(2.0))  # for the last events
        came = len(heard["delays"])
        assert came == along.count - already, f"{came} of {along.count - already} events came"
        assert not heard["gaps"]
        show(rate, without, along, sorted(heard["delays"]))
        if options.idle:
            print(f"an idle connection: {memory(along, options.idle):.1f} KB")


def show(rate: float, without: Side, along: Side, delays: list[float]) -> None:
    """Print the means, and the ratios of the turns with their 95 % intervals."""
    rates = min(*without.rates, *along.rates), statistics.median(without.rates + along.rates)
    print(
        f"{rate:g} appends/s wanted, {rates[0]:.0f} at least and {rates[1]:.0f} in the median; "
        f"{len(along.spent)} turns a side"
    )
    parts = {"service": (0,), "mongod": (1,), "both": (0, 1)}
    for name, which in parts.items():
        less, more = (
            [sum(turn[each] for each in which) for turn in side.spent] for side in (without, along)
        )
        ratios = [late / early for early, late in zip(less, more, strict=True)]
        half = 1.96 * statistics.stdev(ratios) / len(ratios) ** 0.5
        print(
            f"  {name}: {statistics.mean(less):.3f} ms an append without listeners, "
            f"{statistics.mean(more):.3f} with them; "
            f"ratio {statistics.mean(ratios):.3f} ± {half:.3f}"
        )
    p50, p99 = (delays[int(len(delays) * part)] * 1000 for part in (0.5, 0.99))
    print(f"  from the request to the listening client: p50 {p50:.1f} ms, p99 {p99:.1f} ms")


def memory(side: Side, idle: int) -> float:
    """Return the KB of memory that an idle connection takes."""
    process = psutil.Process(side.service.process.pid)
    cookies = insert_sessions(side.service.data_dir, idle // 20)
    with listening(side.port, cookies[:1]):
        before = process.memory_info().rss
        with listening(side.port, cookies * 20):
            return float(process.memory_info().rss - before) / 1024 / (len(cookies) * 20)


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rates", type=float, nargs="*", default=[200.0, 1000.0])
    parser.add_argument("--idle", type=int, default=2000)
    options = parser.parse_args()
    for rate in options.rates:
        measure(options, rate)


if __name__ == "__main__":
    main()
