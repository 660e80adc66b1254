"""What is measured: each scenario prepares its data and compares its sides."""

import asyncio
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import Bench, Row
from chatvault.audit.keys import FILE_NAME as AUDIT_KEYS
from dataset import COLD, READERS, SHORT, WHOLE, Account, begin, lengthen, sign_up
from processes import NULL_AUDIT, SERVE, Server, can_have_workers, settings

AT_ONCE = 32
FEW = 8
PUTTERS = 8
LENGTHS = (10, 100, 1_000, 5_000)
PAGE = 50
LONG = 100_000
Scenario = Callable[[Bench], Iterator[Row]]


def _append(bench: Bench, name: str, connections: int, few: int | None = None) -> Row:
    """Appends by the service, the ceiling and the floor, each on conversations of its own."""
    mine, above = (each.ids[:few] for each in (bench.writer, bench.ceiling_writer))
    below = bench.floor_writer.targets[:few]
    bare = [
        bench.ceiling_writer.post_bare(f"/append/{bench.ceiling_writer.user_id}/{each}")
        for each in above
    ]
    sides = {
        "service": bench.http(bench.service, (connections, bench.writer.appends(mine))),
        "ceiling": bench.http(bench.ceiling, (connections, bare)),
        "floor": bench.floor("append", connections, below),
    }
    if connections > 1 and not few:
        sides["one by one"] = bench.floor("append", 1, below)
        # What coalescing could give at most: its ratio to the floor says what is possible here.
        sides["coalesced"] = bench.floor("coalesced", connections, bench.bound_writer.targets)
    at_least = {"ceiling": 0.7} if connections == 1 else {"floor": 1.5}
    return bench.compare(name, connections, sides, at_least=None if few else at_least)


def append(bench: Bench) -> Iterator[Row]:
    """Append over many conversations of about ten messages."""
    for connections in (1, AT_ONCE):
        yield _append(bench, "append", connections)


def append_few(bench: Bench) -> Iterator[Row]:
    """Append on few conversations, which all connections share and which grow with each round."""
    yield _append(bench, f"append to {FEW} conversations", AT_ONCE, FEW)


def _readers(bench: Bench) -> list[Account]:
    """Users who only read, so that no two connections ask for the same; made once."""
    if not bench.readers:
        for number in range(READERS):
            account = asyncio.run(sign_up(bench.service, f"reader-{number}"))
            asyncio.run(begin(bench.service, account, WHOLE, 200))
            asyncio.run(begin(bench.service, account, SHORT, 10))
            bench.yardsticks.copy(bench.service, account, account.ids)
            bench.readers.append(account)
    return bench.readers


def _spread(readers: list[Account], conversations: int) -> list[tuple[Account, str]]:
    """Each reader's first conversations, so that neighbours are of different readers."""
    return [(reader, reader.ids[n]) for n in range(conversations) for reader in readers]


def _read(
    bench: Bench,
    name: str,
    operation: str,
    path: str,
    above: str,
    wanted: list[tuple[Account, str]],
) -> Iterator[Row]:
    """Yield one kind of reading by the service, the ceiling and the floor, on the same data.

    Args:
        bench: the stage.
        name: as it stands in the table.
        operation: the floor's.
        path: the service's, with `{id}` in it.
        above: the ceiling's, with `{user}` and `{id}` in it.
        wanted: whose conversations are read, in turn.
    """
    mine = [reader.request("GET", path.format(id=each)) for reader, each in wanted]
    paths = [above.format(user=reader.user_id, id=each) for reader, each in wanted]
    bare = [reader.request("GET", each) for (reader, _), each in zip(wanted, paths, strict=True)]
    reader, first = wanted[0]
    shown = bench.service.fetch(path.format(id=first), {"Cookie": reader.cookie})
    label = (
        name if shown == bench.ceiling.fetch(paths[0]) else f"{name} (the ceiling's bytes differ)"
    )
    targets = [(reader.user_id, each) for reader, each in wanted]
    for connections in (1, AT_ONCE):
        sides = {
            "service": bench.http(bench.service, (connections, mine)),
            "ceiling": bench.http(bench.ceiling, (connections, bare)),
            "floor": bench.floor(operation, connections, targets),
        }
        at_least = {"ceiling": 0.6} if connections > 1 else None
        yield bench.compare(label, connections, sides, at_least=at_least)


def read_whole(bench: Bench) -> Iterator[Row]:
    """Get conversations of 200 messages, each again and again."""
    path, above = "/conversations/{id}", "/get/{user}/{id}"
    wanted = _spread(_readers(bench), WHOLE)
    yield from _read(bench, "get 200 messages", "get", path, above, wanted)


