"""What sealing costs a whole request: processor time of the service and of mongod.

Run by `python benchmarks/sealed_requests.py`; `--only` names some operations. Each form has a
service and a MongoDB of its own. The figures are in the README.
"""

import argparse
import asyncio
import itertools
import secrets
import statistics
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
from pymongo import MongoClient

from large import DATABASE, sign_in
from processes import Server, find_mongod, own_service

ROUNDS = 30
SHORT, LONG = 30, 200
# Together more than a process keeps in memory.
CONVERSATIONS = {SHORT: 200, LONG: 400}
KEPT = 20
AT_ONCE = 50
WORDS = 80
VOCABULARY = [secrets.token_hex(1 + number % 5) for number in range(5000)]
Used = tuple[float, float]
MINIMAL = {"Prefer": "return=minimal"}


def _message() -> dict[str, Any]:
    words = " ".join(secrets.choice(VOCABULARY) for _ in range(WORDS))
    return {"role": "user", "content": words}


def _processor_seconds(pid: int) -> float:
    """Return the processor time of all threads of a process, to the nanosecond."""
    return time.clock_gettime((~pid << 3) | 2)


class Side:
    """One form of content: a service, and a user with conversations."""

    def __init__(self, service: Server, mongod: int, url: str, http: aiohttp.ClientSession) -> None:
        self.pids = (service.pid, mongod)
        self.url = url
        self.http = http
        self.ids: dict[int, list[str]] = {}

    def used(self) -> tuple[float, float]:
        """Return the processor time of the service, and of the service and mongod."""
        service, mongod = map(_processor_seconds, self.pids)
        return service, service + mongod

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Return the answer's bytes."""
        async with self.http.request(method, path, json=body, headers=MINIMAL) as answer:
            answer.raise_for_status()
            return await answer.read()

    async def fill(self) -> None:
        """Make the conversations."""
        await sign_in(self.http, self.url)
        for length, count in CONVERSATIONS.items():
            for _ in range(count):
                body = {"title": _message()["content"][:60]}
                body["messages"] = [_message() for _ in range(length)]
                async with self.http.post("/conversations", json=body) as answer:
                    answer.raise_for_status()
                    self.ids.setdefault(length, []).append((await answer.json())["id"])
        self.cold = itertools.cycle(self.ids[LONG][KEPT:])

    async def append(self, conversation_id: str) -> None:
        """Append a message."""
        await self.ask("POST", f"/conversations/{conversation_id}/messages", _message())

    async def append_together(self) -> int:
        """Append to many short conversations at the same time."""
        await asyncio.gather(*map(self.append, self.ids[SHORT][:AT_ONCE]))
        return AT_ONCE

    async def append_alone(self) -> int:
        """Append to one short conversation after the other."""
        for each in self.ids[SHORT][:KEPT]:
            await self.append(each)
        return KEPT

    async def get_kept(self) -> int:
        """Read long conversations that were read before."""
        for each in self.ids[LONG][:KEPT]:
            await self.ask("GET", f"/conversations/{each}")
        return KEPT

    async def get_not_kept(self) -> int:
        """Read long conversations that were not read lately."""
        for each in itertools.islice(self.cold, KEPT):
            await self.ask("GET", f"/conversations/{each}")
        return KEPT

    async def newest(self) -> int:
        """Read the newest 50 messages of long conversations."""
        for each in self.ids[LONG][:KEPT]:
            await self.ask("GET", f"/conversations/{each}/messages?before=latest&limit=50")
        return KEPT

    async def list_heads(self) -> int:
        """List 50 conversations without messages."""
        for _ in range(10):
            await self.ask("GET", "/conversations?view=summary&limit=50")
        return 10

    async def list_with_messages(self) -> int:
        """List 20 conversations with their messages."""
        for _ in range(5):
            await self.ask("GET", "/conversations?limit=20")
        return 5

    def storage(self) -> dict[int, int]:
        """Return what conversations of each length take on disk, with their segments."""
        found: dict[int, int] = {}
        with MongoClient[dict[str, Any]](self.url) as client:
            for length in CONVERSATIONS:
                heads = client[DATABASE]["conversations"].find({"total_messages": length})
                generations = [each["generation"] for each in heads]
                which = {"$match": {"generation": {"$in": generations}}}
                names = ("conversations", "segments")
                for name in names:
                    into = {"$out": {"db": f"only{length}", "coll": name}}
                    client[DATABASE][name].aggregate([which, into])
                client.admin.command("fsync")
                stats = [client[f"only{length}"].command("collStats", each) for each in names]
                found[length] = sum(each["storageSize"] for each in stats)
        return found


