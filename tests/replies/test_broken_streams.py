"""A provider's stream, cut at every byte that matters, and filled with every nonsense."""

import json
from typing import Any

import pytest

from conftest import HttpClient
from support.answers import found, problem
from support.factories import begin
from support.fake_model import USAGE, FakeModel, ScriptedAnswer
from support.talking import ask, begin_stream, events_of, said, settled, text_of

WORDS = ["one ", "zwölf ", "three"]
END: dict[str, Any] = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}


@pytest.fixture(autouse=True)
def no_waiting(constants: pytest.MonkeyPatch) -> None:
    constants.setattr("chatvault.replies.provider.FIRST_WAIT", 0.01)


def word(text: object, **more: object) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {"content": text, **more}}], "model": "gpt-twin"}


def lines(*chunks: object, done: bool = True) -> list[bytes]:
    """A stream in the events it consists of."""
    sent = [f"data: {json.dumps(chunk, ensure_ascii=False)}\n\n".encode() for chunk in chunks]
    return [*sent, b"data: [DONE]\n\n"] if done else sent


STREAM = lines(*map(word, WORDS), END, {"choices": [], "usage": USAGE})
# Before the first byte, after each event, in the middle of each, and within a character.
CUTS = sorted(
    {0, 3, b"".join(STREAM).index("ö".encode()) + 1}
    | {sum(map(len, STREAM[:number])) for number in range(len(STREAM))}
    | {sum(map(len, STREAM[:number])) + len(event) // 2 for number, event in enumerate(STREAM)}
)


class TestCuts:
    @pytest.mark.parametrize("is_clean", [True, False], ids=["ended", "broken"])
    @pytest.mark.parametrize("cut", CUTS)
    async def test_keep_the_text_without_repetition(
        self,
        alice: HttpClient,
        fake_model: FakeModel,
        database: Any,
        cut: int,
        is_clean: bool,  # noqa: FBT001
    ) -> None:
        conversation = await begin(alice, title="T")
        body = b"".join(STREAM)[:cut]
        words = [text for text, event in zip(WORDS, STREAM, strict=False) if event in body]
        is_whole = STREAM[3].rstrip(b"\n") in body
        fake_model.say(
            *[ScriptedAnswer(body=body, is_cut=not is_clean)] * (1 if words else 3), "Whole"
        )

        events = await events_of(await begin_stream(alice, conversation, id="mine"))

        assert text_of(events) == "".join(words)
        stored = await settled(alice, conversation)
        answer = [("assistant", "".join(words))] if words else []
        assert said(stored) == [("user", "Hello"), *answer]
        code = "model_stream_broken" if words else "model_unavailable"
        assert events[-1].data.get("code") == (None if is_whole else code)
        assert stored["messages"][-1].get("interrupted", False) is (bool(words) and not is_whole)
        fields = await database.conversations.find_one()
        assert fields["reserved_tokens"] == 0
        assert (fields["total_tokens_used"] > 0) is bool(words)

        again = {"regenerate": "replace"} if words else {"content": "Hello", "id": "mine"}
        await ask(alice, conversation, **{"content": None, **again})
        assert said(await found(alice, conversation["id"])) == [
            ("user", "Hello"), ("assistant", "Whole"),
        ]  # fmt: skip

    async def test_of_tool_calls_propose_no_command(
        self, alice: HttpClient, fake_model: FakeModel
    ) -> None:
        conversation = await begin(alice, title="T")
        part = {"index": 0, "id": "call-0", "function": {"name": "shell", "arguments": '{"comm'}}
        fake_model.say(
            ScriptedAnswer(body=b"".join(lines(word("Look", tool_calls=[part]), done=False)))
        )

        events = await events_of(await begin_stream(alice, conversation))

        assert (events[-1].type, events[-1].data["code"]) == ("error", "model_stream_broken")
        assert "tool_call" not in [event.type for event in events]
        [_, answered] = (await found(alice, conversation["id"]))["messages"]
        assert (answered["content"], answered.get("tool_calls")) == ("Look", None)


def bodies(*chunks: object) -> bytes:
    return b"".join(lines(word("Well. "), *chunks, END))


def calling(**part: object) -> dict[str, Any]:
    return word(None, tool_calls=[{"index": 0, "id": "c", **part}])


# Each comes after a word that was understood.
NONSENSE = {
    "no JSON": b"".join([*lines(word("Well. "), done=False), b"data: {oh no\n\n", *lines(END)]),
    "no JSON in the encoding": bodies()[:-30] + b"data: \xff\xfe\n\n" + bodies(),
    "a list": bodies(["x"]),
    "nothing": bodies(None),
    "a number": bodies(5),
    "an object without choices": bodies({"object": "chat.completion.chunk"}),
    "choices that are none": bodies({"choices": "many"}),
    "a choice that is none": bodies({"choices": ["one"]}),
    "a delta that is none": bodies({"choices": [{"delta": "x"}]}),
    "a content that is a number": bodies(word(5)),
    "a content that is a list": bodies(word([{"type": "text", "text": "x"}])),
    "a reason that is an object": bodies({"choices": [{"delta": {}, "finish_reason": {"a": 1}}]}),
    "calls that are a number": bodies(word(None, tool_calls=5)),
    "calls that are a text": bodies(word(None, tool_calls="abc")),
    "a call without an index": bodies(word(None, tool_calls=[{"id": "c"}])),
    "a call with a strange index": bodies(calling(index="first")),
    "a call with a huge index": bodies(calling(index=2**70)),
    "a call with a number for its name": bodies(calling(function={"name": 5})),
    "a call with an object for arguments": bodies(calling(function={"arguments": {"a": 1}})),
    "a call with a number for its id": bodies(calling(id=7)),
    "no number beside half a character": b"".join(lines(word("Well. "), done=False))
    + b'data: {"choices": [{"delta": {"content": "\\ud800"}}], "x": NaN}\n\n'
    + b"".join(lines(END)),
    "half a character too deep": b"".join(lines(word("Well. "), done=False))
    + b'data: {"choices": "\\ud800", "x": '
    + b"[" * 100_000
    + b"]" * 100_000
    + b"}\n\n",
    "a huge line": bodies(word("x" * 5_000_000)),
    "a line without end": b"".join(lines(word("Well. "), done=False))
    + b"data: "
    + b"x" * 5_000_000,
    "a huge answer": bodies(*[word("y" * 300_000)] * 60),
    "huge arguments": bodies(*[calling(function={"arguments": "z" * 300_000})] * 60),
}


def escaped(*contents: str) -> bytes:
    """A stream whose characters beyond the first 65,536 are two escapes, cut anywhere."""
    events = [f'data: {{"choices": [{{"delta": {each}}}]}}\n\n'.encode() for each in contents]
    return b"".join([*events, *lines(END, {"choices": [], "usage": USAGE})])


def argument(index: int, text: str, more: str = "") -> str:
    """A part of a tool call, as the text that comes over the wire."""
    function = f'{{"name": "{"say" if more else ""}", "arguments": "{text}"}}'
    return f'{{"tool_calls": [{{"index": {index}, {more}"function": {function}}}]}}'


HALVES = {
    "cut": ([r'{"content": "Hi \ud83d"}', r'{"content": "\ude00!"}'], "Hi 😀!"),
    "cut with nothing between": (
        [r'{"content": "\ud83d"}', '{"content": ""}', "{}", r'{"content": "\uDE00"}'],
        "😀",
    ),
    "each its own": (
        [r'{"content": "\ud83d"}', r'{"content": "\ude00\ud83d"}', r'{"content": "\ude01"}'],
        "😀😁",
    ),
    "without a second half": ([r'{"content": "Hi \ud83d"}', '{"content": "no"}'], "Hi �no"),
    "without a first half": ([r'{"content": "Hi \ude00"}'], "Hi �"),
    "at the end": ([r'{"content": "Hi \ud83d"}'], "Hi "),
    "whole beside a large number": (
        [r'{"content": "\ud83d\ude00\ud83d", "x": 1' + "0" * 40 + "}"],
        "😀",
    ),
}


class TestHalvesOfCharacters:
    @pytest.mark.parametrize("how", HALVES)
    async def test_are_joined_or_replaced(
        self, alice: HttpClient, fake_model: FakeModel, how: str
    ) -> None:
        contents, text = HALVES[how]
        conversation = await begin(alice, title="T")
        fake_model.say(ScriptedAnswer(body=escaped(*contents)))

        events = await events_of(await begin_stream(alice, conversation))

        assert events[-1].type == "completed", events[-1].data
        assert text_of(events) == text
        assert said(await found(alice, conversation["id"]))[-1] == ("assistant", text)

    async def test_are_joined_within_each_calls_arguments(
        self, alice: HttpClient, fake_model: FakeModel
    ) -> None:
        conversation = await begin(alice, title="T")
        calls = [
            argument(1, r"{\"t\": \"\ud83d", '"id": "b", '),
            argument(0, r"{\"t\": \"\ud83e", '"id": "a", '),
            argument(1, r"\ude00\"}"),
            argument(0, r"\udd14\"}"),
        ]
        fake_model.say(ScriptedAnswer(body=escaped('{"content": "Look"}', *calls)))

        await ask(alice, conversation)

        [_, answered] = (await found(alice, conversation["id"]))["messages"]
        assert [call["arguments"] for call in answered["tool_calls"]] == [
            '{"t": "🤔"}', '{"t": "😀"}',
        ]  # fmt: skip

    async def test_reach_openais_clients_joined(
        self, alice: HttpClient, fake_model: FakeModel
    ) -> None:
        body = escaped(r'{"content": "Hi \ud83d"}', r'{"content": "\ude00"}')
        for stream in (False, True):
            fake_model.say(ScriptedAnswer(body=body))
            wanted = {"messages": [{"role": "user", "content": "Hello"}], "stream": stream}

            answer = await alice.post("/chat/completions", json=wanted)

            assert answer.status == 200, await answer.text()
            assert "😀" in await answer.text()


class TestNonsense:
    async def test_keeps_the_text_before_it(self, alice: HttpClient, fake_model: FakeModel) -> None:
        agent = {"name": "Patient", "system_prompt": "", "max_conversation_tokens": 1_000_000}
        made = await (await alice.post("/agents", json=agent)).json()
        for name, body in NONSENSE.items():
            conversation = await begin(alice, title="T", agent_id=made["id"])
            fake_model.say(ScriptedAnswer(body=body), "Sense")
            before = len(fake_model.requests)

            events = await events_of(await begin_stream(alice, conversation))

            assert (events[-1].type, events[-1].data["code"]) == ("error", "model_nonsense"), name
            [_, answered] = (await found(alice, conversation["id"]))["messages"]
            assert answered["content"] == text_of(events), name
            assert answered["content"].startswith("Well. "), name
            assert answered["content"].rstrip("y") == "Well. ", name
            assert (answered["interrupted"], answered.get("tool_calls")) == (True, None), name
            assert len(fake_model.requests) == before + 1, name
            await ask(alice, conversation, None, regenerate="replace")
            stored = await found(alice, conversation["id"])
            assert said(stored)[1:] == [("assistant", "Sense")], name

    @pytest.mark.parametrize(
        "act",
        [
            ScriptedAnswer(body=b""),
            ScriptedAnswer(body=b"<html>Sign in</html>", headers={"Content-Type": "text/html"}),
            ScriptedAnswer(body=b"data: [DONE]\n\n"),
            ScriptedAnswer(body=b": nothing to say\n\n"),
            ScriptedAnswer(
                body=b'{"error": {"message": "no"}}', headers={"Content-Type": "application/json"}
            ),
        ],
        ids=["empty", "html", "done", "comments", "json"],
    )
    async def test_is_retried_if_there_was_no_text(
        self, alice: HttpClient, fake_model: FakeModel, act: ScriptedAnswer
    ) -> None:
        conversation = await begin(alice, title="T")
        fake_model.say(act, act, "At last")

        exchange = await ask(alice, conversation)

        assert exchange["assistant_message"]["content"] == "At last"
        assert len(fake_model.requests) == 3

    @pytest.mark.parametrize(
        "usage",
        [
            "many",
            [9, 9],
            {"prompt_tokens": "many", "completion_tokens": None},
            {"prompt_tokens": -500, "completion_tokens": -500},
            {"prompt_tokens": 2**70, "completion_tokens": 1},
            {"total_tokens": 7},
        ],
        ids=str,
    )
    async def test_in_the_usage_makes_us_count(
        self, alice: HttpClient, fake_model: FakeModel, usage: object
    ) -> None:
        conversation = await begin(alice, title="T")
        fake_model.say(
            ScriptedAnswer(body=b"".join(lines(word("Fine"), END, {"choices": [], "usage": usage})))
        )

        events = await events_of(await begin_stream(alice, conversation))

        assert events[-1].type == "completed"
        assert events[-2].data["counted_here"] is True
        stored = await found(alice, conversation["id"])
        assert 0 < stored["total_tokens_used"] == events[-2].data["total_tokens"] < 1000

    async def test_does_not_include_unicodes_line_ends(
        self, alice: HttpClient, fake_model: FakeModel
    ) -> None:
        """JSON may hold them as they are; for server-sent events they end nothing."""
        conversation = await begin(alice, title="T")
        text = "one\u2028two\u2029three\x85four\x7f"
        fake_model.say(ScriptedAnswer(body=b"".join(lines(word(text), END))))

        exchange = await ask(alice, conversation)

        assert exchange["assistant_message"]["content"] == text

    @pytest.mark.parametrize("stream", [False, True])
    async def test_in_tool_calls_does_not_reach_openais_shape(
        self,
        alice: HttpClient,
        fake_model: FakeModel,
        stream: bool,  # noqa: FBT001
    ) -> None:
        function = {"name": "clock", "arguments": "{}", "strict": True}
        fake_model.say(ScriptedAnswer(body=bodies(calling(function=function, type="function"))))
        body = {"messages": [{"role": "user", "content": "Hi"}], "stream": stream}

        answer = await alice.post("/chat/completions", json=body)

        assert answer.status == 200, await answer.text()
        assert "clock" in await answer.text()


class TestHttpFailures:
    @pytest.mark.parametrize(
        ("stream", "is_recorded", "said_there", "said_here"),
        [
            (False, False, "77", "77"),
            (False, True, "77", "77"),
            (True, False, "77", "77"),
            (True, True, "77", "77"),
            (False, False, "1e400", None),
            (False, False, "1e300", "86400"),
        ],
    )
    async def test_tell_when_to_retry_if_rate_limited(
        self,
        alice: HttpClient,
        fake_model: FakeModel,
        stream: bool,  # noqa: FBT001
        is_recorded: bool,  # noqa: FBT001
        said_there: str,
        said_here: str | None,
    ) -> None:
        conversation = await begin(alice, title="T")
        fake_model.usual = ScriptedAnswer(status=429, headers={"Retry-After": said_there})
        headers = {"X-Conversation-Id": conversation["id"]} if is_recorded else {}
        body = {"messages": [{"role": "user", "content": "Hi"}], "stream": stream}

        refused = await alice.post("/chat/completions", json=body, headers=headers)

        await problem(refused, 503, "model_rate_limited")
        assert refused.headers.get("Retry-After") == said_here
        assert len(fake_model.requests) == (1 if said_here else 3)
        if is_recorded:
            assert said(await found(alice, conversation["id"])) == [("user", "Hi")]

    async def test_are_reported_in_a_stream_too(
        self, alice: HttpClient, fake_model: FakeModel
    ) -> None:
        conversation = await begin(alice, title="T")
        fake_model.usual = ScriptedAnswer(status=429, headers={"Retry-After": "77"})

        events = await events_of(await begin_stream(alice, conversation))

        assert events[-1].data["code"] == "model_rate_limited"
        assert events[-1].data["retry_after"] == 77

    async def test_wait_longer_each_time(
        self, alice: HttpClient, fake_model: FakeModel, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("chatvault.replies.provider.FIRST_WAIT", 0.1)
        conversation = await begin(alice, title="T")
        fake_model.usual = ScriptedAnswer(status=502)

        await problem(
            await alice.post(f"/conversations/{conversation['id']}/replies", json={"content": "x"}),
            503,
            "model_unavailable",
        )

        first, second, third = fake_model.times
        assert 0.08 <= second - first < third - second
        assert third - second >= 0.16
