"""A model of Anthropic's answers as one of OpenAI's does, over its own protocol."""

import asyncio
import importlib.util
import logging
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from chatvault.completions.routes import MODELS
from chatvault.settings import Settings
from conftest import HttpClient
from support.answers import found, problem
from support.factories import begin, message, settings_for
from support.fake_anthropic import FakeAnthropic, ScriptedMessage, fake_anthropic, only_anthropic
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
)

__all__ = ["fake_anthropic", "only_anthropic"]
KEY = "sk-ant-the-providers-secret-key"
LONG = {"name": "Long", "system_prompt": "Be brief.", "max_conversation_tokens": 100_000}


@pytest.fixture(autouse=True)
def no_waiting(constants: pytest.MonkeyPatch) -> None:
    constants.setattr("chatvault.replies.provider.FIRST_WAIT", 0.01)


@pytest.fixture
def settings(data_dir: Path, fake_anthropic: FakeAnthropic, fake_model: FakeModel) -> Settings:
    claude = fake_anthropic.provider(
        api_key=SecretStr(KEY), options={"thinking": {"type": "adaptive"}}
    )
    other = {"base_url": fake_model.url, "model": "gpt-twin"}
    return settings_for(
        data_dir, providers={"claude": claude, "twin": other}, replies_per_minute=1000
    )


class TestAnswers:
    async def test_are_streamed_and_stored(
        self, alice: HttpClient, fake_anthropic: FakeAnthropic
    ) -> None:
        agent = await (await alice.post("/agents", json=LONG)).json()
        conversation = await begin(alice, agent_id=agent["id"], title="T")
        fake_anthropic.say(ScriptedMessage(chunks=["Hel", "lo ", "😀."]))

        events = await events_of(await begin_stream(alice, conversation, "Good day"))

        assert text_of(events) == "Hello 😀."
        answer = events[-1].data["message"]
        assert answer["content"] == "Hello 😀."
        assert (answer["llm_provider"], answer["model_used"]) == ("claude", "claude-twin")
        assert (answer["finish_reason"], answer.get("parts")) == ("stop", None)
        [request] = fake_anthropic.requests
        assert request["system"] == "Be brief."
        assert request["messages"] == [
            {"role": "user", "content": [{"type": "text", "text": "Good day"}]}
        ]
        assert (request["model"], request["stream"]) == ("claude-twin", True)
        assert 0 < request["max_tokens"] <= 2048
        assert request["thinking"] == {"type": "adaptive"}
        assert "temperature" not in request

    async def test_count_the_tokens_of_the_cache(
        self, alice: HttpClient, fake_anthropic: FakeAnthropic
    ) -> None:
        conversation = await begin(alice, title="T")

        exchange = await ask(alice, conversation)

        # 20 new ones, 30 from the cache, 10 into it, and 5 of the answer.
        assert exchange["total_tokens_used"] == 65
        stored = await found(alice, conversation["id"])
        assert stored["total_tokens_used"] == 65
        assert stored["messages"][-1]["input_tokens"] == 60

    async def test_keep_what_was_thought(
        self, alice: HttpClient, fake_anthropic: FakeAnthropic
    ) -> None:
        conversation = await begin(alice, title="T")
        fake_anthropic.say(
            ScriptedMessage(thinking=["Let me ", "see."], signature="c2ln", chunks=["Four."]),
            ScriptedMessage(signature="b21pdHRlZA==", chunks=["Five."]),
        )

        events = await events_of(await begin_stream(alice, conversation, "2 + 2?"))
        await ask(alice, conversation, "And one?")

        thought = [event.data["text"] for event in events if event.type == "thinking"]
        assert "".join(thought) == "Let me see."
        assert events[-1].data["message"]["parts"] == [
            {"type": "thinking", "text": "Let me see.", "signature": "c2ln"},
            {"type": "text", "text": "Four."},
        ]
        stored = await found(alice, conversation["id"])
        assert said(stored)[1::2] == [("assistant", "Four."), ("assistant", "Five.")]
        # A block without a text is of no use once there is nothing to give it back with.
        assert "parts" not in stored["messages"][-1]
        assert fake_anthropic.requests[1]["messages"][1] == {
            "role": "assistant", "content": [{"type": "text", "text": "Four."}],
        }  # fmt: skip

    @pytest.mark.parametrize(
        ("reason", "finish"),
        [
            ("max_tokens", "length"),
            ("stop_sequence", "stop"),
            ("refusal", "content_filter"),
            ("model_context_window_exceeded", "length"),
            ("something_new", "stop"),
        ],
    )
    async def test_name_why_they_ended(
        self, alice: HttpClient, fake_anthropic: FakeAnthropic, reason: str, finish: str
    ) -> None:
        fake_anthropic.say(ScriptedMessage(chunks=["So"], reason=reason))

        exchange = await ask(alice, await begin(alice, title="T"))

        assert exchange["assistant_message"]["finish_reason"] == finish

    async def test_may_be_thoughts_only(
        self, alice: HttpClient, fake_anthropic: FakeAnthropic
    ) -> None:
        conversation = await begin(alice, title="T")
        fake_anthropic.say(
            ScriptedMessage(thinking=["Hm."], signature="c2ln", chunks=[], reason="max_tokens")
        )

        answer = (await ask(alice, conversation, "Why?"))["assistant_message"]
        await ask(alice, conversation, "Well?")

        assert (answer["content"], answer["finish_reason"]) == ("", "length")
        assert [each["type"] for each in answer["parts"]] == ["thinking"]
        [said_twice] = fake_anthropic.requests[1]["messages"]
        assert [each["text"] for each in said_twice["content"]] == ["Why?", "Well?"]

    async def test_keep_their_text_if_they_are_cancelled(
        self, alice: HttpClient, fake_anthropic: FakeAnthropic
    ) -> None:
        conversation = await begin(alice, title="T")
        fake_anthropic.say(ScriptedMessage(chunks=["One", "two"], gate=asyncio.Event()))
        stream = await begin_stream(alice, conversation)
        first = await next_event(stream)
        assert first is not None
        while (event := await next_event(stream)) is not None and event.type != "delta":
            pass

        cancelled = await alice.post(path_of(conversation, first.data["reply_id"], "cancel"))

        assert cancelled.status == 200
        stored = await settled(alice, conversation)
        assert said(stored)[-1] == ("assistant", "One")
        assert stored["messages"][-1]["cancelled"] is True

    async def test_make_titles_and_summaries(
        self, alice: HttpClient, fake_anthropic: FakeAnthropic
    ) -> None:
        conversation = await begin(
            alice, messages=[message("a"), message("b", "assistant"), message("c")]
        )

        made = await alice.post(f"/conversations/{conversation['id']}/summary")

        assert (await made.json())["summary"] == "They talked."
        assert "2-3 sentence summary" in fake_anthropic.behind[0]["system"]

    async def test_can_follow_those_of_another_provider(
        self, alice: HttpClient, fake_anthropic: FakeAnthropic, fake_model: FakeModel
    ) -> None:
        agent = await (await alice.post("/agents", json={"name": "T", "provider": "twin"})).json()
        conversation = await begin(alice, title="T")
        fake_anthropic.say(ScriptedMessage(thinking=["Hm."], signature="c2ln", chunks=["Four."]))

        await ask(alice, conversation, "2 + 2?")
        await ask(alice, conversation, "And one?", agent_id=agent["id"])
        await ask(alice, conversation, "And two?")

        assert fake_model.asked[0][1:] == [
            ("user", "2 + 2?"), ("assistant", "Four."), ("user", "And one?"),
        ]  # fmt: skip
        roles = [each["role"] for each in fake_anthropic.requests[1]["messages"]]
        assert roles == ["user", "assistant", "user", "assistant", "user"]


