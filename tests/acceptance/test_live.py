"""Live events of real processes: two workers, a killed one, many clients, a vanished one."""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import psutil  # type: ignore[import-untyped]  # it carries no annotations
import pytest

from support.factories import message
from support.following import Follower, hear, hear_until
from support.running import PASSWORD, Service, ask, until

pytestmark = pytest.mark.xdist_group("live")

CLIENTS = 200
PER_USER = 25


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service of two workers, which all tests use."""
    data = tmp_path_factory.mktemp("live") / "data"
    settings: dict[str, Any] = {"connections_per_address": 0, "bcrypt_rounds": 4, "ui": "off"}
    with Service(data, "--workers", "2", **settings) as service:
        yield service


def workers_of(service: Service) -> list[psutil.Process]:
    return [
        child
        for child in psutil.Process(service.process.pid).children()
        if "spawn_main" in " ".join(child.cmdline())
    ]


async def begin(service: Service, browser: Any) -> str:
    _, made = await ask(browser, "POST", f"{service.url}/conversations", {})
    return f"{service.url}/conversations/{made['id']}/messages"


async def append(browser: Any, path: str, content: str) -> None:
    body = message(content, id=content)
    for _ in range(100):
        try:
            answer, _ = await ask(browser, "POST", path, body)
        except OSError:
            continue  # Its worker was killed; it is stored once, whatever happened.
        assert answer.status == 200
        return


async def hear_all(follower: Follower, wanted: int, heard: list[str]) -> None:
    """Listen until so many messages came, connecting again whenever the connection breaks."""
    while len(heard) < wanted:
        try:
            if follower.answer is None:
                await follower.open()
                assert follower.frames[-1]["type"] == "ready"
            frame = await follower.next()
            heard += [each["content"] for each in frame.get("messages", ())]
        except (aiohttp.ClientError, OSError, AssertionError):
            assert "reset" not in {frame["type"] for frame in follower.frames}
            if follower.answer is not None:
                follower.close()
            follower.answer = None


class TestWorkers:
    async def test_serve_each_other_s_clients_and_resume_after_a_kill(
        self, service: Service
    ) -> None:
        async with service.browser() as browser:
            await service.sign_in(browser, "killed")
            path = await begin(service, browser)
            followers = [await Follower(browser, service.url).open() for _ in range(12)]
            heard: list[list[str]] = [[] for _ in followers]
            wanted = [f"message-{number}" for number in range(60)]
            listening = [
                asyncio.create_task(hear_all(each, len(wanted), mine))
                for each, mine in zip(followers, heard, strict=True)
            ]
            for number, content in enumerate(wanted):
                await append(browser, path, content)
                if number == 30:
                    workers_of(service)[0].send_signal(signal.SIGKILL)
            await asyncio.gather(*listening)
            for each in followers:
                each.close()

        assert heard == [wanted] * len(followers)
        await asyncio.to_thread(until, lambda: len(workers_of(service)) == 2)

    async def test_serve_many_clients(self, service: Service) -> None:
        """Each gets what is its user's, all of it, in order."""
        async with AsyncExitStack() as stack:
            users = []
            for number in range(CLIENTS // PER_USER):
                browser = await stack.enter_async_context(service.browser())
                await service.sign_in(browser, f"many-{number}")
                users.append((browser, await begin(service, browser)))
            followers = [
                [await Follower(browser, service.url).open() for _ in range(PER_USER)]
                for browser, _ in users
            ]
            wanted = [[f"of-{user}-{number}" for number in range(20)] for user in range(len(users))]

            async def speak(user: int) -> None:
                for content in wanted[user]:
                    await append(*users[user], content)

            await asyncio.gather(*map(speak, range(len(users))))
            for user, mine in enumerate(followers):
                for each in mine:
                    heard: list[str] = []
                    await hear_all(each, 20, heard)
                    assert heard == wanted[user]
                    each.close()

    async def test_free_the_place_of_a_client_that_left(self, service: Service) -> None:
        async with service.browser() as browser:
            await service.sign_in(browser, "leaving")
            for _ in range(3):
                # As many as a user may have at both workers, one after the other.
                opened = [await Follower(browser, service.url).open() for _ in range(30)]
                for each in opened:
                    each.close()
            path = await begin(service, browser)
            async with browser.ws_connect(f"{service.url}/ws") as socket:
                assert (await hear(socket))["type"] == "ready"
                await append(browser, path, "still-here")
                # What happened just before may be told, too.
                appended = await hear_until(socket, "message.appended")
                assert appended["messages"][0]["content"] == "still-here"

    async def test_end_the_streams_of_a_session_that_ends(self, service: Service) -> None:
        async with service.browser() as browser, service.browser() as other:
            await service.sign_in(browser, "ending")
            await ask(
                other,
                "POST",
                f"{service.url}/auth/login",
                {"username": "ending", "password": PASSWORD},
            )
            followers = [await Follower(other, service.url).open() for _ in range(8)]
            await ask(browser, "DELETE", f"{service.url}/auth/sessions")
            for each in followers:
                [closing] = await each.end()
                assert (closing["code"], closing["reason"]) == (4401, "session_ended")

    # The last, as the service has stopped then.
    async def test_say_goodbye_when_they_stop(self, service: Service) -> None:
        async with service.browser() as browser:
            await service.sign_in(browser, "stopped")
            follower = await Follower(browser, service.url).open()
            async with browser.ws_connect(f"{service.url}/ws") as socket:
                await hear(socket)
                stopping = asyncio.create_task(asyncio.to_thread(service.stop))
                assert (await follower.end())[-1]["reason"] == "stopping"
                assert (await hear(socket))["reason"] == "stopping"
                assert (await socket.receive()).data == 1001
                assert await stopping == 0
