"""A message is sent, the model is asked with the conversation's context, the answer is stored."""

import asyncio
import json
from typing import Any

import pytest

from chatvault.replies.schemas import ReplyOut
from conftest import HttpClient
from support.answers import found, problem, wrong_fields
from support.factories import begin, message
from support.fake_model import FakeModel, ScriptedAnswer
from support.imports import bring_in
from support.talking import ask, path_of, said, settled, until


class TestCreate:
    async def test_stores_and_answers_both_messages(
        self, alice: HttpClient, fake_model: FakeModel
    ) -> None:
        conversation = await begin(alice)
        fake_model.say(ScriptedAnswer(chunks=["Hi", " Alice"]))

        exchange = await ask(alice, conversation, "Hello", metadata={"mine": 1})

        asked, answered = exchange["user_message"], exchange["assistant_message"]
        assert (asked["role"], asked["content"]) == ("user", "Hello")
        assert asked["metadata"] == {"mine": 1}
        assert (answered["role"], answered["content"]) == ("assistant", "Hi Alice")
        facts = {
            "model_used": "gpt-twin",
            "llm_provider": "twin",
            "temperature": 0.7,
            "input_tokens": 20,
            "output_tokens": 5,
            "total_tokens": 25,
            "finish_reason": "stop",
        }
        assert facts.items() <= answered.items()
        assert answered["response_time_ms"] >= 0
        assert exchange["total_tokens_used"] == exchange["conversation_total_tokens"] == 25
        assert exchange.keys() == ReplyOut.model_fields.keys()
        stored = await found(alice, conversation["id"])
        assert stored["messages"] == [asked, answered]
        assert (stored["total_tokens_used"], stored["active_reply_id"]) == (25, None)

    async def test_sends_earlier_messages_to_the_model(
        self, alice: HttpClient, fake_model: FakeModel
    ) -> None:
        conversation = await begin(alice, systemPrompt="Be brief.")
        fake_model.say("Redis.", "Its port is 6379.")

        await ask(alice, conversation, "How do I cache?")
        await ask(alice, conversation, "How do I set it up?")

        assert fake_model.asked == [
            [("system", "Be brief."), ("user", "How do I cache?")],
            [
                ("system", "Be brief."),
                ("user", "How do I cache?"),
                ("assistant", "Redis."),
                ("user", "How do I set it up?"),
            ],
        ]

    async def test_uses_the_agents_settings(self, alice: HttpClient, fake_model: FakeModel) -> None:
        pirate = {"name": "P", "system_prompt": "Arr.", "model": "gpt-big", "temperature": 0.1}
        agent = await (await alice.post("/agents", json=pirate)).json()
        conversation = await begin(alice, agent_id=agent["id"])

        exchange = await ask(alice, conversation)

        [request] = fake_model.requests
        assert (request["model"], request["temperature"]) == ("gpt-big", 0.1)
        assert request["messages"][0] == {"role": "system", "content": "Arr."}
        assert request["stream"] is True
        assert exchange["assistant_message"]["model_used"] == "gpt-big"

    async def test_can_use_another_agent_once(
        self, alice: HttpClient, fake_model: FakeModel
    ) -> None:
        other = {"name": "O", "system_prompt": "Other."}
        agent = await (await alice.post("/agents", json=other)).json()
        conversation = await begin(alice)

        await ask(alice, conversation, agent_id=agent["id"])

        assert fake_model.asked[0][0] == ("system", "Other.")
        refused = await alice.post(
            path_of(conversation), json={"content": "x", "agent_id": "5" * 24}
        )
        await problem(refused, 404, "not_found")

    async def test_counts_tokens_if_the_provider_does_not(
        self, alice: HttpClient, fake_model: FakeModel
    ) -> None:
        conversation = await begin(alice)
        fake_model.say(ScriptedAnswer(chunks=["one two three"], usage=None))

        exchange = await ask(alice, conversation)

        answered = exchange["assistant_message"]
        assert answered["output_tokens"] == 3
        assert answered["input_tokens"] > 5

    async def test_refuses_long_or_contradictory_input(self, alice: HttpClient) -> None:
        path = path_of(await begin(alice))
        for wrong, field in [
            ({"content": "x" * 10_001}, "content"),
            ({"content": ""}, "content"),
            ({"content": "x", "unknown": 1}, "unknown"),
            ({"content": "x", "id": "no good"}, "id"),
        ]:
            answer = await alice.post(path, json=wrong)
            assert await wrong_fields(answer) == [["body", field]]
        for wrong in ({}, {"content": "x", "regenerate": "replace"}, {"regenerate": "append"}):
            assert (await alice.post(path, json=wrong)).status == 422

    async def test_is_for_the_owner_only(
        self, alice: HttpClient, bob: HttpClient, fake_model: FakeModel
    ) -> None:
        conversation = await begin(alice)
        exchange = await ask(alice, conversation)
        reply = exchange["reply_id"]

        for call, path in [
            (bob.post, path_of(conversation)),
            (bob.get, path_of(conversation, reply)),
            (bob.get, path_of(conversation, reply, "events")),
            (bob.post, path_of(conversation, reply, "cancel")),
            (bob.get, f"/conversations/{conversation['id']}/context"),
            (bob.post, f"/conversations/{conversation['id']}/summary"),
        ]:
            body: Any = {"json": {"content": "x"}} if path == path_of(conversation) else {}
            await problem(await call(path, **body), 404, "not_found")
        assert len(fake_model.requests) == 1

    async def test_refuses_a_second_reply_at_the_same_time(
        self, alice: HttpClient, fake_model: FakeModel
    ) -> None:
        conversation = await begin(alice)
        held = asyncio.Event()
        fake_model.say(ScriptedAnswer(held=held))
        first = asyncio.create_task(ask(alice, conversation, "one"))
        await until(lambda: fake_model.requests)

        refused = await alice.post(path_of(conversation), json={"content": "two"})
        await problem(refused, 409, "reply_in_progress")
        appended = await alice.post(
            f"/conversations/{conversation['id']}/messages", json=message("beside")
        )
        assert appended.status == 200
        held.set()
        await first

        assert [text for _, text in said(await found(alice, conversation["id"]))] == [
            "one", "beside", "Hello there.",
        ]  # fmt: skip

    async def test_answers_one_of_many_concurrent_requests(
        self, alice: HttpClient, fake_model: FakeModel
    ) -> None:
        conversation = await begin(alice)
        fake_model.usual = ScriptedAnswer(pause=0.1)

        answers = await asyncio.gather(
            *(alice.post(path_of(conversation), json={"content": f"{n}"}) for n in range(10))
        )

        assert sorted(answer.status for answer in answers) == [201] + [409] * 9
        assert len(fake_model.requests) == 1
        assert (await found(alice, conversation["id"]))["total_messages"] == 2

    async def test_is_refused_in_an_archived_conversation(
        self, alice: HttpClient, fake_model: FakeModel
    ) -> None:
        conversation = await begin(alice)
        path = f"/conversations/{conversation['id']}/archive"
        await alice.post(path, json={"archived": True})

        refused = await alice.post(path_of(conversation), json={"content": "x"})
        await problem(refused, 409, "conversation_archived")

        await alice.post(path, json={"archived": False})
        await ask(alice, conversation)
        assert len(fake_model.requests) == 1

    async def test_answers_the_same_key_once(
        self, alice: HttpClient, fake_model: FakeModel
    ) -> None:
        conversation = await begin(alice)
        headers = {"Idempotency-Key": "k1"}

        async def once(content: str = "Hello") -> Any:
            return await alice.post(
                path_of(conversation), json={"content": content}, headers=headers
            )

        answers = await asyncio.gather(*(once() for _ in range(5)))
        bodies = [await answer.json() for answer in answers]

        assert all(body == bodies[0] for body in bodies)
        assert len(fake_model.requests) == 1
        assert (await found(alice, conversation["id"]))["total_messages"] == 2
        await problem(await once("Other"), 422, "idempotency_key_reused")

    async def test_answers_404_for_the_same_key_after_the_deletion(
        self, alice: HttpClient, fake_model: FakeModel, database: Any
    ) -> None:
        conversation = await begin(alice)
        headers, body = {"Idempotency-Key": "k1"}, {"content": "Hello"}
        assert (await alice.post(path_of(conversation), json=body, headers=headers)).status == 201
        await alice.delete(f"/conversations/{conversation['id']}")
        again = await alice.post(path_of(conversation), json=body, headers=headers)
        await problem(again, 404, "not_found")
        mine = {"request_id": again.headers["X-Request-ID"]}
        [entry] = await database.audit_logs.find(mine).to_list()
        assert (entry["outcome"], entry["code"]) == ("denied", "not_found")

    async def test_is_audited_without_message_text(
        self, alice: HttpClient, fake_model: FakeModel, database: Any
    ) -> None:
        conversation = await begin(alice)
        fake_model.say("Secret answer")

        await ask(alice, conversation, "Secret question")

        entries = await database.audit_logs.find({"resource_type": "reply"}).to_list()
        assert [(each["action"], each["outcome"]) for each in entries] == [
            ("reply.create", "success"), ("reply.finish", "success"),
        ]  # fmt: skip
        assert "ecret" not in str(entries)

    async def test_sends_the_first_message_at_once(
        self, alice: HttpClient, fake_model: FakeModel
    ) -> None:
        headers = {"Idempotency-Key": "k2"}
        body = {"initial_message": "Good morning"}
        conversations = [
            await (await alice.post("/conversations", json=body, headers=headers)).json()
            for _ in range(2)
        ]

        first = conversations[0]
        assert first["id"] == conversations[1]["id"]
        stored = await settled(alice, first)
        assert said(stored) == [("user", "Good morning"), ("assistant", "Answer 1.")]


