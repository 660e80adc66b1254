"""Several workers: one that dies is replaced, and everything holds across them."""

import asyncio
from collections import Counter
from pathlib import Path

import aiohttp
import psutil  # type: ignore[import-untyped]  # it carries no annotations
import pytest

from support.appending import Appender, everything, until_acknowledged
from support.metrics import Read
from support.running import Service, ask, processes_of, until

pytestmark = pytest.mark.xdist_group("workers")


def workers_of(service: Service) -> list[psutil.Process]:
    return [
        process
        for process in psutil.Process(service.process.pid).children()
        if "spawn_main" in " ".join(_command_of(process))
    ]


def _command_of(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:  # it has just died
        return []


class TestWorkers:
    async def test_are_replaced_without_loss_if_they_end(self, workers: Service) -> None:
        until(lambda: len(workers_of(workers)) == 2)
        async with workers.browser() as browser:
            await workers.sign_in(browser, "appender")
            _, begun = await ask(browser, "POST", f"{workers.url}/conversations", {"title": "T"})
            appenders = [Appender(workers, browser, begun["id"]) for _ in range(8)]
            stopping = asyncio.Event()
            async with asyncio.TaskGroup() as group:
                for each in appenders:
                    group.create_task(each.run(stopping))
                await until_acknowledged(appenders, 20)
                first = workers_of(workers)
                first[0].kill()
                await asyncio.to_thread(
                    until, lambda: len({*workers_of(workers)} - {first[0]}) == 2
                )
                await until_acknowledged(appenders, 20)
                stopping.set()
            stored = await everything(workers, browser, begun["id"])

        acknowledged = [name for each in appenders for name in each.acknowledged]
        assert [each["seq"] for each in stored] == list(range(len(stored)))
        assert Counter(each["id"] for each in stored) == Counter(acknowledged)

    async def test_show_the_metrics_of_all_and_of_those_that_ended(
        self, workers: Service, workers_metrics: str
    ) -> None:
        async with aiohttp.ClientSession() as reader, workers.browser() as browser:

            async def read() -> Read:
                async with reader.get(f"http://{workers_metrics}/metrics") as answer:
                    assert answer.status == 200
                    return Read(await answer.text())

            async def until_up(*expected: float) -> Read:
                while True:
                    found = await read()
                    up = [found.get("chatvault_worker_up", worker=each) for each in "01"]
                    if up == [*expected]:
                        return found

            await ask(browser, "GET", f"{workers.url}/nowhere")
            found = await until_up(1, 1)
            assert (found.get("chatvault_requests_total", route="none", status="404") or 0) >= 1
            assert found.get("process_resident_memory_bytes", worker="0")
            assert found.get("process_resident_memory_bytes", worker="1")
            assert found.get("chatvault_jobs", kind="import") == 0
            assert found.labels("worker") == {"0", "1"}
            workers_of(workers)[0].kill()
            await until_up(1, 1)

    async def test_end_a_revoked_session_at_once(self, workers: Service) -> None:
        async with workers.browser() as browser:
            await workers.sign_in(browser, "revoked")
            cookie = {"Cookie": f"session_id={workers.cookie(browser)}"}
            await ask(browser, "POST", f"{workers.url}/auth/logout")
        for _ in range(20):  # each on a connection of its own, so that both workers answer
            async with workers.browser(**cookie, Connection="close") as stranger:
                answer, _ = await ask(stranger, "GET", f"{workers.url}/auth/me")
                assert answer.status == 401

    async def test_end_with_their_supervisor(self, tmp_path: Path) -> None:
        data_dir = tmp_path / "data"
        options = {"log_level": "warning", "mongodb_timeout": 1}
        with Service(data_dir, "--workers", "2", **options) as service:
            until(lambda: len(workers_of(service)) == 2)
            left = workers_of(service)
            service.kill()
            # The driver itself would look for 30 s for a server to say good-bye to.
            until(lambda: not any(worker.is_running() for worker in left), seconds=25)
            until(lambda: processes_of(data_dir) == [])
