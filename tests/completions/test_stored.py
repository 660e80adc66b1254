"""`store: true`: an exchange that no conversation records is kept as one, in a category."""

import asyncio
import json
from typing import Any

import pytest
from bson import ObjectId

from chatvault.actor import Scope
from conftest import HttpClient
from support.answers import found, problem, wrong_fields
from support.factories import begin
from support.fake_model import FakeModel, ScriptedAnswer
from support.keys import key_of
from support.talking import said, settled

PATH = "/chat/completions"
HELLO: Any = [{"role": "user", "content": "Hello,  how\nare you?"}]
NAME = "X-Conversation-Id"


async def kept(alice: HttpClient, count: int = 1) -> list[dict[str, Any]]:
    """Return all conversations of Alice's, which must be so many."""
    listed: list[dict[str, Any]] = await (await alice.get("/conversations")).json()
    assert len(listed) == count
    return listed


class TestStored:
    @pytest.mark.parametrize("stream", [False, True])
    async def test_exchanges_are_conversations_of_a_category(
        self,
        alice: HttpClient,
        fake_model: FakeModel,
        database: Any,
        stream: bool,  # noqa: FBT001  # parametrized
    ) -> None:
        body = {
            "messages": [{"role": "developer", "content": "Be brief."}, *HELLO],
            "metadata": {"run": "7"},
            "store": True,
            "stream": stream,
        }

        answer = await alice.post(PATH, json=body)
        await answer.read()
        again = await alice.post(PATH, json=body | {"metadata": {}})
        await again.read()

        assert answer.status == 200
        stored = await found(alice, answer.headers[NAME])
        assert said(stored) == [
            ("system", "Be brief."), ("user", HELLO[0]["content"]), ("assistant", "Answer 1."),
        ]  # fmt: skip
        assert (stored["title"], stored["metadata"]) == ("Hello, how are you?", {"run": "7"})
        assert stored["total_tokens_used"] == 25
        assert stored["messages"][2]["model_used"] == "gpt-twin"
        [category] = (await (await alice.get("/categories")).json())["categories"]
        assert (category["name"], category["conversations"]) == ("Agents", 2)
        assert {each["category_id"] for each in await kept(alice, 2)} == {category["id"]}
        document = await database.conversations.find_one({"_id": ObjectId(stored["id"])})
        assert document["reserved_tokens"] == 0
        query = {"resource_id": stored["id"], "action": {"$ne": "conversation.get"}}
        entries = await database.audit_logs.find(query).to_list()
        assert sorted(entry["action"] for entry in entries) == [
            "chat.complete", "conversation.create", "reply.finish",
        ]  # fmt: skip
        assert "Hello" not in json.dumps(entries, default=str)

    async def test_exchanges_keep_calls_of_tools(
        self, alice: HttpClient, fake_model: FakeModel
    ) -> None:
        call = {
            "id": "c1", "type": "function", "function": {"name": "clock", "arguments": '{"z": 1}'},
        }  # fmt: skip
        picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 9999}}
        messages = [
            {"role": "user", "content": [{"type": "text", "text": "When?"}, picture]},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c1", "content": "noon"},
        ]
        fake_model.say(ScriptedAnswer(chunks=["Now "], calls=[("clock", '{"z": 2}')]))

        answer = await alice.post(PATH, json={"messages": messages, "store": True})

        assert (await answer.json())["choices"][0]["message"]["tool_calls"]
        asked, called, result, last = (await found(alice, answer.headers[NAME]))["messages"]
        assert asked["content"] == "When?"
        assert asked["parts"][1]["source_type"] == "image_url"
        assert asked["parts"][1]["value"].keys() == {"bytes"}
        assert called["parts"] == [
            {"type": "tool_call", "id": "c1", "name": "clock", "input": {"z": 1}}
        ]
        assert result["parts"] == [{"type": "tool_result", "call_id": "c1", "output": "noon"}]
        assert (last["content"], last["tool_calls"][0]["arguments"]) == ("Now ", '{"z": 2}')
        assert fake_model.requests[0]["messages"] == messages

    async def test_exchanges_can_be_continued(
        self, alice: HttpClient, fake_model: FakeModel
    ) -> None:
        first = await alice.post(PATH, json={"messages": HELLO, "store": True})
        named = {NAME: first.headers[NAME]}

        more = [*HELLO, {"role": "user", "content": "More"}]
        second = await alice.post(PATH, json={"messages": more, "store": True}, headers=named)

        assert second.headers[NAME] == first.headers[NAME]
        [conversation] = await kept(alice)
        assert [text for _, text in said(conversation)][2:] == ["More", "Answer 2."]

    @pytest.mark.parametrize("stream", [False, True])
    async def test_exchanges_are_kept_once_for_a_key(
        self,
        alice: HttpClient,
        fake_model: FakeModel,
        stream: bool,  # noqa: FBT001  # parametrized
    ) -> None:
        body = {"messages": HELLO, "store": True, "stream": stream}
        key = {"Idempotency-Key": "k1"}

        first = await alice.post(PATH, json=body, headers=key)
        words = await first.text()
        again = await alice.post(PATH, json=body, headers=key)

        assert first.headers[NAME] == again.headers[NAME]
        if not stream:
            assert json.loads(words)["choices"] == (await again.json())["choices"]
            assert json.loads(words)["id"] == (await again.json())["id"]
        assert len(fake_model.requests) == 1
        await kept(alice)
        other = await alice.post(PATH, json=body | {"store": False}, headers=key)
        await problem(other, 422, "idempotency_key_reused")
        await alice.delete(f"/conversations/{first.headers[NAME]}")
        await problem(await alice.post(PATH, json=body, headers=key), 404, "not_found")

    async def test_exchanges_at_the_same_time_are_kept_once_for_a_key(
        self, alice: HttpClient, fake_model: FakeModel
    ) -> None:
        body, key = {"messages": HELLO, "store": True}, {"Idempotency-Key": "k1"}

        answers = await asyncio.gather(
            *(alice.post(PATH, json=body, headers=key) for _ in range(4))
        )

        assert {answer.status for answer in answers} == {200}
        assert len({(await answer.json())["id"] for answer in answers}) == 1
        assert len(fake_model.requests) == 1
        await kept(alice)

    async def test_exchanges_are_kept_if_the_client_disconnects(
        self, alice: HttpClient, fake_model: FakeModel
    ) -> None:
        gate = asyncio.Event()
        fake_model.say(ScriptedAnswer(chunks=["Half", " whole"], gate=gate))
        answer = await alice.post(PATH, json={"messages": HELLO, "store": True, "stream": True})
        await answer.content.readline()

        answer.close()
        gate.set()

        conversation = {"id": answer.headers[NAME]}
        for _ in range(500):
            stored = await settled(alice, conversation)
            if stored["total_messages"] == 2:
                break
            await asyncio.sleep(0.01)
        assert said(stored)[-1] == ("assistant", "Half whole")

    async def test_exchanges_whose_model_fails_are_kept_without_an_answer(
        self, alice: HttpClient, fake_model: FakeModel, database: Any
    ) -> None:
        fake_model.say(ScriptedAnswer(status=401))

        answer = await alice.post(PATH, json={"messages": HELLO, "store": True})

        await problem(answer, 503, "model_refused")
        [conversation] = await kept(alice)
        assert [role for role, _ in said(conversation)] == ["user"]
        assert (await database.conversations.find_one())["reserved_tokens"] == 0


