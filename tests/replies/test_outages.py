"""What is stored though its acknowledgement is lost: nothing is doubled, and nothing is missing."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo.errors import NetworkTimeout

from chatvault.background import RUNNER
from chatvault.completions.routes import MODELS
from chatvault.errors import OutcomeUnknown, Unavailable
from chatvault.fields import now
from chatvault.replies import finish as ending
from chatvault.replies import runner
from chatvault.replies.models import Reply
from chatvault.replies.routes import REPLY_DEPS
from conftest import HttpClient
from support.answers import found
from support.factories import begin
from support.fake_model import FakeModel, ScriptedAnswer
from support.talking import ask, begin_stream, events_of, next_event, path_of, said, text_of, until

Call = Callable[..., Awaitable[Any]]


def losing(call: Call, error: Exception, *, times: int) -> Call:
    """What does its work, and then loses the answer so many times."""
    left = [error] * times

    async def lose(*args: Any) -> Any:
        answer = await call(*args)
        if left:
            raise left.pop()
        return answer

    return lose


@pytest.fixture
def lose_events(app: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Lets so many stored flushes seem to fail."""
    batcher = app[REPLY_DEPS].event_log._batcher

    def lose(times: int) -> None:
        lost = losing(batcher._run, NetworkTimeout("lost"), times=times)
        monkeypatch.setattr(batcher, "_run", lost)

    return lose


