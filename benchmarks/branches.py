"""Pages and appends of a conversation with many branches, beside a linear one of the same length.

Run by `python benchmarks/branches.py`; `--forks N` makes another number than 10,000. The ratios are
those of the processor time of the service, and of the service and mongod together, with the 95 %
intervals of the turns.
"""

import argparse
import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import aiohttp
import psutil  # type: ignore[import-untyped]  # it carries no annotations

from dataset import message
from large import sign_in
from processes import Server, cpu_seconds, find_mongod, own_service

BATCH = 900
LIMIT = 50
TURNS = 30


def linear(number: int) -> dict[str, Any]:
    """Return a message of the conversation without branches."""
    return {**message(number), "id": f"m{number}"}


def branched(number: int) -> dict[str, Any]:
    """Return a message; each question has an answer that is not shown, and one that is."""
    question, which = divmod(number, 3)
    if which == 0:
        parent = f"b{question - 1}" if question else None
        return {**message(0), "id": f"q{question}", "parent_id": parent}
    name = f"{'ab'[which - 1]}{question}"
    return {**message(1), "id": name, "parent_id": f"q{question}"}


async def begin(
    http: aiohttp.ClientSession, count: int, make: Callable[[int], dict[str, Any]]
) -> str:
    """Return the path of a new conversation with a number of messages."""
    async with http.post("/conversations", json={}) as answer:
        path = f"/conversations/{(await answer.json())['id']}/messages"
    for start in range(0, count, BATCH):
        some = [make(number) for number in range(start, min(count, start + BATCH))]
        async with http.post(f"{path}:batch", json={"messages": some}) as answer:
            answer.raise_for_status()
    return path


@dataclass(frozen=True)
class Processes:
    """The service and its mongod."""

    service: Server
    mongod: psutil.Process

    def used(self) -> tuple[float, float]:
        """Return the processor time of the service, and of both."""
        mine = self.service.cpu_seconds()
        return mine, mine + cpu_seconds(self.mongod)


async def page(http: aiohttp.ClientSession, path: str, query: str, _: int) -> None:
    """Get a page."""
    async with http.get(f"{path}?limit={LIMIT}&{query}") as answer:
        found = await answer.json()
    if len(found["messages"]) != LIMIT:
        raise RuntimeError(f"{query}: {len(found['messages'])} messages")


async def append(http: aiohttp.ClientSession, path: str, _: str, number: int) -> None:
    """Append a message."""
    minimal = {"Prefer": "return=minimal"}
    async with http.post(path, json=message(number), headers=minimal) as answer:
        answer.raise_for_status()


async def walk(http: aiohttp.ClientSession, path: str, step: str, number: int) -> None:
    """Get one page after the other; before the first, the conversation changes."""
    if number == 0:
        await append(http, path, "", number)
    await page(http, path, f"after={number * int(step)}", number)


Ask = Callable[[aiohttp.ClientSession, str, str, int], Awaitable[None]]
Taken = tuple[float, float, float]


async def turn(processes: Processes, rounds: int, ask: Callable[[int], Awaitable[None]]) -> Taken:
    """Return the median time of a request and the processor time a request, in ms."""
    times, before = [], processes.used()
    for number in range(rounds):
        began = time.perf_counter()
        await ask(number)
        times.append((time.perf_counter() - began) * 1000)
    service, both_ = (b - a for a, b in zip(before, processes.used(), strict=True))
    return statistics.median(times), service * 1000 / rounds, both_ * 1000 / rounds


def both(name: str, plain: int, forked: int) -> tuple[str, str]:
    """Return a query for each of the conversations."""
    return f"{name}={plain}", f"{name}={forked}"


def ratio(plain: list[float], forked: list[float]) -> str:
    """Return the ratio of the means of the turns, with its 95 % interval."""
    middle = sum(forked) / sum(plain)
    left = [one - middle * other for one, other in zip(forked, plain, strict=True)]
    half = 1.96 * statistics.stdev(left) / len(left) ** 0.5 / statistics.mean(plain)
    return f"{middle:.2f} +- {half:.2f}"


async def measure(processes: Processes, url: str, forks: int, rounds: int, only: list[str]) -> None:
    """Print each kind of page: both conversations in turns, and the ratios."""
    base = f"http://{processes.service.host}:{processes.service.port}"
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(base, cookie_jar=jar) as http:
        await sign_in(http, url)
        paths = (await begin(http, 2 * forks, linear), await begin(http, 3 * forks, branched))
        places = (forks, forks * 3 // 2)
        kinds: list[tuple[str, Ask, tuple[str, str]]] = [
            ("newest", page, ("before=latest", "before=latest")),
            *((kind, page, both(kind, *places)) for kind in ("before", "after", "around")),
            *((f"offset {each}", page, both("offset", each, each)) for each in (0, forks)),
            ("each after", walk, (str(LIMIT), str(LIMIT * 3 // 2))),
            ("append", append, ("", "")),
        ]
        for name, ask, queries in kinds:
            if only and name not in only:
                continue
            sides: list[list[Taken]] = [[], []]
            for number in range(TURNS + 1):
                for side in (0, 1) if number % 2 else (1, 0):
                    asked = partial(ask, http, paths[side], queries[side])
                    sides[side].append(await turn(processes, rounds, asked))
            # Without the first turns, which warm up.
            plain, forked = ([[*each] for each in zip(*side[1:], strict=True)] for side in sides)
            print(
                f"{name:14}{statistics.median(plain[0]):7.2f} ms, with branches "
                f"{statistics.median(forked[0]):7.2f} ms; processor "
                f"{statistics.mean(plain[1]):.2f} and {statistics.mean(forked[1]):.2f} ms: "
                f"{ratio(plain[1], forked[1])}; with mongod {statistics.mean(plain[2]):.2f} and "
                f"{statistics.mean(forked[2]):.2f} ms: {ratio(plain[2], forked[2])}",
                flush=True,
            )


def main() -> None:
    """Make both conversations, and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--forks", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--only", nargs="*", default=[])
    options = parser.parse_args()
    with own_service() as (data_dir, service, url):
        processes = Processes(service, find_mongod(data_dir))
        asyncio.run(measure(processes, url, options.forks, options.rounds, options.only))


if __name__ == "__main__":
    main()
