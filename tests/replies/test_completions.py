"""`/chat/completions` in OpenAI's shape, by its own client and by the recorded frontend's calls."""

import asyncio
from typing import Any

import openai
import pytest

from conftest import HttpClient
from support.answers import found, problem
from support.factories import begin
from support.talking import said, settled
from support.twin import USAGE, Act, Twin

HELLO: Any = [{"role": "user", "content": "Hello"}]


def client_of(http: HttpClient) -> Any:
    """OpenAI's own client, signed in with the browser's cookie."""
    cookies = http.session.cookie_jar.filter_cookies(http.make_url("/"))
    cookie = f"session_id={cookies['session_id'].value}"
    return openai.AsyncOpenAI(
        base_url=str(http.make_url("/v1")),
        api_key="none",
        max_retries=0,
        default_headers={"Cookie": cookie},
    )


class TestCompletions:
    async def test_answer_openais_client(self, alice: HttpClient, twin: Twin) -> None:
        twin.say(Act(chunks=["Hi", " there"]))
        async with client_of(alice) as client:
            answer = await client.chat.completions.create(
                model="whatever",
                messages=HELLO,
                temperature=0.2,
                seed=7,
            )

        assert answer.choices[0].message.content == "Hi there"
        assert answer.choices[0].finish_reason == "stop"
        assert answer.model == "gpt-twin"
        assert answer.usage is not None
        assert answer.usage.model_dump(exclude_none=True) == USAGE
        [request] = twin.requests
        assert (request["model"], request["temperature"], request["seed"]) == ("gpt-twin", 0.2, 7)
        assert request["messages"] == HELLO

    async def test_stream_to_openais_client(self, alice: HttpClient, twin: Twin) -> None:
        calls = [("clock", "{}")]
        twin.say(Act(chunks=["Hi", " there"], calls=calls))
        text, names, usage = "", [], None
        async with client_of(alice) as client:
            stream = await client.chat.completions.create(
                model="x",
                messages=HELLO,
                stream=True,
                stream_options={"include_usage": True},
            )
            async for chunk in stream:
                usage = chunk.usage or usage
                for choice in chunk.choices:
                    text += choice.delta.content or ""
                    names += [
                        call.function.name
                        for call in choice.delta.tool_calls or ()
                        if call.function and call.function.name
                    ]

        assert (text, names) == ("Hi there", ["clock"])
        assert usage is not None
        assert usage.total_tokens == 25

    @pytest.mark.parametrize("stream", [False, True])
    async def test_record_the_exchange(self, alice: HttpClient, twin: Twin, stream: bool) -> None:  # noqa: FBT001
        conversation = await begin(alice, title="T")
        headers = {"X-Conversation-Id": conversation["id"]}
        body = {"messages": HELLO, "stream": stream}

        answer = await alice.post("/chat/completions", json=body, headers=headers)
        assert answer.status == 200, await answer.text()
        await answer.read()

        stored = await found(alice, conversation["id"])
        assert said(stored) == [("user", "Hello"), ("assistant", "Answer 1.")]
        assert stored["messages"][1]["model_used"] == "gpt-twin"
        assert stored["total_tokens_used"] == 25

    async def test_record_though_the_client_is_gone(self, alice: HttpClient, twin: Twin) -> None:
        conversation = await begin(alice, title="T")
        gate = asyncio.Event()
        twin.say(Act(chunks=["Half", " whole"], gate=gate))
        answer = await alice.post(
            "/chat/completions",
            json={"messages": HELLO, "stream": True},
            headers={"X-Conversation-Id": conversation["id"]},
        )
        await answer.content.readline()

        answer.close()
        gate.set()

        for _ in range(200):
            stored = await settled(alice, conversation)
            if stored["total_messages"] == 2:
                break
            await asyncio.sleep(0.01)
        assert said(stored)[-1] == ("assistant", "Half whole")

    async def test_refuse(self, alice: HttpClient, bob: HttpClient, twin: Twin) -> None:
        conversation = await begin(alice)
        body = {"messages": HELLO}
        path = "/chat/completions"

        theirs = await bob.post(path, json=body, headers={"X-Conversation-Id": conversation["id"]})
        await problem(theirs, 404, "not_found")
        malformed = await alice.post(path, json=body, headers={"X-Conversation-Id": "nonsense"})
        await problem(malformed, 422, "invalid_input")
        for messages in ([], [{"role": "user", "content": 2**70}], [{"content": "\0", "x": {}}, 5]):
            answer = await alice.post(path, json={"messages": messages})
            await problem(answer, 422, "invalid_input")
        assert twin.requests == []

    async def test_take_what_is_no_text(self, alice: HttpClient, twin: Twin) -> None:
        conversation = await begin(alice, title="T")
        headers = {"X-Conversation-Id": conversation["id"]}
        parts = [{"type": "text", "text": "Look"}, {"type": "image_url", "image_url": {}}]
        for content in (parts, 5, None):
            body = {"messages": [{"role": "user", "content": content}]}
            answer = await alice.post("/chat/completions", json=body, headers=headers)
            assert answer.status == 200, await answer.text()

        texts = [text for role, text in said(await found(alice, conversation["id"]))]
        assert texts[::2] == ["Look", "", ""]

    async def test_fail_with_a_code(self, alice: HttpClient, twin: Twin) -> None:
        for stream in (False, True):
            twin.say(Act(status=401))
            body = {"messages": HELLO, "stream": stream}
            await problem(await alice.post("/chat/completions", json=body), 503, "model_refused")
        twin.say(Act(chunks=["one", "two"], cut_after=1))
        async with client_of(alice) as client:
            stream_of = await client.chat.completions.create(
                model="x",
                messages=HELLO,
                stream=True,
            )
            with pytest.raises(openai.APIError):
                async for _ in stream_of:
                    pass

    async def test_say_which_model(self, http: HttpClient) -> None:
        answer = await http.get("/model/current")

        assert await answer.json() == {"model": "gpt-twin", "gpu_backend": None}

    async def test_count_as_usage(self, alice: HttpClient, twin: Twin, database: Any) -> None:
        await alice.post("/chat/completions", json={"messages": HELLO})

        [usage] = await database.usage.find().to_list()
        assert (usage["purpose"], usage["total_tokens"]) == ("completion", 25)
