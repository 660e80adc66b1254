"""`kill -9` of the service at random moments, under writers of every kind that never give up.

`scripts/chaos --minutes 10` runs it for as long as wanted; a short form is among the tests.
"""

import argparse
import asyncio
import random
import tempfile
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from pymongo import AsyncMongoClient

from chatvault.mongodb.embedded import embedded_mongodb
from support.running import Service, ask
from support.stored import stored

WRITERS = 16
SHARED = 4
MINIMAL = {"Prefer": "return=minimal"}
# So many messages are written before the change that shows them.
BULK = 1200
CHANGES = (
    "conversation.append_message",
    "conversation.append_messages",
    "conversation.edit_message",
    "conversation.update",
)


@dataclass
class Tally:
    """What the writers know.

    Attributes:
        shared: by conversation, the content that each message should have.
        own: by conversation, the contents in order; one writer's alone.
        edits: by conversation, how many edits were acknowledged.
        seen: how often which answer or failure came.
        kills: how often the service was killed.
    """

    shared: dict[str, dict[str, str]] = field(default_factory=dict)
    own: dict[str, list[str]] = field(default_factory=dict)
    edits: Counter[str] = field(default_factory=Counter)
    seen: Counter[str] = field(default_factory=Counter)
    kills: int = 0

    @property
    def acknowledged(self) -> int:
        """How many messages are there for sure."""
        return sum(map(len, [*self.shared.values(), *self.own.values()]))


class Writer:
    """Appends, batches and edits in a shared conversation, replaces and appends in its own.

    Every request is sent again and again until it is answered for good.
    """

    def __init__(
        self, service: Service, browser: aiohttp.ClientSession, tally: Tally, shared: str, own: str
    ) -> None:
        self.service = service
        self.browser = browser
        self.tally = tally
        self.shared = shared
        self.own = own
        self.mine: dict[str, int] = {}
        self.version = 1

    async def run(self, stopping: asyncio.Event) -> None:
        """Write until told to stop."""
        kinds = [self.append, self.append, self.batch, self.edit, self.put, self.append_own]
        while not stopping.is_set():
            await random.choice(kinds)()

    async def insist(
        self, method: str, path: str, body: Any, **headers: str
    ) -> tuple[int, Any, bool]:
        """The final answer, and whether an earlier try may have come through."""
        again = False
        while True:
            try:
                url = f"{self.service.url}/conversations/{path}"
                answer, told = await ask(self.browser, method, url, body, headers=headers)
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                self.tally.seen[type(error).__name__] += 1
            else:
                self.tally.seen[str(answer.status)] += 1
                if answer.status != 503:
                    return answer.status, told, again
                assert told["code"] in {
                    "unavailable",
                    "outcome_unknown",
                    "stored_not_shown",
                    "busy",
                }, told
            again = True
            await asyncio.sleep(0.05)

    async def append(self) -> None:
        name = str(uuid.uuid4())
        message = {"id": name, "role": "user", "content": name}
        status, told, _ = await self.insist("POST", f"{self.shared}/messages", message, **MINIMAL)
        assert (status, told["message"]["id"]) == (200, name), told
        self.tally.shared[self.shared][name] = name
        self.mine[name] = 1

    async def batch(self) -> None:
        names = [str(uuid.uuid4()) for _ in range(random.randint(1, 30))]
        body = {"messages": [{"id": name, "role": "user", "content": name} for name in names]}
        key = {"Idempotency-Key": names[0]} if random.random() < 0.5 else {}
        status, told, _ = await self.insist("POST", f"{self.shared}/messages:batch", body, **key)
        assert status == 200, told
        assert [each["id"] for each in told["messages"]] == names
        places = [each["seq"] for each in told["messages"]]
        assert places == list(range(places[0], places[0] + len(names)))
        self.tally.shared[self.shared] |= {name: name for name in names}
        self.mine |= dict.fromkeys(names, 1)

    async def edit(self) -> None:
        if not self.mine:
            return
        name = random.choice([*self.mine])
        content = f"{name} {uuid.uuid4()}"
        path = f"{self.shared}/messages/{name}"
        body = {"content": content, "version": self.mine[name]}
        status, told, again = await self.insist("PATCH", path, body)
        if status == 412:
            assert again, "nobody else edits this message"
            status, told, _ = await self.insist("GET", path, None)
        assert (status, told["content"]) == (200, content), told
        assert told["version"] == self.mine[name] + 1
        self.mine[name] += 1
        self.tally.shared[self.shared][name] = content
        self.tally.edits[self.shared] += 1

    async def put(self) -> None:
        count = BULK if random.random() < 0.15 else random.randint(0, 60)
        stamp = str(uuid.uuid4())
        contents = [f"{stamp} {number}" for number in range(count)]
        body = {
            "title": stamp,
            "messages": [{"role": "user", "content": content} for content in contents],
        }
        match = {"If-Match": f'"{self.version}"'}
        status, told, again = await self.insist("PUT", self.own, body, **match)
        if status == 412:
            assert again, "nobody else writes here"
            status, told, _ = await self.insist("GET", self.own, None)
        assert (status, told["title"]) == (200, stamp), told
        assert told["version"] == self.version + 1
        self.version += 1
        self.tally.own[self.own] = contents

    async def append_own(self) -> None:
        name = str(uuid.uuid4())
        message = {"role": "user", "content": name}
        headers = MINIMAL | {"Idempotency-Key": name}
        status, told, _ = await self.insist("POST", f"{self.own}/messages", message, **headers)
        assert status == 200, told
        self.version += 1
        assert told["version"] == self.version
        self.tally.own[self.own].append(name)


