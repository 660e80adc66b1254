"""How often, and without a model."""

from typing import Any

import pytest
from aiohttp import web

from chatvault.settings import Settings
from conftest import HttpClient
from support.answers import problem
from support.factories import begin, message
from support.talking import path_of
from support.twin import Twin


class TestRate:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return settings.model_copy(update={"replies_per_minute": 3})

    async def test_is_so_many_a_minute_and_user(
        self, alice: HttpClient, bob: HttpClient, twin: Twin
    ) -> None:
        conversation = await begin(alice, title="T")
        statuses = []
        for _ in range(3):
            answer = await alice.post(path_of(conversation), json={"content": "x"})
            statuses.append(answer.status)

        refused = await alice.post(path_of(conversation), json={"content": "x"})

        assert statuses == [201] * 3
        await problem(refused, 429, "too_many_requests")
        assert 1 <= int(refused.headers["Retry-After"]) <= 60
        body = {"messages": [message()]}
        assert (await alice.post("/chat/completions", json=body)).status == 429
        theirs = await begin(bob, title="T")
        assert (await bob.post(path_of(theirs), json={"content": "x"})).status == 201
        assert len(twin.requests) == 4


class TestWithoutAModel:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return settings.model_copy(update={"providers": {}})

    async def test_everything_else_works_and_says_so(
        self, app: web.Application, alice: HttpClient, database: Any,
        capsys: pytest.CaptureFixture[str],
    ) -> None:  # fmt: skip
        conversation = await begin(alice, messages=[message("a"), message("b", "assistant")])

        refused = await alice.post(path_of(conversation), json={"content": "x"})
        body = await problem(refused, 503, "model_not_configured")
        assert "CHATVAULT_PROVIDERS" in body["detail"]
        first = await alice.post("/conversations", json={"initial_message": "x"})
        await problem(first, 503, "model_not_configured")
        completed = await alice.post("/v1/chat/completions", json={"messages": [message()]})
        await problem(completed, 503, "model_not_configured")
        assert await database.conversations.count_documents({}) == 1
        shown = await (await alice.get(f"/conversations/{conversation['id']}/context")).json()
        assert [each["content"] for each in shown["messages"]][1:] == ["a", "b"]
        assert (shown["provider"], shown["model"]) == (None, "")