class TestFiles:
    async def test_are_shown_by_the_message(self, alice: HttpClient, fake_model: FakeModel) -> None:
        conversation = await begin(alice)
        part = {"type": "file", "attachment_id": "a-1", "name": "map.png", "size": 3}

        await ask(alice, conversation, "Where is it?", files=[part])

        question, _ = (await found(alice, conversation["id"]))["messages"]
        assert question["parts"] == [{"type": "text", "text": "Where is it?"}, part]
        assert [text for _, text in fake_model.asked[0]][1:] == ["Where is it?"]

    @pytest.mark.parametrize(
        "wrong",
        [
            {"content": "x", "files": []},
            {"content": "x", "files": [{"type": "text", "text": "x"}]},
            {"content": "x", "files": [{"type": "file", "attachment_id": "a"}] * 21},
            {"content": "x", "files": [{"type": "file", "attachment_id": "a", "name": "\ud800"}]},
            {"regenerate": "branch", "files": [{"type": "file", "attachment_id": "a"}]},
        ],
    )
    async def test_are_checked(self, alice: HttpClient, wrong: dict[str, Any]) -> None:
        conversation = await begin(alice, messages=[message("Hello")])
        answer = await alice.post(path_of(conversation), json=wrong)
        assert answer.status in {400, 422}


