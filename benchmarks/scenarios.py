"""What is measured: each scenario prepares its data and compares its sides."""

import asyncio
import tempfile
import urllib.error
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import Bench, Row
from dataset import Account, begin, lengthen, sign_up
from processes import NULL_AUDIT, SERVE, Server, can_have_workers, settings

AT_ONCE = 32
FEW = 8
PUTTERS = 8
LENGTHS = (10, 1_000, 5_000)
LONG = 100_000
Scenario = Callable[[Bench], Iterator[Row]]


def _append(bench: Bench, name: str, connections: int, few: int | None = None) -> Row:
    """Appends by the service, the ceiling and the floor, each on conversations of its own."""
    mine, above, below = (
        each.ids[:few] for each in (bench.writer, bench.ceiling_writer, bench.floor_writer)
    )
    bare = [
        bench.ceiling_writer.post_bare(f"/append/{bench.ceiling_writer.user_id}/{each}")
        for each in above
    ]
    sides = {
        "service": bench.http(bench.service, (connections, bench.writer.appends(mine))),
        "ceiling": bench.http(bench.ceiling, (connections, bare)),
        "floor": bench.floor("append", bench.floor_writer, connections, below),
    }
    at_least = {"ceiling": 0.7} if connections == 1 else {"floor": 1.5}
    return bench.compare(name, connections, sides, at_least=None if few else at_least)


def append(bench: Bench) -> Iterator[Row]:
    """Append over many conversations of about ten messages."""
    for connections in (1, AT_ONCE):
        yield _append(bench, "append", connections)


def append_few(bench: Bench) -> Iterator[Row]:
    """Append on few conversations, which all connections share and which grow with each round."""
    yield _append(bench, f"append to {FEW} conversations", AT_ONCE, FEW)


def _read(
    bench: Bench, name: str, operation: str, account: Account, paths: list[str]
) -> Iterator[Row]:
    """One kind of reading by the service, the ceiling and the floor, on the same data."""
    mine = [account.request("GET", path) for path in paths]
    bare = [f"/{operation}/{account.user_id}/{each}" for each in account.ids]
    if operation == "list":
        bare = [f"/list/{account.user_id}"]
    cookie = {"Cookie": account.cookie}
    same = bench.service.fetch(paths[0], cookie) == bench.ceiling.fetch(bare[0])
    label = name if same else f"{name} (the ceiling's bytes differ)"
    requests = [account.request("GET", path) for path in bare]
    for connections in (1, AT_ONCE):
        sides = {
            "service": bench.http(bench.service, (connections, mine)),
            "ceiling": bench.http(bench.ceiling, (connections, requests)),
            "floor": bench.floor(operation, account, connections, account.ids),
        }
        at_least = {"ceiling": 0.6} if connections > 1 else None
        yield bench.compare(label, connections, sides, at_least=at_least)


def _reader(bench: Bench, name: str, count: int, messages: int) -> Account:
    async def make() -> Account:
        account = await sign_up(bench.service, name)
        await begin(bench.service, account, count, messages)
        return account

    account = asyncio.run(make())
    bench.yardsticks.copy(bench.service, account, account.ids)
    return account


def read_whole(bench: Bench) -> Iterator[Row]:
    """Get conversations of 200 messages."""
    account = _reader(bench, "getter", 20, 200)
    paths = [f"/conversations/{each}" for each in account.ids]
    yield from _read(bench, "get 200 messages", "get", account, paths)


def read_list(bench: Bench) -> Iterator[Row]:
    """List 50 summaries of a user with 100 conversations."""
    account = _reader(bench, "lister", 100, 10)
    paths = ["/conversations?view=summary&limit=50"]
    yield from _read(bench, "list 50 of 100 summaries", "list", account, paths)


def read_page(bench: Bench) -> Iterator[Row]:
    """Get the newest 50 of 200 messages, where the service has pages."""
    account = _reader(bench, "pager", 20, 200)
    paths = [f"/conversations/{each}/messages?before=latest&limit=50" for each in account.ids]
    if _answers(bench.service, paths[0], account):
        yield from _read(bench, "page of newest 50 of 200", "page", account, paths)


def _answers(service: Server, path: str, account: Account) -> bool:
    try:
        service.fetch(path, {"Cookie": account.cookie})
    except urllib.error.HTTPError:
        return False
    return True


