"""Rounds of tools with a model of Anthropic's, which gets its reasoning back with the results."""

import asyncio
from pathlib import Path

import pytest

from chatvault.external import McpServer
from chatvault.settings import Settings
from conftest import HttpClient
from support.answers import found
from support.factories import begin, settings_for
from support.fake_anthropic import FakeAnthropic, ScriptedMessage, fake_anthropic, only_anthropic
from support.fake_model import FakeModel
from support.talking import ask
from support.tooling import Grant, Notes, answered, commands_of, path_to

__all__ = ["fake_anthropic", "only_anthropic"]
ECHO = ("lab__echo", '{"text": "hi"}', "toolu_1")


@pytest.fixture
def settings(
    data_dir: Path, fake_anthropic: FakeAnthropic, fake_model: FakeModel,
    mcp_servers: dict[str, McpServer],
) -> Settings:  # fmt: skip
    providers = {
        "claude": fake_anthropic.provider(),
        "twin": {"base_url": fake_model.url, "model": "gpt-twin"},
    }
    return settings_for(
        data_dir, providers=providers, mcp_servers=mcp_servers, replies_per_minute=1000
    )


async def test_run_after_approval_and_are_answered(
    alice: HttpClient, fake_anthropic: FakeAnthropic, tools: Grant, notes: Notes
) -> None:
    await tools("lab__echo")
    conversation = await begin(alice, mcp_enabled=True, title="T")
    fake_anthropic.say(
        ScriptedMessage(chunks=["Earlier."], thinking=["Old."], signature="b2xk"),
        ScriptedMessage(
            thinking=["Echo it."], signature="c2ln", redacted="cmVk",
            chunks=["Let me look."], calls=[ECHO],
        ),
        ScriptedMessage(thinking=["Once more."], signature="c2Vj", chunks=[], calls=[ECHO]),
        ScriptedMessage(chunks=["Done."]),
    )  # fmt: skip
    await ask(alice, conversation, "Hello")
    await ask(alice, conversation, "Do it")
    [command] = commands_of(await found(alice, conversation["id"]))
    assert command["status"] == "pending"

    await alice.post(path_to(conversation, command, "approve"))
    for _ in range(1500):
        commands = commands_of(await found(alice, conversation["id"]))
        if len(commands) == 2:
            break
        await asyncio.sleep(0.01)
    assert commands[1]["status"] == "pending"
    await alice.post(path_to(conversation, commands[1], "reject"))
    shown = await answered(alice, conversation)

    assert shown["messages"][-1]["content"] == "Done."
    assert len(notes.lines) == 1
    tool = fake_anthropic.requests[1]["tools"][0]
    assert (tool["name"], tool["input_schema"]["required"]) == ("lab__echo", ["text"])
    first, second, third = (each["messages"] for each in fake_anthropic.requests[1:])
    assert [each["role"] for each in third] == ["user", "assistant"] * 3 + ["user"]
    assert second == [*first, *second[3:]]
    assert third[: len(second)] == second
    assert third[1]["content"] == [{"type": "text", "text": "Earlier."}]
    assert third[3]["content"] == [
        {"type": "thinking", "thinking": "Echo it.", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "cmVk"},
        {"type": "text", "text": "Let me look."},
        {"type": "tool_use", "id": "toolu_1", "name": "lab__echo", "input": {"text": "hi"}},
    ]
    [result] = third[4]["content"]
    assert (result["type"], result["tool_use_id"]) == ("tool_result", "toolu_1")
    assert "hi" in result["content"]
    assert third[5]["content"][0]["signature"] == "c2Vj"
    assert "rejected" in third[6]["content"][0]["content"]


async def test_show_a_result_beside_the_next_message(
    alice: HttpClient, fake_anthropic: FakeAnthropic, fake_model: FakeModel, tools: Grant
) -> None:
    await tools("lab__echo")
    conversation = await begin(alice, mcp_enabled=True, title="T")
    agent = await (await alice.post("/agents", json={"name": "T", "provider": "twin"})).json()
    call = ScriptedMessage(thinking=["Hm."], signature="c2ln", chunks=[], calls=[("lab__echo", "")])
    fake_anthropic.say(call)
    await ask(alice, conversation, "Do it")

    # The new message supersedes the call.
    await ask(alice, conversation, "Never mind")
    await ask(alice, conversation, "And you?", agent_id=agent["id"])

    user, assistant, results = fake_anthropic.requests[1]["messages"]
    [use] = assistant["content"]
    assert (use["type"], use["input"]) == ("tool_use", {})
    assert [each["type"] for each in results["content"]] == ["tool_result", "text"]
    assert results["content"][0]["tool_use_id"] == use["id"]
    assert user["role"] == "user"
    # Only Anthropic's models get their reasoning back.
    assert all("thinking_blocks" not in each for each in fake_model.requests[0]["messages"])
    called = fake_model.requests[0]["messages"][2]
    assert called["tool_calls"][0]["function"]["arguments"] == "{}"
