"""Actions on many conversations: at once, in the background, cancelled, continued after a crash."""

import asyncio
import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web
from pymongo.errors import AutoReconnect

from chatvault.batches import service, steps, worker
from chatvault.batches.routes import BATCH_DEPS
from chatvault.batches.worker import BatchWorker
from chatvault.conversations.bulk import turns as bulk_turns
from chatvault.exporting.jobs.models import ExportJob
from chatvault.fields import now
from chatvault.mongodb import jobs
from conftest import HttpClient
from support.answers import found, problem, wrong_fields
from support.factories import begin, message

NO_ID = "0" * 24


async def batch(http: HttpClient, status: int = 200, **body: Any) -> dict[str, Any]:
    answer = await http.post("/conversations:batch", json=body)
    assert answer.status == status, await answer.text()
    told: dict[str, Any] = await answer.json()
    if status == 202 and told["export_id"] is None:
        assert answer.headers["Location"] == f"/batches/{told['id']}"
    return told


async def ended(http: HttpClient, batch_id: str) -> dict[str, Any]:
    for _ in range(2000):
        told: dict[str, Any] = await (await http.get(f"/batches/{batch_id}")).json()
        if told["state"] not in {"waiting", "running"}:
            return told
        await asyncio.sleep(0.01)
    raise TimeoutError(told)


async def done(http: HttpClient, **body: Any) -> dict[str, Any]:
    """An action in the background, when it is at its end."""
    return await ended(http, (await batch(http, 202, **body))["id"])


async def make(http: HttpClient, number: int, **fields: Any) -> list[str]:
    return [(await begin(http, **fields))["id"] for _ in range(number)]


async def entries(database: Any, action: str) -> list[dict[str, Any]]:
    stored: list[dict[str, Any]] = (
        await database.audit_logs.find({"action": action}).sort("_id").to_list()
    )
    return stored


