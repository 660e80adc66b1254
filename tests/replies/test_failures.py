"""The model fails in every way: each has its code, and the user's message is kept."""

import asyncio
import logging
from typing import Any

import pytest

from chatvault.completions.routes import MODELS
from conftest import HttpClient
from support.answers import found, problem
from support.factories import begin
from support.fake_model import FakeModel, ScriptedAnswer
from support.talking import ask, begin_stream, events_of, path_of, said, settled, text_of

KEY = "sk-the-providers-secret-key"
BROKEN = b'data: {"choices": "no"}\n\n'
NOT_JSON = b"data: {nonsense\n\n"


@pytest.fixture(autouse=True)
def no_waiting(constants: pytest.MonkeyPatch) -> None:
    constants.setattr("chatvault.replies.provider.FIRST_WAIT", 0.01)


class TestFailures:
    @pytest.mark.parametrize(
        ("act", "code", "requests"),
        [
            (ScriptedAnswer(status=500), "model_unavailable", 3),
            (ScriptedAnswer(status=503), "model_unavailable", 3),
            (ScriptedAnswer(status=429), "model_rate_limited", 3),
            (ScriptedAnswer(status=429, headers={"Retry-After": "77"}), "model_rate_limited", 1),
            (ScriptedAnswer(status=401), "model_refused", 1),
            (ScriptedAnswer(status=400), "model_refused", 1),
            (ScriptedAnswer(cut_after=0), "model_unavailable", 3),
            (ScriptedAnswer(chunks=[], ends=False), "model_unavailable", 3),
            (ScriptedAnswer(error_after=0), "model_unavailable", 3),
            (ScriptedAnswer(body=BROKEN), "model_nonsense", 1),
            (ScriptedAnswer(body=NOT_JSON), "model_nonsense", 1),
            (
                ScriptedAnswer(body=b"<html>", headers={"Content-Type": "text/html"}),
                "model_unavailable",
                3,
            ),
        ],
        ids=lambda value: str(value)[:40],
    )
    async def test_are_reported_before_the_first_word(
        self,
        alice: HttpClient,
        fake_model: FakeModel,
        act: ScriptedAnswer,
        code: str,
        requests: int,
    ) -> None:
        conversation = await begin(alice)
        fake_model.say(*[act] * 3)

        refused = await alice.post(path_of(conversation), json={"content": "Hello"})

        body = await problem(refused, 503, code)
        assert KEY not in str(body)
        assert refused.headers.get("Retry-After") == act.headers.get("Retry-After")
        assert len(fake_model.requests) == requests
        stored = await found(alice, conversation["id"])
        assert said(stored) == [("user", "Hello")]
        assert (stored["active_reply_id"], stored["total_tokens_used"]) == (None, 0)

        fake_model.acts.clear()
        await ask(alice, conversation, None, regenerate="replace")
        assert said(await found(alice, conversation["id"])) == [
            ("user", "Hello"), ("assistant", f"Answer {requests + 1}."),
        ]  # fmt: skip

    async def test_are_reported_if_no_word_comes(
        self, alice: HttpClient, fake_model: FakeModel, monkeypatch: pytest.MonkeyPatch, app: Any
    ) -> None:
        monkeypatch.setattr(app[MODELS], "_timeout", 0.2)
        conversation = await begin(alice)
        fake_model.usual = ScriptedAnswer(held=asyncio.Event())

        refused = await alice.post(path_of(conversation), json={"content": "Hello"})

        await problem(refused, 503, "model_timed_out")
        assert len(fake_model.requests) == 3

    @pytest.mark.parametrize(
        "word",
        [b"", b'data: {"choices": [{"delta": {"content": "Well"}}]}\n\n'],
        ids=["at once", "after a word"],
    )
    @pytest.mark.parametrize(
        "keep_alive",
        [b": still here\n\n", b'data: {"choices": [{"delta": {"role": "assistant"}}]}\n\n'],
        ids=["comments", "empty chunks"],
    )
    async def test_are_reported_if_only_pings_come(
        self, alice: HttpClient, fake_model: FakeModel, monkeypatch: pytest.MonkeyPatch, app: Any,
        keep_alive: bytes, word: bytes,
    ) -> None:  # fmt: skip
        monkeypatch.setattr(app[MODELS], "_timeout", 0.3)
        conversation = await begin(alice, title="T")
        fake_model.usual = ScriptedAnswer(keep_alive=keep_alive, chunks=[], first=word)

        async with asyncio.timeout(60):
            refused = await alice.post(path_of(conversation), json={"content": "Hello"})

        await problem(refused, 503, "model_timed_out")
        answered = [("assistant", "Well")] if word else []
        stored = await found(alice, conversation["id"])
        assert said(stored) == [("user", "Hello"), *answered]
        assert len(fake_model.requests) == (1 if word else 3)

    async def test_do_not_include_a_model_that_reasons_for_long(
        self, alice: HttpClient, fake_model: FakeModel, monkeypatch: pytest.MonkeyPatch, app: Any
    ) -> None:
        monkeypatch.setattr(app[MODELS], "_timeout", 0.5)
        conversation = await begin(alice, title="T")
        fake_model.say(ScriptedAnswer(chunks=["At", " last"], thoughts=40))

        exchange = await ask(alice, conversation)

        assert exchange["assistant_message"]["content"] == "At last"
        assert len(fake_model.requests) == 1

    async def test_are_retried_before_the_first_word(
        self, alice: HttpClient, fake_model: FakeModel
    ) -> None:
        conversation = await begin(alice)
        fake_model.say(
            ScriptedAnswer(status=500),
            ScriptedAnswer(status=429, headers={"Retry-After": "0"}),
            "At last",
        )

        exchange = await ask(alice, conversation)

        assert exchange["assistant_message"]["content"] == "At last"
        assert len(fake_model.requests) == 3

    @pytest.mark.parametrize("after", [1, 2, 3])
    @pytest.mark.parametrize("how", ["cut", "error", "end"])
    async def test_in_the_middle_keep_the_text_so_far(
        self, alice: HttpClient, fake_model: FakeModel, after: int, how: str
    ) -> None:
        conversation = await begin(alice)
        chunks = ["one ", "two ", "three"]
        fake_model.say(
            ScriptedAnswer(chunks=chunks, cut_after=after, pause=0.02)
            if how == "cut"
            else ScriptedAnswer(chunks=chunks, error_after=after)
            if how == "error"
            else ScriptedAnswer(chunks=chunks[:after], ends=False)
        )

        events = await events_of(await begin_stream(alice, conversation))

        assert (events[-1].type, events[-1].data["code"]) == ("error", "model_stream_broken")
        assert text_of(events) == "".join(chunks[:after])
        assert len(fake_model.requests) == 1
        stored = await found(alice, conversation["id"])
        answered = stored["messages"][-1]
        assert answered["content"] == "".join(chunks[:after])
        assert answered["interrupted"] is True
        assert stored["total_tokens_used"] == answered["total_tokens"] > 0

        fake_model.say("Whole")
        await ask(alice, conversation, None, regenerate="replace")
        assert said(await found(alice, conversation["id"])) == [
            ("user", "Hello"), ("assistant", "Whole"),
        ]  # fmt: skip

    async def test_allow_the_same_message_to_be_sent_again(
        self, alice: HttpClient, fake_model: FakeModel
    ) -> None:
        conversation = await begin(alice)
        fake_model.say(ScriptedAnswer(status=401))
        body = {"content": "Hello", "id": "my-message"}
        await problem(await alice.post(path_of(conversation), json=body), 503, "model_refused")

        await ask(alice, conversation, "Hello", id="my-message")

        assert said(await found(alice, conversation["id"])) == [
            ("user", "Hello"), ("assistant", "Answer 2."),
        ]  # fmt: skip
        await problem(await alice.post(path_of(conversation), json=body), 409, "message_id_taken")

    async def test_never_reveal_the_key(
        self,
        alice: HttpClient,
        fake_model: FakeModel,
        database: Any,
        caplog: pytest.LogCaptureFixture,
        capsys: pytest.CaptureFixture[str],
    ) -> None:  # fmt: skip
        caplog.set_level(logging.DEBUG)
        conversation = await begin(alice)
        fake_model.say(ScriptedAnswer(status=401), "Fine")
        shown = await (await alice.post(path_of(conversation), json={"content": "x"})).text()
        shown += str(await ask(alice, conversation))
        shown += await (await alice.get("/agents")).text()
        await settled(alice, conversation)

        for name in await database.list_collection_names():
            shown += str(await database[name].find().to_list())
        captured = capsys.readouterr()
        assert fake_model.keys == {f"Bearer {KEY}"}
        assert KEY not in shown + captured.out + captured.err
        assert KEY not in "".join(record.getMessage() for record in caplog.records)


class TestToolCalls:
    async def test_stay_on_their_message_if_not_offered(
        self, alice: HttpClient, fake_model: FakeModel
    ) -> None:
        conversation = await begin(alice)
        calls = [("clock", '{"zone": "UTC"}'), ("shell", '{"command": "ls"}')]
        fake_model.say(ScriptedAnswer(chunks=["Let me look."], calls=calls))

        events = await events_of(await begin_stream(alice, conversation, "What time is it?"))

        assert [event.type for event in events][-4:] == [
            "tool_call", "tool_call", "usage", "completed",
        ]  # fmt: skip
        assert events[-1].data["state"] == "completed"
        [_, answered] = (await found(alice, conversation["id"]))["messages"]
        assert answered["tool_calls"] == [
            {"id": "call-0", "name": "clock", "arguments": '{"zone": "UTC"}'},
            {"id": "call-1", "name": "shell", "arguments": '{"command": "ls"}'},
        ]
        await ask(alice, conversation, "Never mind")
        roles = [each["role"] for each in fake_model.requests[1]["messages"]]
        assert roles == ["system", "user", "assistant", "tool", "tool", "user"]