class TestRefused:
    async def test_exchanges_leave_nothing(
        self, alice: HttpClient, fake_model: FakeModel, database: Any
    ) -> None:
        # About 10,000 tokens, of 8,000.
        long = [{"role": "system", "content": "word " * 10_000}, *HELLO]

        answer = await alice.post(PATH, json={"messages": long, "store": True})
        await problem(answer, 409, "token_limit_reached")
        wrong = [*HELLO, {"role": "user", "content": [{"type": "image_url"}] * 1001}]
        answer = await alice.post(PATH, json={"messages": wrong, "store": True})
        assert await wrong_fields(answer) == [["body", "messages", 1]]
        answer = await alice.post(PATH, json={"messages": HELLO, "store": True, "metadata": 5})
        assert await wrong_fields(answer) == [["body", "metadata"]]

        await kept(alice, 0)
        assert fake_model.requests == []
        plain = await alice.post(PATH, json={"messages": long, "store": False})
        assert plain.status == 200
        assert NAME not in plain.headers
        await kept(alice, 0)

    async def test_exchanges_need_a_key_that_runs_agents(
        self, alice: HttpClient, bob: HttpClient, fake_model: FakeModel
    ) -> None:
        body = {"messages": HELLO, "store": True}
        writing = await key_of(scopes=[Scope.CONVERSATIONS_WRITE])
        running = await key_of(scopes=[Scope.AGENTS_RUN])

        refused = await bob.post(PATH, json=body, headers=writing.headers)
        await problem(refused, 403, "insufficient_scope")
        kept_one = await bob.post(PATH, json=body, headers=running.headers)

        assert kept_one.status == 200
        assert (await kept(alice))[0]["id"] == kept_one.headers[NAME]
        assert await (await bob.get("/conversations")).json() == []


class TestOpenAIsClient:
    async def test_keeps_exchanges_and_reads_errors(
        self, alice: HttpClient, fake_model: FakeModel
    ) -> None:
        import openai  # noqa: PLC0415  # takes half a second

        key = await key_of(scopes=[Scope.AGENTS_RUN])
        archived = await begin(alice, title="T")
        await alice.post(f"/conversations/{archived['id']}/archive", json={})
        url = str(alice.make_url("/v1"))
        async with openai.AsyncOpenAI(base_url=url, api_key=key.secret, max_retries=0) as client:
            chat: Any = client.chat.completions
            raw = await chat.with_raw_response.create(
                model="any", messages=HELLO, store=True, metadata={"run": "1"}
            )
            stream = await chat.create(model="any", messages=HELLO, store=True, stream=True)
            words = [chunk.choices[0].delta.content async for chunk in stream if chunk.choices]
            with pytest.raises(openai.ConflictError) as refused:
                await chat.create(model="x", messages=HELLO, extra_headers={NAME: archived["id"]})
            with pytest.raises(openai.UnprocessableEntityError) as wrong:
                await chat.create(model="x", messages=HELLO, temperature=9)
            with pytest.raises(openai.NotFoundError) as missing:
                await chat.create(model="x", messages=HELLO, extra_headers={NAME: "0" * 24})
            fake_model.say(ScriptedAnswer(status=401))
            with pytest.raises(openai.InternalServerError) as failed:
                await chat.create(model="x", messages=HELLO)

        assert raw.parse().choices[0].message.content == "Answer 1."
        assert said(await found(alice, raw.headers[NAME]))[-1] == ("assistant", "Answer 1.")
        assert "".join(word or "" for word in words) == "Answer 2."
        await kept(alice, 3)
        told = [
            (error.value.code, error.value.type, error.value.param)
            for error in (refused, wrong, missing, failed)
        ]
        assert told == [
            ("conversation_archived", "invalid_request_error", None),
            ("invalid_input", "invalid_request_error", "temperature"),
            ("not_found", "not_found_error", None),
            ("model_refused", "server_error", None),
        ]