async def _grow(bench: Bench, account: Account, length: int) -> list[str]:
    # Short ones are many, so that they stay short while they are measured.
    ids = await begin(bench.service, account, max(1, min(500, 20_000 // length)), length)
    for each in ids:
        await lengthen(bench.service, account, each, length)
    return ids


def lengths(bench: Bench) -> Iterator[Row]:
    """Append to, and page in, conversations of several lengths; the ratios are of times."""
    account = asyncio.run(sign_up(bench.service, "grower"))
    by_length = {
        length: asyncio.run(_grow(bench, account, length))
        for length in (*LENGTHS, *((LONG,) if bench.long else ()))
    }
    appends = {
        f"{length:,}": bench.http(bench.service, (1, account.appends(ids)))
        for length, ids in by_length.items()
    }
    yield _times(bench.compare("append by length", 1, appends))
    paths = {
        f"{length:,}": [f"/conversations/{each}/messages?before=latest&limit=50" for each in ids]
        for length, ids in by_length.items()
    }
    if _answers(bench.service, paths["10"][0], account):
        pages = {
            name: bench.http(bench.service, (1, [account.request("GET", each) for each in some]))
            for name, some in paths.items()
        }
        yield _times(bench.compare("newest 50 by length", 1, pages))


def _times(row: Row) -> Row:
    """The row with medians of time against the first side's, rather than rates."""
    first, *others = row["sides"]
    base = row["sides"][first]["p50_ms"]
    row["ratios"] = {other: row["sides"][other]["p50_ms"] / base for other in others}
    longest = others[-1]
    met = row["ratios"][longest] <= 1.2
    row["targets"] = [{"against": longest, "bound": "<= 1.2", "met": met}]
    return row


def mixed(bench: Bench) -> Iterator[Row]:
    """Appenders beside PUTters on the same conversations, on one process and on two."""
    account = asyncio.run(sign_up(bench.service, "mixer"))
    ids = asyncio.run(begin(bench.service, account, 400, 10))
    groups = ((AT_ONCE, account.appends(ids)), (PUTTERS, account.puts(ids)))
    name = f"append beside {PUTTERS} PUTters"
    below = bench.floor("append", bench.floor_writer, AT_ONCE, bench.floor_writer.ids)
    one = bench.http(bench.service, *groups)
    sides = {"service": one, "floor": below}
    yield bench.compare(name, AT_ONCE + PUTTERS, sides, at_least={"floor": 1.0})
    if can_have_workers():
        with _beside(bench, *SERVE, "--workers", "2") as two:
            sides = {"service": bench.http(two, *groups), "one process": one}
            at_least = {"one process": 1.0}
            label = f"{name}, 2 workers"
            yield bench.compare(label, AT_ONCE + PUTTERS, sides, at_least=at_least)


@contextmanager
def _beside(bench: Bench, *arguments: str) -> Iterator[Server]:
    """Another server on the same MongoDB."""
    with tempfile.TemporaryDirectory() as folder:
        server = Server(*arguments, env=settings(Path(folder), bench.yardsticks.url))
        try:
            yield server
        finally:
            server.stop()


def audit(bench: Bench) -> Iterator[Row]:
    """The service beside itself with an audit that keeps nothing."""
    getter, lister = (
        asyncio.run(sign_up(bench.service, name)) for name in ("audited-getter", "audited-lister")
    )
    ids = asyncio.run(begin(bench.service, getter, 20, 200))
    asyncio.run(begin(bench.service, lister, 100, 10))
    kinds = {
        "append": (bench.writer.appends(), 0.85),
        "get 200": ([getter.request("GET", f"/conversations/{each}") for each in ids], 0.7),
        "list 50": ([lister.request("GET", "/conversations?view=summary&limit=50")], 0.7),
    }
    with _beside(bench, *NULL_AUDIT) as null:
        for name, (requests, bound) in kinds.items():
            sides = {
                "service": bench.http(bench.service, (AT_ONCE, requests)),
                "null audit": bench.http(null, (AT_ONCE, requests)),
            }
            at_least = {"null audit": bound}
            yield bench.compare(f"{name} against no audit", AT_ONCE, sides, at_least=at_least)


SCENARIOS: dict[str, Scenario] = {
    "append": append,
    "few": append_few,
    "get": read_whole,
    "list": read_list,
    "page": read_page,
    "lengths": lengths,
    "mixed": mixed,
    "audit": audit,
}
