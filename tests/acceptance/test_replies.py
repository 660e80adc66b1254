"""The real process while it streams: killed, stopped, without its MongoDB, and two on one."""

import asyncio
import contextlib
import json
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from pymongo import MongoClient

from chatvault.mongodb.embedded import embedded_mongodb
from support.fake_model import FakeModel, ScriptedAnswer
from support.running import Service, ask, mongod_of
from support.talking import EVENT_STREAM, Received, events_of, next_event, text_of

pytestmark = pytest.mark.xdist_group("replies")


def configured(data_dir: Path, fake_model: FakeModel, *arguments: str, **more: object) -> Service:
    provider = {"base_url": fake_model.url, "api_key": "sk-secret", "model": "gpt-twin"}
    settings = {"providers": json.dumps({"twin": provider}), "log_level": "warning"}
    return Service(data_dir, *arguments, **settings, **more)


@contextlib.contextmanager
def database_of(service: Service) -> Iterator[Any]:
    """The test's own look into the service's MongoDB."""
    with embedded_mongodb(service.data_dir) as url, MongoClient[dict[str, Any]](url) as client:
        yield client["chatvault"]


async def soon(check: Any, seconds: float = 60.0) -> None:
    """Wait for something that the process does, while the twin answers it."""
    until = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < until
        await asyncio.sleep(0.02)


async def begin(service: Service, browser: aiohttp.ClientSession, **fields: object) -> str:
    await service.sign_in(browser)
    body = {"title": "T"} | fields
    _, begun = await ask(browser, "POST", f"{service.url}/conversations", body)
    return f"/conversations/{begun['id']}"


async def stream(service: Service, browser: aiohttp.ClientSession, path: str) -> Any:
    answer = await browser.post(
        f"{service.url}{path}/replies", json={"content": "Hello"}, headers=EVENT_STREAM
    )
    assert answer.status == 200, await answer.text()
    return answer


async def usable(service: Service, browser: aiohttp.ClientSession, path: str) -> dict[str, Any]:
    """The conversation, once it takes a message again and has answered it."""
    for _ in range(30):
        answer, _ = await ask(browser, "POST", f"{service.url}{path}/replies", {"content": "Next"})
        if answer.status == 201:
            break
        assert answer.status == 409
        await asyncio.sleep(1)
    _, conversation = await ask(browser, "GET", f"{service.url}{path}")
    found: dict[str, Any] = conversation
    return found


class TestKilled:
    @pytest.mark.parametrize("words", [0, 1, pytest.param(3, marks=pytest.mark.long)])
    async def test_in_the_middle_keeps_what_was_shown(
        self, tmp_path: Path, fake_model: FakeModel, words: int
    ) -> None:
        gate = asyncio.Event()
        chunks = [f"word{number} " for number in range(6)]
        with configured(tmp_path / "data", fake_model) as service:
            async with service.browser() as browser:
                path = await begin(service, browser)
                fake_model.say(
                    ScriptedAnswer(chunks=[*chunks[: max(words, 1)], "never"], pause=0.1)
                )
                if not words:
                    fake_model.acts[0].held = gate
                answer = await stream(service, browser, path)
                shown: list[Received] = []
                while len([each for each in shown if each.type == "delta"]) < words or not shown:
                    event = await next_event(answer)
                    assert event is not None
                    shown.append(event)

                with database_of(service) as database:
                    service.kill()
                    gate.set()
                    if words:
                        # As ten seconds later, which the one without words waits for.
                        database.replies.update_one({}, [{"$set": {"lease_until": "$started_at"}}])
                    service.start()
                conversation = await usable(service, browser, path)

                texts = [message["content"] for message in conversation["messages"]]
                said = text_of(shown)
                assert texts[0] == "Hello"
                assert texts[-2] == "Next"
                if words:
                    # What was stored may be more than what had arrived here.
                    assert texts[1].startswith(said)
                    assert conversation["messages"][1]["interrupted"] is True
                    assert len(texts) == 4
                else:
                    assert len(texts) == 3
                reply = shown[0].data["reply_id"]
                follow = f"{service.url}{path}/replies/{reply}/events"
                again = await events_of(await browser.get(follow))
                assert again[: len(shown)] == shown
                assert (again[-1].type, again[-1].data["code"]) == ("error", "reply_interrupted")

    async def test_in_a_completion_frees_its_tokens_and_keeps_what_was_said(
        self, tmp_path: Path, fake_model: FakeModel
    ) -> None:
        fake_model.say(ScriptedAnswer(chunks=["Half", " whole"], gate=asyncio.Event()))
        with configured(tmp_path / "data", fake_model) as service:
            async with service.browser() as browser:
                path = await begin(service, browser)
                body = {"messages": [{"role": "user", "content": "Hello"}], "stream": True}
                answer = await browser.post(
                    f"{service.url}/chat/completions",
                    json=body,
                    headers={"X-Conversation-Id": path.rpartition("/")[2]},
                )
                assert b"Half" in await answer.content.readline()
                with database_of(service) as database:
                    await soon(lambda: database.reply_events.count_documents({}) == 2)
                    assert database.conversations.find_one()["reserved_tokens"] > 0

                    service.kill()
                    # As ten seconds later.
                    database.replies.update_one({}, [{"$set": {"lease_until": "$started_at"}}])
                    service.start()

                    # By itself, though nobody asks for it.
                    done = database.conversations.find_one
                    await soon(lambda: not done()["reserved_tokens"], seconds=40)
                    assert database.replies.find_one()["state"] == "interrupted"
                conversation = await usable(service, browser, path)

                messages = conversation["messages"]
                assert [message["content"] for message in messages] == [
                    "Hello", "Half", "Next", "Answer 2.",
                ]  # fmt: skip
                assert messages[1]["interrupted"] is True
                assert conversation["total_tokens_used"] == 25 + messages[1]["total_tokens"]

    @pytest.mark.parametrize("kind", ["title", pytest.param("summary", marks=pytest.mark.long)])
    async def test_in_the_background_is_done_again_and_once(
        self, tmp_path: Path, fake_model: FakeModel, kind: str
    ) -> None:
        fake_model.title = fake_model.summary = ScriptedAnswer(
            chunks=["Never"], held=asyncio.Event()
        )
        with configured(tmp_path / "data", fake_model) as service:
            async with service.browser() as browser:
                path = await begin(service, browser, title=None if kind == "title" else "T")
                if kind == "summary":
                    await wants_summaries(service, browser, path)
                answer, _ = await ask(
                    browser, "POST", f"{service.url}{path}/replies", {"content": "Hello"}
                )
                assert answer.status == 201
                await soon(lambda: fake_model.behind)

                with database_of(service) as database:
                    service.kill()
                    [job] = database.reply_jobs.find()
                    assert (job["kind"], job["attempts"]) == (kind, 1)
                    assert job["due_at"] > datetime.now(UTC).replace(tzinfo=None)
                    # As a minute and a half later.
                    database.reply_jobs.update_one({}, [{"$set": {"due_at": "$$NOW"}}])
                    fake_model.title = fake_model.summary = ScriptedAnswer(chunks=["Done"])
                    service.start()
                    await soon(lambda: not database.reply_jobs.count_documents({}))
                    action = {"title": "conversation.title", "summary": "conversation.summarize"}
                    done = {"action": action[kind], "outcome": "success"}
                    assert database.audit_logs.count_documents(done) == 1
                _, conversation = await ask(browser, "GET", f"{service.url}{path}")
                assert conversation[kind] == "Done"
                assert len(fake_model.behind) == 2