class TestAtOnce:
    @pytest.mark.parametrize(
        ("action", "options", "field", "value"),
        [
            ("archive", {}, "status", "archived"),
            ("tag", {"tags": ["b", "c", "b"]}, "tags", ["a", "b", "c"]),
            ("untag", {"tags": ["a", "x"]}, "tags", []),
            ("pin", {}, "pinned", True),
        ],
    )
    async def test_each_action_changes_those_that_are_named(
        self, alice: HttpClient, action: str, options: Any, field: str, value: Any, database: Any
    ) -> None:
        ids = await make(alice, 2, tags=["a"])
        other = (await begin(alice, tags=["a"]))["id"]

        told = await batch(alice, action=action, ids=[*ids, ids[0]], **options)

        assert (told["total"], told["done"], told["changed"]) == (2, 2, 2)
        assert (told["id"], told["state"], told["failures"]) == (None, "done", [])
        assert [(await found(alice, each))[field] for each in ids] == [value, value]
        assert (await found(alice, other))["version"] == 1
        again = await batch(alice, action=action, ids=ids, **options)
        assert (again["done"], again["changed"], again["failed"]) == (2, 0, {})
        assert [(await found(alice, each))["version"] for each in ids] == [2, 2]

    async def test_is_undone_by_the_opposite(self, alice: HttpClient) -> None:
        [one] = await make(alice, 1)
        for action in ("archive", "unarchive", "pin", "unpin"):
            assert (await batch(alice, action=action, ids=[one]))["changed"] == 1
        shown = await found(alice, one)
        assert (shown["status"], shown["archived_at"], shown["pinned"]) == ("active", None, False)

    async def test_puts_into_the_trash_and_takes_out_and_deletes(self, alice: HttpClient) -> None:
        ids = await make(alice, 3, tags=["old"])
        told = await done(alice, action="trash", filter={"tag": ["old"]})
        assert (told["total"], told["changed"]) == (3, 3)
        assert (await batch(alice, action="pin", ids=ids))["failed"] == {"not_found": 3}
        assert (await batch(alice, action="restore", ids=ids[:1]))["changed"] == 1
        told = await done(alice, action="purge", filter={"status": "deleted"})
        assert (told["total"], told["changed"]) == (2, 2)
        assert (await batch(alice, action="purge", ids=ids))["failed"] == {"not_found": 2}
        assert (await alice.get(f"/conversations/{ids[0]}")).status == 404

    async def test_moves_into_a_category_and_out_of_it(self, alice: HttpClient) -> None:
        work = (await (await alice.post("/categories", json={"name": "Work"})).json())["id"]
        ids = await make(alice, 13)
        assert (await batch(alice, action="move", ids=ids, category_id=work))["changed"] == 13
        assert (await found(alice, ids[12]))["category_id"] == work
        assert (await batch(alice, action="move", ids=ids, category_id=None))["changed"] == 13
        assert (await found(alice, ids[0]))["category_id"] is None
        body = {"action": "move", "ids": ids, "category_id": NO_ID}
        await problem(await alice.post("/conversations:batch", json=body), 404, "not_found")

    async def test_reports_which_failed(
        self, alice: HttpClient, bob: HttpClient, database: Any
    ) -> None:
        [mine], [his] = await make(alice, 1), await make(bob, 1)
        full = (await begin(alice, tags=[str(number) for number in range(64)]))["id"]
        told = await batch(alice, action="tag", tags=["x"], ids=[mine, his, NO_ID, full])
        assert told["changed"] == 1
        assert told["failed"] == {"not_found": 2, "too_many_tags": 1}
        assert told["failures"] == [
            {"id": his, "code": "not_found"},
            {"id": NO_ID, "code": "not_found"},
            {"id": full, "code": "too_many_tags"},
        ]
        assert (await found(bob, his))["version"] == 1
        [entry] = await entries(database, "batch.create")
        assert entry["details"] == {
            "action": "tag", "conversations": 4, "changed": 1, "failed": 3,
        }  # fmt: skip
        [update] = await entries(database, "conversation.update")
        assert update["resource_id"] == mine
        assert update["details"] == {"fields": ["tags"], "version": 2}

    async def test_is_audited_as_the_single_change(self, alice: HttpClient, database: Any) -> None:
        ids = await make(alice, 3)
        await batch(alice, action="archive", ids=ids)
        told = await entries(database, "conversation.archive")
        assert sorted(each["resource_id"] for each in told) == sorted(ids)
        assert all(each["details"] == {"archived": True, "version": 2} for each in told)

    @pytest.mark.parametrize(
        ("body", "places"),
        [
            ({"action": "archive"}, [["body", "ids"]]),
            ({"action": "archive", "ids": [NO_ID], "filter": {}}, [["body", "ids"]]),
            ({"action": "tag", "ids": [NO_ID]}, [["body", "tags"]]),
            ({"action": "move", "filter": {}}, [["body", "category_id"]]),
            ({"action": "pin", "filter": {}, "tags": ["a"]}, [["body", "tags"]]),
            ({"action": "pin", "filter": {}, "format": "json"}, [["body", "format"]]),
            ({"action": "pin", "filter": {"q": 1}}, [["body", "filter", "q"]]),
            ({"action": "burn", "filter": {}}, [["body", "action"]]),
            ({"action": "pin", "ids": [NO_ID] * 1001}, [["body", "ids"]]),
        ],
    )
    async def test_names_the_field_at_fault(
        self, alice: HttpClient, body: Any, places: Any
    ) -> None:
        assert await wrong_fields(await alice.post("/conversations:batch", json=body)) == places

    async def test_counts_without_a_change(self, alice: HttpClient, database: Any) -> None:
        ids = await make(alice, 3, tags=["a"])
        await make(alice, 1)
        for which, total, failed in (
            ({"filter": {"tag": "a"}}, 3, {}),
            ({"ids": [*ids, NO_ID]}, 4, {"not_found": 1}),
        ):
            told = await batch(alice, action="archive", dry_run=True, **which)
            assert (told["dry_run"], told["total"], told["done"]) == (True, total, 0)
            assert told["failed"] == failed
        assert await database.conversations.distinct("version") == [1]
        assert await database.batches.count_documents({}) == 0


