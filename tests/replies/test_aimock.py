"""The same wire, spoken by somebody else's fake: `@copilotkit/aimock`."""

import json
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chatvault.external import Provider
from chatvault.settings import Settings
from conftest import HttpClient
from support import programs
from support.answers import problem
from support.factories import begin, settings_for
from support.talking import ask, begin_stream, events_of, path_of, text_of

FIXTURES = [
    {"match": {"userMessage": "hello"}, "response": {"content": "Hello! How can I help you?"}},
    {
        "match": {"userMessage": "weather"},
        "response": {
            "toolCalls": [
                {"name": "get_weather", "arguments": {"city": "Oslo"}},
                {"name": "get_weather", "arguments": {"city": "Rome"}},
            ]
        },
    },
    {
        "match": {"userMessage": "too many"},
        "response": {"error": {"message": "slow down"}, "status": 429, "retryAfter": 60},
    },
    {
        "match": {"userMessage": "broken"},
        "response": {"content": "This answer will never come to its end."},
        "chunkSize": 5,
        "truncateAfterChunks": 4,
        "latency": 30,
    },
]


@pytest.fixture(scope="module")
def aimock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    fixtures = tmp_path_factory.mktemp("aimock") / "fixtures.json"
    fixtures.write_text(json.dumps({"fixtures": FIXTURES}))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["-p", str(port), "-f", str(fixtures), "--log-level", "silent"]
    with subprocess.Popen([*programs.aimock(), *options]) as process:
        for _ in range(400):
            with socket.socket() as tried:
                if tried.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        else:
            pytest.fail("aimock does not listen")
        yield f"http://127.0.0.1:{port}/v1"
        process.terminate()


@pytest.fixture(params=["openai", "anthropic"])
def protocol(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def settings(aimock: str, tmp_path: Path, protocol: str) -> Settings:
    given = {"protocol": protocol, "base_url": aimock, "model": "gpt-4o"}
    return settings_for(tmp_path, providers={"aimock": Provider(**given)})


class TestAimock:
    async def test_answers(self, alice: HttpClient) -> None:
        conversation = await begin(alice, title="T")

        exchange = await ask(alice, conversation, "hello")

        answered = exchange["assistant_message"]
        assert answered["content"] == "Hello! How can I help you?"
        assert answered["total_tokens"] > 0

    async def test_calls_two_tools_at_once(self, alice: HttpClient) -> None:
        conversation = await begin(alice, title="T")

        events = await events_of(await begin_stream(alice, conversation, "weather"))

        calls: list[Any] = [event.data for event in events if event.type == "tool_call"]
        cities = [json.loads(call["arguments"])["city"] for call in calls]
        assert cities == ["Oslo", "Rome"]
        assert len({call["id"] for call in calls}) == 2
        # No tools were offered, so that nobody is asked about them.
        assert events[-1].data["state"] == "completed"

    async def test_is_rate_limited(self, alice: HttpClient) -> None:
        conversation = await begin(alice, title="T")

        refused = await alice.post(path_of(conversation), json={"content": "too many"})

        await problem(refused, 503, "model_rate_limited")
        assert refused.headers["Retry-After"] == "60"

    async def test_is_cut_off(self, alice: HttpClient) -> None:
        conversation = await begin(alice, title="T")

        events = await events_of(await begin_stream(alice, conversation, "broken"))

        assert events[-1].data["code"] == "model_stream_broken"
        said = text_of(events)
        assert said
        assert "This answer will never come to its end.".startswith(said)
        assert events[-1].data["message"]["content"] == said
