"""Pages of the list of one user's conversations: each order and filter, and appends beside it.

Run by `python benchmarks/lists.py`; `--conversations N` makes another number than 100,000.
"""

import argparse
import asyncio
import random
import statistics
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
from bson import ObjectId
from pymongo import MongoClient

from dataset import message
from large import DATABASE, sign_in
from processes import own_service

BATCH = 2000
START = datetime(2023, 1, 1, tzinfo=UTC)
MINUTES = 1_500_000
TAGS = {"common": 0.5, "usual": 0.3, "rare": 0.001}
PART_IN_CATEGORY, PART_PINNED = 0.02, 0.0005
QUERIES = {
    "updated": "cursor=start&count=false",
    "updated, with a total": "cursor=start&count=true",
    "created": "cursor=start&sort=created",
    "title": "cursor=start&sort=title",
    "last message": "cursor=start&sort=last_message",
    "rare tag": "cursor=start&tag=rare",
    "common tag": "cursor=start&tag=common",
    "two common tags": "cursor=start&tag=common&tag=usual",
    "category": "cursor=start&category={category}",
    "pinned": "cursor=start&pinned=true",
    "created in a month": "cursor=start"
    "&created_from=2024-01-01T00:00Z&created_to=2024-02-01T00:00Z",
    "changes": "updated_since=2024-06-01T00:00:00Z",
}


def fill(url: str, category: ObjectId, count: int) -> None:
    """Store conversations like the one that is there, each with four short messages."""
    dice = random.Random(1)  # noqa: S311  # of no secret
    said: Any = [
        {"id": f"m{number}", "role": "user", "content": "word " * 60, "timestamp": START}
        for number in range(4)
    ]
    with MongoClient[Any](url) as client:
        conversations = client[DATABASE]["conversations"]
        like: Any = conversations.find_one()
        like |= {
            "messages": said, "next_seq": 4, "total_messages": 4, "message_bytes": 1600,
            "tail_bytes": 1600,
        }  # fmt: skip
        for start in range(0, count, BATCH):
            numbers = range(start, min(count, start + BATCH))
            conversations.insert_many([_one(like, number, category, dice) for number in numbers])


def _one(like: dict[str, Any], number: int, category: ObjectId, dice: random.Random) -> Any:
    at = START + timedelta(minutes=dice.randrange(MINUTES))
    later = at + timedelta(minutes=dice.randrange(1000))
    more: dict[str, Any] = {}
    if dice.random() < PART_IN_CATEGORY:
        more["category_id"] = category
    if dice.random() < PART_PINNED:
        more["pinned_at"] = at
    return {
        **like, **more, "_id": ObjectId(), "generation": ObjectId(), "created_at": at,
        "updated_at": later, "last_message_at": at, "title": f"{dice.random()} {number}",
        "tags": [tag for tag, part in TAGS.items() if dice.random() < part],
    }  # fmt: skip


async def timed(http: aiohttp.ClientSession, path: str, rounds: int) -> str:
    """Return the median and the 99th percentile of pages that follow each other."""
    times, address, limit = [], path, 0
    for _ in range(rounds):
        began = time.perf_counter()
        async with http.get(address) as answer:
            answer.raise_for_status()
            limit = max(limit, len(await answer.json()))
            link = answer.links.get("next")
        times.append((time.perf_counter() - began) * 1000)
        address = str(link["url"]) if link else path
    ordered = sorted(times)
    p99 = ordered[int(len(ordered) * 0.99)]
    return f"p50 {statistics.median(times):6.1f} ms, p99 {p99:6.1f} ms, {limit} on a page"


async def measure(url: str, base: str, count: int, rounds: int) -> None:
    """Print what each kind of page takes."""
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(base, cookie_jar=jar) as http:
        await sign_in(http, url)
        async with http.post("/conversations", json={}) as answer:
            answer.raise_for_status()
        async with http.post("/categories", json={"name": "Work"}) as answer:
            category = (await answer.json())["id"]
        fill(url, ObjectId(category), count)
        for name, query in QUERIES.items():
            path = f"/conversations?view=summary&limit=50&{query.format(category=category)}"
            for _ in range(3):
                await timed(http, path, 1)
            print(f"{name:24}{await timed(http, path, rounds)}", flush=True)
        for path in ("/tags", "/categories"):
            times = []
            for _ in range(5):
                began = time.perf_counter()
                async with http.get(path) as answer:
                    await answer.read()
                times.append((time.perf_counter() - began) * 1000)
            print(f"{path:24}p50 {statistics.median(times):6.1f} ms", flush=True)
        async with http.get("/conversations?view=summary&limit=1") as answer:
            [one] = await answer.json()
        times = []
        for number in range(rounds):
            began = time.perf_counter()
            path = f"/conversations/{one['id']}/messages"
            minimal = {"Prefer": "return=minimal"}
            async with http.post(path, json=message(number), headers=minimal) as answer:
                answer.raise_for_status()
            times.append((time.perf_counter() - began) * 1000)
        print(f"{'append':24}p50 {statistics.median(times):6.1f} ms")


def main() -> None:
    """Fill a database, and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--conversations", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=100)
    options = parser.parse_args()
    with own_service() as (_, service, url):
        base = f"http://{service.host}:{service.port}"
        asyncio.run(measure(url, base, options.conversations, options.rounds))


if __name__ == "__main__":
    main()
