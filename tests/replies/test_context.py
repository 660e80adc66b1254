"""What the model is shown: history limit, token budget, summary, memory."""

import asyncio
from typing import Any

import pytest

from chatvault.background import WORKERS
from chatvault.replies.model_messages import to_wire
from conftest import HttpClient
from support.answers import found, problem
from support.factories import begin, message
from support.fake_model import FakeModel, ScriptedAnswer
from support.talking import ask, path_of, until


async def agent_of(http: HttpClient, **fields: Any) -> str:
    answer = await http.post("/agents", json={"name": "A", "system_prompt": "", **fields})
    assert answer.status == 201, await answer.text()
    agent_id: str = (await answer.json())["id"]
    return agent_id


def history(count: int, content: str = "message {n}") -> list[dict[str, Any]]:
    return [message(content.format(n=n), "assistant" if n % 2 else "user") for n in range(count)]


async def context(http: HttpClient, conversation: dict[str, Any], **query: str) -> dict[str, Any]:
    answer = await http.get(f"/conversations/{conversation['id']}/context", params=query)
    assert answer.status == 200, await answer.text()
    body: dict[str, Any] = await answer.json()
    return body


class TestContext:
    async def test_is_exactly_what_is_sent(self, alice: HttpClient, fake_model: FakeModel) -> None:
        conversation = await begin(alice, messages=history(6), systemPrompt="Be brief.")

        shown = await context(alice, conversation, content="Next")
        await ask(alice, conversation, "Next")

        assert fake_model.requests[0]["messages"] == shown["messages"]
        assert fake_model.requests[0]["max_tokens"] == shown["max_output_tokens"]
        assert shown["tokens"] > 0
        assert (shown["provider"], shown["model"]) == ("twin", "gpt-twin")

    async def test_respects_the_history_limit(
        self, alice: HttpClient, fake_model: FakeModel
    ) -> None:
        agent = await agent_of(alice, history_limit=3, auto_generate_summary=False)
        conversation = await begin(alice, messages=history(100), agent_id=agent)

        await ask(alice, conversation, "Next")

        assert [text for _, text in fake_model.asked[0]] == ["message 98", "message 99", "Next"]

    async def test_counts_no_hidden_messages_against_the_limit(
        self, alice: HttpClient, fake_model: FakeModel
    ) -> None:
        agent = await agent_of(alice, history_limit=4, auto_generate_summary=False)
        secrets = [message(f"secret {n}", "assistant", hidden=True) for n in range(120)]
        messages = [*history(6), *secrets, message("message 6"), *secrets[:3]]
        conversation = await begin(alice, messages=messages, agent_id=agent)

        await ask(alice, conversation, "Next")

        sent = [text for _, text in fake_model.asked[0]]
        assert sent == ["message 4", "message 5", "message 6", "Next"]

    async def test_respects_the_token_budget(
        self, alice: HttpClient, fake_model: FakeModel
    ) -> None:
        agent = await agent_of(alice, max_conversation_tokens=200, auto_generate_summary=False)
        conversation = await begin(alice, messages=history(40, "word " * 9 + "{n}"), agent_id=agent)

        shown = await context(alice, conversation, content="Next")
        await ask(alice, conversation, "Next")

        assert shown["tokens"] + shown["max_output_tokens"] <= 200
        assert 5 < len(shown["messages"]) < 15
        sent = [text for _, text in fake_model.asked[0]]
        assert [text.split()[-1] for text in sent[:-1]] == [
            str(n) for n in range(40 - len(sent) + 1, 40)
        ]

    async def test_without_memory_is_the_new_message_alone(
        self, alice: HttpClient, fake_model: FakeModel
    ) -> None:
        agent = await agent_of(alice, conversation_memory_enabled=False)
        conversation = await begin(alice, messages=history(4), agent_id=agent)

        await ask(alice, conversation, "Next")

        assert fake_model.asked[0] == [("user", "Next")]

    async def test_leaves_out_removed_messages(
        self, alice: HttpClient, fake_model: FakeModel
    ) -> None:
        conversation = await begin(alice, messages=[message("a", id="a"), message("b", id="b")])
        await alice.delete(f"/conversations/{conversation['id']}/messages/a")

        await ask(alice, conversation, "c")

        assert [text for _, text in fake_model.asked[0]][1:] == ["b", "c"]

    async def test_says_when_even_the_new_message_does_not_fit(
        self, alice: HttpClient, fake_model: FakeModel
    ) -> None:
        agent = await agent_of(alice, max_conversation_tokens=100)
        conversation = await begin(alice, agent_id=agent)

        refused = await alice.post(path_of(conversation), json={"content": "word " * 200})

        body = await problem(refused, 409, "token_limit_reached")
        assert "max_conversation_tokens" in body["detail"]
        assert fake_model.requests == []

    def test_never_separates_a_call_from_its_result(self) -> None:
        calls = [
            {"id": "1", "name": "clock", "arguments": "{}"},
            {"id": "2", "name": "shell", "arguments": "{}"},
            {"id": "3", "name": "shell", "arguments": "{}"},
        ]
        commands = [
            {"call_id": "1", "status": "executed", "result": "noon", "truncated": True},
            {"call_id": "2", "status": "rejected", "result": None, "truncated": False},
        ]
        message: Any = {
            "role": "assistant",
            "content": "",
            "tool_calls": calls,
            "commands": commands,
        }

        wires = to_wire(message)

        assert [wire["role"] for wire in wires] == ["assistant", "tool", "tool", "tool"]
        assert [wire.get("tool_call_id") for wire in wires[1:]] == ["1", "2", "3"]
        assert wires[0]["content"] is None
        assert [wire["content"].partition(":")[0] for wire in wires[1:]] == [
            "noon\n[The output was longer; this is its beginning.]",
            "The user rejected this call.",
            "There is no result",
        ]

    def test_gives_each_call_its_own_result_whatever_the_ids(self) -> None:
        ids = ["", "call", "", "call", "other"]
        calls = [{"id": each, "name": "clock", "arguments": "{}"} for each in ids]
        commands = [
            {"call_id": each, "status": "executed", "result": str(number), "truncated": False}
            for number, each in enumerate(ids)
        ]
        message: Any = {
            "role": "assistant",
            "content": "",
            "tool_calls": calls,
            "commands": commands,
        }

        said, *results = to_wire(message)

        told = [call["id"] for call in said["tool_calls"]]
        assert all(told)
        assert len(set(told)) == len(told)
        assert [result["tool_call_id"] for result in results] == told
        assert [result["content"] for result in results] == list("01234")