class TestRegenerate:
    async def test_replaces_the_answer_which_is_kept_as_a_revision(
        self, alice: HttpClient, fake_model: FakeModel
    ) -> None:
        conversation = await begin(alice)
        fake_model.say("First", "Second")
        first = await ask(alice, conversation, "Hello")

        second = await ask(alice, conversation, None, regenerate="replace")

        assert said(await found(alice, conversation["id"])) == [
            ("user", "Hello"), ("assistant", "Second"),
        ]  # fmt: skip
        assert [text for _, text in fake_model.asked[1]][1:] == ["Hello"]
        answered = second["assistant_message"]
        assert answered["id"] == first["assistant_message"]["id"]
        path = f"/conversations/{conversation['id']}/messages/{answered['id']}/revisions"
        [revision] = await (await alice.get(path)).json()
        assert revision["message"]["content"] == "First"
        assert second["conversation_total_tokens"] == 50

    async def test_adds_an_alternative_answer(
        self, alice: HttpClient, fake_model: FakeModel
    ) -> None:
        conversation = await begin(alice)
        fake_model.say("First", "Second", "Third", "Fourth")
        first = await ask(alice, conversation, "Hello")

        second = await ask(alice, conversation, None, regenerate="branch")
        await ask(alice, conversation, None, regenerate="branch")
        await ask(alice, conversation, "Go on")

        kept = await found(alice, conversation["id"])
        assert [text for _, text in said(kept)] == ["Hello", "Third", "Go on", "Fourth"]
        path = f"/conversations/{conversation['id']}/forks"
        [fork] = (await (await alice.get(path)).json())["forks"]
        assert len(fork["messages"]) == 3
        assert fork["parent_id"] == kept["messages"][0]["id"]
        assert fork["active_id"] == fork["messages"][2]["id"] == kept["messages"][1]["id"]
        assert second["assistant_message"]["alternative_to"] == first["assistant_message"]["id"]
        assert [text for _, text in fake_model.asked[2]][1:] == ["Hello"]
        assert [text for _, text in fake_model.asked[3]][1:] == ["Hello", "Third", "Go on"]

    async def test_needs_a_message_to_answer(self, alice: HttpClient) -> None:
        for messages in ([], [message("Welcome", "assistant")], [message("Be", "system")]):
            conversation = await begin(alice, messages=messages)
            answer = await alice.post(path_of(conversation), json={"regenerate": "replace"})
            await problem(answer, 409, "nothing_to_answer")

    async def test_answers_a_message_that_has_no_answer_yet(
        self, alice: HttpClient, fake_model: FakeModel
    ) -> None:
        conversation = await begin(alice, messages=[message("Alone")])

        await ask(alice, conversation, None, regenerate="branch")

        assert said(await found(alice, conversation["id"])) == [
            ("user", "Alone"), ("assistant", "Answer 1."),
        ]  # fmt: skip


