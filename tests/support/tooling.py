"""Making and reading commands in tests."""

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from chatvault.background import SERVERS
from chatvault.commands.servers import ServerState
from support.answers import found
from support.factories import begin
from support.fake_model import FakeModel, ScriptedAnswer
from support.talking import ask

Grant = Callable[..., Awaitable[None]]


@dataclass(frozen=True)
class Notes:
    """The calls that an MCP server received."""

    path: Path

    @property
    def lines(self) -> list[str]:
        return self.path.read_text().splitlines()


async def settled_tools(app: web.Application) -> None:
    """Wait until all MCP servers are connected."""
    began = time.monotonic()
    while not all(server.state is ServerState.CONNECTED for server in app[SERVERS]):
        assert time.monotonic() - began < 120
        await asyncio.sleep(0.02)


def commands_of(conversation: dict[str, Any]) -> list[dict[str, Any]]:
    """Return all commands of a conversation, oldest first."""
    return [
        command for message in conversation["messages"] for command in message.get("commands") or ()
    ]


async def propose(
    http: Any, fake_model: FakeModel, *calls: tuple[str, ...], **more: Any
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Create a conversation whose model makes these calls; return it with its commands."""
    conversation = await begin(http, mcp_enabled=True, title="T", **more)
    fake_model.say(ScriptedAnswer(chunks=["Let me look."], calls=calls))
    await ask(http, conversation, "Do it")
    return conversation, commands_of(await found(http, conversation["id"]))


def path_to(conversation: dict[str, Any], command: dict[str, Any], step: str = "") -> str:
    path = f"/conversations/{conversation['id']}/commands/{command['id']}"
    return f"{path}/{step}" if step else path


async def answered(http: Any, conversation: dict[str, Any]) -> dict[str, Any]:
    """Return the conversation once its newest message is an answer without calls."""
    for _ in range(1500):
        shown = await found(http, conversation["id"])
        last = shown["messages"][-1]
        is_done = shown["active_reply_id"] is None and last["role"] == "assistant"
        if is_done and not last.get("tool_calls"):
            return shown
        await asyncio.sleep(0.01)
    raise AssertionError("the reply does not go on")


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port
