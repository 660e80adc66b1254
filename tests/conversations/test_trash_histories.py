"""Random histories of the trash, of bulk actions and of purges, with crashes, against a model."""

import asyncio
import random
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import ClientResponse, web
from bson import ObjectId
from pymongo.asynchronous.client_session import AsyncClientSession
from yarl import URL

from chatvault.batches import service as batch_service
from chatvault.batches import worker
from chatvault.conversations.commits.batch import CommitBatch
from chatvault.conversations.trash import purging
from chatvault.conversations.trash import service as trash_service
from chatvault.conversations.trash.routes import TRASH_DEPS
from chatvault.errors import OutcomeUnknown
from chatvault.fields import now
from chatvault.mongodb import database as transactions
from chatvault.mongodb import jobs
from conftest import HttpClient
from support.factories import begin, message

TRASHED = "trashed "
GONE = "gone"
EPOCH = "2024-01-01T00:00:00.000Z"
AUDITED = ("trash", "restore", "purge", "delete", "archive")
# The operations, the more likely ones several times.
OPERATIONS = (
    "begin", "begin", "append", "delete", "delete", "restore", "permanent", "empty", "all",
    "batch", "batch", "batch", "job", "due",
)  # fmt: skip


def change(action: str, state: str) -> tuple[str, str] | None:
    """Return the state after an action, and the action of its audit entry; None if it is refused.

    A restore of what is not in the trash is audited, and changes nothing.
    """
    in_trash = state.startswith(TRASHED)
    if state == GONE or (in_trash and action not in {"restore", "purge"}):
        return None
    match action:
        case "trash":
            return TRASHED + state, "trash"
        case "restore":
            return state.removeprefix(TRASHED), "restore"
        case "purge":
            return GONE, "purge" if in_trash else "delete"
        case _:
            wanted = {"archive": "archived", "unarchive": "active"}[action]
            return None if state == wanted else (wanted, "archive")


class Faults:
    """Loses commits of conversations: before they take effect, or the answer to them.

    Both is what the service sees if MongoDB's primary dies; another process goes on afterwards.
    """

    def __init__(self, constants: pytest.MonkeyPatch) -> None:
        self.fired = False
        self._countdown: int | None = None
        self._kind = ""
        self._watched = set[AsyncClientSession]()
        self._carry, self._commit = CommitBatch.carry, transactions._commit
        faults = self

        async def carry(batch: CommitBatch) -> list[Any]:
            faults._watched.add(batch._session)
            return await faults._carry(batch)

        constants.setattr(CommitBatch, "carry", carry)
        constants.setattr(transactions, "_commit", self._commit_or_not)

    def arm(self, kind: str, countdown: int) -> None:
        """Lose one commit after some others."""
        self.fired, self._kind, self._countdown = False, kind, countdown

    def disarm(self) -> None:
        self.fired, self._countdown = False, None

    async def _commit_or_not(self, session: AsyncClientSession) -> bool:
        is_watched = session in self._watched
        self._watched.discard(session)
        if not is_watched or self._countdown is None:
            return await self._commit(session)
        self._countdown -= 1
        if self._countdown >= 0:
            return await self._commit(session)
        self.fired, self._countdown = True, None
        if self._kind == "before":
            await session.abort_transaction()
        else:
            await self._commit(session)
        raise OutcomeUnknown(retry_after=1)


