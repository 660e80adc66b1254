"""Pages of the list of one user's conversations: each order and filter, and appends beside it.

Run by `python benchmarks/lists.py`; `--conversations N` makes another number than 100,000, `--only
title tag` measures the lists whose names contain one of these. Each page is the one after that
before, from the beginning or from the middle of the list on. Beside the clock's time there is the
processor's, of the service and of MongoDB, and what MongoDB looks at for a page of conversations.
"""

import argparse
import asyncio
import random
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import psutil  # type: ignore[import-untyped]  # it carries no annotations
from bson import ObjectId
from pymongo import MongoClient

from chatvault.conversations.lists.filters import Position, Sort
from dataset import message
from large import DATABASE, sign_in
from processes import Server, cpu_seconds, find_mongod, own_service

BATCH = 2000
START = datetime(2023, 1, 1, tzinfo=UTC)
MINUTES = 1_500_000
TAGS = {"common": 0.5, "usual": 0.3, "rare": 0.001}
PART_PINNED, PART_ARCHIVED, PART_ATTACHED = 0.0005, 0.2, 0.005
CATEGORIES = {"Work": 0.02, "All": 0.3}
AGENTS = 4
MONTH = "created_from=2024-01-01T00:00Z&created_to=2024-02-01T00:00Z"
QUERIES = {
    "updated": "",
    "updated, with a total": "count=true",
    "created": "sort=created",
    "title": "sort=title",
    "last message": "sort=last_message",
    "rare tag": "tag=rare",
    "rare tag by title": "tag=rare&sort=title",
    "rare tag by last message": "tag=rare&sort=last_message",
    "common tag": "tag=common",
    "common tag by created": "tag=common&sort=created",
    "common tag by last message": "tag=common&sort=last_message",
    "two common tags": "tag=common&tag=usual",
    "a common and a rare tag": "tag=common&tag=rare",
    "any of two tags": "any_tag=usual&any_tag=rare",
    "category": "category={Work}",
    "category by last message": "category={Work}&sort=last_message",
    "large category": "category={All}",
    "large category by created": "category={All}&sort=created",
    "large category by last message": "category={All}&sort=last_message",
    "large category by title": "category={All}&sort=title",
    "large category, rare tag": "category={All}&tag=rare",
    "no category": "category=none",
    "agent": "agent_id={agent}",
    "agent by created": "agent_id={agent}&sort=created",
    "agent by last message": "agent_id={agent}&sort=last_message",
    "pinned": "pinned=true",
    "not pinned": "pinned=false",
    "pinned by last message": "pinned=true&sort=last_message",
    "archived": "status=archived",
    "active by last message": "status=active&sort=last_message",
    "archived by title": "status=archived&sort=title",
    "created in a month": MONTH,
    "created in a month by created": f"{MONTH}&sort=created",
    "created in a month by last message": f"{MONTH}&sort=last_message",
    "changed in a month": MONTH.replace("created", "updated"),
    "changed in a month by title": MONTH.replace("created", "updated") + "&sort=title",
    "has attachments": "has_attachments=true",
    "has no attachments": "has_attachments=false",
    "active, agent, common tag": "status=active&agent_id={agent}&tag=common",
    "changes": "updated_since=2024-06-01T00:00:00Z",
}
# Lists that are read from the middle on, too.
DEEP = ("updated", "created", "title", "last message", "common tag", "agent", "large category")


@dataclass(frozen=True)
class Sides:
    """What is measured."""

    http: aiohttp.ClientSession
    service: Server
    mongod: psutil.Process
    database: Any

    def busy(self) -> tuple[float, float]:
        """Return the processor's milliseconds of the service and of mongod so far."""
        return self.service.cpu_seconds() * 1000, cpu_seconds(self.mongod) * 1000


def fill(database: Any, names: dict[str, Any], count: int) -> None:
    """Store conversations like the one that is there, each with four short messages.

    Without names, they are active and in no category.
    """
    dice = random.Random(1)  # noqa: S311  # of no secret
    said: Any = [
        {"id": f"m{number}", "role": "user", "content": "word " * 60, "timestamp": START}
        for number in range(4)
    ]
    like: Any = database["conversations"].find_one()
    like |= {
        "messages": said, "next_seq": 4, "total_messages": 4, "message_bytes": 1600,
        "tail_bytes": 1600,
    }  # fmt: skip
    for start in range(0, count, BATCH):
        numbers = range(start, min(count, start + BATCH))
        made = [_one(like, number, names, dice) for number in numbers]
        database["conversations"].insert_many(made)
        attached = [each for each in made if dice.random() < PART_ATTACHED]
        if attached:
            database["attachments"].insert_many(map(_attachment, attached))


def _one(like: dict[str, Any], number: int, names: dict[str, Any], dice: random.Random) -> Any:
    at = START + timedelta(minutes=dice.randrange(MINUTES))
    later = at + timedelta(minutes=dice.randrange(1000))
    more: dict[str, Any] = {}
    for name, part in CATEGORIES.items():
        if name in names and "category_id" not in more and dice.random() < part:
            more["category_id"] = ObjectId(names[name])
    if dice.random() < PART_PINNED:
        more["pinned_at"] = at
    if names and dice.random() < PART_ARCHIVED:
        more |= {"status": "archived", "archived_at": later}
    if names and dice.randrange(AGENTS) == 0:
        more["agent_id"] = ObjectId(names["agent"])
    return {
        **like, **more, "_id": ObjectId(), "generation": ObjectId(), "created_at": at,
        "updated_at": later, "last_message_at": at, "title": f"{dice.random()} {number}",
        "tags": [tag for tag, part in TAGS.items() if dice.random() < part],
    }  # fmt: skip


