"""The real process while it streams: killed, stopped, without its MongoDB, and two on one."""

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest
from bson import ObjectId
from pymongo import MongoClient

from chatvault.mongodb.embedded import embedded_mongodb
from support.fake_model import FakeModel, ScriptedAnswer
from support.running import Service, ask, mongod_of, with_model
from support.talking import EVENT_STREAM, Received, events_of, next_event, text_of

GROUP = pytest.mark.xdist_group("replies")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, only_model: FakeModel) -> Iterator[Service]:
    with with_model(tmp_path_factory.mktemp("replies") / "data", only_model) as running:
        yield running


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


async def begin(
    service: Service, browser: aiohttp.ClientSession, username: str = "alice", **fields: object
) -> str:
    """Sign in; return the path of a new conversation."""
    await service.sign_in(browser, username)
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


@dataclass(frozen=True)
class Left:
    """A reply that was being written when its process was killed.

    Attributes:
        browser: of the user whose it is.
        path: of the conversation.
        shown: the events that had arrived; none of a completion.
    """

    browser: aiohttp.ClientSession
    path: str
    shown: Sequence[Received] = ()


async def begin_reply(
    service: Service, browser: aiohttp.ClientSession, model: FakeModel, words: int
) -> Left:
    """Begin a reply that goes no further than so many words."""
    path = await begin(service, browser, f"reader-{words}")
    chunks = [f"word{number} " for number in range(max(words, 1))]
    gate = asyncio.Event()
    act = ScriptedAnswer(chunks=[*chunks, "never"], pause=0.1, gate=gate, ungated=words)
    act.held = None if words else gate
    model.say(act)
    asked = len(model.requests)
    answer = await stream(service, browser, path)
    # Or the next reply's answer would be this one's.
    await soon(lambda: len(model.requests) > asked)
    shown: list[Received] = []
    while not shown or len(text_of(shown).split()) < words:
        event = await next_event(answer)
        assert event is not None
        shown.append(event)
    return Left(browser, path, shown)


async def begin_completion(
    service: Service, browser: aiohttp.ClientSession, model: FakeModel, database: Any
) -> Left:
    """Begin a recorded completion that goes no further than its first word."""
    path = await begin(service, browser, "completer")
    model.say(ScriptedAnswer(chunks=["Half", " whole"], gate=asyncio.Event()))
    home = path.rpartition("/")[2]
    body = {"messages": [{"role": "user", "content": "Hello"}], "stream": True}
    answer = await browser.post(
        f"{service.url}/chat/completions", json=body, headers={"X-Conversation-Id": home}
    )
    assert b"Half" in await answer.content.readline()
    mine = {"conversation_id": ObjectId(home)}
    await soon(lambda: database.reply_events.count_documents(mine) == 2)
    assert database.conversations.find_one(ObjectId(home))["reserved_tokens"] > 0
    return Left(browser, path)


@pytest.fixture(scope="module")
async def left(service: Service, only_model: FakeModel) -> AsyncIterator[dict[str | int, Left]]:
    """What one kill interrupted: replies after so many words, and a completion."""
    async with contextlib.AsyncExitStack() as stack:
        database = stack.enter_context(database_of(service))
        browsers = [await stack.enter_async_context(service.browser()) for _ in range(4)]
        found: dict[str | int, Left] = {
            words: await begin_reply(service, browser, only_model, words)
            for words, browser in zip((0, 1, 3), browsers, strict=False)
        }
        found["completion"] = await begin_completion(service, browsers[3], only_model, database)
        home = ObjectId(found["completion"].path.rpartition("/")[2])

        service.kill()
        # As ten seconds later, for which the reply without words waits.
        waits = ObjectId(found[0].path.rpartition("/")[2])
        database.replies.update_many(
            {"conversation_id": {"$ne": waits}}, [{"$set": {"lease_until": "$started_at"}}]
        )
        service.start()

        # By itself, though nobody asks for it.
        done = database.conversations.find_one
        await soon(lambda: not done(home)["reserved_tokens"], seconds=40)
        assert database.replies.find_one({"conversation_id": home})["state"] == "interrupted"
        yield found


