"""A reply as a stream of stored events: read, resumed, replayed, cancelled."""

import asyncio
from typing import Any

import pytest

from chatvault.background import RUNNER
from chatvault.replies.models import ReplyEvents
from chatvault.replies.routes import REPLY_DEPS
from conftest import HttpClient
from support.answers import found
from support.factories import begin
from support.fake_model import FakeModel, ScriptedAnswer
from support.talking import (
    ask,
    begin_stream,
    events_of,
    next_event,
    path_of,
    said,
    settled,
    text_of,
    until,
)


async def follow(http: Any, conversation: dict[str, Any], reply_id: str, after: int = 0) -> Any:
    answer = await http.get(
        path_of(conversation, reply_id, "events"), headers={"Last-Event-ID": str(after)}
    )
    assert answer.status == 200, await answer.text()
    return answer


class TestStream:
    async def test_has_typed_events_with_ids(
        self, alice: HttpClient, fake_model: FakeModel
    ) -> None:
        conversation = await begin(alice)
        fake_model.say(ScriptedAnswer(chunks=["Hel", "lo ", "Alice"]))

        events = await events_of(await begin_stream(alice, conversation, "Hi"))

        assert [event.id for event in events] == list(range(1, len(events) + 1))
        types = [event.type for event in events]
        assert (types[0], types[-2:]) == ("message_stored", ["usage", "completed"])
        assert set(types[1:-2]) == {"delta"}
        assert text_of(events) == "Hello Alice"
        assert events[0].data["message"]["content"] == "Hi"
        usage = {"input_tokens": 20, "output_tokens": 5, "total_tokens": 25}
        assert usage.items() <= events[-2].data.items()
        ended = events[-1].data
        assert (ended["state"], ended["message"]["content"]) == ("completed", "Hello Alice")
        assert ended["conversation_total_tokens"] == 25
        stored = await found(alice, conversation["id"])
        assert stored["messages"] == [events[0].data["message"], ended["message"]]

    async def test_has_the_text_while_the_model_writes(
        self, alice: HttpClient, fake_model: FakeModel
    ) -> None:
        conversation = await begin(alice)
        gate = asyncio.Event()
        fake_model.say(ScriptedAnswer(chunks=["First", " second"], gate=gate))

        stream = await begin_stream(alice, conversation)
        await next_event(stream)
        word = await next_event(stream)

        assert word is not None
        assert (word.type, word.data) == ("delta", {"text": "First"})
        gate.set()
        assert text_of(await events_of(stream)) == " second"

    async def test_has_only_stored_events(self, alice: HttpClient, fake_model: FakeModel) -> None:
        conversation = await begin(alice)
        gate = asyncio.Event()
        fake_model.say(ScriptedAnswer(chunks=["First", " second"], gate=gate))
        stream = await begin_stream(alice, conversation)
        for _ in range(2):
            await next_event(stream)

        stored = ReplyEvents.get_pymongo_collection()
        runs = await stored.find().sort("first", 1).to_list()

        assert [event["type"] for run in runs for event in run["events"]] == [
            "message_stored", "delta",
        ]  # fmt: skip
        gate.set()
        await events_of(stream)

    async def test_continues_when_the_client_is_gone(
        self, alice: HttpClient, fake_model: FakeModel
    ) -> None:
        conversation = await begin(alice)
        gate = asyncio.Event()
        fake_model.say(ScriptedAnswer(chunks=["First", " second"], gate=gate))
        stream = await begin_stream(alice, conversation)
        first = await next_event(stream)
        assert first is not None

        stream.close()
        gate.set()

        stored = await settled(alice, conversation)
        assert said(stored)[-1] == ("assistant", "First second")
        replayed = await events_of(await follow(alice, conversation, first.data["reply_id"]))
        assert text_of(replayed) == "First second"
        assert replayed[-1].type == "completed"

    @pytest.mark.parametrize("after", range(7))
    async def test_resumes_after_each_event(
        self, alice: HttpClient, fake_model: FakeModel, after: int
    ) -> None:
        conversation = await begin(alice, title="T")
        fake_model.say(ScriptedAnswer(chunks=["a", "b", "c"], pause=0.06))
        stream = await begin_stream(alice, conversation)
        begun = [event for _ in range(max(after, 1)) if (event := await next_event(stream))]
        stream.close()

        rest = await events_of(await follow(alice, conversation, begun[0].data["reply_id"], after))

        whole = begun[:after] + rest
        assert [event.id for event in whole] == list(range(1, len(whole) + 1))
        assert text_of(whole) == "abc"
        assert whole[-1].type == "completed"
        replayed = await follow(alice, conversation, begun[0].data["reply_id"])
        assert await events_of(replayed) == whole
        stored = await found(alice, conversation["id"])
        assert said(stored) == [("user", "Hello"), ("assistant", "abc")]
        assert "interrupted" not in stored["messages"][1]
        assert stored["total_tokens_used"] == 25
        assert len(fake_model.requests) == 1

    async def test_ends_at_once_for_an_event_id_that_is_too_high(
        self, alice: HttpClient, fake_model: FakeModel
    ) -> None:
        conversation = await begin(alice, title="T")
        gate = asyncio.Event()
        fake_model.say(ScriptedAnswer(chunks=["First", " second"], gate=gate))
        stream = await begin_stream(alice, conversation)
        first = await next_event(stream)
        assert first is not None

        ahead = await follow(alice, conversation, first.data["reply_id"], 1000)
        gate.set()

        assert [event.type for event in await events_of(ahead)] == ["completed"]

    async def test_continues_when_the_client_does_not_wait_for_the_answer(
        self, alice: HttpClient, fake_model: FakeModel
    ) -> None:
        conversation = await begin(alice, title="T")
        held = asyncio.Event()
        fake_model.say(ScriptedAnswer(chunks=["At last"], held=held))
        asked = asyncio.create_task(ask(alice, conversation))
        await until(lambda: fake_model.requests)

        asked.cancel()
        await asyncio.wait({asked})
        held.set()

        stored = await settled(alice, conversation)
        assert said(stored) == [("user", "Hello"), ("assistant", "At last")]

    async def test_is_replayed_from_the_message_when_the_events_are_gone(
        self, alice: HttpClient, database: Any
    ) -> None:
        conversation = await begin(alice)
        exchange = await ask(alice, conversation)
        await database.reply_events.delete_many({})

        [event] = await events_of(await follow(alice, conversation, exchange["reply_id"]))

        assert event.type == "completed"
        assert event.data["message"] == exchange["assistant_message"]

    @pytest.mark.parametrize("which", [0, 1])
    async def test_is_not_replayed_once_its_message_is_removed(
        self, alice: HttpClient, fake_model: FakeModel, which: int
    ) -> None:
        conversation = await begin(alice)
        fake_model.say("Forget me")
        exchange = await ask(alice, conversation, "Unsay this")
        removed = (await found(alice, conversation["id"]))["messages"][which]["id"]

        await alice.delete(f"/conversations/{conversation['id']}/messages/{removed}")

        [event] = await events_of(await follow(alice, conversation, exchange["reply_id"]))
        assert event.type == "completed"
        assert (event.data["message"] is None) is (which == 1)
        assert "Unsay" not in str(event.data)

    async def test_can_be_followed_in_another_process(
        self, alice: HttpClient, fake_model: FakeModel, app: Any
    ) -> None:
        """As a process does that has the reply not in its memory."""
        conversation = await begin(alice)
        gate = asyncio.Event()
        fake_model.say(ScriptedAnswer(chunks=["First", " second"], gate=gate))
        stream = await begin_stream(alice, conversation)
        first = await next_event(stream)
        assert first is not None
        await next_event(stream)
        live = dict(app[REPLY_DEPS].event_log._live)
        app[REPLY_DEPS].event_log._live.clear()

        elsewhere = await follow(alice, conversation, first.data["reply_id"])
        assert [await next_event(elsewhere) for _ in range(2)]
        gate.set()

        assert text_of(await events_of(elsewhere)) == " second"
        assert live
        await settled(alice, conversation)

    async def test_does_not_mix_with_a_hundred_others(
        self, alice: HttpClient, fake_model: FakeModel
    ) -> None:
        fake_model.usual = None
        conversations = [await begin(alice) for _ in range(50)]

        async def one(number: int) -> str:
            answer = await begin_stream(alice, conversations[number], f"question {number}")
            events = await events_of(answer)
            assert events[0].data["message"]["content"] == f"question {number}"
            assert events[-1].type == "completed"
            return text_of(events)

        texts = await asyncio.gather(*(one(number) for number in range(50)))

        assert len(set(texts)) == 50
        for conversation, text in zip(conversations, texts, strict=True):
            assert said(await found(alice, conversation["id"]))[-1] == ("assistant", text)


