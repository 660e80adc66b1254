"""Three nodes, and the primary goes: what was acknowledged is there, once."""

import asyncio
import subprocess
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import unused_port
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from chatvault.mongodb.embedded import find_mongod
from support.appending import Appender, everything, until_acknowledged
from support.running import Service, ask, until

pytestmark = pytest.mark.xdist_group("crashes")

MESSAGES = 100  # acknowledged before the primary goes, and after


class ReplicaSet:
    """Three mongods on loopback, with short elections."""

    def __init__(self, folder: Path) -> None:
        self.ports = [unused_port() for _ in range(3)]
        self.processes = {port: self._start(folder, port) for port in self.ports}
        hosts = ",".join(f"127.0.0.1:{port}" for port in self.ports)
        self.url = f"mongodb://{hosts}/?replicaSet=three"

    def initiate(self) -> None:
        """Make them one set, and wait for its primary."""
        members = [
            {"_id": place, "host": f"127.0.0.1:{port}"} for place, port in enumerate(self.ports)
        ]
        quick = {"electionTimeoutMillis": 1000, "heartbeatIntervalMillis": 300}
        config = {"_id": "three", "members": members, "settings": quick}
        for port in self.ports:
            until(partial(self._answers, port))
        with self._alone(self.ports[0]) as client:
            client.admin.command("replSetInitiate", config)
        until(self.primary)

    @staticmethod
    def _alone(port: int) -> MongoClient[dict[str, Any]]:
        return MongoClient("127.0.0.1", port, directConnection=True, serverSelectionTimeoutMS=1000)

    def _answers(self, port: int) -> bool:
        try:
            with self._alone(port) as client:
                client.admin.command("ping")
        except PyMongoError:
            return False
        return True

    @staticmethod
    def _start(folder: Path, port: int) -> subprocess.Popen[bytes]:
        data = folder / str(port)
        data.mkdir()
        options = ["--dbpath", str(data), "--port", str(port), "--bind_ip", "127.0.0.1"]
        bounds = ["--wiredTigerCacheSizeGB", "0.25", "--oplogSize", "100", "--nounixsocket"]
        return subprocess.Popen(
            [
                find_mongod(),
                "--replSet",
                "three",
                *options,
                *bounds,
                "--logpath",
                str(data / "log"),
            ],
            stdout=subprocess.DEVNULL,
        )

    def primary(self) -> int | None:
        """The primary's port, if there is one."""
        try:
            with MongoClient[dict[str, Any]](self.url, serverSelectionTimeoutMS=1000) as client:
                client.admin.command("ping")
                return client.primary[1] if client.primary else None
        except PyMongoError:
            return None

    def kill_primary(self) -> None:
        """End it as a crash would."""
        port = self.primary()
        assert port is not None
        self.processes[port].kill()
        self.processes[port].wait()

    def stop(self) -> None:
        """End all of them."""
        for process in self.processes.values():
            process.kill()
            process.wait()


@pytest.fixture
def replica_set(on_disk: Path) -> Iterator[ReplicaSet]:
    nodes = ReplicaSet(on_disk)
    try:
        nodes.initiate()
        yield nodes
    finally:
        nodes.stop()


class TestFailover:
    async def test_loses_nothing_that_was_acknowledged(
        self, tmp_path: Path, replica_set: ReplicaSet
    ) -> None:
        with Service(
            tmp_path / "data", mongodb_url=replica_set.url, log_level="warning"
        ) as service:
            async with service.browser() as browser:
                await service.sign_in(browser)
                _, begun = await ask(browser, "POST", f"{service.url}/conversations", {})
                appenders = [Appender(service, browser, begun["id"]) for _ in range(8)]
                before = await self._load(replica_set, appenders)
                stored = await everything(service, browser, begun["id"])

        acknowledged = [name for each in appenders for name in each.acknowledged]
        assert 0 < before < len(acknowledged)
        assert [each["seq"] for each in stored] == list(range(len(stored)))
        assert Counter(each["id"] for each in stored) == Counter(acknowledged)

    async def _load(self, replica_set: ReplicaSet, appenders: list[Appender]) -> int:
        stopping = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for each in appenders:
                group.create_task(each.run(stopping))
            before = await until_acknowledged(appenders, MESSAGES)
            await asyncio.to_thread(replica_set.kill_primary)
            await asyncio.to_thread(until, replica_set.primary)
            await until_acknowledged(appenders, MESSAGES)
            stopping.set()
        return before
