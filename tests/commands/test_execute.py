"""`execute-command`: a command line at a person's word."""

import asyncio
from typing import Any

import pytest
from aiohttp import web

from chatvault.background import SERVERS
from conftest import HttpClient
from support.answers import found, problem
from support.factories import begin, message
from support.fake_model import FakeModel
from support.talking import ask
from support.tooling import Grant, Notes, commands_of

MESSAGE = message("Look at this", id="first")


def path_of(conversation: dict[str, Any], message_id: str = "first") -> str:
    return f"/conversations/{conversation['id']}/messages/{message_id}/execute-command"


async def begin_armed(http: HttpClient, **more: Any) -> dict[str, Any]:
    return await begin(http, **{"mcp_enabled": True, "title": "T", "messages": [MESSAGE]} | more)


class TestExecuteCommand:
    async def test_runs_the_command_and_stores_it_on_the_message(
        self, alice: HttpClient, tools: Grant, notes: Notes
    ) -> None:
        await tools("terminal_command")
        conversation = await begin_armed(alice)

        answer = await alice.post(path_of(conversation), json={"command": "ls -la"})

        ran = await answer.json()
        assert answer.status == 200
        assert (ran["status"], ran["result"]) == ("executed", "/srv$ ls -la")
        assert (ran["tool"], ran["decided_by"]) == ("terminal_command", "person")
        assert (ran["message_id"], ran["reply_id"], ran["call_id"]) == ("first", None, None)
        [kept] = commands_of(await found(alice, conversation["id"]))
        assert kept.items() <= ran.items()
        assert notes.lines == ["run /srv ls -la"]

    async def test_is_sent_to_the_model_as_a_tools_output(
        self, alice: HttpClient, fake_model: FakeModel, tools: Grant
    ) -> None:
        await tools("terminal_command")
        conversation = await begin_armed(alice)
        await alice.post(path_of(conversation), json={"command": "uptime"})

        await ask(alice, conversation, "What does it say?")

        told = fake_model.requests[0]["messages"]
        assert [each["role"] for each in told] == ["system", "user", "assistant", "tool", "user"]
        assert told[2]["tool_calls"][0]["id"] == told[3]["tool_call_id"]
        assert told[3]["content"] == "/srv$ uptime"

    async def test_runs_once_for_a_key(self, alice: HttpClient, tools: Grant, notes: Notes) -> None:
        await tools("terminal_command")
        conversation = await begin_armed(alice)
        headers = {"Idempotency-Key": "k-1"}

        answers = await asyncio.gather(*(
            alice.post(path_of(conversation), json={"command": "date"}, headers=headers)
            for _ in range(10)
        ))  # fmt: skip
        shown = [await answer.json() for answer in answers]

        assert {answer.status for answer in answers} == {200}
        assert all(each == shown[0] for each in shown)
        assert notes.lines == ["run /srv date"]
        other = await alice.post(path_of(conversation), json={"command": "w"}, headers=headers)
        await problem(other, 422, "idempotency_key_reused")

    async def test_answers_a_repeat_even_if_the_server_is_gone(
        self, alice: HttpClient, app: web.Application, tools: Grant, notes: Notes
    ) -> None:
        await tools("terminal_command")
        conversation = await begin_armed(alice)
        keyed: Any = {"json": {"command": "date"}, "headers": {"Idempotency-Key": "k-1"}}
        first = await (await alice.post(path_of(conversation), **keyed)).json()
        await app[SERVERS].close()

        again = await alice.post(path_of(conversation), **keyed)

        assert (again.status, await again.json()) == (200, first)
        refused = await alice.post(path_of(conversation), json={"command": "date"})
        await problem(refused, 503, "mcp_server_unavailable")
        assert notes.lines == ["run /srv date"]

    async def test_requires_a_grant(
        self, alice: HttpClient, tools: Grant, notes: Notes, database: Any
    ) -> None:
        await tools("lab__echo")
        conversation = await begin_armed(alice)

        refused = await alice.post(path_of(conversation), json={"command": "ls"})

        await problem(refused, 403, "tool_not_permitted")
        assert notes.lines == []
        entry = await database.audit_logs.find_one({"action": "command.execute_terminal"})
        assert (entry["outcome"], entry["details"]) == ("denied", {"tool": "terminal_command"})

    async def test_is_for_the_owner_of_the_message_only(
        self, alice: HttpClient, bob: HttpClient, tools: Grant, notes: Notes
    ) -> None:
        await tools("terminal_command")
        conversation = await begin_armed(alice)

        for path in (path_of(conversation), path_of(conversation, "nothing")):
            await problem(await bob.post(path, json={"command": "ls"}), 404, "not_found")
        refused = await alice.post(path_of(conversation, "nothing"), json={"command": "ls"})
        await problem(refused, 404, "not_found")
        assert notes.lines == []

    async def test_is_disabled_with_tools(
        self, alice: HttpClient, tools: Grant, notes: Notes
    ) -> None:
        await tools("terminal_command")
        plain = await begin_armed(alice, mcp_enabled=False)
        archived = await begin_armed(alice)
        path = f"/conversations/{archived['id']}/archive"
        await alice.post(path, json={"archived": True})

        refused = await alice.post(path_of(plain), json={"command": "ls"})
        await problem(refused, 409, "mcp_not_enabled")
        refused = await alice.post(path_of(archived), json={"command": "ls"})
        await problem(refused, 409, "conversation_archived")
        assert notes.lines == []

    @pytest.mark.parametrize("command", ["", "   ", "echo 'half", "x" * 8193])
    async def test_refuses_an_invalid_command_line(
        self, alice: HttpClient, tools: Grant, notes: Notes, command: str
    ) -> None:
        await tools("terminal_command")
        conversation = await begin_armed(alice)

        refused = await alice.post(path_of(conversation), json={"command": command})

        body = await refused.json()
        assert refused.status == 422
        assert body["code"] in {"invalid_input", "invalid_command"}
        assert body["errors"][0]["loc"] == ["body", "command"]
        assert notes.lines == []

    async def test_limits_the_commands_of_a_message(
        self, alice: HttpClient, tools: Grant, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("chatvault.commands.service.MAX_COMMANDS", 2)
        await tools("terminal_command")
        conversation = await begin_armed(alice)
        for _ in range(2):
            await alice.post(path_of(conversation), json={"command": "ls"})

        refused = await alice.post(path_of(conversation), json={"command": "ls"})

        await problem(refused, 409, "too_many_commands")

    async def test_works_on_a_message_in_a_segment(self, alice: HttpClient, tools: Grant) -> None:
        await tools("terminal_command")
        many = [MESSAGE, *(message(f"more {number}") for number in range(120))]
        conversation = await begin_armed(alice, messages=many)

        ran = await (await alice.post(path_of(conversation), json={"command": "ls"})).json()

        assert ran["status"] == "executed"
        [kept] = commands_of(await found(alice, conversation["id"]))
        assert kept["id"] == ran["id"]
