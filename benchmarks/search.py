"""Searching the messages of one user, beside SQLite's FTS5 and MongoDB's `$text` on the same data.

Run by `python benchmarks/search.py`; it takes some minutes. `--messages 1000000` makes it larger,
`--only-ours` leaves the others out, `--json FILE` keeps the figures. Another user with 100,000
messages searches first, to time a first search of so many. The service and the client share one
process, so that its figures have the whole way of a request in them; those of the others have none
of it.
"""

import argparse
import asyncio
import logging
import os
import random
import resource
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]  # it carries no annotations
import structlog
from aiohttp import CookieJar
from aiohttp.test_utils import TestClient, TestServer
from bson import ObjectId
from pymongo import MongoClient

from chatvault.access import Access
from chatvault.accounts.models import User
from chatvault.actor import Actor, Door
from chatvault.app import create_app
from chatvault.conversations.codec import PlainCodec
from chatvault.conversations.models import Conversation
from chatvault.conversations.segments import TAIL_KEPT, cut, size_of
from chatvault.conversations.shapes import ConversationDoc, MessageDoc
from chatvault.mongodb.embedded import embedded_mongodb
from chatvault.search import words
from chatvault.search.writer import PROGRAM
from chatvault.settings import Settings
from processes import cpu_seconds
from report import save

PASSWORD = "correct horse"  # noqa: S105  # of nobody
VOCABULARY = 60_000
LENGTHS = (6, 12, 25, 60, 140)
SHORT, LONG = 40, 800
REPEATS = 30
APPENDS = 150
FIRST_SEARCH = 100_000
BEGAN = datetime(2024, 1, 1, tzinfo=UTC)
# The median, the 99th percentile, and the processor's time of this process.
Times = tuple[float, float, float]
SYLLABLES = (
    "ka", "lo", "mi", "ter", "ran", "dos", "vel", "qui", "ne", "su", "ba", "tor", "len", "pra",
    "shi",
)  # fmt: skip
EXTRA = (
    "東京で会いましょう",
    "今天天气很好",
    "naïve café",
    "مرحبا بالعالم",
    "def main(x): return x",
)


def make_word(rank: int) -> str:
    """Return the word of a rank: the commonest are short."""
    parts = []
    rank += len(SYLLABLES)
    while rank:
        rank, part = divmod(rank, len(SYLLABLES))
        parts.append(SYLLABLES[part])
    return "".join(parts)


def texts(count: int) -> Iterator[str]:
    """Yield messages whose words are as common as in a language (Zipf)."""
    chosen = random.Random(7)  # noqa: S311  # the same data in each run
    ranks = range(VOCABULARY)
    weights = [1 / (rank + 2.7) for rank in ranks]
    known = [make_word(rank) for rank in ranks]
    pool = chosen.choices(known, weights, k=2_000_000)
    for number in range(count):
        length = chosen.choice(LENGTHS)
        start = chosen.randrange(len(pool) - length)
        text = " ".join(pool[start : start + length])
        if number % 20 == 0:
            text += ". " + chosen.choice(EXTRA)
        yield text


def conversations(user_id: ObjectId, count: int) -> Iterator[tuple[ConversationDoc, list[Any]]]:
    """Yield conversations with their segments, as they are stored."""
    access = Access.of(Actor(door=Door.CLI, user_id=user_id))
    made = texts(count)
    number = left = 0
    while left < count:
        size = min(LONG if number % 50 == 49 else SHORT, count - left)
        at = BEGAN + timedelta(minutes=number)
        messages: list[MessageDoc] = [
            {
                "id": f"{number}-{place}",
                "role": "assistant" if place % 2 else "user",
                "content": next(made),
                "timestamp": at + timedelta(seconds=place),
            }
            for place in range(size)
        ]
        tail = messages if size <= SHORT else messages[-TAIL_KEPT:]
        older = messages[: size - len(tail)]
        fields = Conversation.begin(access, title=f"About {number}", tags=[], metadata={}, at=at)
        fields |= {
            "messages": tail,
            "total_messages": size,
            "tail_seq": len(older),
            "next_seq": size,
            "message_bytes": sum(map(size_of, messages)),
            "tail_bytes": sum(map(size_of, tail)),
        }
        segments = cut(older, owner_id=user_id, generation=fields["generation"], codec=PlainCodec())
        yield fields, [*segments]
        number, left = number + 1, left + size