@pytest.fixture
def lose_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets a stored end seem to fail."""
    lost = losing(ending.finish, OutcomeUnknown(retry_after=1), times=1)
    monkeypatch.setattr(runner, "finish", lost)


async def replay(http: Any, conversation: dict[str, Any], reply_id: str) -> Any:
    return await events_of(await http.get(path_of(conversation, reply_id, "events")))


class TestEvents:
    @pytest.mark.parametrize("times", [1, 3])
    async def test_are_the_same_for_every_follower(
        self,
        alice: HttpClient,
        fake_model: FakeModel,
        lose_events: Callable[[int], None],
        times: int,
    ) -> None:
        conversation = await begin(alice, title="T")
        fake_model.say(ScriptedAnswer(chunks=list("abcdefgh"), pause=0.03))
        lose_events(times)

        shown = await events_of(await begin_stream(alice, conversation))

        assert text_of(shown) == "abcdefgh"
        assert await replay(alice, conversation, shown[0].data["reply_id"]) == shown

    async def test_of_the_last_flush_are_not_stored_twice(
        self, alice: HttpClient, fake_model: FakeModel, lose_events: Callable[[int], None]
    ) -> None:
        conversation = await begin(alice, title="T")
        fake_model.say(ScriptedAnswer(chunks=["All at once"], calls=[("clock", "{}")]))
        lose_events(10)

        shown = await events_of(await begin_stream(alice, conversation))

        assert text_of(shown) == "All at once"
        assert shown[-1].type == "completed"
        assert await replay(alice, conversation, shown[0].data["reply_id"]) == shown
        [_, answered] = (await found(alice, conversation["id"]))["messages"]
        assert [call["name"] for call in answered["tool_calls"]] == ["clock"]


@pytest.mark.usefixtures("lose_ends")
class TestEnds:
    async def test_of_a_reply_are_stored_once(
        self, alice: HttpClient, fake_model: FakeModel
    ) -> None:
        conversation = await begin(alice, title="T")

        exchange = await ask(alice, conversation)

        stored = await found(alice, conversation["id"])
        assert said(stored) == [("user", "Hello"), ("assistant", "Answer 1.")]
        assert exchange["assistant_message"] == stored["messages"][1]
        assert stored["total_tokens_used"] == 25

    async def test_of_a_completion_are_stored_once(
        self, alice: HttpClient, fake_model: FakeModel, database: Any
    ) -> None:
        conversation = await begin(alice, title="T")
        body = {"messages": [{"role": "user", "content": "Hello"}]}

        answer = await alice.post(
            "/chat/completions", json=body, headers={"X-Conversation-Id": conversation["id"]}
        )

        assert answer.status == 200, await answer.text()
        stored = await found(alice, conversation["id"])
        assert said(stored) == [("user", "Hello"), ("assistant", "Answer 1.")]
        assert stored["total_tokens_used"] == 25
        assert (await database.conversations.find_one())["reserved_tokens"] == 0
        assert await database.usage.count_documents({}) == 1


@pytest.mark.usefixtures("steady")
class TestTakenOver:
    @pytest.mark.parametrize("kind", ["reply", "completion"])
    async def test_by_another_process_ends_the_stream(
        self, alice: HttpClient, fake_model: FakeModel, database: Any, app: Any, kind: str
    ) -> None:
        """As where this process stood still for longer than its lease."""
        conversation = await begin(alice, title="T")
        gate = asyncio.Event()
        fake_model.say(ScriptedAnswer(chunks=["Half", " whole"], gate=gate))
        body = {"messages": [{"role": "user", "content": "Hello"}], "stream": True}
        if kind == "reply":
            stream = await begin_stream(alice, conversation)
            for _ in range(2):
                await next_event(stream)
        else:
            headers = {"X-Conversation-Id": conversation["id"]}
            stream = await alice.post("/chat/completions", json=body, headers=headers)
        # The word and the first event lie in two documents.
        for _ in range(500):
            if await database.reply_events.count_documents({}) == 2:
                break
            await asyncio.sleep(0.01)
        written = dict(app[RUNNER]._runs)
        app[RUNNER]._runs.clear()
        await database.replies.update_one({}, [{"$set": {"lease_until": "$started_at"}}])

        assert await app[RUNNER].reap() == 1
        app[RUNNER]._runs.update(written)
        gate.set()

        if kind == "reply":
            last = (await events_of(stream))[-1]
            assert (last.type, last.data["code"]) == ("error", "reply_interrupted")
        else:
            assert b"reply_interrupted" in await stream.read()
        stored = await found(alice, conversation["id"])
        assert said(stored) == [("user", "Hello"), ("assistant", "Half")]
        assert stored["messages"][1]["interrupted"] is True
        assert (await database.conversations.find_one())["reserved_tokens"] == 0
        assert await database.usage.count_documents({}) == 1


@pytest.mark.usefixtures("steady")
class TestUnknownFailure:
    @pytest.mark.parametrize("where", ["flush", "end"])
    async def test_leaves_nobody_waiting(
        self,
        alice: HttpClient,
        database: Any,
        app: Any,
        fake_model: FakeModel,
        monkeypatch: pytest.MonkeyPatch,
        where: str,
    ) -> None:
        fake_model.say(ScriptedAnswer(chunks=["Said before", " and at the end"], pause=0.1))
        fail = losing(_nothing, OverflowError("a fault"), times=1)
        with monkeypatch.context() as patched:
            if where == "end":
                patched.setattr(runner, "finish", fail)
            else:
                patched.setattr(app[REPLY_DEPS].event_log._batcher, "_run", fail)
            conversation = await begin(alice, title="T")
            events = await events_of(await begin_stream(alice, conversation))
        assert (events[-1].type, events[-1].data["code"]) == ("error", "reply_interrupted")
        await until(lambda: not app[RUNNER]._tasks)
        await database.replies.update_one({}, [{"$set": {"lease_until": "$started_at"}}])

        await ask(alice, conversation, "Next")

        texts = [text for _, text in said(await found(alice, conversation["id"]))]
        answered = ["Said before"] if where == "end" else []
        assert texts == ["Hello", *answered, "Next", "Answer 2."]


async def _nothing(*_args: object) -> None:
    pass


class TestLosingALease:
    async def test_ends_the_reply_and_the_call_of_the_model(
        self, alice: HttpClient, fake_model: FakeModel, database: Any, app: Any,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        monkeypatch.setattr("chatvault.mongodb.renewing.RENEW_EVERY", 0.05)
        conversation = await begin(alice, title="T")
        fake_model.say(ScriptedAnswer(chunks=["word "] * 1000, pause=0.03))
        stream = await begin_stream(alice, conversation)
        for _ in range(2):
            await next_event(stream)
        ended = {"state": "interrupted", "code": "reply_interrupted"}

        await database.conversations.update_one({}, {"$set": {"active_reply_id": None}})
        await database.replies.update_one({}, {"$set": ended})

        async with asyncio.timeout(60):
            last = (await events_of(stream))[-1]
        assert (last.type, last.data["code"]) == ("error", "reply_interrupted")
        assert app[RUNNER]._runs == {}


class TestAfterAnOutage:
    """MongoDB was away for longer than the leases, and two processes are there again."""

    @pytest.fixture(autouse=True)
    def short(self, app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(app[MODELS], "_timeout", 60.0)
        for name, seconds in {
            "LEASE_SECONDS": 1.0, "RENEW_EVERY": 0.05, "RETRY_AFTER": 0.05, "MAX_GAP": 0.4,
        }.items():  # fmt: skip
            monkeypatch.setattr(f"chatvault.mongodb.renewing.{name}", seconds)

    async def test_a_running_reply_stays_with_its_process(
        self,
        alice: HttpClient,
        elsewhere: HttpClient,
        fake_model: FakeModel,
        database: Any,
        app: Any,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        other: Any = elsewhere.server
        runners = [app[RUNNER], other.app[RUNNER]]
        conversation = await begin(alice, title="T")
        gate = asyncio.Event()
        fake_model.say(ScriptedAnswer(chunks=["Half", " whole"], gate=gate))
        stream = await begin_stream(alice, conversation)
        for _ in range(2):
            await next_event(stream)
        await until(lambda: all(each._contact.is_steady for each in runners), 30)

        with monkeypatch.context() as patched:
            patched.setattr(Reply, "get_pymongo_collection", _away)
            await until(lambda: not any(each._contact.is_steady for each in runners), 30)
            past = [{"$set": {"lease_until": "$started_at"}}]
            await database.replies.update_one({}, past)

        for each in reversed(runners):
            assert await each.reap() == 0
        await until(lambda: all(each._contact.is_steady for each in runners), 30)
        assert await runners[1].reap() == 0
        gate.set()
        last = (await events_of(stream))[-1]
        assert last.type == "completed"
        assert last.data["message"]["content"] == "Half whole"

    async def test_storing_the_end_is_retried(
        self, alice: HttpClient, fake_model: FakeModel, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(runner, "MAX_PAUSE", 0.01)
        failures = [Unavailable("away")] * 30
        finish = ending.finish

        async def fail(*of: Any) -> Any:
            if failures:
                raise failures.pop()
            return await finish(*of)

        monkeypatch.setattr(runner, "finish", fail)
        conversation = await begin(alice, title="T")

        exchange = await ask(alice, conversation)

        assert exchange["state"] == "completed"
        assert said(await found(alice, conversation["id"]))[-1] == ("assistant", "Answer 1.")


def _away() -> Any:
    raise NetworkTimeout("away")


class TestClocks:
    """Whether somebody died is told by MongoDB's clock, whatever that of a process says."""

    async def test_of_a_slow_writer_do_not_lose_its_reply(
        self,
        alice: HttpClient,
        fake_model: FakeModel,
        database: Any,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("chatvault.replies.start.now", lambda: now() - timedelta(hours=1))
        conversation = await begin(alice, title="T")
        gate = asyncio.Event()
        fake_model.say(ScriptedAnswer(chunks=["Half", " whole"], gate=gate))

        stream = await begin_stream(alice, conversation)

        reply = await database.replies.find_one()
        assert abs(reply["lease_until"] - datetime.now(UTC)) < timedelta(seconds=11)
        gate.set()
        assert (await events_of(stream))[-1].type == "completed"

    @pytest.mark.usefixtures("steady")
    async def test_of_a_slow_reader_do_not_hide_lost_replies(
        self, alice: HttpClient, fake_model: FakeModel, database: Any, app: Any,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        conversation, gate = await begin(alice, title="T"), asyncio.Event()
        fake_model.say(ScriptedAnswer(chunks=["Half", " whole"], gate=gate))
        stream = await begin_stream(alice, conversation)
        await until(lambda: app[RUNNER]._contact.is_steady)
        monkeypatch.setattr("chatvault.replies.runner.now", lambda: now() - timedelta(hours=1))
        app[RUNNER]._runs.clear()

        await database.replies.update_one({}, [{"$set": {"lease_until": _seconds_ago(5)}}])

        assert await app[RUNNER].reap() == 1
        gate.set()
        stream.close()


def _seconds_ago(seconds: int) -> dict[str, Any]:
    return {"$dateSubtract": {"startDate": "$$NOW", "unit": "second", "amount": seconds}}