class TestCancel:
    async def test_stores_the_text_so_far(self, alice: HttpClient, fake_model: FakeModel) -> None:
        conversation = await begin(alice)
        fake_model.say(ScriptedAnswer(chunks=["Half", " whole"], gate=asyncio.Event()))
        stream = await begin_stream(alice, conversation)
        first, word = await next_event(stream), await next_event(stream)
        assert first is not None
        assert word is not None

        path = path_of(conversation, first.data["reply_id"], "cancel")
        cancelled = await (await alice.post(path)).json()

        assert cancelled["state"] == "cancelled"
        last = (await events_of(stream))[-1]
        assert (last.type, last.data["state"]) == ("completed", "cancelled")
        stored = await found(alice, conversation["id"])
        assert stored["messages"][-1]["content"] == "Half"
        assert stored["messages"][-1]["cancelled"] is True
        assert stored["active_reply_id"] is None
        await ask(alice, conversation, "Next")

    async def test_works_from_another_process(
        self, alice: HttpClient, fake_model: FakeModel, database: Any
    ) -> None:
        conversation = await begin(alice)
        fake_model.say(ScriptedAnswer(chunks=["Half", " whole"], gate=asyncio.Event()))
        stream = await begin_stream(alice, conversation)
        for _ in range(2):
            await next_event(stream)

        await database.replies.update_one({}, {"$set": {"cancel_requested": True}})

        assert (await events_of(stream))[-1].data["state"] == "cancelled"

    async def test_before_the_first_word_leaves_no_message(
        self, alice: HttpClient, fake_model: FakeModel
    ) -> None:
        conversation = await begin(alice)
        fake_model.say(ScriptedAnswer(held=asyncio.Event()))
        stream = await begin_stream(alice, conversation, "Hello")
        first = await next_event(stream)
        assert first is not None
        await until(lambda: fake_model.requests)

        await alice.post(path_of(conversation, first.data["reply_id"], "cancel"))

        assert said(await found(alice, conversation["id"])) == [("user", "Hello")]

    async def test_changes_nothing_after_the_end(self, alice: HttpClient) -> None:
        conversation = await begin(alice)
        exchange = await ask(alice, conversation)

        answer = await alice.post(path_of(conversation, exchange["reply_id"], "cancel"))

        assert (await answer.json())["state"] == "completed"