@GROUP
class TestKilled:
    @pytest.mark.parametrize("words", [0, 1, 3])
    async def test_during_a_reply_keeps_the_text_that_was_sent(
        self, service: Service, left: dict[str | int, Left], fake_model: FakeModel, words: int
    ) -> None:
        browser, path, shown = left[words].browser, left[words].path, left[words].shown
        conversation = await usable(service, browser, path)

        texts = [message["content"] for message in conversation["messages"]]
        assert texts[0] == "Hello"
        assert texts[-2] == "Next"
        if words:
            # What was stored may be more than what had arrived here.
            assert texts[1].startswith(text_of([*shown]))
            assert conversation["messages"][1]["interrupted"] is True
            assert len(texts) == 4
        else:
            assert len(texts) == 3
        reply = shown[0].data["reply_id"]
        again = await events_of(await browser.get(f"{service.url}{path}/replies/{reply}/events"))
        assert again[: len(shown)] == shown
        assert (again[-1].type, again[-1].data["code"]) == ("error", "reply_interrupted")

    async def test_during_a_completion_frees_its_tokens_and_keeps_its_text(
        self, service: Service, left: dict[str | int, Left], fake_model: FakeModel
    ) -> None:
        fake_model.say("Yes.")
        conversation = await usable(service, left["completion"].browser, left["completion"].path)

        messages = conversation["messages"]
        assert [message["content"] for message in messages] == ["Hello", "Half", "Next", "Yes."]
        assert messages[1]["interrupted"] is True
        assert conversation["total_tokens_used"] == 25 + messages[1]["total_tokens"]

    @pytest.mark.parametrize("kind", ["title", pytest.param("summary", marks=pytest.mark.long)])
    async def test_during_a_background_job_repeats_it_once(
        self, service: Service, fake_model: FakeModel, kind: str
    ) -> None:
        fake_model.title = fake_model.summary = ScriptedAnswer(
            chunks=["Never"], held=asyncio.Event()
        )
        async with service.browser() as browser:
            title = None if kind == "title" else "T"
            path = await begin(service, browser, f"wants-a-{kind}", title=title)
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


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory, only_model: FakeModel) -> Iterator[Service]:
    """A service that waits for MongoDB for a second only."""
    data_dir = tmp_path_factory.mktemp("impatient") / "data"
    with with_model(data_dir, only_model, mongodb_timeout=1) as running:
        yield running


@GROUP
class TestWithoutMongodb:
    @pytest.mark.parametrize("how", ["stalled", "killed"])
    async def test_loses_no_text_in_a_short_outage(
        self, impatient: Service, fake_model: FakeModel, how: str
    ) -> None:
        words = [f"word{number} " for number in range(40)]
        fake_model.say(ScriptedAnswer(chunks=words, pause=0.05))
        async with impatient.browser() as browser:
            path = await begin(impatient, browser, how)
            answer = await stream(impatient, browser, path)
            shown: list[Received] = []
            while len(shown) < 3:
                event = await next_event(answer)
                assert event is not None
                shown.append(event)

            mongod = mongod_of(impatient.data_dir)
            if how == "stalled":
                mongod.send_signal(signal.SIGSTOP)
                await asyncio.sleep(3)
                mongod.send_signal(signal.SIGCONT)
            else:
                mongod.kill()
            shown += await events_of(answer)

            assert shown[-1].type == "completed"
            assert shown[-1].data["message"]["content"] == "".join(words)
            follow = f"{impatient.url}{path}/replies/{shown[0].data['reply_id']}/events"
            assert await events_of(await browser.get(follow)) == shown
            assert "".join(words).startswith(text_of(shown))
            conversation = await usable(impatient, browser, path)
            texts = [message["content"] for message in conversation["messages"]]
            assert texts == ["Hello", "".join(words), "Next", "Answer 2."]
            assert conversation["total_tokens_used"] == 50


@GROUP
class TestStopped:
    async def test_ends_its_streams_properly(self, service: Service, fake_model: FakeModel) -> None:
        fake_model.say(ScriptedAnswer(chunks=["Half", " whole"], gate=asyncio.Event()))
        async with service.browser() as browser:
            path = await begin(service, browser, "stopped")
            answer = await stream(service, browser, path)
            for _ in range(2):
                await next_event(answer)

            stopping = asyncio.create_task(asyncio.to_thread(service.stop))
            last = (await events_of(answer))[-1]

            assert (last.type, last.data["code"]) == ("error", "reply_interrupted")
            assert last.data["message"]["content"] == "Half"
            assert await stopping == 0
            service.start()


@pytest.mark.xdist_group("workers")
class TestProcesses:
    async def test_follow_each_others_replies(
        self, workers: Service, fake_model: FakeModel
    ) -> None:
        gate = asyncio.Event()
        fake_model.say(ScriptedAnswer(chunks=["First", " second"], gate=gate))
        async with workers.browser(Connection="close") as browser:
            path = await begin(workers, browser, "follower")
            answer = await stream(workers, browser, path)
            first = await next_event(answer)
            assert first is not None
            follow = f"{workers.url}{path}/replies/{first.data['reply_id']}/events"
            # The kernel spreads the connections: some of these are the other process's.
            others = [await browser.get(follow) for _ in range(8)]
            gate.set()

            for each in [*others, answer]:
                events = await events_of(each)
                assert events[-1].type == "completed"
                assert events[-1].data["message"]["content"] == "First second"