def _attachment(conversation: Any) -> Any:
    return {
        "user_id": conversation["user_id"], "conversation_id": conversation["_id"],
        "attachment_id": "one", "state": "absent", "created_at": START,
    }  # fmt: skip


async def pages(sides: Sides, path: str, rounds: int) -> str:
    """Return the figures of pages that follow each other."""
    times, address, limit = [], path, 0
    before = sides.busy()
    for _ in range(rounds):
        began = time.perf_counter()
        async with sides.http.get(address) as answer:
            answer.raise_for_status()
            limit = max(limit, len(await answer.json()))
            link = answer.links.get("next")
        times.append((time.perf_counter() - began) * 1000)
        address = str(link["url"]) if link else path
    busy = [(after - early) / rounds for early, after in zip(before, sides.busy(), strict=True)]
    ordered = sorted(times)
    p99 = ordered[int(len(ordered) * 0.99)]
    times_shown = f"{statistics.median(times):7.1f} {p99:7.1f}  {busy[0]:6.1f} {busy[1]:6.1f}"
    return f"{times_shown}  {await looked_at(sides, path)}  {limit}"


async def looked_at(sides: Sides, path: str) -> str:
    """Return the entries of indexes and the documents that one page takes, and its plans."""
    profile = sides.database["system.profile"]
    sides.database.command("profile", 2, filter={"ns": f"{DATABASE}.conversations"})
    async with sides.http.get(path) as answer:
        await answer.read()
    sides.database.command("profile", 0)
    done = [*profile.find({"ns": f"{DATABASE}.conversations"})]
    profile.drop()
    keys, documents = (
        sum(each.get(f"{it}Examined", 0) for each in done) for it in ("keys", "docs")
    )
    plans = ", ".join(each.get("planSummary", "").partition("{")[0].strip() for each in done)
    return f"{keys:7,} {documents:7,}  {plans}"


def middle(database: Any, sort: Sort, query: dict[str, Any]) -> str:
    """Return the cursor of the middle of a list."""
    conversations = database["conversations"]
    skipped = conversations.count_documents(query) // 2
    collation = {"locale": "en"} if sort is Sort.TITLE else None
    found = conversations.find(query, {"messages": False}, collation=collation)
    [document] = found.sort(sort.order).skip(skipped).limit(1)
    return Position.after(sort, document).encode()


def measured(database: Any, names: dict[str, Any], only: list[str]) -> Iterator[tuple[str, str]]:
    """Yield each list's name and path; from the middle on, too, where that is measured."""
    matches: dict[str, dict[str, Any]] = {
        "common tag": {"tags": "common"},
        "agent": {"agent_id": ObjectId(names["agent"])},
        "large category": {"category_id": ObjectId(names["All"])},
    }
    for name, query in QUERIES.items():
        if only and not any(each in name for each in only):
            continue
        start = "" if "updated_since" in query else "&cursor=start"
        counted = "" if "count" in query or "since" in query else "&count=false"
        path = f"/conversations?view=summary&limit=50&{query.format(**names)}{counted}"
        yield name, path + start
        if name in DEEP:
            sort = Sort(query.partition("sort=")[2] or "updated")
            cursor = middle(database, sort, matches.get(name, {}))
            yield f"{name}, from the middle", f"{path}&cursor={cursor}"


async def measure(sides: Sides, count: int, rounds: int, only: list[str]) -> None:
    """Print what each kind of page takes."""
    http, database = sides.http, sides.database
    names: dict[str, Any] = {"agent": str(ObjectId())}
    async with http.post("/conversations", json={}) as answer:
        answer.raise_for_status()
    for name in CATEGORIES:
        async with http.post("/categories", json={"name": name}) as answer:
            names[name] = (await answer.json())["id"]
    fill(database, names, count)
    print(f"{'ms':36}{'p50':>7} {'p99':>7}  service mongod  keys documents  plans  on a page")
    for name, path in measured(database, names, only):
        await pages(sides, path, 3)
        print(f"{name:36}{await pages(sides, path, rounds)}", flush=True)
    if only:
        return
    for path in ("/tags", "/categories"):
        times = []
        for _ in range(rounds):
            began = time.perf_counter()
            async with http.get(path) as answer:
                await answer.read()
            times.append((time.perf_counter() - began) * 1000)
        print(f"{path:36}{times[0]:.1f} ms first, p50 {statistics.median(times):.1f} ms")
    await append(http, rounds)


async def append(http: aiohttp.ClientSession, rounds: int) -> None:
    """Print what an append takes beside so many conversations."""
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
    print(f"{'append':36}p50 {statistics.median(times):.1f} ms")


async def run(options: argparse.Namespace) -> None:
    """Start the service, and measure."""
    with own_service() as (data_dir, service, url), MongoClient[Any](url, tz_aware=True) as client:
        base = f"http://{service.host}:{service.port}"
        jar = aiohttp.CookieJar(unsafe=True)
        async with aiohttp.ClientSession(base, cookie_jar=jar) as http:
            await sign_in(http, url)
            sides = Sides(http, service, find_mongod(data_dir), client[DATABASE])
            await measure(sides, options.conversations, options.rounds, options.only)


def main() -> None:
    """Fill a database, and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--conversations", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--only", nargs="*", default=[], help="lists whose names contain these")
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
