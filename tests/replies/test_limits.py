"""How often, and without a model."""

from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from structlog.testing import capture_logs

from chatvault.app import create_app
from chatvault.settings import Environment, Settings
from conftest import HttpClient
from support.answers import problem
from support.factories import begin, message, settings_for
from support.fake_model import FakeModel
from support.talking import ask, path_of


class TestRate:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return settings.model_copy(update={"replies_per_minute": 3})

    async def test_is_limited_by_minute_and_user(
        self, alice: HttpClient, bob: HttpClient, fake_model: FakeModel
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
        assert len(fake_model.requests) == 4


class TestByOpenaisKey:
    @pytest.fixture(autouse=True)
    def environment(self, fake_model: FakeModel, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OPENAI_API_KEY", "sk-hush")
        monkeypatch.setenv("OPENAI_BASE_URL", fake_model.url)

    @pytest.fixture
    def settings(self, settings: Settings, environment: None) -> Settings:
        return settings.model_copy(update={"providers": {}}).with_provider_keys()

    async def test_agents_answer(self, alice: HttpClient, fake_model: FakeModel) -> None:
        exchange = await ask(alice, await begin(alice, title="T"))

        assert exchange["assistant_message"]["content"] == "Answer 1."
        assert fake_model.requests[0]["model"] == "gpt-4o-mini"
        assert fake_model.keys == {"Bearer sk-hush"}

    @pytest.mark.usefixtures("clean_database")
    @pytest.mark.parametrize("env", list(Environment))
    async def test_is_reported_in_a_line_at_the_start(
        self, settings: Settings, mongodb_url: str, env: Environment
    ) -> None:
        is_used = env is Environment.DEVELOPMENT
        if not is_used:
            settings = settings_for(settings.data_dir, env=env)

        with capture_logs() as lines:
            async with TestServer(create_app(settings, mongodb_url=mongodb_url)):
                pass

        [line] = [each for each in lines if "model" in each["event"]]
        assert "sk-hush" not in str(line)
        assert "CHATVAULT_PROVIDERS" in str(line)
        if is_used:
            assert (line["event"], line["model"]) == ("model_by_openai_api_key", "gpt-4o-mini")
        else:
            assert line["event"] == "no_model_is_configured"
            assert line["ignored"] == "OPENAI_API_KEY"


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
