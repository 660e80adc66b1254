"""Commands on messages that lie in segments, which an edit may cut."""

import asyncio
from typing import Any

import pytest

from conftest import HttpClient
from support.answers import found
from support.factories import message
from support.fake_model import FakeModel
from support.stored import stored, tiny_bounds
from support.talking import ask
from support.tooling import Grant, Notes, answered, commands_of, path_to, propose

ECHO = ("lab__echo", '{"text": "hi"}')
SLEEP = ("lab__sleep", '{"seconds": 0.7}')


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_bounds(monkeypatch)
    # Whatever grows is cut.
    monkeypatch.setattr("chatvault.conversations.commits.segment_writes.SEGMENT_HARD_BYTES", 0)
    monkeypatch.setattr("chatvault.conversations.segments.MAX_BYTES", 500)


async def say_more(alice: HttpClient, conversation: dict[str, Any], count: int = 6) -> None:
    """Let what was said so far move to segments."""
    for number in range(count):
        path = f"/conversations/{conversation['id']}/messages"
        answer = await alice.post(path, json=message(f"more {number}" + "x" * 100))
        assert answer.status == 200


class TestSplitSegment:
    async def test_lets_a_reply_continue_after_its_command(
        self, alice: HttpClient, fake_model: FakeModel, tools: Grant, database: Any
    ) -> None:
        await tools("lab__sleep")
        conversation, [command] = await propose(alice, fake_model, SLEEP)
        at_once = {"Prefer": "respond-async"}
        approved = await alice.post(path_to(conversation, command, "approve"), headers=at_once)
        assert approved.status == 202
        await say_more(alice, conversation, 4)

        async with asyncio.timeout(30):
            shown = await answered(alice, conversation)

        assert len(fake_model.requests) == 2
        assert shown["messages"][-1]["content"] == "Answer 2."
        ran = {"action": "command.execute"}
        assert await database["audit_logs"].count_documents(ran) == 1
        await stored(database, conversation["id"])

    async def test_lets_commands_be_superseded_together(
        self, alice: HttpClient, fake_model: FakeModel, tools: Grant, notes: Notes, database: Any
    ) -> None:
        await tools("lab__echo")
        conversation, commands = await propose(alice, fake_model, ECHO, ECHO, ECHO)
        await say_more(alice, conversation)
        version = (await found(alice, conversation["id"]))["version"]

        await ask(alice, conversation, "Never mind")

        shown = await found(alice, conversation["id"])
        assert {each["code"] for each in commands_of(shown)} == {"superseded"}
        # The reply's beginning and its end.
        assert shown["version"] == version + 2
        rejected = {"action": "command.reject"}
        assert await database["audit_logs"].count_documents(rejected) == len(commands) == 3
        assert notes.lines == []
        await stored(database, conversation["id"])

    async def test_lets_commands_be_superseded_if_older_messages_must_move(
        self,
        alice: HttpClient,
        fake_model: FakeModel,
        tools: Grant,
        database: Any,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        await tools("lab__echo")
        conversation, _ = await propose(alice, fake_model, ECHO, ECHO)
        monkeypatch.setattr("chatvault.conversations.commits.working_copy.TAIL_HARD_BYTES", 2000)

        await ask(alice, conversation, "Never mind" + "x" * 1500)

        shown = await found(alice, conversation["id"])
        assert {each["code"] for each in commands_of(shown)} == {"superseded"}
        assert shown["messages"][-1]["content"] == "Answer 2."
        await stored(database, conversation["id"])
