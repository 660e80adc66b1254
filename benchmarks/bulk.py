"""Archiving one user's conversations by a filter: time, processor time, another user's appends.

Run by `python benchmarks/bulk.py`; `--conversations N` makes another number than 10,000.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import aiohttp
from pymongo import MongoClient

from chatvault.mongodb.embedded import embedded_mongodb
from dataset import message
from large import DATABASE, sign_in
from lists import fill
from processes import Server, start_service

PASSWORD = "correct horse"  # noqa: S105  # of a measurement
PAUSE = 0.02
QUIET_SECONDS = 5.0


async def sign_in_other(http: aiohttp.ClientSession) -> str:
    """Register another user, and begin a conversation; return its path."""
    account = {"username": "other", "password": PASSWORD}
    new = account | {"email": "other@example.com"}
    for path, body in (("/auth/register", new), ("/auth/login", account)):
        async with http.post(path, json=body) as answer:
            answer.raise_for_status()
    async with http.post("/conversations", json={}) as answer:
        return f"/conversations/{(await answer.json())['id']}/messages"


async def append_until(http: aiohttp.ClientSession, path: str, end: asyncio.Event) -> list[float]:
    """Append one message after another; return the times in milliseconds."""
    times: list[float] = []
    while not end.is_set():
        began = time.perf_counter()
        headers = {"Prefer": "return=minimal"}
        async with http.post(path, json=message(len(times)), headers=headers) as answer:
            answer.raise_for_status()
        times.append((time.perf_counter() - began) * 1000)
        await asyncio.sleep(PAUSE)
    return times


def shown(times: list[float]) -> str:
    """Return the median and the 99th percentile."""
    ordered = sorted(times)
    p99 = ordered[int(len(ordered) * 0.99)]
    return f"{len(times)} appends, p50 {statistics.median(times):.1f} ms, p99 {p99:.1f} ms"


async def archive_all(http: aiohttp.ClientSession, action: str) -> str:
    """Do an action with all conversations; return the outcome."""
    body = {"action": action, "filter": {}}
    async with http.post("/conversations:batch", json=body) as answer:
        answer.raise_for_status()
        batch = await answer.json()
    while batch["state"] in {"waiting", "running"}:
        await asyncio.sleep(0.2)
        async with http.get(f"/batches/{batch['id']}") as answer:
            batch = await answer.json()
    return f"{batch['state']}, changed {batch['changed']:,} of {batch['total']:,}"


async def measure(service: Server, url: str, count: int) -> None:
    """Print the figures."""
    base = f"http://{service.host}:{service.port}"
    mine, others = (aiohttp.CookieJar(unsafe=True) for _ in range(2))
    async with (
        aiohttp.ClientSession(base, cookie_jar=mine) as http,
        aiohttp.ClientSession(base, cookie_jar=others) as other,
    ):
        await sign_in(http, url)
        async with http.post("/conversations", json={}) as answer:
            answer.raise_for_status()
        with MongoClient[Any](url) as client:
            fill(client[DATABASE], {}, count - 1)
        path, end = await sign_in_other(other), asyncio.Event()
        asyncio.get_running_loop().call_later(QUIET_SECONDS, end.set)
        print("alone:", shown(await append_until(other, path, end)), flush=True)
        for beside in (True, False):
            end = asyncio.Event()
            appends = asyncio.create_task(append_until(other, path, end)) if beside else None
            began, used = time.perf_counter(), service.cpu_seconds()
            outcome = await archive_all(http, "archive" if beside else "unarchive")
            took, used = time.perf_counter() - began, service.cpu_seconds() - used
            print(f"{outcome}: {took:.1f} s, processor {used:.1f} s", flush=True)
            end.set()
            if appends is not None:
                print("meanwhile:", shown(await appends), flush=True)


def main() -> None:
    """Fill a database, and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--conversations", type=int, default=10_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data_dir = Path(folder, "data")
        service, _ = start_service(data_dir)
        try:
            with embedded_mongodb(data_dir) as url:
                asyncio.run(measure(service, url, options.conversations))
        finally:
            service.stop()


if __name__ == "__main__":
    main()
