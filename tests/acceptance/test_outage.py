"""MongoDB gone: 503 in time, and back by itself."""

import asyncio
import signal
import time
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest

from support.running import Service, ask, mongod_of

pytestmark = pytest.mark.xdist_group("crashes")

LIMIT = 6.5  # the default time limit of 5 s, and a slow machine


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with Service(tmp_path_factory.mktemp("outage") / "data") as running:
        yield running


async def timed(
    browser: aiohttp.ClientSession, method: str, url: str, body: object = None
) -> tuple[aiohttp.ClientResponse, Any, float]:
    began = time.monotonic()
    answer, found = await ask(browser, method, url, body)
    return answer, found, time.monotonic() - began


class TestOutage:
    async def test_of_a_stalled_mongod_answers_503_in_time_and_recovers(
        self, service: Service
    ) -> None:
        url = service.url
        async with service.browser() as browser, service.browser() as nobody:
            await service.sign_in(browser)
            _, begun = await ask(browser, "POST", f"{url}/conversations", {})
            path = f"{url}/conversations/{begun['id']}"
            append = {"role": "user", "content": "in the dark", "id": "once"}
            credentials = {"username": "alice", "password": "wrong horse"}

            mongod = mongod_of(service.data_dir)
            mongod.send_signal(signal.SIGSTOP)
            try:
                answers = await asyncio.gather(
                    timed(browser, "GET", f"{url}/conversations"),
                    timed(browser, "GET", path),
                    timed(browser, "POST", f"{url}/conversations", {"title": "lost?"}),
                    timed(browser, "POST", f"{path}/messages", append),
                    timed(browser, "PUT", path, {"title": "dark"}),
                    timed(browser, "DELETE", f"{url}/conversations"),
                    timed(browser, "GET", f"{url}/users/me/preferences"),
                    timed(nobody, "POST", f"{url}/auth/login", credentials),
                    timed(nobody, "GET", f"{url}/ready"),
                    timed(nobody, "GET", f"{url}/health"),
                )
            finally:
                mongod.send_signal(signal.SIGCONT)

            *answers, (ready, why, seconds), (alive, _, at_once) = answers
            for answer, problem, taken in answers:
                assert answer.status == 503, problem
                assert answer.content_type == "application/problem+json"
                assert problem["code"] in {"unavailable", "outcome_unknown"}
                assert int(answer.headers["Retry-After"]) >= 1
                assert taken < LIMIT
            assert (ready.status, why["status"]) == (503, "not_ready")
            assert "cannot be reached" in why["reason"]
            assert seconds < LIMIT
            assert alive.status == 200
            assert at_once < 1

            for _ in range(100):
                answer, _ = await ask(browser, "GET", f"{url}/ready")
                if answer.status == 200:
                    break
                await asyncio.sleep(0.1)
            for _ in range(2):
                answer, stored = await ask(browser, "POST", f"{path}/messages", append)
                assert answer.status == 200, stored
                assert [each["id"] for each in stored["messages"]] == ["once"]

    async def test_of_a_killed_mongod_is_recovered_from(self, service: Service) -> None:
        async with service.browser() as browser:
            await service.sign_in(browser, "bob")
            _, begun = await ask(browser, "POST", f"{service.url}/conversations", {})
            before = mongod_of(service.data_dir)
            before.kill()
            began = time.monotonic()
            while True:
                answer, found = await ask(
                    browser, "GET", f"{service.url}/conversations/{begun['id']}"
                )
                if answer.status == 200:
                    break
                assert answer.status == 503
                assert time.monotonic() - began < 20
                await asyncio.sleep(0.1)
            assert found == begun
            assert mongod_of(service.data_dir).pid != before.pid
