"""`/chat/completions` in OpenAI's shape, by its own client and by the recorded frontend's calls."""

import asyncio
import base64
import json
import os
from typing import Any

import pytest

from chatvault.actor import Scope
from conftest import HttpClient
from support.answers import found, problem
from support.factories import begin
from support.fake_model import USAGE, FakeModel, ScriptedAnswer
from support.keys import key_of
from support.talking import said, settled, until

HELLO: Any = [{"role": "user", "content": "Hello"}]


def client_of(http: HttpClient) -> Any:
    """OpenAI's own client, signed in with the browser's cookie."""
    import openai  # noqa: PLC0415  # takes half a second, which whoever runs other tests saves

    cookies = http.session.cookie_jar.filter_cookies(http.make_url("/"))
    cookie = f"session_id={cookies['session_id'].value}"
    return openai.AsyncOpenAI(
        base_url=str(http.make_url("/v1")),
        api_key="none",
        max_retries=0,
        default_headers={"Cookie": cookie},
    )


class TestCompletions:
    async def test_work_with_openais_client(self, alice: HttpClient, fake_model: FakeModel) -> None:
        fake_model.say(ScriptedAnswer(chunks=["Hi", " there"]))
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
        assert answer.usage.model_dump(exclude_none=True).items() >= USAGE.items()
        [request] = fake_model.requests
        assert (request["model"], request["temperature"], request["seed"]) == ("gpt-twin", 0.2, 7)
        assert request["messages"] == HELLO

    async def test_stream_to_openais_client(self, alice: HttpClient, fake_model: FakeModel) -> None:
        calls = [("clock", "{}")]
        fake_model.say(ScriptedAnswer(chunks=["Hi", " there"], calls=calls))
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
    async def test_record_the_exchange(
        self,
        alice: HttpClient,
        fake_model: FakeModel,
        stream: bool,  # noqa: FBT001  # parametrized
    ) -> None:
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

    async def test_record_the_exchange_if_the_client_disconnects(
        self, alice: HttpClient, fake_model: FakeModel
    ) -> None:
        conversation = await begin(alice, title="T")
        gate = asyncio.Event()
        fake_model.say(ScriptedAnswer(chunks=["Half", " whole"], gate=gate))
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

    async def test_refuse_invalid_input(
        self, alice: HttpClient, bob: HttpClient, fake_model: FakeModel
    ) -> None:
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
        assert fake_model.requests == []

    async def test_accept_content_other_than_text(
        self, alice: HttpClient, fake_model: FakeModel
    ) -> None:
        conversation = await begin(alice, title="T")
        headers = {"X-Conversation-Id": conversation["id"]}
        parts = [{"type": "text", "text": "Look"}, {"type": "image_url", "image_url": {}}]
        for content in (parts, 5, None):
            body = {"messages": [{"role": "user", "content": content}]}
            answer = await alice.post("/chat/completions", json=body, headers=headers)
            assert answer.status == 200, await answer.text()

        texts = [text for role, text in said(await found(alice, conversation["id"]))]
        assert texts[::2] == ["Look", "", ""]

    async def test_fail_with_an_error_code(self, alice: HttpClient, fake_model: FakeModel) -> None:
        for stream in (False, True):
            fake_model.say(ScriptedAnswer(status=401))
            body = {"messages": HELLO, "stream": stream}
            await problem(await alice.post("/chat/completions", json=body), 503, "model_refused")
        fake_model.say(ScriptedAnswer(chunks=["one", "two"], cut_after=1))
        async with client_of(alice) as client:
            stream_of = await client.chat.completions.create(
                model="x",
                messages=HELLO,
                stream=True,
            )
            from openai import APIError  # noqa: PLC0415  # as above

            with pytest.raises(APIError):
                async for _ in stream_of:
                    pass

    async def test_name_the_model(self, http: HttpClient) -> None:
        answer = await http.get("/model/current")
        health = await http.get("/gpu/health")

        assert await answer.json() == {"model": "gpt-twin", "gpu_backend": None}
        # The recorded frontend shows "Disconnected" where no model is named.
        assert (await health.json())["ollama_model"] == "gpt-twin"

    @pytest.mark.parametrize("how", ["plain", "kept", "recorded"])
    async def test_show_the_providers_usage_and_complete_it(
        self, alice: HttpClient, fake_model: FakeModel, how: str
    ) -> None:
        conversation = await begin(alice, title="T")
        headers = {
            "plain": {},
            "kept": {"Idempotency-Key": "k"},
            "recorded": {"X-Conversation-Id": conversation["id"]},
        }[how]
        further = {"prompt_eval_duration": 0.12, "prompt_tokens_details": {"cached_tokens": 3}}
        own = {"total_duration": 7.5, "tokens_per_second": 20.0}
        fake_model.say(
            ScriptedAnswer(usage=USAGE | further | {"total_duration": None}, pause=0.05),
            ScriptedAnswer(usage=USAGE | further | own),
            ScriptedAnswer(usage=USAGE | {"nested": "x" * 10_000}),
        )

        shown = []
        for number in range(3):
            body = {"messages": HELLO, "seed": number}
            key = {name: f"{value}{number}" if how == "kept" else value
                   for name, value in headers.items()}  # fmt: skip
            answer = await alice.post("/chat/completions", json=body, headers=key)
            shown.append((await answer.json())["usage"])

        filled = {name: shown[0].pop(name) for name in own}
        assert shown[0] == USAGE | further
        assert 0.05 < filled["total_duration"] < 10
        assert filled["tokens_per_second"] == pytest.approx(5 / filled["total_duration"], rel=0.1)
        assert shown[1] == USAGE | further | own
        assert shown[2].keys() == USAGE.keys() | own.keys()

    @pytest.mark.parametrize("stream", [False, True])
    @pytest.mark.parametrize("how", ["plain", "kept", "recorded"])
    async def test_show_counted_tokens_if_the_provider_gives_none(
        self,
        alice: HttpClient,
        fake_model: FakeModel,
        database: Any,
        how: str,
        stream: bool,  # noqa: FBT001  # a parameter
    ) -> None:
        conversation = await begin(alice, title="T")
        headers = {
            "plain": {},
            "kept": {"Idempotency-Key": "k"},
            "recorded": {"X-Conversation-Id": conversation["id"]},
        }[how]
        options = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
        fake_model.say(ScriptedAnswer(usage=None))

        answer = await alice.post(
            "/chat/completions", json={"messages": HELLO, **options}, headers=headers
        )

        text = await answer.text()
        body = text.splitlines()[-4].removeprefix("data: ") if stream else text
        shown = json.loads(body)["usage"]
        assert shown["prompt_tokens"] > 0
        assert shown["completion_tokens"] > 0
        [usage] = await database.usage.find().to_list()
        counted = {"prompt_tokens": usage["input_tokens"], "completion_tokens":
                   usage["output_tokens"], "total_tokens": usage["total_tokens"]}  # fmt: skip
        assert shown.items() >= counted.items()
        assert usage["counted_here"] is True

    async def test_count_pictures_by_their_cost_in_tokens(
        self, alice: HttpClient, fake_model: FakeModel, database: Any
    ) -> None:
        conversation = await begin(alice, title="T")
        picture = {"url": "data:image/png;base64," + base64.b64encode(os.urandom(50_000)).decode()}
        parts = [{"type": "text", "text": "Look"}, {"type": "image_url", "image_url": picture}]
        held = asyncio.Event()
        fake_model.say(ScriptedAnswer(held=held))

        asking = asyncio.create_task(
            alice.post(
                "/chat/completions",
                json={"messages": [{"role": "user", "content": parts}], "max_tokens": 100},
                headers={"X-Conversation-Id": conversation["id"]},
            )
        )
        await until(lambda: fake_model.requests or asking.done())
        reserved = (await database.conversations.find_one())["reserved_tokens"]
        held.set()

        assert (await asking).status == 200, await (await asking).text()
        assert 85 + 100 < reserved < 1500 + 100
        assert fake_model.requests[0]["messages"][0]["content"] == parts

    async def test_are_counted_as_usage(
        self, alice: HttpClient, fake_model: FakeModel, database: Any
    ) -> None:
        await alice.post("/chat/completions", json={"messages": HELLO})

        [usage] = await database.usage.find().to_list()
        assert (usage["purpose"], usage["total_tokens"]) == ("completion", 25)