async def rage(
    data_dir: Path,
    seconds: float,
    *,
    pause: float = 3.0,
    workers: int = 1,
    kills: int = 0,
    answers: int = 0,
) -> Tally:
    """Let writers write and kill the service now and then; afterwards check all that is there.

    Args:
        data_dir: the service's.
        seconds: for how long.
        pause: at most so long between two kills.
        workers: how many processes answer; then it is their supervisor that is killed.
        kills: so many at least, where all is slow.
        answers: so many good ones at least, too.
    """
    tally = Tally()
    several = ("--workers", str(workers)) if workers > 1 else ()
    with Service(data_dir, *several, log_level="error") as service:
        async with service.browser() as browser:
            await service.sign_in(browser)
            homes = []
            for _ in range(SHARED + WRITERS):
                _, begun = await ask(browser, "POST", f"{service.url}/conversations", {})
                homes.append(begun["id"])
            tally.shared = {home: {} for home in homes[:SHARED]}
            tally.own = {home: [] for home in homes[SHARED:]}
            stopping = asyncio.Event()
            until = time.monotonic() + seconds
            async with asyncio.TaskGroup() as group:
                for number in range(WRITERS):
                    shared, own = homes[number % SHARED], homes[SHARED + number]
                    writer = Writer(service, browser, tally, shared, own)
                    group.create_task(writer.run(stopping))
                while time.monotonic() < until or tally.kills < kills:
                    await asyncio.sleep(random.uniform(0.05, pause))
                    service.kill()
                    tally.kills += 1
                    await asyncio.to_thread(service.start)
                # Where all is slow, nothing more is killed until there are so many.
                while tally.seen["200"] < answers:  # noqa: ASYNC110  # they come from many tasks
                    await asyncio.sleep(0.05)
                await asyncio.sleep(0.5)
                stopping.set()
    await verify(data_dir, tally)
    return tally


async def verify(data_dir: Path, tally: Tally) -> None:
    """Compare what lies in MongoDB with what was acknowledged."""
    with embedded_mongodb(data_dir) as url:
        async with AsyncMongoClient[dict[str, Any]](url, tz_aware=True) as client:
            database = client["chatvault"]
            for home, expected in tally.shared.items():
                lies = await stored(database, home)
                there = {each["id"]: each["content"] for each in lies.messages.values()}
                assert there == expected
                assert lies.document["first_seq"] == 0
                edited = sum(each.get("version", 1) - 1 for each in lies.messages.values())
                assert edited == tally.edits[home]
                mine = {"conversation_id": lies.document["_id"]}
                assert await database["revisions"].count_documents(mine) == edited
                await _check_audit(database, home, lies.document["version"], len(expected))
            for home, contents in tally.own.items():
                lies = await stored(database, home)
                assert lies.contents == contents
                await _check_audit(database, home, lies.document["version"])


async def _check_audit(database: Any, home: str, version: int, messages: int | None = None) -> None:
    """Every change has its entry: the version rises once for each that did anything."""
    wanted = {"resource_id": home, "outcome": "success", "action": {"$in": CHANGES}}
    entries = await database["audit_logs"].find(wanted).to_list()
    details = [(entry["action"], entry["details"] or {}) for entry in entries]
    effective = [
        each
        for action, each in details
        if not each.get("replayed") and not ("append" in action and each["messages"] == 0)
    ]
    assert version == 1 + len(effective)
    if messages is not None:
        assert sum(each.get("messages", 0) for each in effective) == messages


def main() -> None:
    """Run for as many minutes as wanted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        tally = asyncio.run(
            rage(Path(place) / "data", options.minutes * 60, workers=options.workers)
        )
    print(f"{tally.kills} kills, {tally.acknowledged} messages, all of them once")  # noqa: T201
    print(", ".join(f"{name}: {count}" for name, count in tally.seen.most_common()))  # noqa: T201


if __name__ == "__main__":
    main()
