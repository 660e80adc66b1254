"""Deleting one, and all."""

import asyncio
from typing import Any

from bson import ObjectId

from conftest import HttpClient
from support.answers import found, problem
from support.factories import begin, message
from support.inserting import insert_conversations


class TestDelete:
    async def test_hides_it(self, alice: HttpClient) -> None:
        begun = await begin(alice, messages=[message()])
        path = f"/conversations/{begun['id']}"

        answer = await alice.delete(path)

        assert (answer.status, await answer.read()) == (204, b"")
        await problem(await alice.get(path), 404, "not_found")
        await problem(await alice.put(path, json={"title": "x"}), 404, "not_found")
        await problem(await alice.post(f"{path}/messages", json=message()), 404, "not_found")
        await problem(await alice.delete(path), 404, "not_found")
        assert await (await alice.get("/conversations")).json() == []

    async def test_lets_concurrent_appends_succeed_or_answer_404(self, alice: HttpClient) -> None:
        begun = await begin(alice)
        path = f"/conversations/{begun['id']}"
        answers = await asyncio.gather(
            *(alice.post(f"{path}/messages", json=message(str(number))) for number in range(10)),
            alice.delete(path),
            *(alice.post(f"{path}/messages", json=message(str(number))) for number in range(10)),
        )
        assert {answer.status for answer in answers} <= {200, 204, 404}
        assert sum(answer.status == 204 for answer in answers) == 1
        await problem(await alice.get(path), 404, "not_found")


class TestDeleteAll:
    async def test_leaves_an_audit_entry_for_each(
        self, alice: HttpClient, bob: HttpClient, database: Any
    ) -> None:
        kept = await begin(bob, title="Bob's")
        begun = [(await begin(alice, messages=[message()]))["id"] for _ in range(5)]
        await insert_conversations("alice", 245)
        stored = await database.conversations.find({"_id": {"$ne": ObjectId(kept["id"])}}).to_list()
        assert {*begun} < {str(each["_id"]) for each in stored}

        answer = await alice.delete("/conversations")

        assert answer.status == 200
        body = await answer.json()
        assert body["deleted_count"] == 250
        assert "250" in body["message"]
        assert await (await alice.get("/conversations/stats/count")).json() == {"count": 0}
        entries = await database["audit_logs"].find({"action": "conversation.trash"}).to_list()
        assert sorted(entry["resource_id"] for entry in entries) == sorted(
            str(each["_id"]) for each in stored
        )
        assert {entry["outcome"] for entry in entries} == {"success"}
        whole = {"action": "conversation.delete_all"}
        entry = await database["audit_logs"].find_one(whole)
        assert entry["details"] == {"conversations": 250}
        assert await found(bob, kept["id"]) == kept

    async def test_works_without_conversations(self, alice: HttpClient) -> None:
        for _ in range(2):
            answer = await alice.delete("/conversations")
            assert (answer.status, (await answer.json())["deleted_count"]) == (200, 0)

    async def test_counts_each_once_if_called_twice_at_once(
        self, alice: HttpClient, database: Any
    ) -> None:
        for _ in range(30):
            await begin(alice)
        answers = await asyncio.gather(*(alice.delete("/conversations") for _ in range(3)))
        assert {answer.status for answer in answers} == {200}
        counts = [(await answer.json())["deleted_count"] for answer in answers]
        assert sum(counts) == 30
        deleted = {"action": "conversation.trash", "outcome": "success"}
        assert await database["audit_logs"].count_documents(deleted) == 30
