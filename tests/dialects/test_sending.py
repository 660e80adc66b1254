"""`POST …/messages?reply=true`: a message is stored, and answered as `POST …/replies` does."""

import asyncio
from typing import Any

from chatvault.actor import Scope
from chatvault.audit.models import AuditEntry
from chatvault.dialects.schemas import SentOut
from conftest import HttpClient
from support.answers import found, problem, wrong_fields
from support.factories import begin, message
from support.fake_model import FakeModel, ScriptedAnswer
from support.keys import key_of
from support.talking import EVENT_STREAM, events_of, said, settled, text_of, until


def path_of(conversation: dict[str, Any], query: str = "?reply=true") -> str:
    return f"/conversations/{conversation['id']}/messages{query}"


class TestSend:
    async def test_stores_and_answers_both_messages(
        self, alice: HttpClient, fake_model: FakeModel
    ) -> None:
        conversation = await begin(alice)
        fake_model.say(ScriptedAnswer(chunks=["Hi", " Alice"]))

        answer = await alice.post(
            path_of(conversation), json={"content": "Hello", "metadata": {"mine": 1}}
        )

        assert answer.status == 200, await answer.text()
        sent = await answer.json()
        assert sent.keys() == SentOut.model_fields.keys()
        stored = await found(alice, conversation["id"])
        asked, answered = stored["messages"]
        assert (asked["id"], asked["role"], asked["metadata"]) == (
            sent["message_id"], "user", {"mine": 1},
        )  # fmt: skip
        assert sent["assistant_message"] == {
            **answered,
            "conversation_id": conversation["id"],
            "user_id": None,
            "created_at": answered["timestamp"],
        }
        assert (answered["content"], answered["total_tokens"]) == ("Hi Alice", 25)
        assert sent["total_tokens_used"] == sent["conversation_total_tokens"] == 25
        assert sent["conversation_id"] == conversation["id"]
        action = {"action": "reply.create", "resource_id": conversation["id"]}
        assert await AuditEntry.find(action).count() == 1

    async def test_is_carried_out_once(self, alice: HttpClient, fake_model: FakeModel) -> None:
        conversation = await begin(alice)
        key = {"Idempotency-Key": "k1"}
        body = message("Hello")

        first = await alice.post(path_of(conversation), json=body, headers=key)
        again = await alice.post(path_of(conversation), json=body, headers=key)

        assert first.status == again.status == 200
        assert await first.json() == await again.json()
        assert len(fake_model.requests) == 1
        for query in ("", "?reply=false"):
            answer = await alice.post(path_of(conversation, query), json=body, headers=key)
            await problem(answer, 422, "idempotency_key_reused")
        assert (await found(alice, conversation["id"]))["total_messages"] == 2

    async def test_streams_and_is_completed_without_a_listener(
        self, alice: HttpClient, fake_model: FakeModel
    ) -> None:
        conversation = await begin(alice)
        gate = asyncio.Event()
        fake_model.say(
            ScriptedAnswer(chunks=["Hi", " Alice"]), ScriptedAnswer(chunks=["A", "B"], gate=gate)
        )

        answer = await alice.post(
            path_of(conversation), json={"content": "Hello"}, headers=EVENT_STREAM
        )
        assert answer.content_type == "text/event-stream"
        assert text_of(await events_of(answer)) == "Hi Alice"

        waiting = asyncio.create_task(alice.post(path_of(conversation), json={"content": "More"}))
        await until(lambda: len(fake_model.requests) == 2)
        waiting.cancel()
        gate.set()

        stored = await settled(alice, conversation)
        assert said(stored)[2:] == [("user", "More"), ("assistant", "AB")]

    async def test_is_for_agents(self, alice: HttpClient, fake_model: FakeModel) -> None:
        conversation = await begin(alice)
        key = await key_of(scopes=[Scope.CONVERSATIONS_READ, Scope.CONVERSATIONS_WRITE])
        runner = await key_of(scopes=[Scope.AGENTS_RUN])

        path = path_of(conversation)
        body = {"content": "Hello"}

        refused = await alice.post(path, json=body, headers=key.headers)
        shown = await problem(refused, 403, "insufficient_scope")
        appended = await alice.post(path_of(conversation, ""), json=body, headers=key.headers)
        sent = await alice.post(path, json=body, headers=runner.headers)

        assert shown["scope"] == "agents:run"
        assert (appended.status, sent.status) == (200, 200)
        [entry] = await AuditEntry.find({"outcome": "denied"}).to_list()
        assert entry.action == "reply.create"

    async def test_refuses_what_it_does_not_understand(
        self, alice: HttpClient, bob: HttpClient, fake_model: FakeModel
    ) -> None:
        conversation = await begin(alice)
        path = path_of(conversation)

        for body, place in (
            ({"content": ""}, "content"),
            ({}, "content"),
            ({"content": "x", "role": "assistant"}, "role"),
            ({"content": "x", "metadata": 5}, "metadata"),
            ({"content": "x", "further": 5}, "further"),
        ):
            assert await wrong_fields(await alice.post(path, json=body)) == [["body", place]]
        theirs = await bob.post(path, json={"content": "Hello"})
        await problem(theirs, 404, "not_found")
        await alice.post(f"/conversations/{conversation['id']}/archive", json={})
        archived = await alice.post(path, json={"content": "Hello"})
        await problem(archived, 409, "conversation_archived")
        assert fake_model.requests == []
