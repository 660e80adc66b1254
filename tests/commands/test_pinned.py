"""What was approved is what runs: the tool that the model was offered, of the server it was on."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from chatvault.background import SERVERS
from chatvault.commands import servers
from chatvault.commands.servers import Server
from chatvault.external import McpServer, McpTool
from conftest import HttpClient
from support.answers import found, problem
from support.factories import begin
from support.fake_model import FakeModel, ScriptedAnswer
from support.rawtools import RawServer, entry, look_again, said
from support.stored import stored
from support.talking import ask, until
from support.tooling import Grant, answered, commands_of, path_to, propose

GO = ("go", "{}")
TAKES_A = {"type": "object", "properties": {"a": {"type": "string"}}}
TAKES_B = {"type": "object", "properties": {"b": {"type": "string"}}}


@pytest.fixture
def first(tmp_path: Path) -> RawServer:
    """A server with the tool `go`."""
    first = RawServer(tmp_path / "first")
    first.catalog(entry("t", TAKES_A, description="Looks."))
    first.answer("call", said("done"))
    return first


@pytest.fixture
def second(tmp_path: Path) -> RawServer:
    """A server that has no tool, at first."""
    second = RawServer(tmp_path / "second")
    second.catalog()
    second.answer("call", said("done by another"))
    return second


@pytest.fixture
def mcp_servers(
    first: RawServer, second: RawServer, monkeypatch: pytest.MonkeyPatch
) -> dict[str, McpServer]:
    monkeypatch.setattr(servers, "LOOK_EVERY", 60.0)
    go = {"t": McpTool(name="go")}
    return {"first": first.settings(tools=go), "second": second.settings(tools=go)}


@pytest.fixture
def connections(http: Any) -> list[Server]:
    return list(http.server.app[SERVERS])


class TestPinned:
    async def test_shows_its_server_and_runs_there(
        self, alice: HttpClient, fake_model: FakeModel, tools: Grant, first: RawServer
    ) -> None:
        await tools("go")

        conversation, [command] = await propose(alice, fake_model, GO)
        ran = await (await alice.post(path_to(conversation, command, "approve"))).json()

        assert (command["server"], len(command["tool_hash"])) == ("first", 64)
        assert (ran["status"], ran["result"]) == ("executed", "done")

    @pytest.mark.parametrize(
        "changed",
        [
            entry("t", TAKES_B, description="Looks."),
            entry("t", TAKES_A, description="Deletes."),
        ],
    )
    async def test_does_not_run_a_changed_tool_and_asks_again(
        self,
        alice: HttpClient,
        fake_model: FakeModel,
        tools: Grant,
        first: RawServer,
        connections: list[Server],
        changed: dict[str, Any],
    ) -> None:
        await tools("go")
        conversation, [command] = await propose(alice, fake_model, GO)
        fake_model.say(ScriptedAnswer(chunks=["Once more."], calls=[GO]), "Done.")

        first.catalog(changed)
        await look_again(connections[0])
        ran = await (await alice.post(path_to(conversation, command, "approve"))).json()

        assert (ran["status"], ran["code"]) == ("failed", "tool_changed")
        assert first.calls == []
        for _ in range(1000):
            commands = commands_of(await found(alice, conversation["id"]))
            if len(commands) == 2:
                break
        assert fake_model.requests[1]["messages"][-1]["content"] == ran["result"]
        assert commands[1]["status"] == "pending"
        again = await (await alice.post(path_to(conversation, commands[1], "approve"))).json()
        assert (again["status"], first.calls) == ("executed", ["t"])
        await answered(alice, conversation)

    async def test_does_not_run_on_another_server(
        self,
        alice: HttpClient,
        fake_model: FakeModel,
        tools: Grant,
        first: RawServer,
        second: RawServer,
        connections: list[Server],
    ) -> None:
        await tools("go")
        conversation, [command] = await propose(alice, fake_model, GO)

        first.catalog()
        second.catalog(entry("t", TAKES_A, description="Looks."))
        await look_again(connections[0])
        await look_again(connections[1])
        ran = await (await alice.post(path_to(conversation, command, "approve"))).json()

        assert (ran["status"], ran["code"]) == ("failed", "tool_changed")
        assert first.calls == second.calls == []
        await answered(alice, conversation)

    async def test_refuses_a_call_whose_tool_changed_during_the_answer(
        self,
        alice: HttpClient,
        fake_model: FakeModel,
        tools: Grant,
        first: RawServer,
        connections: list[Server],
    ) -> None:
        """A rule would have approved it."""
        await tools("go", auto=True)
        await alice.put("/mcp/rules/go")
        conversation = await begin(alice, mcp_enabled=True, title="T")
        held = asyncio.Event()
        fake_model.say(ScriptedAnswer(chunks=["Let me look."], calls=[GO], held=held))

        asking = asyncio.create_task(ask(alice, conversation, "Do it"))
        await until(lambda: bool(fake_model.requests))
        first.catalog(entry("t", TAKES_B, description="Looks."))
        await look_again(connections[0])
        held.set()
        await asking

        shown = await answered(alice, conversation)
        assert [each["code"] for each in commands_of(shown)] == ["tool_changed"]
        assert first.calls == []

    async def test_does_not_run_commands_of_old_versions(
        self,
        alice: HttpClient,
        fake_model: FakeModel,
        tools: Grant,
        first: RawServer,
        database: Any,
    ) -> None:
        """As version 0.1 stored it, which sealed nothing."""
        await tools("go")
        conversation, [command] = await propose(alice, fake_model, GO)
        message = [*(await stored(database, conversation["id"])).messages.values()][1]
        for name in ("server", "tool_hash"):
            del message["commands"][0][name]
        changed = await database.conversations.update_one({}, {"$set": {"messages.1": message}})
        assert changed.modified_count == 1

        listed = await alice.get(f"/conversations/{conversation['id']}/commands")
        ran = await (await alice.post(path_to(conversation, command, "approve"))).json()

        assert [each["id"] for each in await listed.json()] == [command["id"]]
        assert (ran["status"], ran["code"]) == ("failed", "tool_changed")
        assert first.calls == []
        await answered(alice, conversation)


class TestToolsThatCannotBeShown:
    async def test_do_not_affect_other_tools_and_answers(
        self,
        alice: HttpClient,
        fake_model: FakeModel,
        tools: Grant,
        first: RawServer,
        connections: list[Server],
    ) -> None:
        await tools("go", "first__huge", "first__nan")
        first.catalog(
            entry("huge", {"type": "object", "properties": {"n": {"maximum": 10**40}}}),
            entry("nan", {"type": "object", "properties": {"n": {"maximum": float("nan")}}}),
            entry("t", TAKES_A),
        )
        await look_again(connections[0])
        conversation = await begin(alice, mcp_enabled=True, title="T")

        listed = await alice.get("/mcp/tools")
        context = await alice.get(f"/conversations/{conversation['id']}/context")
        [server, _] = await (await alice.get("/mcp/servers")).json()
        await ask(alice, conversation)

        assert [each["name"] for each in await listed.json()] == ["go"]
        assert context.status == 200
        assert [each["function"]["name"] for each in fake_model.requests[0]["tools"]] == ["go"]
        assert [each["tool"] for each in server["left_out"]] == ["first__huge", "first__nan"]
        assert (server["tools"], server["left_out_count"]) == (1, 2)


class TestRefusedNames:
    async def test_are_not_in_the_audit_log(
        self, alice: HttpClient, tools: Grant, database: Any
    ) -> None:
        await tools("go")

        await problem(await alice.put("/mcp/rules/go"), 403, "auto_approval_not_permitted")
        await problem(await alice.put("/mcp/rules/my-secret"), 403, "auto_approval_not_permitted")

        query = {"action": "approval_rule.set", "outcome": "denied"}
        entries = await database.audit_logs.find(query).sort("_id", 1).to_list()
        assert [entry["details"] for entry in entries] == [{"tool": "go"}, None]