class TestWithoutAnAgent:
    async def test_stores_nothing(self, alice: HttpClient) -> None:
        agent = await (await alice.post("/agents", json={"name": "A", "provider": "twin"})).json()
        conversation = await begin(alice, agent_id=agent["id"])
        deleted = await alice.delete(f"/agents/{agent['id']}")
        assert deleted.status == 204

        refused = await alice.post(path_of(conversation), json={"content": "x"})
        await problem(refused, 404, "not_found")
        assert said(await found(alice, conversation["id"])) == []


def imported(*roles: str) -> bytes:
    """An export of chatvault with a question, and after it messages of these roles; `-` hides."""
    at = "2026-01-31T10:00:00.000Z"
    messages: list[dict[str, Any]] = [{"id": "ask", "role": "user", "content": "Hello"}]
    for number, role in enumerate(roles):
        name = role.strip("-")
        told: dict[str, Any] = {"id": f"m{number}", "role": name, "content": f"S{number}"}
        if role.startswith("-"):
            told["hidden"] = True
        if role == "call":
            part = {"type": "tool_call", "id": "c", "name": "look", "input": {}}
            told |= {"role": "assistant", "content": "", "parts": [part]}
        if name == "tool":
            part = {"type": "tool_result", "call_id": "c", "output": "42", "name": "look"}
            told |= {"content": "", "parts": [part]}
        messages.append(told)
    conversation: dict[str, Any] = {
        "id": "6b01f3d94b063bd009032330",
        "title": "T",
        "created_at": at,
    }
    conversation |= {"updated_at": at, "messages": [{**each, "timestamp": at} for each in messages]}
    header = {"chatvault": {"version": 1}, "conversations": [conversation]}
    return json.dumps({**header, "end": {"conversations": 1}}).encode()


class TestRegenerateImported:
    @pytest.mark.parametrize("mode", ["replace", "branch"])
    @pytest.mark.parametrize(
        ("roles", "sent", "kept"),
        [
            (("assistant", "-assistant"), [], {"S0": "replaced"}),
            (("assistant", "-user", "-system"), [], {"S0": "replaced"}),
            (("-assistant",), [], {}),
            (("call", "tool"), ["", "42"], {"": "kept"}),
            (
                ("-system", "call", "tool", "assistant", "-assistant"),
                ["", "42"],
                {"S3": "replaced"},
            ),
            (("-assistant",) * 120, [], {}),
        ],
    )
    async def test_answers_the_last_question_that_is_shown(
        self,
        alice: HttpClient,
        fake_model: FakeModel,
        mode: str,
        roles: tuple[str, ...],
        sent: list[str],
        kept: dict[str, str],
    ) -> None:
        await bring_in(alice, imported(*roles))
        [conversation] = await (await alice.get("/conversations")).json()

        answered = await ask(alice, conversation, None, regenerate=mode)

        assert [text or "" for _, text in fake_model.asked[0]][1:] == ["Hello", *sent]
        shown = [text for _, text in said(await found(alice, conversation["id"]))]
        assert answered["assistant_message"]["content"] in shown
        for text, fate in kept.items():
            assert (text in shown) == (fate == "kept")
