"""What is done behind the answers: once, however long it takes, and never left undone unsaid."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from chatvault.fields import now
from chatvault.replies import jobs
from chatvault.tasks import stop
from conftest import HttpClient
from support.answers import found
from support.factories import begin
from support.fake_model import FakeModel, ScriptedAnswer
from support.talking import ask, until


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in {
        "LEASE_SECONDS": 1.0, "RENEW_EVERY": 0.1, "FIRST_WAIT": 0.01, "POLL": 0.05,
    }.items():  # fmt: skip
        monkeypatch.setattr(jobs, name, seconds)


async def titled(http: HttpClient, conversation: dict[str, Any]) -> str:
    """The title, once it has another than the usual one."""
    for _ in range(500):
        title: str = (await found(http, conversation["id"]))["title"]
        if title != "New Conversation":
            return title
        await asyncio.sleep(0.02)
    raise AssertionError("there is no title")


async def no_job_left(database: Any) -> None:
    """Wait until all jobs are done or given up."""
    for _ in range(500):
        if not await database.reply_jobs.find_one():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("there is a job left")


class TestLease:
    @pytest.mark.usefixtures("elsewhere")
    async def test_is_renewed_while_the_model_is_slow(
        self, alice: HttpClient, fake_model: FakeModel, database: Any
    ) -> None:
        held = asyncio.Event()
        fake_model.title = ScriptedAnswer(chunks=["A fine title"], held=held)
        conversation = await begin(alice)
        await ask(alice, conversation)
        await until(lambda: fake_model.behind)
        first = await database.reply_jobs.find_one()

        later = {"due_at": {"$gt": first["due_at"] + timedelta(seconds=1.5)}}
        while not await database.reply_jobs.find_one(later):
            assert len(fake_model.behind) == 1
            await asyncio.sleep(0.02)
        held.set()

        assert await titled(alice, conversation) == "A fine title"
        assert len(fake_model.behind) == 1
        done = {"action": "conversation.title", "outcome": "success"}
        assert await database.audit_logs.count_documents(done) == 1

    async def test_ends_the_work_when_it_is_lost(
        self, alice: HttpClient, fake_model: FakeModel, database: Any
    ) -> None:
        fake_model.title = ScriptedAnswer(chunks=["Never"], held=asyncio.Event())
        first = await begin(alice)
        await ask(alice, first)
        await until(lambda: fake_model.behind)
        stolen = [{"$set": {"due_at": {"$add": ["$$NOW", 3_600_000]}, "attempts": 2}}]

        await database.reply_jobs.update_one({}, stolen)
        fake_model.title = ScriptedAnswer(chunks=["The second one"])
        second = await begin(alice)
        await ask(alice, second)

        assert await titled(alice, second) == "The second one"
        [left] = await database.reply_jobs.find().to_list()
        assert (str(left["conversation_id"]), left["attempts"]) == (first["id"], 2)

    async def test_is_by_mongodbs_clock(
        self, alice: HttpClient, fake_model: FakeModel, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ahead = "chatvault.replies.finish.now"
        monkeypatch.setattr(ahead, lambda: now() + timedelta(hours=1))
        conversation = await begin(alice)

        await ask(alice, conversation)

        assert await titled(alice, conversation) == "A fine title"


class TestFailures:
    async def test_are_retried_up_to_five_attempts(
        self, alice: HttpClient, fake_model: FakeModel, database: Any
    ) -> None:
        fake_model.title = ScriptedAnswer(status=401)
        conversation = await begin(alice)
        await ask(alice, conversation)

        await no_job_left(database)

        assert len(fake_model.behind) == jobs.MAX_ATTEMPTS == 5

    async def test_of_any_kind_end_after_some_attempts(
        self, alice: HttpClient, fake_model: FakeModel, database: Any
    ) -> None:
        """As where each process that takes the job dies of it."""
        fake_model.title = ScriptedAnswer(status=401)
        conversation = await begin(alice)
        await database.reply_jobs.insert_one(
            {
                "user_id": (await database.users.find_one())["_id"],
                "conversation_id": (await database.conversations.find_one())["_id"],
                "kind": "title",
                "due_at": now(),
                "attempts": jobs.MAX_ATTEMPTS,
                "reply_id": None,
            }
        )

        await no_job_left(database)

        assert fake_model.behind == []
        assert (await found(alice, conversation["id"]))["title"] == "New Conversation"


class TestStop:
    @pytest.mark.usefixtures("database")
    async def test_leaves_nothing_waiting(self) -> None:
        before = asyncio.all_tasks()
        working = asyncio.create_task(jobs.Worker({}, due := asyncio.Event()).run())
        due.set()
        await until(lambda: not due.is_set())
        await asyncio.sleep(0)

        await stop(working)

        left = asyncio.all_tasks() - before
        assert not [task for task in left if "Event.wait" in repr(task.get_coro())]