class TestJobs:
    async def test_change_all_that_match(
        self, alice: HttpClient, bob: HttpClient, database: Any
    ) -> None:
        ids = await make(alice, 15, tags=["a"])
        await make(alice, 2)
        await make(bob, 1, tags=["a"])

        told = await done(alice, action="archive", filter={"tag": "a", "status": "active"})

        assert (told["state"], told["total"], told["done"], told["changed"]) == (
            "done", 15, 15, 15,
        )  # fmt: skip
        assert (told["failed"], told["code"]) == ({}, None)
        archived = database.conversations.find({"status": "archived"}).sort("_id")
        assert [str(each["_id"]) for each in await archived.to_list()] == ids
        changes = await entries(database, "conversation.archive")
        assert len(changes) == 15
        assert {each["request_id"] for each in changes} == {told["id"]}
        [end] = await entries(database, "batch.finish")
        assert end["details"] == {
            "action": "archive", "conversations": 15, "changed": 15, "failed": 0, "state": "done",
        }  # fmt: skip
        assert await database.batch_ids.count_documents({}) == 0

    async def test_may_be_of_many_ids(
        self, alice: HttpClient, constants: pytest.MonkeyPatch
    ) -> None:
        constants.setattr(service, "AT_ONCE", 1)
        ids = await make(alice, 2)
        told = await done(alice, action="pin", ids=[*ids, NO_ID])
        assert (told["changed"], told["failed"]) == (2, {"not_found": 1})
        assert told["failures"] == [{"id": NO_ID, "code": "not_found"}]

    async def test_are_listed_and_are_their_owners(
        self, alice: HttpClient, bob: HttpClient
    ) -> None:
        first = await done(alice, action="pin", filter={})
        second = await done(alice, action="unpin", filter={})
        listed = (await (await alice.get("/batches")).json())["batches"]
        assert [each["id"] for each in listed] == [second["id"], first["id"]]
        assert (await (await bob.get("/batches")).json())["batches"] == []
        await problem(await bob.get(f"/batches/{first['id']}"), 404, "not_found")
        path = f"/batches/{first['id']}/cancel"
        await problem(await bob.post(path), 404, "not_found")
        assert await (await alice.post(path)).json() == first

    async def test_end_with_an_export(self, alice: HttpClient) -> None:
        ids = await make(alice, 3, tags=["a"])
        await make(alice, 1)
        for which, total in (({"filter": {"tag": ["a"]}}, 3), ({"ids": ids[:2]}, 2)):
            told = await batch(alice, 202, action="export", format="json", **which)
            assert (told["total"], told["state"], told["id"]) == (total, "done", None)
            path = f"/exports/{told['export_id']}"
            for _ in range(2000):
                made = await (await alice.get(path)).json()
                if made["state"] == "done":
                    break
                await asyncio.sleep(0.01)
            assert made["counts"]["conversations"] == total

    async def test_of_an_export_are_begun_once_for_a_key(self, alice: HttpClient) -> None:
        await make(alice, 1)
        headers, body = {"Idempotency-Key": "once"}, {"action": "export", "filter": {}}
        answers = [
            await alice.post("/conversations:batch", json=body, headers=headers) for _ in range(2)
        ]
        first, second = [await each.json() for each in answers]
        assert first == second
        assert await ExportJob.get_pymongo_collection().count_documents({}) == 1

    async def test_are_begun_once_for_a_key(self, alice: HttpClient, database: Any) -> None:
        await make(alice, 1)
        headers, body = {"Idempotency-Key": "once"}, {"action": "pin", "filter": {}}
        answers = [
            await alice.post("/conversations:batch", json=body, headers=headers) for _ in range(2)
        ]
        assert [each.status for each in answers] == [202, 202]
        first, second = [(await each.json())["id"] for each in answers]
        assert first == second
        await ended(alice, first)

    async def test_are_bounded(self, alice: HttpClient, constants: pytest.MonkeyPatch) -> None:
        constants.setattr("chatvault.conversations.bulk.updates.MOST", 1)
        await make(alice, 2)
        body = {"action": "pin", "filter": {}}
        refused = await alice.post("/conversations:batch", json=body)
        assert "at most 1" in (await problem(refused, 422, "invalid_input"))["detail"]


