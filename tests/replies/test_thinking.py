"""What a model thinks: streamed as it comes, resumed, stored, and not sent back to it."""

import asyncio

from conftest import HttpClient
from support.answers import found
from support.factories import begin
from support.fake_model import FakeModel, ScriptedAnswer
from support.talking import (
    Received,
    ask,
    begin_stream,
    events_of,
    next_event,
    path_of,
    settled,
)

SAID = ScriptedAnswer(
    chunks=["Four."],
    reasoning=[
        {"reasoning_content": "Let "},
        {"reasoning": "me "},
        # Some gateways send the same by two names.
        {"reasoning_content": "see.", "reasoning": "see.", "reasoning_details": [{"text": "see."}]},
    ],
)
PARTS = [{"type": "thinking", "text": "Let me see."}, {"type": "text", "text": "Four."}]


def thought(events: list[Received]) -> str:
    return "".join(event.data["text"] for event in events if event.type == "thinking")


class TestThinking:
    async def test_is_streamed_and_stored_beside_the_answer(
        self, alice: HttpClient, fake_model: FakeModel
    ) -> None:
        conversation = await begin(alice, title="T")
        fake_model.say(SAID, "Five.")

        events = await events_of(await begin_stream(alice, conversation, "2 + 2?"))
        await ask(alice, conversation, "And one?")

        assert thought(events) == "Let me see."
        assert events[-1].data["message"]["parts"] == PARTS
        stored = await found(alice, conversation["id"])
        assert (stored["messages"][1]["content"], stored["messages"][1]["parts"]) == (
            "Four.",
            PARTS,
        )
        # The model gets its answers back, and not what it thought.
        assert "see." not in str(fake_model.requests[-1])

    async def test_comes_before_the_answer_and_is_resumed(
        self, alice: HttpClient, fake_model: FakeModel
    ) -> None:
        conversation = await begin(alice, title="T")
        gate = asyncio.Event()
        fake_model.say(
            ScriptedAnswer(chunks=["Four."], reasoning=SAID.reasoning, gate=gate, ungated=0)
        )
        stream = await begin_stream(alice, conversation, "2 + 2?")
        first, early = await next_event(stream), await next_event(stream)
        assert first is not None
        assert early is not None
        assert (first.type, early.type) == ("message_stored", "thinking")
        stream.close()

        path = path_of(conversation, first.data["reply_id"], "events")
        again = await alice.get(path, headers={"Last-Event-ID": str(early.id)})
        gate.set()
        events = await events_of(again)

        assert early.data["text"] + thought(events) == "Let me see."
        assert [event.id for event in [first, early, *events]] == list(range(1, len(events) + 3))
        assert events[-1].data["message"]["parts"] == PARTS

    async def test_is_kept_of_an_answer_that_is_cancelled(
        self, alice: HttpClient, fake_model: FakeModel
    ) -> None:
        conversation = await begin(alice, title="T")
        gate = asyncio.Event()
        fake_model.say(
            ScriptedAnswer(chunks=["Four."], reasoning=SAID.reasoning, gate=gate, ungated=0)
        )
        stream = await begin_stream(alice, conversation, "2 + 2?")
        first, early = await next_event(stream), await next_event(stream)
        assert first is not None
        assert early is not None

        await alice.post(path_of(conversation, first.data["reply_id"], "cancel"))
        events = [early, *await events_of(stream)]

        answer = (await settled(alice, conversation))["messages"][-1]
        assert (answer["content"], answer["cancelled"]) == ("", True)
        assert answer["parts"] == [{"type": "thinking", "text": thought(events)}]
        assert answer["output_tokens"] > 0
