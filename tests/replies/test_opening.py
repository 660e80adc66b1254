"""A conversation and its first reply, which begin in one step or not at all."""

import asyncio
from typing import Any

import pytest

from chatvault.settings import Settings
from conftest import HttpClient
from support.answers import found, problem
from support.factories import begin, message
from support.fake_model import FakeModel, ScriptedAnswer
from support.stored import tiny_bounds
from support.talking import ask, path_of, said, settled, until

HELLO = {"initial_message": "Hello"}
KEYED = {"Idempotency-Key": "once"}


async def open_one(http: HttpClient, **more: Any) -> dict[str, Any]:
    answer = await http.post("/conversations", json=HELLO | more)
    assert answer.status == 201, await answer.text()
    body: dict[str, Any] = await answer.json()
    return body


class TestOneStep:
    async def test_starts_conversation_and_reply(
        self, alice: HttpClient, fake_model: FakeModel, database: Any
    ) -> None:
        fake_model.say(ScriptedAnswer(held=asyncio.Event()), "Hi.")
        opened = await open_one(alice, title="T")

        assert said(opened) == [("user", "Hello")]
        assert opened["active_reply_id"] is not None
        assert opened["version"] == 1  # a second step would have made it 2
        entries = await database["audit_logs"].find({"door": "http"}).to_list()
        actions = [each["action"] for each in entries if each["resource_id"] == opened["id"]]
        assert sorted(actions) == ["conversation.create", "reply.create"]

        await until(lambda: fake_model.requests)
        fake_model.acts.clear()
        held = opened["active_reply_id"]
        cancelled = await alice.post(path_of(opened, held, "cancel"))
        assert (await cancelled.json())["state"] == "cancelled"

    @pytest.mark.parametrize("count", [0, 3, 30])
    async def test_sends_the_model_the_first_messages(
        self, alice: HttpClient, fake_model: FakeModel, monkeypatch: pytest.MonkeyPatch, count: int
    ) -> None:
        tiny_bounds(monkeypatch)
        before = [message(str(n), "user" if n % 2 else "assistant") for n in range(count)]

        opened = await settled(alice, await open_one(alice, messages=before, title="T"))

        expected = [(each["role"], each["content"]) for each in before] + [("user", "Hello")]
        assert fake_model.asked[0][1:] == expected
        assert said(opened) == [*expected, ("assistant", "Answer 1.")]
        await ask(alice, opened, "And now?")

    async def test_is_done_once_for_concurrent_repeats(
        self, alice: HttpClient, fake_model: FakeModel, database: Any
    ) -> None:
        answers = await asyncio.gather(
            *(alice.post("/conversations", json=HELLO, headers=KEYED) for _ in range(5))
        )
        assert {answer.status for answer in answers} == {201}
        ids = {(await answer.json())["id"] for answer in answers}
        assert len(ids) == 1
        again = await alice.post("/conversations", json=HELLO, headers=KEYED)
        assert (await again.json())["id"] in ids
        await settled(alice, await again.json())
        assert len(fake_model.requests) == 1
        assert await database["conversations"].count_documents({}) == 1
        assert await database["replies"].count_documents({}) == 1
        other = await alice.post("/conversations", json={"initial_message": "x"}, headers=KEYED)
        await problem(other, 422, "idempotency_key_reused")


class TestRefusal:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return settings.model_copy(update={"replies_per_minute": 2})

    async def test_over_the_rate_leaves_nothing_and_remembers_no_key(
        self, alice: HttpClient, fake_model: FakeModel, database: Any
    ) -> None:
        for _ in range(2):
            await settled(alice, await open_one(alice, title="T"))
        for headers in (KEYED, {}):
            refused = await alice.post("/conversations", json=HELLO, headers=headers)
            await problem(refused, 429, "too_many_requests")
        assert await database["conversations"].count_documents({}) == 2
        assert await database["idempotency_records"].count_documents({}) == 0

        await database["rate_limits"].delete_many({})
        answer = await alice.post("/conversations", json=HELLO, headers=KEYED)
        assert answer.status == 201
        assert said(await settled(alice, await answer.json()))[0] == ("user", "Hello")

    async def test_without_tokens_leaves_nothing(
        self, alice: HttpClient, fake_model: FakeModel, database: Any
    ) -> None:
        small = {"name": "small", "max_conversation_tokens": 200}
        agent = await (await alice.post("/agents", json=small)).json()
        body = {"initial_message": "word " * 1000, "agent_id": agent["id"]}
        for headers in (KEYED, {}):
            refused = await alice.post("/conversations", json=body, headers=headers)
            await problem(refused, 409, "token_limit_reached")
        assert await database["conversations"].count_documents({}) == 0
        assert await database["idempotency_records"].count_documents({}) == 0
        assert fake_model.requests == []

    async def test_does_not_count_repeats(
        self, alice: HttpClient, fake_model: FakeModel, database: Any
    ) -> None:
        spoken = [message(), message("x", "assistant"), message("y")]
        conversation = await begin(alice, title="T", messages=spoken)
        chat: dict[str, Any] = {"messages": [message()]}
        recorded = KEYED | {"X-Conversation-Id": conversation["id"]}
        requests: list[tuple[str, Any, dict[str, str]]] = [
            ("/conversations", HELLO, KEYED),
            (path_of(conversation), {"content": "Hello"}, KEYED),
            (f"/conversations/{conversation['id']}/summary", None, KEYED),
            ("/chat/completions", chat, KEYED),
            ("/v1/chat/completions", chat, recorded),
        ]
        for path, body, headers in requests:
            await database["rate_limits"].delete_many({})
            for number in range(4):
                answer = await alice.post(path, json=body, headers=headers)
                assert answer.status in {200, 201}, f"{path} {number}: {await answer.text()}"
                if path == "/conversations":
                    await settled(alice, await answer.json())
        assert (await found(alice, conversation["id"]))["summary"] is not None