@pytest.fixture
def hold(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], tuple[asyncio.Event, asyncio.Event]]:
    """Stop before a step; return events: that it has come so far, and that it may go on."""

    def stop_before(number: int) -> tuple[asyncio.Event, asyncio.Event]:
        come, go = asyncio.Event(), asyncio.Event()
        do_step, steps_begun = steps.do_step, 0

        async def do(*args: Any) -> Any:
            nonlocal steps_begun
            steps_begun += 1
            if steps_begun == number:
                come.set()
                await go.wait()
            return await do_step(*args)

        monkeypatch.setattr(worker, "do_step", do)
        return come, go

    return stop_before


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps of two conversations, ids in parts of three."""
    monkeypatch.setattr(worker, "STEP", 2)
    monkeypatch.setattr(worker, "PART", 4)
    monkeypatch.setattr("chatvault.batches.models.PART", 4)
    monkeypatch.setattr(jobs, "WAIT_SECONDS", 0)
    monkeypatch.setattr(jobs, "POLL", 0.01)


@pytest.mark.usefixtures("small")
class TestMeanwhile:
    async def test_what_no_longer_matches_stays(self, alice: HttpClient, hold: Any) -> None:
        ids = await make(alice, 6, tags=["a"])
        come, go = hold(2)
        begun = await batch(alice, 202, action="archive", filter={"tag": "a"})
        await come.wait()
        await alice.patch(f"/conversations/{ids[3]}", json={"tags": []})
        await alice.delete(f"/conversations/{ids[4]}")
        late = (await begin(alice, tags=["a"]))["id"]
        go.set()
        told = await ended(alice, begun["id"])
        assert (told["done"], told["changed"]) == (6, 4)
        assert told["failed"] == {"changed_meanwhile": 2}
        assert [each["id"] for each in told["failures"]] == ids[3:5]
        assert (await found(alice, ids[3]))["status"] == "active"
        assert (await found(alice, late))["status"] == "active"

    async def test_what_others_change_is_looked_at_again(
        self, alice: HttpClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        [one] = await make(alice, 1, tags=["a"])
        versions, seen = steps._versions, 0

        async def read_then_change(*args: Any) -> Any:
            nonlocal seen
            found_now = await versions(*args)
            seen += 1
            if seen <= 2:
                await alice.post(f"/conversations/{one}/messages", json=message(str(seen)))
            return found_now

        monkeypatch.setattr(steps, "_versions", read_then_change)
        told = await done(alice, action="archive", filter={"tag": "a"})
        assert (told["changed"], seen) == (1, 3)

    async def test_a_second_one_is_refused(self, alice: HttpClient, hold: Any) -> None:
        await make(alice, 1)
        come, go = hold(1)
        begun = await batch(alice, 202, action="pin", filter={})
        await come.wait()
        body = {"action": "unpin", "filter": {}}
        refused = await alice.post("/conversations:batch", json=body)
        await problem(refused, 409, "batch_in_progress")
        go.set()
        assert (await ended(alice, begun["id"]))["changed"] == 1

    async def test_it_can_be_cancelled(self, alice: HttpClient, hold: Any, database: Any) -> None:
        await make(alice, 6)
        come, go = hold(2)
        begun = await batch(alice, 202, action="pin", filter={})
        await come.wait()
        asked = await (await alice.post(f"/batches/{begun['id']}/cancel")).json()
        assert (asked["state"], asked["cancel_requested"]) == ("running", True)
        go.set()
        told = await ended(alice, begun["id"])
        assert (told["state"], told["done"], told["changed"]) == ("cancelled", 4, 4)
        assert await database.conversations.count_documents({"version": 2}) == 4
        assert (await done(alice, action="pin", filter={}))["changed"] == 2

    async def test_a_category_may_go(
        self, alice: HttpClient, hold: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("chatvault.conversations.commits.queue.MAX_ATTEMPTS", 1)
        work = (await (await alice.post("/categories", json={"name": "Work"})).json())["id"]
        ids = await make(alice, 4)
        come, go = hold(2)
        begun = await batch(alice, 202, action="move", filter={}, category_id=work)
        await come.wait()
        assert (await alice.delete(f"/categories/{work}")).status == 204
        go.set()
        told = await ended(alice, begun["id"])
        assert (told["state"], told["code"]) == ("failed", "not_found")
        assert {(await found(alice, each))["category_id"] for each in ids} == {None}

    async def test_others_have_their_turn(
        self, alice: HttpClient, bob: HttpClient, hold: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(worker, "TURN_SECONDS", 0.0)
        await make(alice, 8)
        await make(bob, 1)
        come, go = hold(2)
        hers = await batch(alice, 202, action="pin", filter={})
        await come.wait()
        his = await batch(bob, 202, action="pin", filter={})
        go.set()
        ends = [await ended(alice, hers["id"]), await ended(bob, his["id"])]
        assert [each["changed"] for each in ends] == [8, 1]


async def undo(http: HttpClient, job: dict[str, Any]) -> dict[str, Any]:
    """The job that took another one back, at its end."""
    answer = await http.post(f"/batches/{job['id']}/undo")
    assert answer.status == 202, await answer.text()
    begun = await answer.json()
    assert answer.headers["Location"] == f"/batches/{begun['id']}"
    assert begun["undoes"] == job["id"]
    return await ended(http, begun["id"])


def state_of(shown: dict[str, Any]) -> tuple[Any, ...]:
    return shown["status"], shown["tags"], shown["category_id"], shown["pinned"]


class TestUndo:
    async def test_takes_back_what_was_changed_and_no_more(
        self, alice: HttpClient, bob: HttpClient, database: Any
    ) -> None:
        [work, home] = [
            (await (await alice.post("/categories", json={"name": name})).json())["id"]
            for name in ("Work", "Home")
        ]
        ids = await make(alice, 2)
        ids += await make(alice, 1, tags=["x", "y"], category_id=work)
        await alice.post(f"/conversations/{ids[0]}/archive", json={"archived": True})
        await alice.patch(f"/conversations/{ids[1]}", json={"pinned": True})
        before = [state_of(await found(alice, each)) for each in ids]
        for action, options in (
            ("archive", {}),
            ("unarchive", {}),
            ("pin", {}),
            ("unpin", {}),
            ("tag", {"tags": ["x", "z"]}),
            ("untag", {"tags": ["y"]}),
            ("move", {"category_id": home}),
            ("trash", {}),
        ):
            job = await done(alice, action=action, filter={}, **options)
            assert job["changed"] > 0
            undone = await undo(alice, job)
            assert (undone["total"], undone["changed"]) == (job["changed"], job["changed"])
            assert [state_of(await found(alice, each)) for each in ids] == before, action
        again = await alice.post(f"/batches/{job['id']}/undo")
        assert (await again.json())["id"] == undone["id"]
        redone = await undo(alice, undone)
        assert (redone["action"], redone["changed"]) == ("trash", 3)
        await problem(await bob.post(f"/batches/{job['id']}/undo"), 404, "not_found")
        told = await entries(database, "batch.undo")
        refused = told.pop()
        assert (refused["outcome"], refused["code"]) == ("denied", "not_found")
        assert [each["details"]["action"] for each in told][-2:] == ["restore", "trash"]

    async def test_leaves_what_others_changed_since(self, alice: HttpClient) -> None:
        [work, home] = [
            (await (await alice.post("/categories", json={"name": name})).json())["id"]
            for name in ("Work", "Home")
        ]
        ids = await make(alice, 2, category_id=work)
        job = await done(alice, action="move", filter={}, category_id=None)
        await alice.patch(f"/conversations/{ids[0]}", json={"category_id": home})
        assert (await alice.delete(f"/categories/{work}")).status == 204
        undone = await undo(alice, job)
        assert (undone["total"], undone["changed"]) == (2, 0)
        assert [(await found(alice, each))["category_id"] for each in ids] == [home, None]

    async def test_is_begun_once_for_a_key(self, alice: HttpClient, database: Any) -> None:
        await make(alice, 1)
        job = await done(alice, action="pin", filter={})
        path, headers = f"/batches/{job['id']}/undo", {"Idempotency-Key": "once"}
        answers = await asyncio.gather(*(alice.post(path, headers=headers) for _ in range(3)))
        assert {each.status for each in answers} == {202}
        [undo_id] = {(await each.json())["id"] for each in answers}
        assert (await ended(alice, undo_id))["changed"] == 1
        assert await database.batches.count_documents({"action": "unpin"}) == 1

    async def test_is_refused_after_a_deletion(self, alice: HttpClient) -> None:
        await make(alice, 1)
        job = await done(alice, action="purge", filter={})
        await problem(await alice.post(f"/batches/{job['id']}/undo"), 409, "not_undoable")

    async def test_at_once_reports_which_were_changed(self, alice: HttpClient) -> None:
        ids = await make(alice, 3)
        assert (await alice.delete(f"/conversations/{ids[1]}")).status == 204
        told = await batch(alice, action="restore", ids=ids)
        assert (told["changed"], told["changed_ids"]) == (1, [ids[1]])


@pytest.mark.usefixtures("small")
class TestInterruption:
    async def test_does_nothing_twice(
        self,
        alice: HttpClient,
        app: web.Application,
        database: Any,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """A process stops between a step's commit and its note; another one continues."""
        ids = await make(alice, 6)
        note, lost, stopped = worker._note, asyncio.Event(), asyncio.Event()

        async def stop_at_the_second(attempt: Any, *args: Any) -> None:
            if attempt.job["attempts"] == 1 and attempt.job["done"] == 2:
                lost.set()
                await stopped.wait()
            await note(attempt, *args)

        monkeypatch.setattr(worker, "_note", stop_at_the_second)
        begun = await batch(alice, 202, action="archive", filter={})
        await lost.wait()
        # Somebody takes back what was done; it is not done again.
        path = f"/conversations/{ids[2]}/archive"
        assert (await alice.post(path, json={"archived": False})).status == 200
        past = now() - timedelta(seconds=1)
        await database.batches.update_one({}, {"$set": {"due_at": past}})
        other = asyncio.create_task(BatchWorker(app[BATCH_DEPS]).run())
        told = await ended(alice, begun["id"])
        other.cancel()
        stopped.set()

        assert (told["state"], told["done"], told["changed"]) == ("done", 6, 6)
        mine = {"action": "conversation.archive", "request_id": begun["id"]}
        told_of = [each["resource_id"] for each in await database.audit_logs.find(mine).to_list()]
        assert sorted(told_of) == ids
        assert (await found(alice, ids[2]))["status"] == "active"
        # What the first process changed and did not note is undone with the rest.
        undone = await undo(alice, told)
        assert (undone["total"], undone["changed"], undone["failed"]) == (6, 5, {})
        assert await database.conversations.count_documents({"status": "archived"}) == 0

    async def test_by_an_outage_delays_it(
        self, alice: HttpClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await make(alice, 5)
        note, calls = worker._note, 0

        async def fail_every_second_time(*args: Any) -> None:
            nonlocal calls
            calls += 1
            if calls % 2:
                raise AutoReconnect("gone")
            await note(*args)

        monkeypatch.setattr(worker, "_note", fail_every_second_time)
        told = await done(alice, action="pin", filter={})
        assert (told["state"], told["done"], told["changed"]) == ("done", 5, 5)

    async def test_of_every_attempt_ends_it(
        self, alice: HttpClient, monkeypatch: pytest.MonkeyPatch, database: Any
    ) -> None:
        await make(alice, 1)

        async def fail(*_args: Any) -> None:
            raise AutoReconnect("gone")

        monkeypatch.setattr(worker, "_note", fail)
        told = await done(alice, action="pin", filter={})
        assert (told["state"], told["code"]) == ("failed", "unavailable")
        [end] = await entries(database, "batch.finish")
        assert (end["outcome"], end["code"]) == ("failed", "unavailable")


class TestKept:
    async def test_are_the_newest(
        self, alice: HttpClient, database: Any, constants: pytest.MonkeyPatch
    ) -> None:
        constants.setattr("chatvault.batches.models.MOST_KEPT", 1)
        await done(alice, action="pin", filter={})
        await done(alice, action="pin", filter={})
        older = {"expires_at": {"$lte": now()}}
        assert await database.batches.count_documents(older) == 1

    async def test_step_is_one_batch_of_the_commit_queue(self) -> None:
        """Two batches with changes of one category would conflict."""
        assert bulk_turns.STEP <= 12


class Model:
    """Conversations as a plain list."""

    def __init__(self) -> None:
        self.stored: list[dict[str, Any]] = []

    def choose(self, which: dict[str, Any]) -> list[dict[str, Any]]:
        """Return those that match a filter."""
        tests: dict[str, Callable[[dict[str, Any], Any], bool]] = {
            "status": lambda each, value: each["status"] == value,
            "tag": lambda each, value: {*value} <= {*each["tags"]},
            "any_tag": lambda each, value: bool({*value} & {*each["tags"]}),
            "pinned": lambda each, value: each["pinned"] is value,
            "category": lambda each, value: (each["category_id"] or "none") == value,
        }
        return [
            each
            for each in self.stored
            if all(tests[name](each, value) for name, value in which.items())
        ]

    def apply(self, action: str, options: dict[str, Any], chosen: list[dict[str, Any]]) -> int:
        """Return how many an action changes."""
        changed = 0
        for each in chosen:
            tags = each["tags"]
            effects: dict[str, dict[str, Any]] = {
                "archive": {"status": "archived"},
                "unarchive": {"status": "active"},
                "pin": {"pinned": True},
                "unpin": {"pinned": False},
                "move": {"category_id": options.get("category_id")},
                "tag": {"tags": [*tags, *(t for t in options.get("tags", ()) if t not in tags)]},
                "untag": {"tags": [t for t in tags if t not in options.get("tags", ())]},
            }
            after = effects[action]
            if each | after != each:
                each |= {**after, "version": each["version"] + 1}
                changed += 1
        return changed


class TestProperty:
    @pytest.mark.usefixtures("small")
    @pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.long)])
    async def test_equals_a_plain_list_whatever_is_interrupted(
        self, alice: HttpClient, database: Any, seed: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        dice, model, note = random.Random(seed), Model(), worker._note
        category = (await (await alice.post("/categories", json={"name": "Work"})).json())["id"]
        names = ("id", "status", "tags", "pinned", "category_id", "version")
        for _ in range(12):
            begun = await begin(alice, tags=dice.sample("abc", dice.randrange(3)))
            model.stored.append({name: begun[name] for name in names})

        async def fail_sometimes(*args: Any) -> None:
            if dice.random() < 0.3:
                raise AutoReconnect("gone")
            await note(*args)

        monkeypatch.setattr(worker, "_note", fail_sometimes)
        possible: dict[str, list[Any]] = {
            "status": ["active", "archived"],
            "tag": [["a"], ["a", "b"]],
            "any_tag": [["a", "c"]],
            "pinned": [True, False],
            "category": [category, "none"],
        }
        actions = ["archive", "unarchive", "pin", "unpin", "move", "tag", "untag"]
        before = 0
        for _ in range(7):
            action, options = dice.choice(actions), {}
            if action == "move":
                options = {"category_id": dice.choice([category, None])}
            elif action in {"tag", "untag"}:
                options = {"tags": dice.sample("abc", 2)}
            if dice.random() < 0.3:
                chosen = dice.sample(model.stored, 3)
                told = await batch(alice, action=action, ids=[e["id"] for e in chosen], **options)
            else:
                keys = dice.sample([*possible], dice.randrange(3))
                which = {key: dice.choice(possible[key]) for key in keys}
                chosen = model.choose(which)
                told = await done(alice, action=action, filter=which, **options)
            changed = model.apply(action, options, chosen)
            before += changed
            assert told["state"] == "done"
            assert (told["done"], told["changed"], told["failed"]) == (len(chosen), changed, {})
            stored = [await found(alice, each["id"]) for each in model.stored]
            assert [{name: each[name] for name in names} for each in stored] == model.stored
        kinds = {"$in": ["conversation.update", "conversation.archive"]}
        assert await database.audit_logs.count_documents({"action": kinds}) == before
