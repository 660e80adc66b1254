"""Connections to MCP servers, with real programs of others and over both ways."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from pydantic import SecretStr

from chatvault.commands import connections, servers
from chatvault.commands.errors import ServerUnavailable
from chatvault.commands.servers import Servers, ServerState
from chatvault.commands.tools import TERMINAL, command_arguments
from chatvault.external import McpServer, McpTool
from support import programs
from support.talking import until
from support.tooling import Notes, free_port

TOOLSERVER = Path(__file__).parent.parent / "support" / "toolserver.py"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "LOOK_EVERY", 0.1)
    monkeypatch.setattr(servers, "FIRST_WAIT", 0.05)


def stdio(command: list[str], **more: Any) -> McpServer:
    return McpServer(command=command[0], args=tuple(command[1:]), **more)


@pytest.fixture
async def connect(tmp_path: Path, quick: None) -> AsyncIterator[Any]:
    opened: list[Servers] = []

    async def connect(*, timeout: float = 10.0, **wanted: McpServer) -> Servers:  # noqa: ASYNC109
        found = Servers(wanted, timeout=timeout, log_dir=tmp_path / "mcp")
        opened.append(found)
        found.open()
        await until(lambda: all(each.state is ServerState.CONNECTED for each in found), 20.0)
        return found

    yield connect
    for each in opened:
        await each.close()


async def call(found: Servers, name: str, **arguments: Any) -> Any:
    return await found.call(found.tools[name], arguments)


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


class TestRealServers:
    async def test_time_server_returns_the_time(self, connect: Any) -> None:
        found = await connect(clock=stdio(programs.time_server()))

        told = await call(found, "clock__get_current_time", timezone="Europe/Paris")
        wrong = await call(found, "clock__get_current_time", timezone="Nowhere")

        assert '"timezone": "Europe/Paris"' in told.text
        assert told.code is None
        assert (wrong.code, "Nowhere" in wrong.text) == ("tool_failed", True)

    async def test_shell_server_runs_allowed_commands(self, connect: Any, tmp_path: Path) -> None:
        shell = stdio(
            programs.shell_server(),
            env={"ALLOW_COMMANDS": SecretStr("echo,pwd")},
            tools={"shell_execute": McpTool(name=TERMINAL, arguments={"directory": str(tmp_path)})},
        )
        found = await connect(shell=shell)
        tool = found.tools[TERMINAL]

        said = await found.call(tool, command_arguments(tool, "echo 'one two' three"))
        where = await found.call(tool, command_arguments(tool, "pwd"))
        refused = await found.call(tool, command_arguments(tool, "rm -rf /nowhere"))

        assert said.text.strip() == "one two three"
        assert where.text.strip() == str(tmp_path)
        assert refused.code == "tool_failed"
        assert "directory" not in tool.schema["properties"]

    async def test_all_kinds_of_content_are_converted_to_text(self, connect: Any) -> None:
        found = await connect(every=stdio(programs.everything_server()))

        said = await call(found, "every__echo", message="hello")
        picture = await call(found, "every__get-tiny-image")
        added = await call(found, "every__get-sum", a=2, b=3)

        assert "hello" in said.text
        assert "[image image/png, " in picture.text
        assert "5" in added.text

    async def test_http_server_answers(self, connect: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        port = free_port()
        process = await asyncio.create_subprocess_exec(
            *programs.everything_server("streamableHttp"),
            env={**os.environ, "PORT": str(port)},
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            every = McpServer(url=f"http://127.0.0.1:{port}/mcp", headers={"X-Key": SecretStr("k")})
            found = await connect(every=every)
            said = await call(found, "every__echo", message="far away")
            assert "far away" in said.text
        finally:
            process.terminate()
            await process.wait()


class TestStdio:
    @pytest.fixture
    def notes(self, tmp_path: Path) -> Notes:
        (tmp_path / "notes").touch()
        return Notes(tmp_path / "notes")

    @pytest.fixture
    def lab(self, notes: Notes) -> McpServer:
        command = [sys.executable, str(TOOLSERVER), str(notes.path)]
        return stdio(command, env={"LAB_TOKEN": SecretStr("for-the-lab")})

    async def test_passes_no_secrets_in_the_environment(
        self, connect: Any, lab: McpServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        secrets = {
            "CHATVAULT_SECRET_KEY": "s" * 40,
            "CHATVAULT_MONGODB_URL": "mongodb://u:p@db",
            "CHATVAULT_AUDIT_KEYS": "a" * 64,
            "CHATVAULT_PROVIDERS": '{"x": {"api_key": "sk-1", "model": "m"}}',
            "OPENAI_API_KEY": "sk-2",
            "AWS_SECRET_ACCESS_KEY": "aws",
        }
        for name, value in secrets.items():
            monkeypatch.setenv(name, value)
        found = await connect(lab=lab)

        told = await call(found, "lab__environment")

        names = {line.partition("=")[0] for line in told.text.splitlines()}
        # The last two are Python's own doing.
        known = {"HOME", "LOGNAME", "PATH", "SHELL", "TERM", "USER", "LC_CTYPE", "PYTHONPATH"}
        assert names - known == {"LAB_TOKEN"}
        assert not any(value in told.text for value in secrets.values())

    async def test_restarts_a_program_that_ended(
        self, connect: Any, lab: McpServer, notes: Notes
    ) -> None:
        found = await connect(lab=lab)
        pid = int((await call(found, "lab__pid")).text)

        os.kill(pid, signal.SIGKILL)
        [server] = found
        await until(lambda: server.failures > 0)
        await until(lambda: server.state is ServerState.CONNECTED)

        assert (await call(found, "lab__echo", text="again")).text == "heard: again"
        assert int((await call(found, "lab__pid")).text) != pid

    async def test_does_not_repeat_a_call_that_ended_the_program(
        self, connect: Any, lab: McpServer, notes: Notes
    ) -> None:
        found = await connect(lab=lab)

        died = await call(found, "lab__die")

        assert died.code == "connection_lost"
        [server] = found
        await until(lambda: server.state is ServerState.CONNECTED)
        await asyncio.sleep(0.3)
        assert notes.lines == ["die"]

    @pytest.mark.parametrize(
        "error",
        [anyio.ClosedResourceError(), anyio.BrokenResourceError(), RuntimeError(), OSError()],
    )
    async def test_reports_an_unknown_outcome_of_an_interrupted_call(
        self, connect: Any, lab: McpServer, monkeypatch: pytest.MonkeyPatch, error: Exception
    ) -> None:
        found = await connect(lab=lab)
        [server] = found

        async def break_off(*_args: Any, **_kwargs: Any) -> None:
            raise error

        monkeypatch.setattr(server._connection._session, "send_request", break_off)

        assert (await call(found, "lab__echo", text="x")).code == "connection_lost"

    async def test_makes_no_call_without_a_connection(
        self, connect: Any, lab: McpServer, notes: Notes
    ) -> None:
        found = await connect(lab=lab)
        tool, pid = found.tools["lab__echo"], int((await call(found, "lab__pid")).text)
        [server] = found
        assert is_running(pid)

        await found.close()

        assert (server.state, found.tools) == (ServerState.DOWN, {})
        with pytest.raises(ServerUnavailable):
            await found.call(tool, {"text": "x"})
        assert notes.lines == []
        await until(lambda: not is_running(pid))

    async def test_retries_a_program_that_cannot_start(
        self, tmp_path: Path, quick: None, capsys: pytest.CaptureFixture[str]
    ) -> None:
        wanted = {"none": stdio([str(tmp_path / "nothing")])}
        found = Servers(wanted, timeout=1.0, log_dir=tmp_path / "mcp")
        [server] = found
        began = time.monotonic()
        found.open()

        await until(lambda: server.failures == 3)
        await found.close()

        assert server.state is ServerState.DOWN
        assert time.monotonic() - began > 0.1
        assert "mcp_server_down" in capsys.readouterr().out

    async def test_keeps_a_programs_output_out_of_the_log(
        self, connect: Any, lab: McpServer, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        found = await connect(shell=stdio(programs.shell_server()))

        captured = capfd.readouterr()
        written = tmp_path / "mcp" / "shell.log"
        assert "Starting MCP shell server" in written.read_text()
        assert written.stat().st_mode & 0o077 == 0
        assert "Starting MCP" not in captured.out + captured.err
        assert len(found.tools) == 1

    async def test_keeps_the_log_of_another_process(
        self, connect: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        written = tmp_path / "mcp" / "shell.log"
        written.parent.mkdir()
        written.write_text("from the worker beside\n")

        await connect(shell=stdio(programs.shell_server()))
        beside = written.read_text()
        monkeypatch.setattr(connections, "MAX_LOG", 10)
        await connect(shell=stdio(programs.shell_server()))

        assert beside.startswith("from the worker beside\n")
        assert "Starting MCP shell server" in beside
        assert "from the worker beside" not in written.read_text()
