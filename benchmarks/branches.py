"""Pages and appends of a conversation with many branches, beside a linear one of the same length.

Run by `python benchmarks/branches.py`; `--forks N` makes another number than 10,000.
"""

import argparse
import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp

from dataset import message
from large import sign_in
from processes import Server, own_service

BATCH = 900
LIMIT = 50
TURNS = 6


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
    """Return the path of a new conversation with so many messages."""
    async with http.post("/conversations", json={}) as answer:
        path = f"/conversations/{(await answer.json())['id']}/messages"
    for start in range(0, count, BATCH):
        some = [make(number) for number in range(start, min(count, start + BATCH))]
        async with http.post(f"{path}:batch", json={"messages": some}) as answer:
            answer.raise_for_status()
    return path


async def turn(
    http: aiohttp.ClientSession, service: Server, path: str, query: str, rounds: int
) -> tuple[float, float]:
    """Return the median time of a page and the service's processor time a page, in ms."""
    times, used = [], service.cpu_seconds()
    for _ in range(rounds):
        began = time.perf_counter()
        async with http.get(f"{path}?limit={LIMIT}&{query}") as answer:
            found = await answer.json()
        times.append((time.perf_counter() - began) * 1000)
        if len(found["messages"]) != LIMIT:
            raise RuntimeError(f"{query}: {len(found['messages'])} messages")
    return statistics.median(times), (service.cpu_seconds() - used) * 1000 / rounds


async def append(
    http: aiohttp.ClientSession, service: Server, path: str, _: str, rounds: int
) -> tuple[float, float]:
    """Return the same of an append."""
    times, used = [], service.cpu_seconds()
    for number in range(rounds):
        began = time.perf_counter()
        minimal = {"Prefer": "return=minimal"}
        async with http.post(path, json=message(number), headers=minimal) as answer:
            answer.raise_for_status()
        times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times), (service.cpu_seconds() - used) * 1000 / rounds


Measure = Callable[[aiohttp.ClientSession, Server, str, str, int], Awaitable[tuple[float, float]]]


def both(name: str, plain: int, forked: int) -> tuple[str, str]:
    """Return a query for each of the conversations."""
    return f"{name}={plain}", f"{name}={forked}"


def medians(turns: list[tuple[float, float]]) -> list[float]:
    """Return the median of the times, and that of the processor times."""
    return [statistics.median(each) for each in zip(*turns, strict=True)]


async def measure(service: Server, url: str, forks: int, rounds: int) -> None:
    """Print each kind of page: both conversations in turns, and the ratios of the medians."""
    base = f"http://{service.host}:{service.port}"
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(base, cookie_jar=jar) as http:
        await sign_in(http, url)
        paths = (await begin(http, 2 * forks, linear), await begin(http, 3 * forks, branched))
        places = (forks, forks * 3 // 2)
        kinds: list[tuple[str, Measure, tuple[str, str]]] = [
            ("newest", turn, ("before=latest", "before=latest")),
            *((kind, turn, both(kind, *places)) for kind in ("before", "after", "around")),
            *((f"offset {each}", turn, both("offset", each, each)) for each in (0, forks)),
            ("append", append, ("", "")),
        ]
        for name, ask, queries in kinds:
            sides: list[list[tuple[float, float]]] = [[], []]
            for number in range(TURNS):
                for side in (0, 1) if number % 2 else (1, 0):
                    taken = await ask(http, service, paths[side], queries[side], rounds)
                    sides[side].append(taken)
            plain, forked = (
                [statistics.median(each) for each in zip(*side, strict=True)] for side in sides
            )
            print(
                f"{name:14}{plain[0]:7.2f} ms, with branches {forked[0]:7.2f} ms: "
                f"{forked[0] / plain[0]:.2f}; processor {plain[1]:.2f} and {forked[1]:.2f} ms: "
                f"{forked[1] / plain[1]:.2f}",
                flush=True,
            )


def main() -> None:
    """Make both conversations, and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--forks", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=50)
    options = parser.parse_args()
    with own_service() as (_, service, url):
        asyncio.run(measure(service, url, options.forks, options.rounds))


if __name__ == "__main__":
    main()
