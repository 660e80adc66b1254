"""How much the service adds to a reply while a hundred stream at once, in one process.

`python benchmarks/streams.py [conversations] [rounds]`. Every reply is 100 tokens, about 30 a
second as a model says them, by a twin that writes into its words when it was asked and when it sent
each. The conversations begin one after another; then each asks again as soon as it is answered.

Added is: from the client's request to the twin's, and from the twin's last word to the client's
last event. Clients and twin share one process beside the service's and MongoDB's. What they add
themselves is measured first, by the same clients on the twin alone.
"""

import asyncio
import json
import random
import re
import signal
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

import orjson  # noqa: E402  # the path has to be set first
import psutil  # type: ignore[import-untyped]  # noqa: E402  # the same; it carries no annotations
import uvloop  # noqa: E402  # the same
from yarl import URL  # noqa: E402  # the same

from processes import cpu_seconds  # noqa: E402  # the same
from support.running import Service, ask, mongod_of, until  # noqa: E402  # the same

TOKENS, PAUSE, FIRST_PAUSE = 100, 1 / 30, 0.3
STAMP = re.compile(rb"(\d+\.\d{6}) ")
END = b"0\r\n\r\n"
LAG_EVERY = 0.01


def _chunk(more: dict[str, object]) -> bytes:
    said = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", **more}
    return b"data: " + orjson.dumps(said) + b"\n\n"


