"""Replies and commands on messages that lie in segments, which an edit may cut."""

import asyncio
from typing import Any

import pytest

from chatvault.conversations.commits.reader import BatchReader
from chatvault.conversations.routes import COMMITS
from conftest import HttpClient
from support.answers import found
from support.factories import begin, message
from support.fake_model import FakeModel
from support.stored import stored, tiny_bounds
from support.talking import ask, path_of, said


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_bounds(monkeypatch)
    # Whatever grows is cut.
    monkeypatch.setattr("chatvault.conversations.commits.segment_writes.SEGMENT_HARD_BYTES", 0)
    monkeypatch.setattr("chatvault.conversations.segments.MAX_BYTES", 500)


class TestRegenerate:
    async def test_works_if_the_old_answer_is_in_a_segment_that_is_split(
        self, http: HttpClient, alice: HttpClient, fake_model: FakeModel, database: Any
    ) -> None:
        roles = ["user", "assistant"]
        some = [message(str(n), roles[n % 2], id=f"m{n}") for n in range(12)]
        conversation = await begin(alice, messages=some, title="T")
        assert http.app is not None
        await http.app[COMMITS].drain()
        for number in (11, 10):
            await alice.delete(f"/conversations/{conversation['id']}/messages/m{number}")
        fake_model.say("x" * 2000)

        async with asyncio.timeout(30):
            exchange = await ask(alice, conversation, None, regenerate="replace")

        assert exchange["state"] == "completed"
        assert exchange["assistant_message"]["id"] == "m9"
        shown = await found(alice, conversation["id"])
        assert said(shown)[-1] == ("assistant", "x" * 2000)
        assert (shown["active_reply_id"], shown["messages"][-1]["version"]) == (None, 2)
        assert await database["revisions"].count_documents({}) == 1
        reply = await (await alice.get(path_of(conversation, exchange["reply_id"]))).json()
        assert (reply["state"], reply["answer_id"]) == ("completed", "m9")
        ended = {"action": "reply.finish"}
        assert await database["audit_logs"].count_documents(ended) == 1
        await stored(database, conversation["id"])


class TestBegin:
    @pytest.mark.parametrize(("more", "queries"), [({}, 0), ({"id": "mine"}, 1)])
    async def test_looks_for_an_id_that_the_client_gave_alone(
        self,
        http: HttpClient,
        alice: HttpClient,
        fake_model: FakeModel,
        monkeypatch: pytest.MonkeyPatch,
        more: dict[str, Any],
        queries: int,
    ) -> None:
        some = [message(str(n), ("user", "assistant")[n % 2], id=f"m{n}") for n in range(12)]
        conversation = await begin(alice, messages=some, title="T")
        assert http.app is not None
        await http.app[COMMITS].drain()
        looked, look = list[str](), BatchReader._look_in_segments

        async def look_in_segments(reader: Any, wanted: Any, *, whole: bool) -> None:
            looked.extend(each for _, ids, _ in wanted for each in ids)
            await look(reader, wanted, whole=whole)

        monkeypatch.setattr(BatchReader, "_look_in_segments", look_in_segments)
        fake_model.say("Hi")

        exchange = await ask(alice, conversation, "Hello", **more)

        assert exchange["state"] == "completed"
        assert looked == ["mine"] * queries
        assert said(await found(alice, conversation["id"]))[-2:] == [
            ("user", "Hello"),
            ("assistant", "Hi"),
        ]