def fill(url: str, user_id: ObjectId, count: int) -> None:
    """Store the messages."""
    with MongoClient[Any](url, tz_aware=True) as client:
        database = client["chatvault"]
        batch: list[Any] = []
        for fields, segments in conversations(user_id, count):
            batch.append(fields)
            if segments:
                database["segments"].insert_many(segments)
            if len(batch) == 200:
                database["conversations"].insert_many(batch)
                batch = []
        if batch:
            database["conversations"].insert_many(batch)


# What is searched for: as we, FTS5 and $text spell it; None where one cannot.
def queries() -> dict[str, tuple[str, str | None, str | None]]:
    """Return each kind of query by its name."""
    common, second = make_word(0), make_word(1)
    middle, rare = make_word(400), make_word(30_000)
    start = make_word(400)
    return {
        "rare word": (rare, f'"{rare}"', rare),
        "middle word": (middle, f'"{middle}"', middle),
        "commonest word": (common, f'"{common}"', common),
        "two commonest words": (
            f"{common} {second}",
            f'"{common}" "{second}"',
            f'"{common}" "{second}"',
        ),
        "phrase of them": (
            f'"{common} {second}"',
            f'"{common} {second}"',
            f'"{common} {second}"',
        ),
        "phrase with prefix": (f'"{common} {start[:2]}"*', None, None),
        "prefix of 1": (f"{start[:1]}*", f'"{start[:1]}"*', None),
        "prefix of 2": (f"{start[:2]}*", f'"{start[:2]}"*', None),
        "prefix of 3": (f"{start[:3]}*", f'"{start[:3]}"*', None),
        "prefix of 4": (f"{start[:4]}*", f'"{start[:4]}"*', None),
        "Japanese": ("会いま", None, None),
        "without": (f"{middle} -{common}", f'"{middle}" NOT "{common}"', f"{middle} -{common}"),
    }


async def timed(ask: Callable[[], Awaitable[object]], repeats: int = REPEATS) -> Times:
    """Return the median, the 99th percentile and the processor's time of this process, in ms."""
    await ask()
    took, busy = [], time.process_time()
    for _ in range(repeats):
        began = time.perf_counter()
        await ask()
        took.append((time.perf_counter() - began) * 1000)
    busy = (time.process_time() - busy) * 1000 / repeats
    took.sort()
    return statistics.median(took), took[min(len(took) - 1, round(0.99 * len(took)))], busy


async def search(http: Any, q: str, **more: Any) -> Any:
    """Return the answer to a search."""
    async with http.get("/search", params={"q": q, **more}) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.json()


async def build(http: Any) -> float:
    """Search until all messages are searched; print how it goes on."""
    began = time.perf_counter()
    shown = -1.0
    while True:
        body = await search(http, make_word(400))
        if body["indexed"] - shown >= 0.1 or body["indexed"] == 1:
            shown = body["indexed"]
            print(f"  searched {shown:.0%} after {time.perf_counter() - began:.1f} s", flush=True)
        if body["indexed"] == 1:
            return time.perf_counter() - began
        await asyncio.sleep(0.1)


async def appends(http: Any, conversation_id: str) -> float:
    """Return how many appends a second one client makes, one after the other."""
    began = time.perf_counter()
    for number in range(APPENDS):
        body = {"role": "user", "content": f"One more, {number}"}
        async with http.post(f"/conversations/{conversation_id}/messages", json=body) as answer:
            assert answer.status in {200, 201}
    return APPENDS / (time.perf_counter() - began)


async def visible(http: Any, conversation_id: str, rounds: int = 20) -> list[float]:
    """Return how long each append took to be found, in milliseconds, sorted."""
    took = []
    for number in range(rounds):
        word = f"unheard{number}of"
        body = {"role": "user", "content": word}
        async with http.post(f"/conversations/{conversation_id}/messages", json=body) as answer:
            assert answer.status in {200, 201}
        began = time.perf_counter()
        while not (await search(http, word))["results"]:  # noqa: ASYNC110  # nothing tells it
            await asyncio.sleep(0.002)
        took.append((time.perf_counter() - began) * 1000)
    return sorted(took)


