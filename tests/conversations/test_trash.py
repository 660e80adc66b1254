"""The trash: what is in it is hidden, can be restored, and is deleted permanently in the end."""

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web
from bson import ObjectId
from yarl import URL

from chatvault.conversations.bulk.turns import STEP
from chatvault.conversations.messages import append_service
from chatvault.conversations.service import read_back
from chatvault.conversations.trash import purging
from chatvault.conversations.trash import service as trash_service
from chatvault.conversations.trash.routes import TRASH_DEPS
from chatvault.fields import now
from conftest import HttpClient
from support.answers import found, problem, wrong_fields
from support.exports import exported
from support.factories import begin, message
from support.imports import bring_in
from support.stored import tiny_bounds
from support.waiting import Waiting

Raw = dict[str, Any]


async def trash_of(http: HttpClient, **params: str) -> list[Raw]:
    answer = await http.get("/conversations", params={"status": "deleted", **params})
    assert answer.status == 200, await answer.text()
    listed: list[Raw] = await answer.json()
    return listed


async def restore(http: HttpClient, path: str, **headers: str) -> Raw:
    answer = await http.post(f"{path}/restore", headers=headers)
    assert answer.status == 200, await answer.text()
    shown: Raw = await answer.json()
    return shown


async def bring(http: HttpClient, query: str = "") -> list[str]:
    """Import a file with one conversation; return the outcome."""
    told = await bring_in(http, json.dumps([exported(1)]).encode(), query)
    return [each["outcome"] for each in told["conversations"]]


async def age(database: Any, days: int) -> None:
    """Let everything be in the trash for so many days."""
    at = now() - timedelta(days=days, seconds=1)
    await database.conversations.update_many({"status": "deleted"}, {"$set": {"deleted_at": at}})


class TestHiding:
    async def test_is_complete(self, alice: HttpClient) -> None:
        work = await (await alice.post("/categories", json={"name": "Work"})).json()
        more = {"tags": ["a"], "category_id": work["id"], "pinned": True}
        gone = await begin(alice, title="x", messages=[message("word", id="m")], **more)
        path = f"/conversations/{gone['id']}"
        assert (await alice.post(f"{path}/attachments?name=a", data=b"bytes")).status < 300
        [file] = (await (await alice.get(f"{path}/attachments")).json())["attachments"]
        assert (await alice.patch(f"{path}/messages/m", json={"content": "other"})).status == 200

        assert (await alice.delete(path)).status == 204

        for query in (
            "", "?tag=a", "?pinned=true", "?sort=title", "?sort=last_message",
            f"?category={work['id']}", "?has_attachments=true", "?status=active",
        ):  # fmt: skip
            assert await (await alice.get(f"/conversations{query}")).json() == [], query
        assert (await (await alice.get("/conversations/stats/count")).json()) == {"count": 0}
        stats = await (await alice.get("/conversations/stats")).json()
        assert (stats["total_conversations"], stats["total_messages"]) == (0, 0)
        assert (await (await alice.get("/tags")).json())["tags"] == []
        [category] = (await (await alice.get("/categories")).json())["categories"]
        assert category["conversations"] == 0
        assert (await (await alice.get("/search", params={"q": "other"})).json())["total"] == 0
        assert gone["id"] not in await (await alice.get("/conversations/export")).text()
        for suffix in ("", "/messages", "/messages/m", "/messages/m/revisions", "/forks",
                       "/attachments", f"/attachments/{file['id']}", "/commands", "/context",
                       "/export", "/messages/outline", f"/replies/{ObjectId()}"):  # fmt: skip
            await problem(await alice.get(path + suffix), 404, "not_found")
        for method, suffix, body in (
            ("POST", "/messages", message()),
            ("POST", "/messages:batch", {"messages": [message()]}),
            ("PUT", "", {"title": "y"}), ("PATCH", "", {"title": "y"}), ("DELETE", "", None),
            ("POST", "/archive", {}), ("POST", "/fork", {}), ("DELETE", "/messages/m", None),
            ("POST", "/replies", {"content": "y"}), ("POST", "/attachments?name=b", {}),
        ):  # fmt: skip
            refused = await alice.request(method, path + suffix, json=body)
            await problem(refused, 404, "not_found")

    async def test_is_lifted_by_a_restore(self, alice: HttpClient, database: Any) -> None:
        begun = await begin(alice, tags=["a"], messages=[message(str(n)) for n in range(70)])
        path = f"/conversations/{begun['id']}"
        await alice.post(f"{path}/archive", json={})
        before = await found(alice, begun["id"])
        await alice.delete(path)

        shown = await restore(alice, path)

        changed = {"version", "updated_at"}
        assert {k: v for k, v in shown.items() if k not in changed} == {
            k: v for k, v in before.items() if k not in changed
        }
        assert shown["version"] == before["version"] + 2
        assert shown["updated_at"] > before["updated_at"]
        assert await trash_of(alice) == []
        again = await restore(alice, path)
        assert again == shown
        done = [each["action"] async for each in database.audit_logs.find({"outcome": "success"})]
        assert (done.count("conversation.trash"), done.count("conversation.restore")) == (1, 2)
        assert (await alice.post(f"{path}/messages", json=message())).status == 200

    async def test_is_of_ones_own(self, alice: HttpClient, bob: HttpClient) -> None:
        path = f"/conversations/{(await begin(alice))['id']}"
        await alice.delete(path)
        assert await trash_of(bob) == []
        for refused in (
            await bob.post(f"{path}/restore"),
            await bob.delete(path, params={"permanent": "true"}),
            await alice.post(f"/conversations/{ObjectId()}/restore"),
        ):
            await problem(refused, 404, "not_found")
        assert (await (await bob.delete("/trash")).json()) == {
            "deleted_count": 0, "has_more": False,
        }  # fmt: skip
        assert len(await trash_of(alice)) == 1

    async def test_can_be_repeated_as_restoring_can(self, alice: HttpClient) -> None:
        path = f"/conversations/{(await begin(alice))['id']}"
        await alice.delete(path)
        key = {"Idempotency-Key": "k"}
        first = await restore(alice, path, **key)
        await alice.delete(path)
        # The repeat does not undo what was done since.
        await problem(await alice.post(f"{path}/restore", headers=key), 404, "not_found")
        assert len(await trash_of(alice)) == 1
        assert first["status"] == "active"

    async def test_keeps_what_was_stored_before_there_was_a_trash(
        self, alice: HttpClient, database: Any
    ) -> None:
        begun = await begin(alice, messages=[message()])
        await database.conversations.update_one({}, {"$unset": {"status": ""}})
        assert (await found(alice, begun["id"]))["status"] == "active"
        [listed] = await (await alice.get("/conversations?view=summary")).json()
        assert listed["status"] == "active"
        await alice.delete(f"/conversations/{begun['id']}")
        assert (await restore(alice, f"/conversations/{begun['id']}"))["status"] == "active"


