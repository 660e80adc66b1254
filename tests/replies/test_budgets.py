"""Tokens: reserved before the model is asked, settled after; never overrun however many ask."""

import asyncio
from typing import Any

from conftest import HttpClient
from support.answers import found, problem
from support.factories import begin
from support.fake_model import FakeModel, ScriptedAnswer
from support.talking import ask, path_of, until

LIMIT = 1000


async def limited(http: HttpClient, limit: int = LIMIT) -> dict[str, Any]:
    agent = {"name": "A", "system_prompt": "", "max_conversation_tokens": limit}
    made = await (await http.post("/agents", json=agent)).json()
    return await begin(http, agent_id=made["id"], title="T")


class TestBudgets:
    async def test_are_reported_when_they_are_used_up(
        self, alice: HttpClient, fake_model: FakeModel
    ) -> None:
        conversation = await limited(alice, 100)
        usage = {"prompt_tokens": 60, "completion_tokens": 39, "total_tokens": 99}
        fake_model.say(ScriptedAnswer(usage=usage))
        await ask(alice, conversation)

        refused = await alice.post(path_of(conversation), json={"content": "more"})

        detail = (await problem(refused, 409, "token_limit_reached"))["detail"]
        assert "99 of its 100 tokens" in detail
        assert "Begin a new conversation" in detail
        assert (await found(alice, conversation["id"]))["total_messages"] == 2

    async def test_limit_the_length_of_the_answer(
        self, alice: HttpClient, fake_model: FakeModel
    ) -> None:
        conversation = await limited(alice, 200)

        await ask(alice, conversation)

        assert 16 <= fake_model.requests[0]["max_tokens"] < 200

    async def test_are_released_when_the_model_fails(
        self, alice: HttpClient, fake_model: FakeModel, database: Any
    ) -> None:
        conversation = await limited(alice)
        fake_model.say(ScriptedAnswer(status=401))
        await alice.post(path_of(conversation), json={"content": "x"})

        stored = await database.conversations.find_one()
        assert (stored["reserved_tokens"], stored["total_tokens_used"]) == (0, 0)

    async def test_hold_exactly_with_twenty_concurrent_requests(
        self, alice: HttpClient, fake_model: FakeModel, database: Any
    ) -> None:
        """Each may use 40 tokens and uses all of them: of 20, exactly those that fit are asked."""
        conversation = await limited(alice, 500)
        body = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 32}
        asked = 8  # tokens of the request, as counted here
        usage = {"prompt_tokens": asked, "completion_tokens": 32, "total_tokens": asked + 32}
        fake_model.usual = ScriptedAnswer(usage=usage, pause=0.05)
        headers = {"X-Conversation-Id": conversation["id"]}

        answers = await asyncio.gather(
            *(alice.post("/chat/completions", json=body, headers=headers) for _ in range(20))
        )

        statuses = sorted(answer.status for answer in answers)
        assert statuses == [200] * 12 + [409] * 8
        assert len(fake_model.requests) == 12
        used = [request["max_tokens"] for request in fake_model.requests]
        stored = await database.conversations.find_one()
        assert stored["reserved_tokens"] == 0
        assert stored["total_tokens_used"] == 12 * 40 <= 500
        assert sum(used) + 12 * asked <= 500
        assert stored["total_messages"] == 24

    async def test_are_exceeded_only_by_differences_in_counting(
        self, alice: HttpClient, fake_model: FakeModel, database: Any
    ) -> None:
        """The bound: the limit, and what requests under way use beyond what was set aside."""
        conversation = await limited(alice, 500)
        body = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 32}
        set_aside, used = 8 + 32, 55
        usage = {"prompt_tokens": 15, "completion_tokens": 40, "total_tokens": used}
        held = asyncio.Event()
        fake_model.usual = ScriptedAnswer(usage=usage, held=held)
        headers = {"X-Conversation-Id": conversation["id"]}
        asking = [
            asyncio.create_task(alice.post("/chat/completions", json=body, headers=headers))
            for _ in range(20)
        ]
        begun = 500 // set_aside
        await until(lambda: sum(task.done() for task in asking) == 20 - begun)
        stored = await database.conversations.find_one()
        assert stored["reserved_tokens"] == begun * set_aside <= 500

        held.set()
        answers = await asyncio.gather(*asking)

        assert sorted(answer.status for answer in answers) == [200] * begun + [409] * (20 - begun)
        stored = await database.conversations.find_one()
        assert stored["total_tokens_used"] == begun * used <= 500 + begun * (used - set_aside)
        assert stored["reserved_tokens"] == 0
        refused = await alice.post("/chat/completions", json=body, headers=headers)
        await problem(refused, 409, "token_limit_reached")
        assert len(fake_model.requests) == begun


class TestStats:
    async def test_count_everything(
        self, alice: HttpClient, bob: HttpClient, fake_model: FakeModel
    ) -> None:
        first, second = await limited(alice), await begin(alice, title="T")
        await ask(alice, first)
        await ask(alice, first)
        await ask(alice, second)
        await alice.post(f"/conversations/{second['id']}/archive", json={"archived": True})

        stats = await (await alice.get("/conversations/stats")).json()

        [day] = stats.pop("tokens_per_day")
        assert (day["tokens"], day["requests"]) == (75, 3)
        agent = stats.pop("most_active_agent")
        assert (agent["id"], agent["messages"]) == (first["agent_id"], 4)
        assert stats == {
            "total_conversations": 2,
            "active_conversations": 1,
            "archived_conversations": 1,
            "total_messages": 6,
            "total_tokens_used": 75,
            "average_messages_per_conversation": 3.0,
        }
        empty = await (await bob.get("/conversations/stats")).json()
        assert empty["total_conversations"] == 0
        assert empty["most_active_agent"] is None


class TestAgentsOfConversations:
    async def test_filter_the_list(self, alice: HttpClient, bob: HttpClient) -> None:
        one, other = await limited(alice), await begin(alice, title="T")

        async def listed(agent_id: str) -> list[str]:
            answer = await alice.get("/conversations", params={"agent_id": agent_id})
            assert answer.headers["X-Total-Count"] == str(len(await answer.json()))
            return [each["id"] for each in await answer.json()]

        assert await listed(one["agent_id"]) == [one["id"]]
        assert other["agent_id"] == "0" * 24
        assert await listed(other["agent_id"]) == [other["id"]]
        assert await listed("5" * 24) == []

    async def test_must_be_ones_that_the_user_may_use(
        self, alice: HttpClient, bob: HttpClient
    ) -> None:
        one = await limited(alice)
        agent = {"agent_id": one["agent_id"]}
        theirs = await begin(bob)

        await problem(await bob.post("/conversations", json=agent), 404, "not_found")
        path = f"/conversations/{theirs['id']}"
        await problem(await bob.patch(path, json=agent), 404, "not_found")
        changed = await alice.patch(
            f"/conversations/{one['id']}",
            json={"agent_id": None, "system_prompt": "New", "mcp_enabled": True},
        )
        body = await changed.json()
        assert (body["agent_id"], body["system_prompt"]) == ("0" * 24, "New")
        assert body["mcp_enabled"] is True

    async def test_are_archived_and_brought_back(self, alice: HttpClient) -> None:
        conversation = await begin(alice)
        path = f"/conversations/{conversation['id']}/archive"

        archived = await (await alice.post(path, json={"archived": True})).json()
        back = await (await alice.post(path, json={"archive": False})).json()

        assert (archived["status"], bool(archived["archived_at"])) == ("archived", True)
        assert (back["status"], back["archived_at"]) == ("active", None)
