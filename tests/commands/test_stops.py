"""What somebody wants no more while the model speaks: the reply, its tools, the conversation."""

import asyncio
from typing import Any

import pytest

from chatvault.background import RUNNER
from chatvault.commands import permissions
from chatvault.completions.routes import MODELS
from chatvault.errors import Busy
from chatvault.replies import jobs, resume, service
from conftest import HttpClient
from support.answers import found
from support.factories import begin
from support.fake_model import FakeModel, ScriptedAnswer
from support.talking import ask, begin_stream, events_of, next_event, path_of, until
from support.tooling import Grant, Notes, answered, commands_of, path_to, propose

ECHO = ("lab__echo", '{"text": "hi"}')


@pytest.fixture(autouse=True)
def patient(app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model may be silent for longer than a test on a busy machine takes."""
    monkeypatch.setattr(app[MODELS], "_timeout", 60.0)


@pytest.fixture
async def approved(alice: HttpClient, tools: Grant) -> None:
    """A rule of Alice's approves each call of the tool."""
    await tools("lab__echo", auto=True)
    assert (await alice.put("/mcp/rules/lab__echo")).status == 200


async def cancelling(http: Any, conversation: dict[str, Any], database: Any) -> Any:
    """A cancellation of the one reply, once it is stored."""
    reply = await database.replies.find_one()
    path = path_of(conversation, str(reply["_id"]), "cancel")
    asking = asyncio.create_task(http.post(path))
    while not await database.replies.find_one({"cancel_requested": True}):
        assert not asking.done(), await (await asking).text()
    return asking


@pytest.mark.usefixtures("approved")
class TestStop:
    async def test_applies_if_the_round_ends_in_calls(
        self,
        alice: HttpClient,
        elsewhere: HttpClient,
        fake_model: FakeModel,
        app: Any,
        notes: Notes,
        database: Any, monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        """As where the model ends before its process looks for cancellations."""

        async def look_away() -> None:
            pass

        monkeypatch.setattr(app[RUNNER], "_stop_cancelled", look_away)
        conversation = await begin(alice, mcp_enabled=True, title="T")
        gate = asyncio.Event()
        fake_model.say(ScriptedAnswer(chunks=["Let me", " look."], calls=[ECHO], gate=gate))
        stream = await begin_stream(alice, conversation, "Do it")
        for _ in range(2):
            await next_event(stream)

        asking = await cancelling(elsewhere, conversation, database)
        gate.set()

        assert (await (await asking).json())["state"] == "cancelled"
        last = (await events_of(stream))[-1]
        assert (last.type, last.data["state"]) == ("completed", "cancelled")
        await self._see_nothing_ran(alice, conversation, notes, fake_model)

    async def test_applies_while_the_end_of_the_round_is_stored(
        self, alice: HttpClient, fake_model: FakeModel, notes: Notes, database: Any,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        held, reached = asyncio.Event(), asyncio.Event()
        find = permissions.find

        async def hold(actor: Any) -> Any:
            if asyncio.current_task() in writers:
                reached.set()
                await held.wait()
            return await find(actor)

        server: Any = alice.server
        writers = server.app[RUNNER]._tasks
        monkeypatch.setattr(permissions, "find", hold)
        conversation = await begin(alice, mcp_enabled=True, title="T")
        fake_model.say(ScriptedAnswer(chunks=["Let me look."], calls=[ECHO]))
        stream = await begin_stream(alice, conversation, "Do it")
        await reached.wait()

        asking = await cancelling(alice, conversation, database)
        held.set()

        assert (await (await asking).json())["state"] == "cancelled"
        assert (await events_of(stream))[-1].data["state"] == "cancelled"
        await self._see_nothing_ran(alice, conversation, notes, fake_model)

    async def _see_nothing_ran(
        self, alice: HttpClient, conversation: dict[str, Any], notes: Notes, fake_model: FakeModel
    ) -> None:
        shown = await found(alice, conversation["id"])
        assert commands_of(shown) == []
        assert shown["messages"][-1]["cancelled"] is True
        assert (await ask(alice, conversation, "Never mind"))["state"] == "completed"
        assert notes.lines == []
        assert len(fake_model.requests) == 2

    async def test_applies_if_the_reply_is_resumed_at_that_moment(
        self, alice: HttpClient, fake_model: FakeModel, tools: Grant, database: Any,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        """It waits when it is looked at, and is written again when the cancellation is stored."""
        await tools("lab__echo")
        conversation, [command] = await propose(alice, fake_model, ECHO)
        waiting = [await database.replies.find_one()]
        fake_model.say(ScriptedAnswer(chunks=["It", " heard you."], gate=asyncio.Event()))
        find = service._find

        async def find_late(*of: Any) -> Any:
            return waiting.pop() if waiting else await find(*of)

        await alice.post(path_to(conversation, command, "approve"))
        await until(lambda: len(fake_model.requests) == 2)
        monkeypatch.setattr(service, "_find", find_late)
        path = path_of(conversation, str(waiting[0]["_id"]), "cancel")

        state = await (await alice.post(path)).json()

        assert state["state"] == "cancelled"
        assert (await found(alice, conversation["id"]))["active_reply_id"] is None


@pytest.mark.usefixtures("approved")
class TestRules:
    @pytest.mark.parametrize(
        ("change", "back"),
        [
            ({"mcp_enabled": False}, {"mcp_enabled": True}),
            ({"status": "archived"}, {"status": "active"}),
        ],
        ids=["tools are off", "archived"],
    )
    async def test_approve_nothing_if_permissions_changed_during_the_answer(
        self, alice: HttpClient, fake_model: FakeModel, notes: Notes, change: Any, back: Any
    ) -> None:
        conversation = await begin(alice, mcp_enabled=True, title="T")
        gate = asyncio.Event()
        fake_model.say(ScriptedAnswer(chunks=["Let me", " look."], calls=[ECHO], gate=gate))
        stream = await begin_stream(alice, conversation, "Do it")
        for _ in range(2):
            await next_event(stream)
        path = f"/conversations/{conversation['id']}"

        assert (await alice.patch(path, json=change)).status == 200
        gate.set()
        while (event := await next_event(stream)) is not None and event.type != "waiting":
            pass

        [command] = commands_of(await found(alice, conversation["id"]))
        assert (command["status"], command["decided_by"], command["decided_at"]) == (
            "pending", None, None,
        )  # fmt: skip
        assert notes.lines == []
        await alice.patch(path, json=back)
        ran = await (await alice.post(path_to(conversation, command, "approve"))).json()
        assert (ran["status"], ran["decided_by"]) == ("executed", "person")
        await answered(alice, conversation)
        assert notes.lines == ["echo hi"]


class TestReplyThatCannotContinue:
    async def test_ends_with_an_error(
        self, alice: HttpClient, fake_model: FakeModel, tools: Grant, database: Any,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        async def fail(*_: Any, **__: Any) -> None:
            raise Busy(retry_after=1)

        monkeypatch.setattr(resume, "continue_reply", fail)
        for name, seconds in {"FIRST_WAIT": 0.01, "POLL": 0.05}.items():
            monkeypatch.setattr(jobs, name, seconds)
        await tools("lab__echo")
        conversation = await begin(alice, mcp_enabled=True, title="T")
        fake_model.say(ScriptedAnswer(chunks=["Let me look."], calls=[("nothing", "{}")]))

        async with asyncio.timeout(20):
            events = await events_of(await begin_stream(alice, conversation, "Do it"))

        last = events[-1]
        assert (last.type, last.data["code"]) == ("error", "reply_not_continued")
        reply = await (await alice.get(path_of(conversation, last.data["reply_id"]))).json()
        assert (reply["state"], reply["code"]) == ("failed", "reply_not_continued")
        assert await database.reply_jobs.count_documents({}) == 0
        assert (await ask(alice, conversation, "Again"))["state"] == "completed"