def other_sides(url: str, user_id: ObjectId, count: int, place: Path) -> dict[str, Any]:
    """Build FTS5's table and MongoDB's text index; return both, with how long and how large."""
    table = sqlite3.connect(place / "fts.db", check_same_thread=False)
    table.execute("CREATE VIRTUAL TABLE texts USING fts5(body)")
    began = time.perf_counter()
    table.executemany("INSERT INTO texts (body) VALUES (?)", ((each,) for each in texts(count)))
    table.commit()
    fts_took = time.perf_counter() - began
    client = MongoClient[Any](url)
    flat = client["chatvault"]["flat"]
    rows = ({"user_id": user_id, "content": each} for each in texts(count))
    batch: list[Any] = []
    for row in rows:
        batch.append(row)
        if len(batch) == 5000:
            flat.insert_many(batch)
            batch = []
    if batch:
        flat.insert_many(batch)
    began = time.perf_counter()
    flat.create_index([("user_id", 1), ("content", "text")], default_language="none")
    text_took = time.perf_counter() - began
    stats = client["chatvault"].command("collStats", "flat")
    sizes = {
        "fts5_s": fts_took,
        "fts5_bytes": (place / "fts.db").stat().st_size,
        "text_s": text_took,
        "text_bytes": stats["indexSizes"]["user_id_1_content_text"],
    }
    print(
        f"FTS5: built in {fts_took:.1f} s, {sizes['fts5_bytes'] / 1e6:.0f} MB; "
        f"$text: {text_took:.1f} s, {sizes['text_bytes'] / 1e6:.0f} MB"
    )
    return {"table": table, "flat": flat, "sizes": sizes}


def ask_table(table: sqlite3.Connection, q: str) -> list[Any]:
    """Return FTS5's twenty best."""
    sql = (
        "SELECT rowid, snippet(texts, 0, '[', ']', '…', 20) FROM texts "
        "WHERE texts MATCH ? ORDER BY rank LIMIT 20"
    )
    return table.execute(sql, (q,)).fetchall()


def ask_text(flat: Any, user_id: ObjectId, q: str) -> list[Any]:
    """Return the twenty best of MongoDB's text index."""
    score = {"score": {"$meta": "textScore"}}
    found = flat.find({"user_id": user_id, "$text": {"$search": q}}, score, max_time_ms=60_000)
    return [*found.sort([("score", {"$meta": "textScore"})]).limit(20)]


def show(name: str, *sides: Times | None) -> None:
    """Print a row."""
    cells = [
        f"{side[0]:7.1f} {side[1]:7.1f} {side[2]:7.1f}" if side else f"{'none':>23}"
        for side in sides
    ]
    print(f"| {name:23} | {' | '.join(cells)} |", flush=True)


async def sign_up(http: Any, name: str) -> ObjectId:
    """Register a user, and sign in as them; return their id."""
    account = {"username": name, "email": f"{name}@example.com", "password": PASSWORD}
    await http.post("/auth/register", json=account)
    await http.post("/auth/login", json={"username": name, "password": PASSWORD})
    user = await User.find_one({"username": name})
    assert user is not None
    assert isinstance(user.id, ObjectId)
    return user.id


async def first_search(http: Any, url: str) -> float:
    """Return how long it takes another user until 100,000 messages are searched."""
    bob = await sign_up(http, "bob")
    await asyncio.to_thread(fill, url, bob, FIRST_SEARCH)
    busy = time.process_time()
    took = await build(http)
    busy = time.process_time() - busy
    print(
        f"first search on {FIRST_SEARCH:,} messages: all searched after {took:.1f} s; processor "
        f"{busy:.1f} s of this process, {writing_seconds():.1f} s of the program that writes"
    )
    return took


def writing_seconds() -> float:
    """Return the processor time of the program that writes indexes, which ends when it is idle."""
    children = psutil.Process().children(recursive=True)
    return sum(cpu_seconds(each) for each in children if PROGRAM[-1] in each.cmdline())


