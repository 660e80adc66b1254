"""Commands whose process was out of touch with MongoDB, or has another clock."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo.errors import NetworkTimeout

from chatvault.background import COMMANDS
from chatvault.commands.models import Command
from chatvault.fields import now
from conftest import HttpClient
from support.factories import begin
from support.fake_model import FakeModel, ScriptedAnswer
from support.talking import ask, until
from support.tooling import Grant, Notes, answered, path_to, propose

SLEEP = ("lab__sleep", '{"seconds": 3}')


def _away() -> Any:
    raise NetworkTimeout("away")


class TestAfterAnOutage:
    @pytest.fixture(autouse=True)
    def short(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, seconds in {
            "LEASE_SECONDS": 1.0, "RENEW_EVERY": 0.05, "RETRY_AFTER": 0.05, "MAX_GAP": 0.4,
        }.items():  # fmt: skip
            monkeypatch.setattr(f"chatvault.mongodb.renewing.{name}", seconds)

    async def test_a_running_command_stays_with_its_process(
        self,
        alice: HttpClient,
        elsewhere: HttpClient,
        fake_model: FakeModel,
        tools: Grant,
        notes: Notes,
        database: Any, app: Any, monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        await tools("lab__sleep")
        other: Any = elsewhere.server
        runners = [app[COMMANDS], other.app[COMMANDS]]
        await until(lambda: all(each._contact.is_steady for each in runners), 30)
        conversation, [command] = await propose(alice, fake_model, SLEEP)
        running = asyncio.create_task(alice.post(path_to(conversation, command, "approve")))
        await until(lambda: notes.lines)

        with monkeypatch.context() as patched:
            patched.setattr(Command, "get_pymongo_collection", _away)
            await until(lambda: not any(each._contact.is_steady for each in runners), 30)
            past = [{"$set": {"lease_until": "$created_at"}}]
            await database.commands.update_one({}, past)

        for each in reversed(runners):
            assert await each.reap() == 0
        ran = await (await running).json()
        assert (ran["status"], ran["result"], ran["code"]) == ("executed", "rested", None)
        await answered(alice, conversation)

    async def test_storing_a_result_is_retried(
        self, alice: HttpClient, fake_model: FakeModel, tools: Grant, app: Any,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        monkeypatch.setattr("chatvault.commands.runner.MAX_PAUSE", 0.01)
        await tools("lab__echo")
        conversation, [command] = await propose(alice, fake_model, ("lab__echo", '{"text": "hi"}'))
        failures = [NetworkTimeout("away")] * 30
        settle = app[COMMANDS]._settle

        async def fail(*of: Any) -> Any:
            if failures:
                raise failures.pop()
            return await settle(*of)

        monkeypatch.setattr(app[COMMANDS], "_settle", fail)

        ran = await (await alice.post(path_to(conversation, command, "approve"))).json()

        assert (ran["status"], ran["result"]) == ("executed", "heard: hi")


class TestClocks:
    @pytest.mark.parametrize("by", ["person", "rule"])
    async def test_lose_no_command_if_slow(
        self,
        alice: HttpClient,
        fake_model: FakeModel,
        tools: Grant,
        database: Any,
        notes: Notes,
        by: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        await tools("lab__sleep", auto=True)
        for module in ("commands.service", "replies.runner"):
            behind = f"chatvault.{module}.now"
            monkeypatch.setattr(behind, lambda: now() - timedelta(hours=1))
        if by == "person":
            conversation, [command] = await propose(alice, fake_model, SLEEP)
            headers = {"Prefer": "respond-async"}
            answer = await alice.post(path_to(conversation, command, "approve"), headers=headers)
            assert answer.status == 202
        else:
            await alice.put("/mcp/rules/lab__sleep")
            conversation = await begin(alice, mcp_enabled=True, title="T")
            fake_model.say(ScriptedAnswer(chunks=["Let me rest."], calls=[SLEEP]))
            await ask(alice, conversation, "Do it")

        stored = await database.commands.find_one()

        assert stored["status"] == "approved"
        assert abs(stored["lease_until"] - datetime.now(UTC)) < timedelta(seconds=11)