@dataclass
class History:
    """The service, what its user did so far, and what must have come of it.

    Attributes:
        processes: the user's browsers, each at a process of its own.
        states: each conversation's.
        audited: how often each change of each conversation was.
    """

    processes: list[HttpClient]
    app: web.Application
    database: Any
    dice: random.Random
    faults: Faults
    states: dict[str, str] = field(default_factory=dict)
    audited: Counter[tuple[str, str]] = field(default_factory=Counter)

    @property
    def http(self) -> HttpClient:
        return self.dice.choice(self.processes)

    def those(self, *, in_trash: bool) -> list[str]:
        return [
            each
            for each, state in self.states.items()
            if state != GONE and state.startswith(TRASHED) is in_trash
        ]

    async def step(self) -> None:
        """Do one thing, perhaps with a fault in it."""
        name = self.dice.choice(OPERATIONS)
        alive = self.those(in_trash=False)
        if name == "begin" or len(alive) < 2:
            self.states[(await begin(self.http))["id"]] = "active"
        elif name == "append":
            one = self.dice.choice([*self.states])
            answer = await self.http.post(f"/conversations/{one}/messages", json=message())
            assert answer.status == (200 if one in alive else 404)
        elif name == "job":
            await self._job()
        else:
            await self._at_once(name)

    async def _at_once(self, name: str) -> None:
        if self.dice.random() < 0.4:
            self.faults.arm(self.dice.choice(["before", "after"]), self.dice.randrange(3))
        one = self.dice.choice([*self.states])
        path = f"/conversations/{one}"
        match name:
            case "delete":
                action, ids, answer = "trash", [one], await self.http.delete(path)
            case "restore":
                action, ids, answer = "restore", [one], await self.http.post(f"{path}/restore")
            case "permanent":
                action, ids = "purge", [one]
                answer = await self.http.delete(f"{path}?permanent=true")
            case "empty":
                action, ids = "purge", self.those(in_trash=True)
                answer = await self.http.delete("/trash")
            case "all":
                action, ids = "trash", self.those(in_trash=False)
                answer = await self.http.delete("/conversations")
            case "due":
                await self._purge_due()
                return
            case _:
                action = self.dice.choice(["trash", "restore", "purge", "archive", "unarchive"])
                ids = self.dice.sample([*self.states], min(len(self.states), 5))
                body = {"action": action, "ids": ids}
                answer = await self.http.post("/conversations:batch", json=body)
        await self._note(action, ids, answer)

    async def _note(self, action: str, ids: Collection[str], answer: ClientResponse) -> None:
        """Change the model as the service must have changed, or may have if there was a fault."""
        assert (answer.status == 503) is self.faults.fired, await answer.text()
        actual = await self.actual() if self.faults.fired else None
        counts = await self.counts() if self.faults.fired else None
        self.faults.disarm()
        for each in ids:
            if (changed := change(action, self.states[each])) is None:
                continue
            state, entry = changed
            if actual is not None and counts is not None:
                audited = counts[entry, each] - self.audited[entry, each]
                assert audited in {0, 1}
                assert actual.get(each, GONE) == (state if audited else self.states[each])
                if not audited:
                    continue
            self.states[each] = state
            self.audited[entry, each] += 1

    def _must(self, action: str, ids: Collection[str]) -> None:
        """Change the model as the service must have changed."""
        for each in ids:
            if (changed := change(action, self.states[each])) is not None:
                self.states[each], entry = changed
                self.audited[entry, each] += 1

    async def _purge_due(self) -> None:
        """Delete what is long in the trash; after a crash, another process does the rest."""
        trashed = self.those(in_trash=True)
        due = self.dice.sample(trashed, self.dice.randint(0, len(trashed)))
        long_ago = {"$set": {"deleted_at": now() - timedelta(days=91)}}
        query = {"_id": {"$in": [ObjectId(each) for each in due]}}
        await self.database.conversations.update_many(query, long_ago)
        try:
            await purging.purge_page(self.app[TRASH_DEPS])
        except OutcomeUnknown:
            assert self.faults.fired
        self.faults.disarm()
        await purging.purge_page(self.app[TRASH_DEPS])
        self._must("purge", due)

    async def _job(self) -> None:
        """Change all that match in the background; after a crash, it goes on."""
        in_trash = self.dice.random() < 0.5
        action = self.dice.choice(["restore", "purge"] if in_trash else ["trash", "archive"])
        body = {"action": action, "filter": {"status": "deleted"} if in_trash else {}}
        self.faults.arm(self.dice.choice(["before", "after"]), self.dice.randrange(3))
        answer = await self.http.post("/conversations:batch", json=body)
        assert answer.status == 202, await answer.text()
        job = await answer.json()
        for _ in range(2000):
            if job["state"] not in {"waiting", "running"}:
                break
            await asyncio.sleep(0.02)
            job = await (await self.http.get(f"/batches/{job['id']}")).json()
        assert (job["state"], job["done"], job["failed"]) == ("done", job["total"], {}), job
        self.faults.disarm()
        self._must(action, self.those(in_trash=in_trash))

    async def actual(self) -> dict[str, str]:
        """Return the states of what is stored."""
        found = await self.database.conversations.find({}).to_list()
        return {
            str(each["_id"]): each["status"]
            if each["status"] != "deleted"
            else TRASHED + ("archived" if each.get("archived_at") else "active")
            for each in found
        }

    async def counts(self) -> Counter[tuple[str, str]]:
        """Return how often each change of each conversation was audited."""
        actions = [f"conversation.{each}" for each in AUDITED]
        query = {"action": {"$in": actions}, "outcome": "success"}
        found = await self.database.audit_logs.find(query).to_list()
        return Counter(
            (each["action"].removeprefix("conversation."), each["resource_id"]) for each in found
        )

    async def check(self) -> None:
        """Compare everything that can be seen with the model."""
        left = {each: state for each, state in self.states.items() if state != GONE}
        assert await self.actual() == left
        assert await self.counts() == +self.audited
        alive, trashed = self.those(in_trash=False), self.those(in_trash=True)
        deleted = {*self.states} - {*alive}
        told = list[dict[str, Any]]()
        address = f"/conversations?updated_since={EPOCH}&limit=7&view=summary"
        while address:
            answer = await self.http.get(address)
            told += await answer.json()
            link = answer.links.get("next")
            address = URL(str(link["url"]), encoded=True).raw_path_qs if link else ""
        assert sorted(each["id"] for each in told if each.get("deleted")) == sorted(deleted)
        assert sorted(each["id"] for each in told if not each.get("deleted")) == sorted(alive)
        for query, ids in (("", alive), ("&status=deleted", trashed)):
            answer = await self.http.get(f"/conversations?view=summary&limit=200{query}")
            assert {each["id"] for each in await answer.json()} == {*ids}


@pytest.fixture
def small(constants: pytest.MonkeyPatch) -> None:
    """Steps of two conversations, and no waiting."""
    for module, name, value in (
        (worker, "STEP", 2), (batch_service, "STEP", 2), (trash_service, "STEP", 2),
        (jobs, "WAIT_SECONDS", 0), (jobs, "POLL", 0.05),
    ):  # fmt: skip
        constants.setattr(module, name, value)


@pytest.mark.usefixtures("small", "own_application")
@pytest.mark.parametrize(
    ("seed", "steps"),
    [(1, 60), *(pytest.param(seed, 400, marks=pytest.mark.long) for seed in range(2, 6))],
)
async def test_equals_a_model(
    alice: HttpClient,
    elsewhere: HttpClient,
    app: web.Application,
    database: Any,
    constants: pytest.MonkeyPatch,
    seed: int,
    steps: int,
) -> None:
    history = History([alice, elsewhere], app, database, random.Random(seed), Faults(constants))
    for number in range(steps):
        await history.step()
        if number % 20 == 19:
            await history.check()
    await history.check()