class TestApiKeys:
    async def test_are_taken_from_openais_client_as_it_is(
        self, alice: HttpClient, fake_model: FakeModel, database: Any
    ) -> None:
        import openai  # noqa: PLC0415  # as above

        key = await key_of(scopes=[Scope.AGENTS_RUN])
        fake_model.say("Hi there", ScriptedAnswer(chunks=["Hi", " again"]))
        url = str(alice.make_url("/v1"))
        async with openai.AsyncOpenAI(base_url=url, api_key=key.secret, max_retries=0) as client:
            answer = await client.chat.completions.create(model="any", messages=HELLO)
            stream = await client.chat.completions.create(model="any", messages=HELLO, stream=True)
            chunks = [chunk.choices[0].delta.content async for chunk in stream if chunk.choices]

        assert answer.choices[0].message.content == "Hi there"
        assert "".join(chunk or "" for chunk in chunks) == "Hi again"
        entries = await database.audit_logs.find({"action": "chat.complete"}).to_list()
        assert [entry["api_key_id"] for entry in entries] == [key.key_id] * 2

    async def test_without_the_scope_are_refused(
        self, alice: HttpClient, fake_model: FakeModel
    ) -> None:
        import openai  # noqa: PLC0415  # as above

        key = await key_of(scopes=[Scope.EXPORT])
        url = str(alice.make_url("/v1"))
        async with openai.AsyncOpenAI(base_url=url, api_key=key.secret, max_retries=0) as client:
            with pytest.raises(openai.PermissionDeniedError) as refused:
                await client.chat.completions.create(model="any", messages=HELLO)
        assert refused.value.response.json()["code"] == "insufficient_scope"
        assert fake_model.requests == []