class TestList:
    async def test_has_days_left_and_pages(self, alice: HttpClient) -> None:
        ids = [(await begin(alice, title=str(n), messages=[message()]))["id"] for n in range(5)]
        for each in ids:
            await alice.delete(f"/conversations/{each}")
        whole = await trash_of(alice)
        assert [each["id"] for each in whole] == ids[::-1]
        assert {(each["status"], len(each["messages"])) for each in whole} == {("deleted", 0)}
        assert all(each["purge_at"] > each["deleted_at"] and not each["held"] for each in whole)
        told = whole[0]["deleted_at"][:4], whole[0]["purge_at"][:4]
        assert int(told[1]) - int(told[0]) in {0, 1}
        pages, address = [], "/conversations?status=deleted&limit=2&cursor=start&view=summary"
        while address:
            answer = await alice.get(address)
            pages += [each["id"] for each in await answer.json()]
            link = answer.links.get("next")
            address = URL(str(link["url"]), encoded=True).raw_path_qs if link else ""
        assert pages == ids[::-1]
        answer = await alice.get("/conversations?status=deleted&limit=1")
        assert answer.headers["X-Total-Count"] == "5"
        for query in ("status=deleted&sort=title", "sort=deleted", "status=active&sort=deleted"):
            assert await wrong_fields(await alice.get(f"/conversations?{query}"))


