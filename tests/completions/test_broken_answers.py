"""An answer that has begun and cannot go on: the client is told in it, and nobody twice."""

import json
from collections.abc import AsyncGenerator, Callable
from typing import Any

import aiohttp
import pytest
from pymongo.errors import AutoReconnect

from chatvault.completions import routes
from chatvault.completions.recording import Completion
from chatvault.replies import service
from chatvault.replies.events import Event
from chatvault.replies.model_calls import Chunk
from conftest import HttpClient
from support.factories import begin
from support.fake_model import FakeModel
from support.talking import ask, begin_stream, path_of, settled

TROUBLES = [(AutoReconnect("gone"), "unavailable"), (RuntimeError("planted"), "internal_error")]
HELLO = [{"role": "user", "content": "Hello"}]


async def left_by(database: Any, answer: aiohttp.ClientResponse) -> list[tuple[str, str | None]]:
    """The outcomes and codes of the entries that a request left."""
    mine = {"request_id": answer.headers["X-Request-ID"]}
    found = await database["audit_logs"].find(mine).to_list()
    return [(entry["outcome"], entry["code"]) for entry in found]


@pytest.mark.parametrize(("error", "code"), TROUBLES, ids=["database", "fault"])
class TestEvents:
    @pytest.fixture
    def break_off(self, constants: pytest.MonkeyPatch, error: Exception) -> Callable[[], None]:
        """Lets streams fail after their first event."""

        async def follow(*_: Any, **__: Any) -> AsyncGenerator[Event, None]:
            yield Event(1, "message_stored", {"message": {"id": "m"}})
            raise error

        return lambda: constants.setattr(service, "follow", follow)

    async def check(self, database: Any, answer: aiohttp.ClientResponse, code: str) -> None:
        text = await answer.text()
        first, last = text.strip().split("\n\n")
        assert first.startswith("id: 1\nevent: message_stored")
        kind, data = last.split("\n")
        assert kind == "event: error"
        told = json.loads(data.removeprefix("data: "))
        assert told["code"] == code
        assert "nothing was done" not in told["detail"]
        assert "planted" not in told["detail"]
        assert await left_by(database, answer) == [("success", None)]

    async def test_of_a_new_reply_end_with_an_error(
        self,
        alice: HttpClient,
        fake_model: FakeModel,
        database: Any,
        break_off: Callable[[], None],
        code: str,
    ) -> None:
        conversation = await begin(alice)
        break_off()

        answer = await begin_stream(alice, conversation, "Hi")

        await self.check(database, answer, code)
        await settled(alice, conversation)

    async def test_of_a_followed_reply_end_with_an_error(
        self,
        alice: HttpClient,
        fake_model: FakeModel,
        database: Any,
        break_off: Callable[[], None],
        code: str,
    ) -> None:
        conversation = await begin(alice)
        reply_id = (await ask(alice, conversation))["reply_id"]
        break_off()

        answer = await alice.get(path_of(conversation, reply_id, "events"))

        await self.check(database, answer, code)


@pytest.mark.parametrize(("error", "code"), TROUBLES, ids=["database", "fault"])
class TestCompletion:
    async def test_ends_with_an_error(
        self,
        alice: HttpClient,
        fake_model: FakeModel,
        database: Any,
        constants: pytest.MonkeyPatch,
        error: Exception,
        code: str,
    ) -> None:
        async def pieces() -> AsyncGenerator[Chunk, None]:
            yield Chunk(text="x", raw={"choices": [{"delta": {"content": "x"}}]})
            raise error

        async def complete(*_: Any, **__: Any) -> Completion:
            return Completion(pieces())

        constants.setattr(routes, "complete", complete)
        body = {"messages": HELLO, "stream": True}

        answer = await alice.post("/chat/completions", json=body)

        _, last = (await answer.text()).strip().split("\n\n")
        told = json.loads(last.removeprefix("data: "))["error"]
        assert told["code"] == code
        assert "nothing was done" not in told["message"]
        assert await left_by(database, answer) == []