class TestFailures:
    @pytest.mark.parametrize(
        ("act", "code", "requests"),
        [
            (ScriptedAnswer(status=500), "model_unavailable", 3),
            (ScriptedAnswer(status=529), "model_unavailable", 3),
            (ScriptedAnswer(status=429), "model_rate_limited", 3),
            (ScriptedAnswer(status=429, headers={"Retry-After": "77"}), "model_rate_limited", 1),
            (ScriptedAnswer(status=401), "model_refused", 1),
            (ScriptedAnswer(status=400), "model_refused", 1),
            (ScriptedMessage(cut_after=0), "model_unavailable", 3),
            (ScriptedMessage(chunks=[], ends=False), "model_unavailable", 3),
            (ScriptedMessage(error_after=0), "model_unavailable", 3),
            (ScriptedMessage(error_after=0, error="rate_limit_error"), "model_rate_limited", 3),
            (ScriptedMessage(error_after=0, error="authentication_error"), "model_refused", 1),
            (ScriptedAnswer(body=b'data: {"type": "message_start"}\n\n'), "model_nonsense", 1),
        ],
        ids=lambda value: str(value)[:50],
    )
    async def test_are_reported_before_the_first_word(
        self, alice: HttpClient, fake_anthropic: FakeAnthropic, caplog: pytest.LogCaptureFixture,
        act: ScriptedAnswer, code: str, requests: int,
    ) -> None:  # fmt: skip
        caplog.set_level(logging.DEBUG)
        conversation = await begin(alice)
        fake_anthropic.say(*[act] * 3)

        refused = await alice.post(path_of(conversation), json={"content": "Hello"})

        body = await problem(refused, 503, code)
        assert refused.headers.get("Retry-After") == act.headers.get("Retry-After")
        assert len(fake_anthropic.requests) == requests
        assert fake_anthropic.keys == {f"Bearer {KEY}"}
        assert KEY not in str(body) + caplog.text
        stored = await found(alice, conversation["id"])
        assert said(stored) == [("user", "Hello")]
        assert (stored["active_reply_id"], stored["total_tokens_used"]) == (None, 0)

    @pytest.mark.parametrize(
        "act",
        [ScriptedMessage(chunks=["Half", "."], cut_after=1),
         ScriptedMessage(chunks=["Half", "."], error_after=1),
         ScriptedMessage(chunks=["Half"], ends=False)],
        ids=["cut", "overloaded", "no end"],
    )  # fmt: skip
    async def test_keep_the_text_so_far(
        self, alice: HttpClient, fake_anthropic: FakeAnthropic, act: ScriptedAnswer
    ) -> None:
        conversation = await begin(alice, title="T")
        fake_anthropic.say(act)

        refused = await alice.post(path_of(conversation), json={"content": "Hello"})

        await problem(refused, 503, "model_stream_broken")
        stored = await found(alice, conversation["id"])
        assert said(stored)[-1] == ("assistant", "Half")
        assert stored["messages"][-1]["interrupted"] is True

    async def test_are_reported_if_the_model_declines(
        self, alice: HttpClient, fake_anthropic: FakeAnthropic
    ) -> None:
        conversation = await begin(alice, title="T")
        fake_anthropic.say(ScriptedMessage(chunks=[], reason="refusal"))

        refused = await alice.post(path_of(conversation), json={"content": "Hello"})

        body = await problem(refused, 503, "model_refused")
        assert "declined" in body["detail"]
        assert len(fake_anthropic.requests) == 1
        # The provider counts what it read.
        assert (await found(alice, conversation["id"]))["total_tokens_used"] == 65

    async def test_are_reported_if_only_pings_come(
        self, alice: HttpClient, fake_anthropic: FakeAnthropic, monkeypatch: pytest.MonkeyPatch,
        app: Any,
    ) -> None:  # fmt: skip
        monkeypatch.setattr(app[MODELS], "_timeout", 0.2)
        conversation = await begin(alice, title="T")
        fake_anthropic.say(*[ScriptedMessage(held=asyncio.Event())] * 3)

        refused = await alice.post(path_of(conversation), json={"content": "Hello"})

        await problem(refused, 503, "model_timed_out")

    async def test_name_the_package_that_is_missing(
        self, alice: HttpClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
        conversation = await begin(alice, title="T")

        refused = await alice.post(path_of(conversation), json={"content": "Hello"})

        body = await problem(refused, 503, "model_not_configured")
        assert "pip install 'chatvault-server[anthropic]'" in body["detail"]
        assert (await found(alice, conversation["id"]))["messages"] == []


class TestCompletions:
    async def test_are_in_openais_shape(
        self, alice: HttpClient, fake_anthropic: FakeAnthropic
    ) -> None:
        fake_anthropic.say(
            ScriptedMessage(chunks=["Let me look."], calls=[("weather", '{"city": "Ulm"}')])
        )
        tool = {"name": "weather", "description": "Say it.", "parameters": {"properties": {}}}
        asked = {
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "Rain?"},
            ],
            "tools": [{"type": "function", "function": tool}],
            "tool_choice": "required",
            "stop": "END",
            "temperature": 0.2,
        }

        answer = await (await alice.post("/v1/chat/completions", json=asked)).json()

        [choice] = answer["choices"]
        assert choice["finish_reason"] == "tool_calls"
        [call] = choice["message"]["tool_calls"]
        assert call["function"] == {"name": "weather", "arguments": '{"city": "Ulm"}'}
        assert answer["model"] == "claude-twin"
        assert answer["usage"]["prompt_tokens"] == 60
        assert answer["usage"]["prompt_tokens_details"]["cached_tokens"] == 30
        assert answer["usage"]["completion_tokens_details"] == {"reasoning_tokens": 2}
        [request] = fake_anthropic.requests
        schema = {"type": "object", "properties": {}}
        assert request["tools"] == [
            {"name": "weather", "description": "Say it.", "input_schema": schema}
        ]
        assert request["tool_choice"] == {"type": "any"}
        assert request["stop_sequences"] == ["END"]
        assert "temperature" not in request

    async def test_refuse_content_that_the_protocol_has_no_counterpart_for(
        self, alice: HttpClient, fake_anthropic: FakeAnthropic
    ) -> None:
        sound = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}
        asked = {"messages": [{"role": "user", "content": [sound]}]}

        refused = await alice.post("/v1/chat/completions", json=asked)

        assert (await refused.json())["code"] == "model_refused"
        assert fake_anthropic.requests == []