BEFORE, AFTER = _chunk(
    {"choices": [{"index": 0, "delta": {"content": "@"}, "finish_reason": None}]}
).split(b"@")
USAGE = {"prompt_tokens": 9, "completion_tokens": TOKENS, "total_tokens": 9 + TOKENS}
LAST = (
    _chunk({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    + _chunk({"choices": [], "usage": USAGE})
    + b"data: [DONE]\n\n"
)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


class FakeModel(asyncio.Protocol):
    """A model's twin, lean enough not to be what is measured."""

    def __init__(self) -> None:
        self._got = b""
        self._speaking: asyncio.Task[None] | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is there."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Answer once the request is whole."""
        self._got += data
        head, found, body = self._got.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
        if found and length and len(body) >= int(length[1]):
            self._got = b""
            self._speaking = asyncio.create_task(self._speak(time.monotonic()))

    async def _speak(self, asked: float) -> None:
        assert self._transport
        self._transport.write(HEAD)
        await asyncio.sleep(FIRST_PAUSE)
        for number in range(TOKENS):
            if number:
                await asyncio.sleep(PAUSE * random.uniform(0.5, 1.5))  # noqa: S311  # no secret
            stamp = b"%.6f " % (time.monotonic() if number else asked)
            self._write(BEFORE + stamp + AFTER)
        self._write(LAST)
        self._transport.write(END)

    def _write(self, data: bytes) -> None:
        assert self._transport
        self._transport.write(b"%x\r\n%b\r\n" % (len(data), data))


@dataclass(frozen=True, slots=True)
class Seen:
    """One reply: seconds added before and after the model, and each word's way."""

    before: float
    after: float
    words: list[float]


class Crowd(asyncio.Protocol):
    """One client's connection, which only keeps what comes and when."""

    def __init__(self) -> None:
        self._arrived: list[tuple[float, bytes]] = []
        self._tail = b""
        self._done: asyncio.Future[None] | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It can be asked."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Keep it; the end is looked for in what ends with it."""
        self._arrived.append((time.monotonic(), data))
        self._tail = (self._tail + data)[-len(END) :]
        if self._tail == END and self._done:
            self._done.set_result(None)

    async def reply(self, request: bytes) -> Seen:
        """Return one reply, and what was added to it."""
        assert self._transport
        self._arrived, self._tail = [], b""
        self._done = asyncio.get_running_loop().create_future()
        began = time.monotonic()
        self._transport.write(request)
        await self._done
        return self._understand(began)

    def _understand(self, began: float) -> Seen:
        whole = b"".join(data for _, data in self._arrived)
        assert whole.startswith(b"HTTP/1.1 200"), whole[:500]
        assert b"event: error" not in whole, whole[-1000:]
        stamps, ends = [], []
        # The service's answers carry everything a second time, in their last event.
        for found in list(STAMP.finditer(whole))[:TOKENS]:
            stamps.append(float(found[1]))
            ends.append(found.end())
        assert len(stamps) == TOKENS
        assert stamps == sorted(stamps)
        times, place, place_of = [], 0, 0
        for end in ends:
            while place < end:
                place += len(self._arrived[place_of][1])
                place_of += 1
            times.append(self._arrived[place_of - 1][0])
        words = [came - sent for sent, came in zip(stamps[1:], times[1:], strict=True)]
        return Seen(stamps[0] - began, self._arrived[-1][0] - stamps[-1], words)


async def talk(crowd: Crowd, request: bytes, after: float, rounds: int) -> list[Seen]:
    """Return all replies of one conversation but the first, in which not all speak yet."""
    await asyncio.sleep(after)
    return [await crowd.reply(request) for _ in range(rounds + 1)][1:]


async def all_at_once(url: URL, requests: list[bytes], rounds: int) -> list[Seen]:
    """Return every conversation, spread over one reply's time."""
    loop = asyncio.get_running_loop()
    spread = (FIRST_PAUSE + TOKENS * PAUSE) / len(requests)
    talks = []
    for number, request in enumerate(requests):
        _, crowd = await loop.create_connection(Crowd, url.host or "", url.port or 0)
        talks.append(talk(crowd, request, number * spread, rounds))
    return [seen for some in await asyncio.gather(*talks) for seen in some]


async def watch_lag(lags: list[float]) -> None:
    """How late this process is, again and again."""
    while True:
        due = time.monotonic() + LAG_EVERY
        await asyncio.sleep(LAG_EVERY)
        lags.append(time.monotonic() - due)


def request_for(url: URL, cookie: str = "") -> bytes:
    """Return a request for a reply, ready-made."""
    body = b'{"content": "Hello"}'
    lines = [
        f"POST {url.path} HTTP/1.1",
        f"Host: {url.host}:{url.port}",
        "Accept: text/event-stream",
        "Content-Type: application/json",
        f"Cookie: session_id={cookie}",
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class Watched(Service):
    """The service with a clock on its calls of MongoDB."""

    def __init__(self, data_dir: Path, **settings: object) -> None:
        super().__init__(data_dir, **settings)
        self.took = data_dir.with_suffix(".took")
        self.command = [sys.executable, str(ROOT / "benchmarks" / "watched.py"), str(self.took)]

    async def calls(self) -> dict[str, list[float]]:
        """Return what the calls took since it was asked before; milliseconds by name."""
        self.took.unlink(missing_ok=True)
        self.process.send_signal(signal.SIGUSR1)
        await asyncio.to_thread(until, self.took.exists)
        found: dict[str, list[float]] = orjson.loads(self.took.read_bytes())
        return found


async def prepare(service: Service, conversations: int) -> list[bytes]:
    """Return a request for each of some new conversations."""
    async with service.browser() as browser:
        await service.sign_in(browser)
        agent = {"name": "A", "system_prompt": "", "max_conversation_tokens": 1_000_000}
        _, made = await ask(browser, "POST", f"{service.url}/agents", agent)
        wanted = {"title": "T", "agent_id": made["id"]}
        requests = []
        for _ in range(conversations):
            _, begun = await ask(browser, "POST", f"{service.url}/conversations", wanted)
            url = URL(f"{service.url}/conversations/{begun['id']}/replies")
            requests.append(request_for(url, service.cookie(browser)))
        return requests


def percentile(values: list[float], part: float) -> float:
    """Of values in no order."""
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


def show(name: str, values: list[float], factor: float = 1000) -> None:
    """One line of the table, in milliseconds."""
    parts = [percentile(values, part) * factor for part in (0.5, 0.95, 0.99)]
    print(f"{name:34}" + "".join(f"{part:9.1f}" for part in parts))


def show_added(name: str, found: list[Seen]) -> None:
    """The lines about replies."""
    show(f"{name}: before the model", [each.before for each in found])
    show(f"{name}: after the model", [each.after for each in found])
    show(f"{name}: added in all", [each.before + each.after for each in found])
    show(f"{name}: a word's way", [word for each in found for word in each.words])


async def with_lag(work: Callable[[], Awaitable[list[Seen]]]) -> tuple[list[Seen], list[float]]:
    """Return what was seen, and how late this process was meanwhile."""
    lags: list[float] = []
    watching = asyncio.create_task(watch_lag(lags))
    found = await work()
    watching.cancel()
    return found, lags


def _busy_seconds() -> float:
    """Processor time that all processes of the machine have used."""
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system + times.softirq)


async def measure(conversations: int, rounds: int) -> None:
    """Print the percentiles of what was added."""
    server = await asyncio.get_running_loop().create_server(FakeModel, "127.0.0.1", 0, backlog=1024)
    fake_model = URL(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1")
    print(f"{'milliseconds':34}      p50      p95      p99")
    alone = [request_for(fake_model)] * conversations
    found, lags = await with_lag(partial(all_at_once, fake_model, alone, 1))
    show_added("twin alone", found)
    show("twin alone: late", lags)
    with tempfile.TemporaryDirectory() as folder:
        providers = json.dumps({"twin": {"base_url": str(fake_model), "model": "m"}})
        settings: dict[str, Any] = {"replies_per_minute": 100_000, "log_level": "error"}
        with Watched(Path(folder) / "data", providers=providers, **settings) as service:
            requests = await prepare(service, conversations)
            server_process = psutil.Process(service.process.pid)
            mongod = mongod_of(service.data_dir)
            await service.calls()
            began, own = time.monotonic(), psutil.Process()
            before = [*map(cpu_seconds, (server_process, mongod, own)), _busy_seconds()]
            found, lags = await with_lag(partial(all_at_once, URL(service.url), requests, rounds))
            seconds = time.monotonic() - began
            after = [*map(cpu_seconds, (server_process, mongod, own)), _busy_seconds()]
            calls = await service.calls()
            memory = server_process.memory_info().rss / 1024**2
    show_added("service", found)
    show("service: this process late", lags)
    show("service: all calls of MongoDB", [took for some in calls.values() for took in some], 1)
    for name, took in sorted(calls.items(), key=lambda pair: -len(pair[1]))[:5]:
        show(f"service: {name} ({len(took) / seconds:.0f}/s)", took, 1)
    cores = [(b - a) / seconds for a, b in zip(before, after, strict=True)]
    print(
        f"{len(found)} replies of {TOKENS} words, {conversations} at once, no error; cores: "
        f"service {cores[0]:.2f}, MongoDB {cores[1]:.2f}, twin and clients {cores[2]:.2f}; "
        f"others {cores[3] - sum(cores[:3]):.2f} of {psutil.cpu_count()}; {memory:.0f} MB resident"
    )
    server.close()


if __name__ == "__main__":
    arguments = [int(each) for each in sys.argv[1:]]
    uvloop.run(measure(*(arguments or [100, 3])))