async def wants_summaries(service: Service, browser: aiohttp.ClientSession, path: str) -> None:
    """Give the conversation an agent that does, and enough to tell of."""
    agent = {"name": "A", "system_prompt": "", "auto_generate_summary": True}
    _, made = await ask(browser, "POST", f"{service.url}/agents", agent)
    await ask(browser, "PATCH", f"{service.url}{path}", {"agent_id": made["id"]})
    messages = [{"role": "user", "content": f"message {number}"} for number in range(20)]
    answer, _ = await ask(
        browser, "POST", f"{service.url}{path}/messages:batch", {"messages": messages}
    )
    assert answer.status == 200


class TestWithoutMongodb:
    @pytest.mark.parametrize("how", ["stalled", "killed"])
    async def test_for_a_while_loses_no_word(
        self, tmp_path: Path, fake_model: FakeModel, how: str
    ) -> None:
        words = [f"word{number} " for number in range(40)]
        fake_model.say(ScriptedAnswer(chunks=words, pause=0.05))
        with configured(tmp_path / "data", fake_model, mongodb_timeout=1) as service:
            async with service.browser() as browser:
                path = await begin(service, browser)
                answer = await stream(service, browser, path)
                shown: list[Received] = []
                while len(shown) < 3:
                    event = await next_event(answer)
                    assert event is not None
                    shown.append(event)

                mongod = mongod_of(service.data_dir)
                if how == "stalled":
                    mongod.send_signal(signal.SIGSTOP)
                    await asyncio.sleep(3)
                    mongod.send_signal(signal.SIGCONT)
                else:
                    mongod.kill()
                shown += await events_of(answer)

                assert shown[-1].type == "completed"
                assert shown[-1].data["message"]["content"] == "".join(words)
                follow = f"{service.url}{path}/replies/{shown[0].data['reply_id']}/events"
                assert await events_of(await browser.get(follow)) == shown
                assert "".join(words).startswith(text_of(shown))
                conversation = await usable(service, browser, path)
                texts = [message["content"] for message in conversation["messages"]]
                assert texts == ["Hello", "".join(words), "Next", "Answer 2."]
                assert conversation["total_tokens_used"] == 50


class TestStopped:
    async def test_ends_its_streams_in_order(self, tmp_path: Path, fake_model: FakeModel) -> None:
        fake_model.say(ScriptedAnswer(chunks=["Half", " whole"], gate=asyncio.Event()))
        with configured(tmp_path / "data", fake_model) as service:
            async with service.browser() as browser:
                path = await begin(service, browser)
                answer = await stream(service, browser, path)
                for _ in range(2):
                    await next_event(answer)

                stopping = asyncio.create_task(asyncio.to_thread(service.stop))
                last = (await events_of(answer))[-1]

                assert (last.type, last.data["code"]) == ("error", "reply_interrupted")
                assert last.data["message"]["content"] == "Half"
                assert await stopping == 0
                service.start()


class TestProcesses:
    async def test_follow_each_others_replies(self, tmp_path: Path, fake_model: FakeModel) -> None:
        gate = asyncio.Event()
        fake_model.say(ScriptedAnswer(chunks=["First", " second"], gate=gate))
        with configured(tmp_path / "data", fake_model, "--workers", "2") as service:
            async with service.browser(Connection="close") as browser:
                path = await begin(service, browser)
                answer = await stream(service, browser, path)
                first = await next_event(answer)
                assert first is not None
                follow = f"{service.url}{path}/replies/{first.data['reply_id']}/events"
                # The kernel spreads the connections: some of these are the other process's.
                others = [await browser.get(follow) for _ in range(8)]
                gate.set()

                for each in [*others, answer]:
                    events = await events_of(each)
                    assert events[-1].type == "completed"
                    assert events[-1].data["message"]["content"] == "First second"
