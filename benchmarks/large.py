"""One conversation of 1,000,000 messages, and one audit log of 1,000,000 entries.

Run by `python benchmarks/large.py`; it takes some minutes and 2 GB of disk. `--messages N` and
`--entries N` make it smaller.
"""

import argparse
import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import psutil  # type: ignore[import-untyped]  # it carries no annotations
from bson import ObjectId
from pymongo import MongoClient

from chatvault.actor import Role
from chatvault.audit.keys import KeyRing, load_key_ring
from chatvault.settings import Settings
from dataset import message
from processes import Server, find_mongod, own_service

DATABASE = "chatvault"
BATCH = 1000
PROBES = 200
PASSWORD = "benchmark password"  # noqa: S105  # of a user that lives for one run


class Bench:
    """The measured service, and a user who is also an auditor."""

    def __init__(
        self, service: Server, mongod: psutil.Process, http: aiohttp.ClientSession
    ) -> None:
        self.service = service
        self.mongod = mongod
        self.http = http

    def memory(self) -> str:
        """Return the memory of both processes."""
        mongod = self.mongod.memory_info().rss / 1e6
        return f"service {self.service.rss_mb():.0f} MB, mongod {mongod:.0f} MB"

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Return the answer's JSON."""
        async with self.http.request(method, path, json=body) as answer:
            answer.raise_for_status()
            return await answer.json()

    async def probe(self, ask: Callable[[], Awaitable[Any]]) -> str:
        """Median and 99th percentile of some calls, one after the other."""
        times = []
        for _ in range(PROBES):
            began = time.perf_counter()
            await ask()
            times.append((time.perf_counter() - began) * 1000)
        ordered = sorted(times)
        p99 = ordered[int(len(ordered) * 0.99)]
        return f"p50 {statistics.median(times):.2f} ms, p99 {p99:.2f} ms"


async def sign_in(http: aiohttp.ClientSession, url: str) -> str:
    """Register, become an auditor, log in; returns the user's id."""
    account = {"username": "large", "password": PASSWORD}
    new = account | {"email": "large@example.com"}
    async with http.post("/auth/register", json=new) as answer:
        user_id: str = (await answer.json())["id"]
    with MongoClient[dict[str, Any]](url) as client:
        role = {"$set": {"role": Role.AUDITOR.value}}
        client[DATABASE]["users"].update_one({"_id": ObjectId(user_id)}, role)
    async with http.post("/auth/login", json=account) as answer:
        answer.raise_for_status()
    return user_id


async def measure_conversation(bench: Bench, count: int) -> None:
    """Grow a conversation, and measure it at each length."""
    begun = await bench.ask("POST", "/conversations", {"title": "large"})
    path = f"/conversations/{begun['id']}"
    began = time.perf_counter()
    done = 0
    for length in sorted({10, 100_000, count}):
        while done < min(length, count):
            some = min(BATCH, length - done)
            batch = {"messages": [message(done + number) for number in range(some)]}
            await bench.ask("POST", f"{path}/messages:batch", batch)
            done += some
        spent = time.perf_counter() - began
        print(f"{done:,} messages after {spent:.0f} s of batches; {bench.memory()}")
        await probe_all(bench, path)
    await stream(bench, path)


async def probe_all(bench: Bench, path: str) -> None:
    """Measure an append and a page at this length."""
    minimal = {"Prefer": "return=minimal"}

    async def append() -> None:
        url = f"{path}/messages"
        async with bench.http.post(url, json=message(1), headers=minimal) as answer:
            answer.raise_for_status()

    newest = f"{path}/messages?before=latest&limit=50"
    print(f"  append:    {await bench.probe(append)}")
    print(f"  newest 50: {await bench.probe(lambda: bench.ask('GET', newest))}")


async def stream(bench: Bench, path: str) -> None:
    """Read all of it as NDJSON, and watch the service's memory."""
    before = bench.service.rss_mb()
    most, size, lines, began = before, 0, 0, time.perf_counter()
    accept = {"Accept": "application/x-ndjson"}
    timeout = aiohttp.ClientTimeout(total=None)
    async with bench.http.get(f"{path}/messages", headers=accept, timeout=timeout) as answer:
        async for chunk in answer.content.iter_chunked(2**18):
            size += len(chunk)
            lines += chunk.count(b"\n")
            most = max(most, bench.service.rss_mb())
    spent = time.perf_counter() - began
    print(f"streamed {lines:,} messages, {size / 1e6:.0f} MB in {spent:.0f} s; ", end="")
    print(f"the service's memory rose by {most - before:.0f} MB at most")


def fill_audit_log(url: str, keys: KeyRing, count: int, user_id: str) -> str:
    """Write genuine entries directly into MongoDB; return an id that some of them are about."""
    with MongoClient[dict[str, Any]](url) as client:
        logs = client[DATABASE]["audit_logs"]
        model = logs.find_one({"action": "conversation.create"})
        assert model is not None
        model = {name: model[name] for name in model if name not in {"key_id", "mac"}}
        at = datetime.now(UTC)
        some_ids = [str(ObjectId()) for _ in range(count // 100)]
        others = [ObjectId() for _ in range(1000)]
        for start in range(0, count, 10_000):
            logs.insert_many(
                keys.stamp(
                    {
                        **model,
                        "_id": ObjectId(),
                        "at": at - timedelta(seconds=number),
                        "resource_id": some_ids[number % len(some_ids)],
                        "user_id": ObjectId(user_id) if number % 20 == 0 else others[number % 1000],
                    }
                )
                for number in range(start, min(count, start + 10_000))
            )
        blocks, before = client[DATABASE]["audit_blocks"], -1
        while (height := blocks.estimated_document_count()) > before:  # until all is sealed
            before = height
            time.sleep(5)
    return some_ids[0]


async def measure_audit(bench: Bench, url: str, keys: KeyRing, count: int, user_id: str) -> None:
    """Measure pages of a long audit log."""
    resource_id = await asyncio.to_thread(fill_audit_log, url, keys, count, user_id)
    print(f"{count:,} audit entries; {bench.memory()}")
    for what, query in (
        ("newest", ""),
        ("all about a conversation", f"&resource_id={resource_id}"),
        ("all of a user", f"&user_id={user_id}"),
        ("denied", "&outcome=denied"),
        ("by action", "&action=conversation.create"),
    ):
        page = partial(bench.ask, "GET", f"/admin/audit-logs?limit=50{query}")
        print(f"  {what + ':':26} {await bench.probe(page)}")


async def run(data_dir: Path, service: Server, url: str, options: argparse.Namespace) -> None:
    """Measure both."""
    jar = aiohttp.CookieJar(unsafe=True)
    base = f"http://{service.host}:{service.port}"
    async with aiohttp.ClientSession(base, cookie_jar=jar) as http:
        bench = Bench(service, find_mongod(data_dir), http)
        user_id = await sign_in(http, url)
        print(f"idle: {bench.memory()}")
        await measure_conversation(bench, options.messages)
        keys = load_key_ring(Settings(data_dir=data_dir))
        await measure_audit(bench, url, keys, options.entries, user_id)


def main() -> None:
    """Measure on a service and a MongoDB of their own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--entries", type=int, default=1_000_000)
    options = parser.parse_args()
    with own_service() as (data_dir, service, url):
        asyncio.run(run(data_dir, service, url, options))


if __name__ == "__main__":
    main()
