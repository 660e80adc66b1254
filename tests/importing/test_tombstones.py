"""What was deleted here stays deleted, unless somebody asks for it."""

import json
from typing import Any

import pytest
from aiohttp import web
from bson import ObjectId

from chatvault.http.requests import SECRET_KEY
from conftest import HttpClient
from support.exports import exported
from support.factories import begin, message


async def bring(client: HttpClient, value: Any, query: str = "") -> dict[str, Any]:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    answer = await client.post(f"/imports{query}", data=data)
    assert answer.status == 200, await answer.text()
    found: dict[str, Any] = await answer.json()
    return found


def outcomes(told: dict[str, Any]) -> list[str]:
    return [each["outcome"] for each in told["conversations"]]


async def delete_first(client: HttpClient) -> str:
    [first, *_] = await (await client.get("/conversations")).json()
    assert (await client.delete(f"/conversations/{first['id']}")).status == 204
    return str(first["id"])


class TestImport:
    @pytest.mark.parametrize("query", ["", "?on_duplicate=replace", "?on_duplicate=copy"])
    async def test_leaves_out_deleted_conversations(self, alice: HttpClient, query: str) -> None:
        file = [exported(1)]
        await bring(alice, file)
        await delete_first(alice)

        told = await bring(alice, [*file, exported(2)], query)
        assert outcomes(told) == ["deleted_here", "imported"]
        assert told["left_out"] == {"deleted_here": 1}
        assert told["messages"] == told["conversations"][1]["messages"]
        assert await (await alice.get("/conversations/stats/count")).json() == {"count": 1}

    async def test_reports_deleted_conversations_in_a_dry_run(self, alice: HttpClient) -> None:
        await bring(alice, [exported(1)])
        await delete_first(alice)
        for more, outcome in (("", "deleted_here"), ("&restore_deleted=true", "imported")):
            told = await bring(alice, [exported(1)], f"?dry_run=true{more}")
            assert outcomes(told) == [outcome]

    async def test_restores_deleted_conversations_on_request(self, alice: HttpClient) -> None:
        await bring(alice, [exported(1)])
        await delete_first(alice)
        told = await bring(alice, [exported(1)], "?restore_deleted=true")
        assert outcomes(told) == ["imported"]
        assert outcomes(await bring(alice, [exported(1)])) == ["repeated"]
        await delete_first(alice)
        assert outcomes(await bring(alice, [exported(1)])) == ["deleted_here"]

    async def test_leaves_out_conversations_deleted_all_at_once(self, alice: HttpClient) -> None:
        file = [exported(number) for number in range(3)]
        await bring(alice, file)
        assert (await alice.delete("/conversations")).status == 200
        assert outcomes(await bring(alice, file)) == ["deleted_here"] * 3

    async def test_leaves_out_an_export_of_a_deleted_conversation(self, alice: HttpClient) -> None:
        await begin(alice, title="Mine", messages=[message("a")])
        data = await (await alice.get("/conversations/export")).read()
        await delete_first(alice)
        assert outcomes(await bring(alice, data)) == ["deleted_here"]
        assert outcomes(await bring(alice, data, "?restore_deleted=true")) == ["imported"]
        assert outcomes(await bring(alice, data)) == ["repeated"]

    async def test_ignores_deletions_of_another_user(
        self, alice: HttpClient, bob: HttpClient
    ) -> None:
        await bring(alice, [exported(1)])
        await delete_first(alice)
        assert outcomes(await bring(bob, [exported(1)])) == ["imported"]


class TestTombstone:
    async def test_does_not_reveal_the_source(
        self, app: web.Application, alice: HttpClient, bob: HttpClient, database: Any
    ) -> None:
        for client in (alice, bob):
            await bring(client, [exported(1)])
        source = (await database.conversations.find_one({}))["source"]
        gone = await delete_first(alice)
        await delete_first(bob)

        stones = await database.tombstones.find({}).to_list()
        assert stones[0].keys() == {"_id", "user_id", "conversation_id", "source", "at"}
        assert stones[0]["conversation_id"] == ObjectId(gone)
        assert len({each["source"] for each in stones}) == 2
        plain = app[SECRET_KEY].hash(source)
        assert not {source, plain} & {each["source"] for each in stones}

    async def test_is_stored_with_the_deletion_or_not_at_all(
        self, alice: HttpClient, database: Any
    ) -> None:
        begun = await begin(alice)
        stale = {"If-Match": '"99"'}
        path = f"/conversations/{begun['id']}"
        assert (await alice.delete(path, headers=stale)).status == 412
        assert await database.tombstones.count_documents({}) == 0
        await alice.delete(path)
        assert await database.tombstones.count_documents({"source": None}) == 1