def read_cold(bench: Bench) -> Iterator[Row]:
    """Yield the same of enough that none is kept in memory until its next turn."""
    path, above = "/conversations/{id}", "/get/{user}/{id}"
    ids = {}
    for reader in _readers(bench):
        ids[reader.user_id] = asyncio.run(begin(bench.service, reader, COLD, 200))
        bench.yardsticks.copy(bench.service, reader, ids[reader.user_id])
    wanted = [(each, ids[each.user_id][n]) for n in range(COLD) for each in _readers(bench)]
    yield from _read(bench, "get 200 messages, none kept", "get", path, above, wanted)


def read_list(bench: Bench) -> Iterator[Row]:
    """List 50 summaries of users with 60 conversations each."""
    path = "/conversations?view=summary&limit=50"
    wanted = _spread(_readers(bench), 1)
    yield from _read(bench, "list 50 of 60 summaries", "list", path, "/list/{user}", wanted)


def read_page(bench: Bench) -> Iterator[Row]:
    """Get the newest 50 of 200 messages."""
    path, above = "/conversations/{id}/messages?before=latest&limit=50", "/page/{user}/{id}"
    wanted = _spread(_readers(bench), WHOLE)
    yield from _read(bench, "page of newest 50 of 200", "page", path, above, wanted)


def read_small(bench: Bench) -> Iterator[Row]:
    """Count conversations: a signed-in, audited read of one number, beside other reads."""
    wanted = _spread(_readers(bench), WHOLE)
    path = "/conversations/{}"
    etags = {
        each: bench.service.fetch_etag(path.format(each), {"Cookie": reader.cookie})
        for reader, each in wanted
    }
    kinds = {
        "count": [reader.request("GET", "/conversations/stats/count") for reader, _ in wanted],
        "/health": [reader.request("GET", "/health") for reader, _ in wanted],
        "unchanged": [
            reader.request("GET", path.format(each), **{"If-None-Match": etags[each]})
            for reader, each in wanted
        ],
        "newest 50": [
            reader.request("GET", f"{path.format(each)}/messages?before=latest&limit={PAGE}")
            for reader, each in wanted
        ],
        "all 200": [reader.request("GET", path.format(each)) for reader, each in wanted],
    }
    sides = {
        name: bench.http(bench.service, (AT_ONCE, requests)) for name, requests in kinds.items()
    }
    pairs = {
        ("count", "/health"): {},
        ("unchanged", "count"): {"count": 0.95},
        ("newest 50", "count"): {"count": 0.9},
        ("newest 50", "all 200"): {"all 200": 1.1},
    }
    for (mine, other), bound in pairs.items():
        two = {mine: sides[mine], other: sides[other]}
        yield bench.compare(f"{mine} against {other}", AT_ONCE, two, at_least=bound)


async def _grow(bench: Bench, account: Account, length: int) -> list[str]:
    # Short ones are many, so that they stay short while they are measured.
    ids = await begin(bench.service, account, max(1, min(500, 20_000 // length)), length)
    for each in ids:
        await lengthen(bench.service, account, each, length)
    return ids


def lengths(bench: Bench) -> Iterator[Row]:
    """Append to, and page in, conversations of several lengths; the ratios are of times."""
    account = asyncio.run(sign_up(bench.service, "grower"))
    page = f"/conversations/{{}}/messages?before=latest&limit={PAGE}"
    by_length = {
        length: asyncio.run(_grow(bench, account, length))
        for length in (*LENGTHS, *((LONG,) if bench.long else ()))
    }
    appends = {
        f"{length:,}": bench.http(bench.service, (1, account.appends(ids)))
        for length, ids in by_length.items()
    }
    yield _times(bench.compare("append by length", 1, appends))
    # From a length on at which the page has its 50 messages.
    pages = {
        f"{length:,}": bench.http(
            bench.service, (1, [account.request("GET", page.format(each)) for each in ids])
        )
        for length, ids in by_length.items()
        if length > PAGE
    }
    yield _times(bench.compare("newest 50 by length", 1, pages))


def _times(row: Row) -> Row:
    """Return the row with medians of time against the first side's, rather than rates."""
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
    below = bench.floor("append", AT_ONCE, bench.floor_writer.targets)
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
    """Another server on the same MongoDB, with the same audit keys: others would be forgers'."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(bench.data_dir / AUDIT_KEYS, folder)
        server = Server(*arguments, env=settings(Path(folder), bench.yardsticks.url))
        try:
            yield server
        finally:
            server.stop()


def audit(bench: Bench) -> Iterator[Row]:
    """Yield the service beside itself with an audit that keeps nothing."""
    readers = _readers(bench)
    kinds = {
        "append": (bench.writer.appends(), 0.85),
        "get 200": (
            [
                reader.request("GET", f"/conversations/{each}")
                for reader, each in _spread(readers, WHOLE)
            ],
            0.7,
        ),
        "list 50": (
            [reader.request("GET", "/conversations?view=summary&limit=50") for reader in readers],
            0.7,
        ),
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
    "small": read_small,
    "lengths": lengths,
    "mixed": mixed,
    "cold": read_cold,
    "audit": audit,
}
