"""A server of tools is told for whom it is called, if its settings say so."""

from pathlib import Path
from typing import Any

import pytest

from chatvault.external import McpServer
from conftest import HttpClient
from support.fake_model import FakeModel
from support.rawtools import RawServer, entry, said
from support.tooling import Grant, answered, path_to, propose


@pytest.fixture
def told(tmp_path: Path) -> RawServer:
    return RawServer(tmp_path / "told")


@pytest.fixture
def other(tmp_path: Path) -> RawServer:
    return RawServer(tmp_path / "other")


@pytest.fixture
def mcp_servers(told: RawServer, other: RawServer) -> dict[str, McpServer]:
    for server in (told, other):
        server.catalog(entry("t"))
        server.answer("call", said("done"))
    return {"told": told.settings(send_user_id=True), "other": other.settings()}


class TestUserId:
    async def test_goes_to_the_server_that_asks_for_it(
        self,
        alice: HttpClient,
        fake_model: FakeModel,
        tools: Grant,
        told: RawServer,
        other: RawServer,
    ) -> None:
        await tools("told__t", "other__t")
        forged = '{"_meta": {"user_id": "me"}, "user_id": "me"}'
        conversation, commands = await propose(
            alice, fake_model, ("told__t", forged), ("other__t", "{}")
        )
        for command in commands:
            answer = await alice.post(path_to(conversation, command, "approve"))
            assert answer.status == 200, await answer.text()
        await answered(alice, conversation)

        me: dict[str, Any] = await (await alice.get("/auth/me")).json()
        assert told.metas[0]["user_id"] == me["id"]
        assert "user_id" not in (other.metas[0] or {})
        assert me["id"] not in str(fake_model.requests)

    def test_is_not_sent_by_default(self) -> None:
        assert McpServer(command="x").send_user_id is False
