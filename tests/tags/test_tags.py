"""Tags: counted, renamed and merged in all conversations."""

import asyncio
from typing import Any

import pytest

from chatvault.conversations.bulk.turns import STEP
from chatvault.mongodb.rates import Limit
from chatvault.tags.routes import TAG_DEPS
from conftest import HttpClient
from support.answers import problem
from support.factories import begin
from support.waiting import Waiting


async def tags_of(http: HttpClient) -> list[list[str]]:
    listed = await (await http.get("/conversations?sort=created&view=summary")).json()
    return [each["tags"] for each in reversed(listed)]


class TestList:
    async def test_counts_conversations(self, alice: HttpClient, bob: HttpClient) -> None:
        await begin(alice, tags=["home", "work"])
        await begin(alice, tags=["work", "work"])
        await begin(alice)
        await begin(bob, tags=["other"])
        found = await (await alice.get("/tags")).json()
        assert found == {
            "tags": [{"tag": "work", "conversations": 2}, {"tag": "home", "conversations": 1}],
            "hasMore": False,
        }
        assert (await (await alice.get("/tags?limit=1")).json())["hasMore"] is True


class TestRename:
    async def test_concerns_all_conversations_of_mine(
        self, alice: HttpClient, bob: HttpClient, database: Any
    ) -> None:
        for tags in (["a", "b"], ["b"], ["b", "c", "a"], ["c"]):
            await begin(alice, tags=tags)
        await begin(bob, tags=["b"])
        answer = await alice.post("/tags/rename", json={"tag": "b", "to": "c"})
        assert await answer.json() == {"conversations": 3}
        assert await tags_of(alice) == [["a", "c"], ["c"], ["c", "a"], ["c"]]
        assert await tags_of(bob) == [["b"]]
        updates = {"action": "conversation.update", "details.fields": ["tags"]}
        assert await database.audit_logs.count_documents(updates) == 3
        [entry] = await database.audit_logs.find({"action": "tag.rename"}).to_list()
        assert entry["details"] == {"conversations": 3}

    async def test_answers_a_repeat_alike(self, alice: HttpClient) -> None:
        await begin(alice, tags=["a"])
        headers = {"Idempotency-Key": "one"}
        for _ in range(2):
            body = {"tag": "a", "to": "b"}
            answer = await alice.post("/tags/rename", json=body, headers=headers)
            assert await answer.json() == {"conversations": 1}
        same = await alice.post("/tags/rename", json={"tag": "b", "to": "b"})
        assert await same.json() == {"conversations": 0}


class TestMerge:
    async def test_leaves_one_of_several(self, alice: HttpClient) -> None:
        for tags in (["a", "x", "b"], ["into", "b"], ["x"]):
            await begin(alice, tags=tags)
        body = {"tags": ["a", "b", "into"], "into": "into"}
        answer = await alice.post("/tags/merge", json=body)
        assert await answer.json() == {"conversations": 2}
        assert await tags_of(alice) == [["into", "x"], ["into"], ["x"]]

    async def test_of_many_conversations_changes_each_once(
        self, alice: HttpClient, database: Any
    ) -> None:
        made = [await begin(alice, tags=["a"]) for _ in range(60)]
        answer = await alice.post("/tags/merge", json={"tags": ["a"], "into": "b"})
        assert await answer.json() == {"conversations": 60}
        versions = await database.conversations.distinct("version")
        assert versions == [2]
        assert len(made) == 60

    async def test_at_the_same_time_leave_the_commit_queue_to_others(
        self, alice: HttpClient, constants: pytest.MonkeyPatch
    ) -> None:
        for _ in range(STEP * 2):
            await begin(alice, tags=[f"old{number}" for number in range(10)])
        waiting = Waiting(constants)
        bodies = [{"tag": f"old{number}", "to": f"new{number}"} for number in range(10)]

        answers = await asyncio.gather(*(alice.post("/tags/rename", json=body) for body in bodies))

        assert [await each.json() for each in answers] == [{"conversations": STEP * 2}] * 10
        assert waiting.most == STEP

    async def test_too_often_is_refused(
        self, alice: HttpClient, constants: pytest.MonkeyPatch
    ) -> None:
        constants.setattr(alice.app[TAG_DEPS].rate, "_limit", Limit(2, 60))
        body = {"tag": "a", "to": "b"}
        for _ in range(2):
            assert (await alice.post("/tags/rename", json=body)).status == 200
        await problem(await alice.post("/tags/rename", json=body), 429, "too_many_requests")
