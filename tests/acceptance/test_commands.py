"""The real process while it runs tools: killed, stopped, and with two processes on one database."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from support.fake_model import FakeModel, ScriptedAnswer
from support.running import Service, ask, chatvault
from support.talking import EVENT_STREAM, events_of, next_event, until
from support.tooling import Notes, commands_of

pytestmark = pytest.mark.xdist_group("commands")

TOOLSERVER = Path(__file__).parent.parent / "support" / "toolserver.py"


@pytest.fixture
def notes(tmp_path: Path) -> Notes:
    (tmp_path / "notes").touch()
    return Notes(tmp_path / "notes")


def configured(tmp_path: Path, fake_model: FakeModel, notes: Notes, *arguments: str) -> Service:
    provider = {"base_url": fake_model.url, "api_key": "sk-secret", "model": "gpt-twin"}
    lab = {"command": sys.executable, "args": [str(TOOLSERVER), str(notes.path)]}
    settings = {
        "providers": json.dumps({"twin": provider}),
        "mcp_servers": json.dumps({"lab": lab}),
        "log_level": "warning",
    }
    return Service(tmp_path / "data", *arguments, **settings)


async def begin(service: Service, browser: aiohttp.ClientSession, *tools: str) -> str:
    for tool in tools:
        done = await asyncio.to_thread(
            chatvault, service.data_dir, "tools", "allow", tool, "--role", "user"
        )
        assert done.returncode == 0, done.stderr
    await service.sign_in(browser)
    wanted = {"title": "T", "mcp_enabled": True}
    _, begun = await ask(browser, "POST", f"{service.url}/conversations", wanted)
    await connected(service, browser, len(tools))
    return f"/conversations/{begun['id']}"


async def connected(service: Service, browser: aiohttp.ClientSession, permitted: int = 1) -> None:
    """Wait until whichever process is asked has its tools."""
    in_a_row = 0
    for _ in range(300):
        _, tools = await ask(browser, "GET", f"{service.url}/mcp/tools")
        in_a_row = in_a_row + 1 if sum(tool["permitted"] for tool in tools) == permitted else 0
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


class TestKilled:
    async def test_in_the_middle_of_a_command_it_never_runs_again(
        self, tmp_path: Path, fake_model: FakeModel, notes: Notes
    ) -> None:
        with configured(tmp_path, fake_model, notes) as service:
            async with service.browser() as browser:
                path = await begin(service, browser, "lab__sleep")
                command = await propose(
                    service, browser, path, fake_model, '{"seconds": 60, "key": "once"}'
                )
                fake_model.say("So it went.")
                url = f"{service.url}{command}/approve"
                answer = await browser.post(url, headers={"Prefer": "respond-async"})
                assert answer.status == 202
                await until(lambda: notes.lines == ["sleep once"])

                service.kill()
                service.start()
                found = await ended(service, browser, path)

                [left] = commands_of(found)
                assert (left["status"], left["code"]) == ("failed", "interrupted")
                assert "may have done its work" in fake_model.requests[1]["messages"][-1]["content"]
                again, _ = await ask(browser, "POST", f"{service.url}{command}/approve")
                assert again.status == 200
                assert notes.lines == ["sleep once"]

    async def test_with_a_command_pending_it_can_be_approved_after(
        self, tmp_path: Path, fake_model: FakeModel, notes: Notes
    ) -> None:
        with configured(tmp_path, fake_model, notes) as service:
            async with service.browser() as browser:
                path = await begin(service, browser, "lab__sleep")
                command = await propose(
                    service, browser, path, fake_model, '{"seconds": 0, "key": "a"}'
                )

                service.kill()
                service.start()
                await connected(service, browser)
                fake_model.say("So it went.")
                answer, ran = await ask(browser, "POST", f"{service.url}{command}/approve")

                assert (answer.status, ran["status"]) == (200, "executed")
                await ended(service, browser, path)
                assert notes.lines == ["sleep a", "slept a"]


class TestStopped:
    async def test_ends_its_commands_and_whoever_waits_for_a_word(
        self, tmp_path: Path, fake_model: FakeModel, notes: Notes
    ) -> None:
        with configured(tmp_path, fake_model, notes) as service:
            async with service.browser() as browser:
                path = await begin(service, browser, "lab__sleep")
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
                await until(lambda: notes.lines)

                status = await asyncio.to_thread(service.stop)

                assert status == 0
                assert await events_of(stream) == []
                answer, ran = await running
                assert (answer.status, ran["code"]) == (200, "interrupted")
                service.start()
                found = await read(service, browser, path)
                assert [each["status"] for each in commands_of(found)] == ["failed", "pending"]
                assert second["id"] == commands_of(found)[1]["id"]


class TestTwoProcesses:
    async def test_run_what_both_are_asked_for_once(
        self, tmp_path: Path, fake_model: FakeModel, notes: Notes
    ) -> None:
        with configured(tmp_path, fake_model, notes, "--workers", "2") as service:
            # Each request has a connection of its own: the kernel spreads them.
            async with service.browser(Connection="close") as browser:
                path = await begin(service, browser, "lab__sleep")
                command = await propose(
                    service, browser, path, fake_model, '{"seconds": 0.5, "key": "x"}'
                )
                fake_model.say("So it went.")

                url = f"{service.url}{command}/approve"
                answers = await asyncio.gather(*(ask(browser, "POST", url) for _ in range(50)))

                shown = {(answer.status, ran["status"]) for answer, ran in answers}
                assert shown == {(200, "executed")}
                await ended(service, browser, path)
                assert notes.lines == ["sleep x", "slept x"]
                assert len(fake_model.requests) == 2
