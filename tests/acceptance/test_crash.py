"""`kill -9` under load: what was acknowledged is there, once, with its audit entry."""

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from pymongo import MongoClient

from chatvault.mongodb.embedded import embedded_mongodb
from support.appending import Appender, everything, until_acknowledged
from support.running import Service, ask, mongod_of, processes_of

pytestmark = pytest.mark.xdist_group("crashes")

APPENDERS = 16
MESSAGES = 200  # acknowledged before each kill, and after
CONVERSATIONS = 5


def audited(data_dir: Path) -> Counter[str]:
    """By conversation, how many appends are audited that were no repetition."""
    entries = {"action": "conversation.append_message", "outcome": "success"}
    with embedded_mongodb(data_dir) as url, MongoClient[dict[str, Any]](url) as client:
        found = client["chatvault"]["audit_logs"].find(entries)
        return Counter(
            entry["resource_id"] for entry in found if not (entry["details"] or {}).get("repeated")
        )


async def check(service: Service, browser: aiohttp.ClientSession, sent: dict[str, set[str]]) -> int:
    """Compare what is stored with what was acknowledged; how many messages."""
    total = 0
    for home, ids in sent.items():
        stored = await everything(service, browser, home)
        assert [each["seq"] for each in stored] == list(range(len(stored)))
        assert Counter(each["id"] for each in stored) == Counter(ids)
        assert all(each["content"] == each["id"] for each in stored)
        _, conversation = await ask(browser, "GET", f"{service.url}/conversations/{home}")
        assert conversation["total_messages"] == len(ids)
        total += len(ids)
    entries = await asyncio.to_thread(audited, service.data_dir)
    assert entries == {home: len(ids) for home, ids in sent.items()}
    return total


def kill_service(service: Service) -> None:
    service.kill()
    service.start()


def kill_mongod(service: Service) -> None:
    mongod_of(service.data_dir).kill()


class TestCrash:
    @pytest.mark.timeout(1200)
    @pytest.mark.parametrize("rounds", [1, pytest.param(10, marks=pytest.mark.long)])
    @pytest.mark.parametrize("crash", [kill_service, kill_mongod])
    async def test_loses_nothing_that_was_acknowledged(
        self, on_disk: Path, crash: Callable[[Service], None], rounds: int
    ) -> None:
        data_dir = on_disk / "data"
        with Service(data_dir, log_level="warning") as service:
            async with service.browser() as browser:
                await service.sign_in(browser)
                homes = []
                for _ in range(CONVERSATIONS):
                    _, begun = await ask(browser, "POST", f"{service.url}/conversations", {})
                    homes.append(begun["id"])
                appenders = [
                    Appender(service, browser, homes[number % CONVERSATIONS])
                    for number in range(APPENDERS)
                ]
                sent: dict[str, set[str]] = {home: set() for home in homes}
                for _ in range(rounds):
                    await self._load(service, appenders, crash)
                    for each in appenders:
                        sent[each.home].update(each.acknowledged)
                    total = await check(service, browser, sent)
                    seen = sum((each.seen for each in appenders), Counter[str]())
                    print(crash.__name__, total, dict(seen))  # noqa: T201  # shown by pytest -s
        assert processes_of(data_dir) == []

    async def _load(
        self, service: Service, appenders: list[Appender], crash: Callable[[Service], None]
    ) -> None:
        stopping = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for each in appenders:
                group.create_task(each.run(stopping))
            await until_acknowledged(appenders, MESSAGES)
            await asyncio.to_thread(crash, service)
            await until_acknowledged(appenders, MESSAGES)
            stopping.set()