OPERATIONS: dict[str, Callable[[Side], Awaitable[int]]] = {
    "append": Side.append_together,
    "append alone": Side.append_alone,
    "get 200, kept": Side.get_kept,
    "get 200, none kept": Side.get_not_kept,
    "newest 50 of 200": Side.newest,
    "list 50": Side.list_heads,
    "list with messages": Side.list_with_messages,
}


def _ratio(plain: list[float], sealed: list[float]) -> str:
    """Return the ratio of the means, and its 95 % interval."""
    ratio = sum(sealed) / sum(plain)
    left = [one - ratio * other for one, other in zip(sealed, plain, strict=True)]
    half = 1.96 * statistics.stdev(left) / len(left) ** 0.5 / statistics.mean(plain)
    return f"{ratio:.3f} +- {half:.3f}"


def _report(operation: str, plain: list[Used], sealed: list[Used]) -> None:
    """Print what both sides took, the service alone and with mongod, and the ratios."""
    for name, which in (("service", 0), ("with mongod", 1)):
        one, other = [each[which] for each in plain], [each[which] for each in sealed]
        middle = statistics.median(b / a for a, b in zip(one, other, strict=True))
        print(
            f"{operation:20}{name:13}{statistics.mean(one) * 1e6:7.0f} us"
            f"{statistics.mean(other) * 1e6:7.0f} us  {_ratio(one, other)}, median {middle:.3f}",
            flush=True,
        )


async def measure(
    started: list[tuple[Server, int, str]], operations: list[str], rounds: int
) -> None:
    """Interleave the sides, and print ratios."""
    async with AsyncExitStack() as stack:
        sides = []
        for service, mongod, url in started:
            jar = aiohttp.CookieJar(unsafe=True)
            http = aiohttp.ClientSession(f"http://{service.host}:{service.port}", cookie_jar=jar)
            sides.append(Side(service, mongod, url, await stack.enter_async_context(http)))
        for side in sides:
            await side.fill()
        sizes = [side.storage() for side in sides]
        for length in CONVERSATIONS:
            plain, sealed = (each[length] for each in sizes)
            print(
                f"storageSize of {length} messages: {plain}, sealed {sealed}: {sealed / plain:.2f}"
            )
        seen: dict[tuple[str, int], list[Used]] = defaultdict(list)
        for number in range(rounds + 1):
            for operation in operations:
                for which in (0, 1) if number % 2 else (1, 0):
                    before = sides[which].used()
                    count = await OPERATIONS[operation](sides[which])
                    after = sides[which].used()
                    mine, both = ((b - a) / count for a, b in zip(before, after, strict=True))
                    seen[operation, which].append((mine, both))
    print("processor time of readable and of sealed content, and the ratio of the means")
    for operation in operations:
        # Without the first round, which warms up.
        _report(operation, seen[operation, 0][1:], seen[operation, 1][1:])


def main() -> None:
    """Start a service for each form, and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--only", nargs="*", choices=OPERATIONS, default=[*OPERATIONS])
    options = parser.parse_args()
    keys = {"CHATVAULT_MASTER_KEYS": secrets.token_hex(32)}
    with own_service() as plain, own_service(keys) as sealed:
        started = [
            (service, find_mongod(data_dir).pid, url) for data_dir, service, url in (plain, sealed)
        ]
        asyncio.run(measure(started, options.only, options.rounds))


if __name__ == "__main__":
    main()