@pytest.mark.usefixtures("steady")
class TestProcessDeath:
    """The process that writes a reply dies: its lease ends, and any other process sees to it."""

    async def test_keeps_the_partial_answer_and_a_usable_conversation(
        self, alice: HttpClient, fake_model: FakeModel, database: Any, app: Any
    ) -> None:
        conversation, gate = await begin(alice), asyncio.Event()
        fake_model.say(ScriptedAnswer(chunks=["Half", " whole"], gate=gate))
        stream = await begin_stream(alice, conversation, "Hello")
        first = await next_event(stream)
        assert first is not None
        await next_event(stream)
        app[RUNNER]._runs.clear()  # as a process that never knew of it
        app[RUNNER]._log._live.clear()
        await database.replies.update_one({}, [{"$set": {"lease_until": "$started_at"}}])

        exchange = await ask(alice, conversation, "Again")

        stored = await found(alice, conversation["id"])
        assert [text for _, text in said(stored)] == ["Hello", "Half", "Again", "Answer 2."]
        half = stored["messages"][1]
        assert half["interrupted"] is True
        assert exchange["conversation_total_tokens"] == 25 + half["total_tokens"]
        events = await events_of(await follow(alice, conversation, first.data["reply_id"]))
        assert (events[-1].type, events[-1].data["code"]) == ("error", "reply_interrupted")
        gate.set()
        stream.close()

    async def test_is_not_assumed_while_the_lease_lasts(
        self, alice: HttpClient, elsewhere: HttpClient, fake_model: FakeModel
    ) -> None:
        conversation = await begin(alice, title="T")
        gate = asyncio.Event()
        fake_model.say(ScriptedAnswer(chunks=["Half", " whole"], gate=gate))
        stream = await begin_stream(alice, conversation)
        for _ in range(2):
            await next_event(stream)
        other: Any = elsewhere.server

        assert await other.app[RUNNER].reap() == 0

        gate.set()
        last = (await events_of(stream))[-1]
        assert (last.type, last.data["message"]["content"]) == ("completed", "Half whole")

    async def test_does_not_matter_to_a_deleted_conversation(
        self, alice: HttpClient, fake_model: FakeModel
    ) -> None:
        conversation = await begin(alice)
        gate = asyncio.Event()
        fake_model.say(ScriptedAnswer(chunks=["Half", " whole"], gate=gate))
        stream = await begin_stream(alice, conversation)
        for _ in range(2):
            await next_event(stream)

        await alice.delete(f"/conversations/{conversation['id']}?permanent=true")
        gate.set()

        last = (await events_of(stream))[-1]
        assert (last.type, last.data["code"]) == ("error", "not_found")