class TestSummary:
    async def test_is_made_on_request(self, alice: HttpClient, fake_model: FakeModel) -> None:
        conversation = await begin(alice, messages=history(5), title="T")
        path = f"/conversations/{conversation['id']}/summary"

        first = await (await alice.post(path)).json()
        again = await (await alice.post(path)).json()

        assert first == again == {"summary": "They talked.", "detail": None}
        assert (await found(alice, conversation["id"]))["summary"] == "They talked."
        [request] = fake_model.behind
        assert "USER: message 4" in request["messages"][1]["content"]

    async def test_is_refused_for_a_short_conversation(
        self, alice: HttpClient, fake_model: FakeModel
    ) -> None:
        conversation = await begin(alice, messages=history(2))

        answer = await alice.post(f"/conversations/{conversation['id']}/summary")

        assert await answer.json() == {
            "summary": None,
            "detail": "Conversation too short to summarize",
        }
        assert fake_model.behind == []

    async def test_replaces_messages_that_do_not_fit(
        self, alice: HttpClient, fake_model: FakeModel
    ) -> None:
        agent = await agent_of(alice, history_limit=3)
        conversation = await begin(alice, messages=history(8), agent_id=agent)
        await alice.post(f"/conversations/{conversation['id']}/summary")

        await ask(alice, conversation, "Next")

        system = fake_model.requests[0]["messages"][0]
        assert system["role"] == "system"
        assert system["content"].endswith("They talked.")
        assert (await context(alice, conversation))["summary_used"] is True

    async def test_is_removed_with_a_message_that_it_summarizes(
        self, alice: HttpClient, fake_model: FakeModel
    ) -> None:
        for change in ("delete", "edit", "replace"):
            conversation = await begin(alice, messages=[message("secret", id="s"), *history(4)])
            path = f"/conversations/{conversation['id']}"
            await alice.post(f"{path}/summary")
            if change == "delete":
                await alice.delete(f"{path}/messages/s")
            elif change == "edit":
                await alice.patch(f"{path}/messages/s", json={"content": "other"})
            else:
                await alice.put(path, json={"messages": []})

            assert (await found(alice, conversation["id"]))["summary"] is None, change

    @pytest.mark.parametrize("is_first", [True, False], ids=["the first", "a later one"])
    @pytest.mark.parametrize("change", ["delete", "edit"])
    async def test_is_made_again_if_a_message_was_removed_meanwhile(
        self,
        alice: HttpClient,
        fake_model: FakeModel,
        change: str,
        is_first: bool,  # noqa: FBT001  # a parameter
    ) -> None:
        secret = message("secret", id="s")
        conversation = await begin(alice, messages=history(4), title="T")
        path = f"/conversations/{conversation['id']}"
        if not is_first:
            await alice.post(f"{path}/summary")
        for each in (secret, message("bye")):
            await alice.post(f"{path}/messages", json=each)
        fake_model.behind.clear()
        held = asyncio.Event()
        fake_model.summary = ScriptedAnswer(chunks=["They told a secret."], held=held)
        making = asyncio.create_task(alice.post(f"{path}/summary"))
        await until(lambda: fake_model.behind)
        fake_model.summary = ScriptedAnswer(chunks=["They kept it."])

        if change == "delete":
            await alice.delete(f"{path}/messages/s")
        else:
            await alice.patch(f"{path}/messages/s", json={"content": "other"})
        held.set()

        assert (await (await making).json())["summary"] == "They kept it."
        assert (await found(alice, conversation["id"]))["summary"] == "They kept it."
        asked = [request["messages"][1]["content"] for request in fake_model.behind]
        assert ["secret" in text for text in asked] == [True, False]

    async def test_is_kept_if_a_message_was_added_meanwhile(
        self, alice: HttpClient, fake_model: FakeModel
    ) -> None:
        conversation = await begin(alice, messages=history(4), title="T")
        path = f"/conversations/{conversation['id']}"
        held = asyncio.Event()
        fake_model.summary = ScriptedAnswer(chunks=["They talked."], held=held)
        making = asyncio.create_task(alice.post(f"{path}/summary"))
        await until(lambda: fake_model.behind)

        await alice.post(f"{path}/messages", json=message("one more"))
        held.set()

        assert (await (await making).json())["summary"] == "They talked."
        assert (await found(alice, conversation["id"]))["summary"] == "They talked."
        asked = [request["messages"][1]["content"] for request in fake_model.behind]
        assert asked[1:] == ["Summary of the earlier part: They talked.\n\nUSER: one more"]

    async def test_fails_if_messages_keep_being_removed(
        self, alice: HttpClient, fake_model: FakeModel, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("chatvault.replies.titles.SUMMARY_TRIES", 1)
        conversation = await begin(alice, messages=[message("a", id="a"), *history(4)], title="T")
        path = f"/conversations/{conversation['id']}"
        held = asyncio.Event()
        fake_model.summary = ScriptedAnswer(chunks=["They talked."], held=held)
        making = asyncio.create_task(alice.post(f"{path}/summary"))
        await until(lambda: fake_model.behind)

        await alice.delete(f"{path}/messages/a")
        held.set()

        await problem(await making, 503, "busy")
        assert (await found(alice, conversation["id"]))["summary"] is None

    async def test_is_made_automatically_after_many_messages(
        self, alice: HttpClient, fake_model: FakeModel
    ) -> None:
        conversation = await begin(alice, messages=history(30), title="T")

        await ask(alice, conversation)

        assert await _soon(alice, conversation, "summary", None) == "They talked."


async def _soon(
    http: HttpClient, conversation: dict[str, Any], field: str, before: object
) -> object:
    for _ in range(300):
        shown = await found(http, conversation["id"])
        if shown[field] != before:
            return shown[field]
        await asyncio.sleep(0.02)
    raise AssertionError(field)


class TestTitle:
    async def test_is_made_automatically_after_the_first_exchange(
        self, alice: HttpClient, fake_model: FakeModel
    ) -> None:
        fake_model.title = ScriptedAnswer(chunks=['"A fine\n title"'])
        conversation = await begin(alice)

        await ask(alice, conversation)

        assert await _soon(alice, conversation, "title", "New Conversation") == "A fine title"

    async def test_does_not_replace_a_title_by_the_user(
        self, alice: HttpClient, fake_model: FakeModel, database: Any
    ) -> None:
        conversation = await begin(alice, title="Mine")

        await ask(alice, conversation)

        assert await database.reply_jobs.count_documents({}) == 0
        assert fake_model.behind == []

    async def test_is_retried(
        self, alice: HttpClient, fake_model: FakeModel, database: Any, app: Any
    ) -> None:
        fake_model.title = ScriptedAnswer(status=401)
        conversation = await begin(alice)
        await ask(alice, conversation)
        for _ in range(200):
            job = await database.reply_jobs.find_one()
            if job and job["attempts"] == 1 and len(fake_model.behind) == 1:
                break
        fake_model.title = ScriptedAnswer(chunks=["Late"])
        for _ in range(100):
            await database.reply_jobs.update_many({}, [{"$set": {"due_at": "$$NOW"}}])
            app[WORKERS][0].wake()
            if (await found(alice, conversation["id"]))["title"] == "Late":
                break

        assert await _soon(alice, conversation, "title", "New Conversation") == "Late"