class TestPurge:
    async def test_removes_what_is_due(
        self, app: web.Application, alice: HttpClient, bob: HttpClient, database: Any
    ) -> None:
        deps = app[TRASH_DEPS]
        gone = [await begin(alice, messages=[message()]) for _ in range(3)]
        his, kept = await begin(bob), await begin(alice)
        for http, each in [*((alice, each) for each in gone), (bob, his)]:
            await http.delete(f"/conversations/{each['id']}")
        await age(database, 89)
        assert await purging.purge_page(deps) == (0, None)
        await restore(alice, f"/conversations/{gone[0]['id']}")
        await age(database, 90)

        assert await purging.purge_page(deps) == (3, None)

        left = {str(each) for each in await database.conversations.distinct("_id")}
        assert left == {kept["id"], gone[0]["id"]}
        entries = await database.audit_logs.find({"action": "conversation.purge"}).to_list()
        assert sorted(each["resource_id"] for each in entries) == sorted(
            each["id"] for each in (*gone[1:], his)
        )
        assert {each["door"] for each in entries} == {"background"}
        assert await database.retired.count_documents({}) == 3

    async def test_continues_where_it_ended(
        self, app: web.Application, alice: HttpClient, database: Any,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        monkeypatch.setattr(purging, "PAGE", 2)
        for _ in range(5):
            await begin(alice)
        assert (await (await alice.delete("/conversations")).json())["deleted_count"] == 5
        await age(database, 90)  # all at the same time
        purged, after = await purging.purge_page(app[TRASH_DEPS])
        assert purged == 2
        while after is not None:
            _, after = await purging.purge_page(app[TRASH_DEPS], after)
        assert await database.conversations.count_documents({}) == 0

    @pytest.mark.parametrize("is_trashed", [False, True])
    async def test_is_done_at_once_if_asked(
        self, alice: HttpClient, database: Any, *, is_trashed: bool
    ) -> None:
        path = f"/conversations/{(await begin(alice))['id']}"
        if is_trashed:
            await alice.delete(path)
        [before] = await database.tombstones.find().to_list() or [None]

        assert (await alice.delete(path, params={"permanent": "true"})).status == 204

        assert await trash_of(alice) == []
        assert await database.conversations.count_documents({}) == 0
        [stone] = await database.tombstones.find().to_list()
        assert before is None or stone == before
        for refused in (
            await alice.delete(path, params={"permanent": "true"}),
            await alice.post(f"{path}/restore"),
        ):
            await problem(refused, 404, "not_found")

    async def test_of_the_whole_trash_is_bounded(
        self, alice: HttpClient, monkeypatch: pytest.MonkeyPatch, database: Any
    ) -> None:
        monkeypatch.setattr(trash_service, "MAX_EMPTIED", 3)
        for _ in range(4):
            await begin(alice)
        await alice.delete("/conversations")
        await begin(alice)
        told = [await (await alice.delete("/trash")).json() for _ in range(3)]
        assert [(each["deleted_count"], each["has_more"]) for each in told] == [
            (3, True), (1, False), (0, False),
        ]  # fmt: skip
        assert await database.conversations.count_documents({}) == 1

    async def test_of_many_leaves_the_commit_queue_to_others(
        self, alice: HttpClient, monkeypatch: pytest.MonkeyPatch, database: Any
    ) -> None:
        for _ in range(STEP * 2):
            await begin(alice)
        waiting = Waiting(monkeypatch)

        for path in ("/conversations", "/trash"):
            answers = await asyncio.gather(*(alice.delete(path) for _ in range(5)))
            deleted = [(await each.json())["deleted_count"] for each in answers]
            assert sum(deleted) == STEP * 2

        assert waiting.most == STEP
        assert await database.conversations.count_documents({}) == 0

    async def test_does_not_wait_without_a_trash(
        self, app: web.Application, alice: HttpClient, database: Any,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        object.__setattr__(app[TRASH_DEPS], "days", 0)
        await alice.delete(f"/conversations/{(await begin(alice))['id']}")
        assert await database.conversations.count_documents({}) == 0
        assert await database.audit_logs.count_documents({"action": "conversation.delete"}) == 1


class TestImports:
    async def test_leave_out_what_is_in_the_trash(self, alice: HttpClient) -> None:
        await bring(alice)
        [known] = await (await alice.get("/conversations")).json()
        path = f"/conversations/{known['id']}"
        await alice.delete(path)
        assert await bring(alice) == ["deleted_here"]
        await restore(alice, path)
        assert await bring(alice) == ["repeated"]

    async def test_may_take_its_place(self, alice: HttpClient, database: Any) -> None:
        await bring(alice)
        [known] = await (await alice.get("/conversations")).json()
        path = f"/conversations/{known['id']}"
        await alice.delete(path)
        again = await bring(alice, "?restore_deleted=true")
        assert again == ["imported"]
        await restore(alice, path)
        assert len(await (await alice.get("/conversations")).json()) == 2
        sources = [each.get("source") async for each in database.conversations.find()]
        assert sorted(map(bool, sources)) == [False, True]


class TestCategory:
    async def test_is_not_restored_once_deleted(self, alice: HttpClient) -> None:
        work = await (await alice.post("/categories", json={"name": "Work"})).json()
        begun = await begin(alice, category_id=work["id"])
        path = f"/conversations/{begun['id']}"
        await alice.delete(path)
        assert (await alice.delete(f"/categories/{work['id']}")).status < 300
        assert (await restore(alice, path))["category_id"] is None


class TestConcurrency:
    async def test_leaves_one_state(
        self, alice: HttpClient, database: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tiny_bounds(monkeypatch)
        begun = await begin(alice)
        path = f"/conversations/{begun['id']}"
        sent = []
        for number in range(4):
            sent += [alice.post(f"{path}/messages", json=message(str(number))) for _ in range(3)]
            sent += [alice.delete(path), alice.post(f"{path}/restore")]
        answers = await asyncio.gather(*sent)
        assert {each.status for each in answers} <= {200, 204, 404, 503}
        await restore(alice, path)
        appends = [each for each in answers if each.url.path.endswith("messages")]
        # 503 says that the message was stored before a deletion.
        appended = sum(each.status in {200, 503} for each in appends)
        assert (await found(alice, begun["id"]))["total_messages"] == appended
        assert await database.tombstones.count_documents({}) == 0

    async def test_reports_a_message_that_was_stored_before_it(
        self, alice: HttpClient, database: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        begun = await begin(alice)
        path = f"/conversations/{begun['id']}"

        async def read_late(*args: Any, **kwargs: Any) -> Any:
            assert (await alice.delete(path)).status == 204
            return await read_back(*args, **kwargs)

        monkeypatch.setattr(append_service, "read_back", read_late)
        answer = await alice.post(f"{path}/messages", json=message("Hello"))

        await problem(answer, 503, "stored_not_shown")
        request = {"request_id": answer.headers["X-Request-ID"]}
        [entry] = await database.audit_logs.find(request).to_list()
        assert entry["outcome"] == "success"
        assert (await restore(alice, path))["total_messages"] == 1
