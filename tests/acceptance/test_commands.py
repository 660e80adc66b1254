"""The real process while it runs tools: killed, stopped, and with two processes on one database."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest

from support.fake_model import FakeModel, ScriptedAnswer
from support.running import Service, ask, chatvault, with_model
from support.talking import EVENT_STREAM, events_of, next_event, until
from support.tooling import Notes, commands_of

GROUP = pytest.mark.xdist_group("commands")


@pytest.fixture(scope="module")
def notes(tmp_path_factory: pytest.TempPathFactory) -> Notes:
    notes = tmp_path_factory.mktemp("commands") / "notes"
    notes.touch()
    return Notes(notes)


@pytest.fixture(scope="module")
def service(
    tmp_path_factory: pytest.TempPathFactory, only_model: FakeModel, notes: Notes
) -> Iterator[Service]:
    """A service whose users may run the tool, once they have approved it."""
    data_dir = tmp_path_factory.mktemp("commands") / "data"
    with with_model(data_dir, only_model, notes=notes.path) as running:
        allow(running)
        yield running


def allow(service: Service) -> None:
    """Let users run the tool."""
    done = chatvault(service.data_dir, "tools", "allow", "lab__sleep", "--role", "user")
    assert done.returncode == 0, done.stderr


async def begin(service: Service, browser: aiohttp.ClientSession, username: str) -> str:
    """Sign in; return the path of a new conversation."""
    await service.sign_in(browser, username)
    await connected(service, browser)
    return await begin_another(service, browser)


async def begin_another(service: Service, browser: aiohttp.ClientSession) -> str:
    wanted = {"title": "T", "mcp_enabled": True}
    _, begun = await ask(browser, "POST", f"{service.url}/conversations", wanted)
    return f"/conversations/{begun['id']}"


async def connected(service: Service, browser: aiohttp.ClientSession) -> None:
    """Wait until whichever process is asked has its tools."""
    in_a_row = 0
    for _ in range(300):
        _, tools = await ask(browser, "GET", f"{service.url}/mcp/tools")
        in_a_row = in_a_row + 1 if any(tool["permitted"] for tool in tools) else 0
        if in_a_row == 16:
            return
        await asyncio.sleep(0.05 if not in_a_row else 0)
    raise AssertionError(tools)


async def read(service: Service, browser: aiohttp.ClientSession, path: str) -> dict[str, Any]:
    _, conversation = await ask(browser, "GET", f"{service.url}{path}")
    found: dict[str, Any] = conversation
    return found


async def propose(
    service: Service,
    browser: aiohttp.ClientSession,
    path: str,
    fake_model: FakeModel,
    arguments: str,
) -> str:
    """The path of a pending command."""
    fake_model.say(ScriptedAnswer(chunks=["Let me see."], calls=[("lab__sleep", arguments)]))
    answer, _ = await ask(browser, "POST", f"{service.url}{path}/replies", {"content": "Go"})
    assert answer.status == 201
    [command] = commands_of(await read(service, browser, path))
    assert command["status"] == "pending"
    return f"{path}/commands/{command['id']}"


async def ended(service: Service, browser: aiohttp.ClientSession, path: str) -> dict[str, Any]:
    """The conversation once the model has answered the results."""
    for _ in range(300):
        found = await read(service, browser, path)
        if found["messages"][-1]["content"] == "So it went.":
            return found
        await asyncio.sleep(0.1)
    raise AssertionError(found)


@dataclass(frozen=True)
class Left:
    """What a killed process left: a command that ran, one that waits to be approved.

    Attributes:
        browser: of the user whose they are.
        ran: the path of the command that ran when the process was killed.
        settled: the conversation of that one, once the model has answered.
        told: what the model was told of it.
        pending: the path of the command that waits.
        place: the path of the conversation of that one.
    """

    browser: aiohttp.ClientSession
    ran: str
    settled: dict[str, Any]
    told: str
    pending: str
    place: str


@pytest.fixture(scope="module")
async def left(service: Service, only_model: FakeModel, notes: Notes) -> AsyncIterator[Left]:
    async with service.browser() as browser:
        path = await begin(service, browser, "killed")
        place = await begin_another(service, browser)
        pending = await propose(service, browser, place, only_model, '{"seconds": 0, "key": "a"}')
        ran = await propose(service, browser, path, only_model, '{"seconds": 60, "key": "once"}')
        only_model.say("So it went.")
        url = f"{service.url}{ran}/approve"
        answer = await browser.post(url, headers={"Prefer": "respond-async"})
        assert answer.status == 202
        await until(lambda: notes.lines == ["sleep once"])

        service.kill()
        service.start()
        settled = await ended(service, browser, path)
        told = only_model.requests[-1]["messages"][-1]["content"]
        yield Left(browser, ran, settled, told, pending, place)


@GROUP
class TestKilled:
    async def test_during_a_command_never_runs_it_again(
        self, service: Service, left: Left, fake_model: FakeModel, notes: Notes
    ) -> None:
        [command] = commands_of(left.settled)
        assert (command["status"], command["code"]) == ("failed", "interrupted")
        assert "may have done its work" in left.told
        again, _ = await ask(left.browser, "POST", f"{service.url}{left.ran}/approve")
        assert again.status == 200
        assert notes.lines.count("sleep once") == 1

    async def test_with_a_pending_command_lets_it_be_approved_later(
        self, service: Service, left: Left, fake_model: FakeModel, notes: Notes
    ) -> None:
        await connected(service, left.browser)
        fake_model.say("So it went.")
        answer, ran = await ask(left.browser, "POST", f"{service.url}{left.pending}/approve")

        assert (answer.status, ran["status"]) == (200, "executed")
        await ended(service, left.browser, left.place)
        assert notes.lines[-2:] == ["sleep a", "slept a"]
        assert notes.lines.count("sleep a") == 1


@GROUP
class TestStopped:
    async def test_ends_its_commands_and_waiting_streams(
        self, service: Service, fake_model: FakeModel, notes: Notes
    ) -> None:
        async with service.browser() as browser:
            path = await begin(service, browser, "stopped")
            arguments = '{"seconds": 60, "key": "long"}'
            fake_model.say(
                ScriptedAnswer(chunks=["Let me see."], calls=[("lab__sleep", arguments)] * 2)
            )
            stream = await browser.post(
                f"{service.url}{path}/replies", json={"content": "Go"}, headers=EVENT_STREAM
            )
            while (event := await next_event(stream)) is not None and event.type != "waiting":
                pass
            assert event is not None
            first, second = event.data["message"]["commands"]
            running = asyncio.create_task(
                ask(browser, "POST", f"{service.url}{path}/commands/{first['id']}/approve")
            )
            await until(lambda: "sleep long" in notes.lines)

            status = await asyncio.to_thread(service.stop)

            assert status == 0
            assert await events_of(stream) == []
            answer, ran = await running
            assert (answer.status, ran["code"]) == (200, "interrupted")
            service.start()
            found = await read(service, browser, path)
            assert [each["status"] for each in commands_of(found)] == ["failed", "pending"]
            assert second["id"] == commands_of(found)[1]["id"]


@pytest.mark.xdist_group("workers")
class TestTwoProcesses:
    async def test_run_a_command_requested_from_both_once(
        self, workers: Service, fake_model: FakeModel, workers_notes: Notes
    ) -> None:
        allow(workers)
        # Each request has a connection of its own: the kernel spreads them.
        async with workers.browser(Connection="close") as browser:
            path = await begin(workers, browser, "asker")
            command = await propose(
                workers, browser, path, fake_model, '{"seconds": 0.5, "key": "x"}'
            )
            fake_model.say("So it went.")

            url = f"{workers.url}{command}/approve"
            answers = await asyncio.gather(*(ask(browser, "POST", url) for _ in range(50)))

            shown = {(answer.status, ran["status"]) for answer, ran in answers}
            assert shown == {(200, "executed")}
            await ended(workers, browser, path)
            assert workers_notes.lines == ["sleep x", "slept x"]
            assert len(fake_model.requests) == 2
