"""Fixtures: an MCP server, and settings that name it and the fake model."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from chatvault.actor import Actor, Door, Role
from chatvault.commands import permissions
from chatvault.external import McpServer, McpTool, Provider
from chatvault.settings import Settings
from support.factories import settings_for
from support.fake_model import FakeModel
from support.tooling import Notes, free_port, settled_tools

TOOLSERVER = Path(__file__).parent / "toolserver.py"
TERMINAL = {"run": McpTool(name="terminal_command", arguments={"place": "/srv"})}


@pytest.fixture(scope="session")
def toolserver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The URL of the MCP server over HTTP, and the file of its notes."""
    notes, port = tmp_path_factory.mktemp("toolserver") / "notes", free_port()
    notes.touch()
    command = [sys.executable, str(TOOLSERVER), str(notes), str(port)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    yield f"http://127.0.0.1:{port}/mcp", notes
    process.terminate()
    process.wait(10)


@pytest.fixture
def notes(toolserver: tuple[str, Path]) -> Notes:
    """The calls that the MCP server received in this test."""
    toolserver[1].write_text("")
    return Notes(toolserver[1])


@pytest.fixture
def mcp_servers(toolserver: tuple[str, Path]) -> dict[str, McpServer]:
    return {"lab": McpServer(url=toolserver[0], tools=TERMINAL)}


@pytest.fixture
def tool_settings(
    data_dir: Path, fake_model: FakeModel, mcp_servers: dict[str, McpServer]
) -> Settings:
    """Settings for tests that need a model and tools; they return it as their `settings`."""
    provider = Provider(base_url=fake_model.url, api_key=SecretStr("sk-none"), model="gpt-twin")
    return settings_for(
        data_dir,
        providers={"twin": provider},
        replies_per_minute=1000,
        commands_per_minute=1000,
        mcp_servers=mcp_servers,
    )


@pytest.fixture
async def tools(http: Any) -> Any:
    """Wait until the MCP servers are connected, and grant tools to users."""
    await settled_tools(http.server.app)

    async def grant(*names: str, auto: bool = False) -> None:
        for name in names:
            roles = (Role.USER,)
            await permissions.grant(
                Actor(door=Door.CLI),
                tool=name,
                roles=roles,
                auto_approve_roles=roles if auto else (),
            )

    return grant