async def index_and_append(http: Any, url: str, user_id: ObjectId, count: int) -> dict[str, Any]:
    """Print how the index is made, what appends take before and after, and when they are found."""
    async with http.post("/conversations", json={"title": "Appended"}) as answer:
        conversation_id = (await answer.json())["id"]
    before = [await appends(http, conversation_id) for _ in range(3)]
    busy = time.process_time()
    took = await build(http)
    busy = time.process_time() - busy
    print(
        f"index built in {took:.1f} s, {took / count * 1e6:.0f} us a message, of which "
        f"{busy / count * 1e6:.0f} of the processor's time of this process"
    )
    stored = app_size(url, user_id)
    print(f"index: {stored / 1e6:.1f} MB, {stored / count:.0f} bytes a message")
    after = [await appends(http, conversation_id) for _ in range(3)]
    share = statistics.median(after) / statistics.median(before)
    print(
        f"appends, closed loop: {share:.2f} of those before anyone searched "
        f"({statistics.median(after):.0f} a second)"
    )
    seen = await visible(http, conversation_id)
    print(f"visible after {seen[len(seen) // 2]:.0f} ms (p50), {seen[-1]:.0f} ms (longest)")
    return {
        "built_s": took,
        "built_processor_s": busy,
        "index_bytes": stored,
        "appends_share": share,
        "visible_ms": seen,
    }


async def measure(url: str, count: int, place: Path, *, only_ours: bool) -> dict[str, Any]:
    """Print the figures, and return them."""
    settings = Settings(data_dir=place, bcrypt_rounds=4, mongodb_timeout=60.0, log_level="error")
    app = create_app(settings, mongodb_url=url)
    rows: dict[str, Any] = {}
    async with TestClient(TestServer(app), cookie_jar=CookieJar(unsafe=True)) as http:
        figures: dict[str, Any] = {"messages": count, "load": [os.getloadavg()]}
        figures["first_search_s"] = await first_search(http, url)
        user_id = await sign_up(http, "alice")
        began = time.perf_counter()
        await asyncio.to_thread(fill, url, user_id, count)
        print(f"{count:,} messages stored in {time.perf_counter() - began:.0f} s")
        sample = [*texts(2000)]
        began = time.perf_counter()
        for each in sample:
            words.split(each)
        print(f"words of a message: {(time.perf_counter() - began) / 2000 * 1e6:.0f} us")
        figures |= await index_and_append(http, url, user_id, count)
        sides: dict[str, Any] = {}
        if not only_ours:
            sides = await asyncio.to_thread(other_sides, url, user_id, count, place)
        names = " | ".join(f"{name:>23}" for name in ("chatvault", "FTS5", "$text"))
        print(f"\n| {'p50, p99, processor, ms':23} | {names} |")
        print("|---|---|---|---|")
        for name, (ours, fts, text) in queries().items():
            row: list[Times | None] = [await timed(partial(search, http, ours))]
            row += await asyncio.to_thread(others, sides, user_id, fts, text) if sides else []
            show(name, *row)
            rows[name] = row
        more = {"role": "assistant", "from": "2024-01-01T12:00:00Z"}
        rows["with role and from"] = [await timed(lambda: search(http, make_word(0), **more))]
        show("with role and from", *rows["with role and from"])
        figures["load"].append(os.getloadavg())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory {peak:.0f} MB")
    sizes = sides["sizes"] if sides else {}
    return figures | {"others": sizes, "p50_p99_processor_ms": rows, "peak_mb": peak}


def others(
    sides: dict[str, Any], user_id: ObjectId, fts: str | None, text: str | None
) -> list[Times | None]:
    """Return the times of the other sides."""

    async def of_table() -> object:
        return ask_table(sides["table"], fts or "")

    async def of_text() -> object:
        return ask_text(sides["flat"], user_id, text or "")

    return [
        asyncio.run(timed(of_table, 10)) if fts else None,
        asyncio.run(timed(of_text, 3)) if text else None,
    ]


def app_size(url: str, user_id: ObjectId) -> int:
    """Return the bytes of a user's stored index."""
    with MongoClient[Any](url) as client:
        found = client["chatvault"]["search_indexes"].find_one({"user_id": user_id})
        return int(found["bytes"]) if found else 0


def main() -> None:
    """Measure."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--only-ours", action="store_true")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    given = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as directory,
        embedded_mongodb(Path(directory) / "mongodb") as url,
    ):
        coroutine = measure(url, given.messages, Path(directory), only_ours=given.only_ours)
        figures = asyncio.run(coroutine)
    if given.json:
        save(given.json, figures)


if __name__ == "__main__":
    main()
