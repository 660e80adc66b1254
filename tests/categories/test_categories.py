"""Categories: a tree of two levels, and the conversations in them."""

from typing import Any

import pytest
from bson import ObjectId

from chatvault.access import Access
from chatvault.categories import service
from chatvault.conversations import service as conversations
from chatvault.conversations.categories import check_category
from chatvault.conversations.commits import queue
from conftest import HttpClient
from support.answers import found, problem, wrong_fields
from support.factories import begin


async def make(http: HttpClient, name: str, parent_id: str | None = None, **headers: str) -> Any:
    body = {"name": name, "parent_id": parent_id}
    answer = await http.post("/categories", json=body, headers=headers)
    assert answer.status == 201, await answer.text()
    made = await answer.json()
    assert answer.headers["Location"] == f"/categories/{made['id']}"
    return made


async def listed(http: HttpClient) -> list[tuple[str, int]]:
    found = (await (await http.get("/categories")).json())["categories"]
    return [(each["name"], each["conversations"]) for each in found]


class TestTree:
    async def test_is_listed_by_name_with_counts(self, alice: HttpClient) -> None:
        work = await make(alice, "work")
        home = await make(alice, "Home")
        clients = await make(alice, "Clients", work["id"])
        for category in (work, clients, clients):
            await begin(alice, category_id=category["id"])
        assert await listed(alice) == [("Home", 0), ("work", 1), ("Clients", 2)]
        assert home["parent_id"] is None
        assert clients["parent_id"] == work["id"]

    async def test_has_two_levels(self, alice: HttpClient) -> None:
        work = await make(alice, "Work")
        clients = await make(alice, "Clients", work["id"])
        third = await alice.post("/categories", json={"name": "X", "parent_id": clients["id"]})
        assert await wrong_fields(third) == [["body", "parent_id"]]
        home = await make(alice, "Home")
        moved = await alice.patch(f"/categories/{work['id']}", json={"parent_id": home["id"]})
        assert await wrong_fields(moved) == [["body", "parent_id"]]
        itself = await alice.patch(f"/categories/{home['id']}", json={"parent_id": home["id"]})
        await problem(itself, 404, "not_found")
        up = await alice.patch(f"/categories/{clients['id']}", json={"parent_id": None})
        assert (await up.json())["parent_id"] is None

    async def test_has_a_name_once_in_one_place(self, alice: HttpClient) -> None:
        work = await make(alice, "Work")
        await problem(
            await alice.post("/categories", json={"name": "WORK "}), 409, "category_taken"
        )
        within = await make(alice, "Work", work["id"])
        up = await alice.patch(f"/categories/{within['id']}", json={"parent_id": None})
        await problem(up, 409, "category_taken")
        same = await alice.patch(f"/categories/{work['id']}", json={"name": "work"})
        assert (await same.json())["name"] == "work"

    async def test_has_a_bounded_number(
        self, alice: HttpClient, constants: pytest.MonkeyPatch
    ) -> None:
        constants.setattr(service, "MAX_CATEGORIES", 1)
        await make(alice, "Work")
        refused = await alice.post("/categories", json={"name": "Home"})
        assert await wrong_fields(refused) == [["body", "name"]]

    async def test_is_made_once_for_a_key(self, alice: HttpClient) -> None:
        first = await make(alice, "Work", **{"Idempotency-Key": "one"})
        assert await make(alice, "Work", **{"Idempotency-Key": "one"}) == first
        assert len(await listed(alice)) == 1


class TestConversations:
    async def test_are_put_into_one_and_out_of_it(self, alice: HttpClient) -> None:
        work = (await make(alice, "Work"))["id"]
        begun = await begin(alice)
        assert begun["category_id"] is None
        path = f"/conversations/{begun['id']}"
        put = await (await alice.put(path, json={"category_id": work, "pinned": True})).json()
        assert (put["category_id"], put["pinned"]) == (work, True)
        named = await (await alice.put(path, json={"title": "named"})).json()
        assert (named["category_id"], named["pinned"]) == (work, True)
        out = {"category_id": None, "pinned": False}
        patched = await (await alice.patch(path, json=out)).json()
        assert (patched["category_id"], patched["pinned"]) == (None, False)

    @pytest.mark.parametrize("method", ["put", "patch"])
    async def test_go_into_no_other(self, alice: HttpClient, method: str) -> None:
        begun = await begin(alice)
        body = {"category_id": "f" * 24}
        answer = await getattr(alice, method)(f"/conversations/{begun['id']}", json=body)
        await problem(answer, 404, "not_found")
        await problem(await alice.post("/conversations", json=body), 404, "not_found")

    async def test_do_not_go_into_one_that_is_deleted_meanwhile(
        self, alice: HttpClient, constants: pytest.MonkeyPatch
    ) -> None:
        constants.setattr(queue, "MAX_ATTEMPTS", 2)
        work, begun = (await make(alice, "Work"))["id"], await begin(alice)
        checked = 0

        async def check(access: Access, category_id: ObjectId | None) -> None:
            nonlocal checked
            await check_category(access, category_id)
            checked += 1
            if checked == 1:
                assert (await alice.delete(f"/categories/{work}")).status == 204

        constants.setattr(conversations, "check_category", check)
        path = f"/conversations/{begun['id']}"
        await problem(await alice.patch(path, json={"category_id": work}), 404, "not_found")
        assert (await found(alice, begun["id"]))["category_id"] is None

    async def test_stay_without_a_deleted_one(self, alice: HttpClient, database: Any) -> None:
        work = await make(alice, "Work")
        within = await make(alice, "Clients", work["id"])
        refused = await alice.delete(f"/categories/{work['id']}")
        await problem(refused, 409, "category_not_empty")
        begun = [await begin(alice, category_id=within["id"]) for _ in range(3)]
        assert (await alice.delete(f"/categories/{within['id']}")).status == 204
        left = [await (await alice.get(f"/conversations/{each['id']}")).json() for each in begun]
        assert [(each["category_id"], each["version"]) for each in left] == [(None, 2)] * 3
        assert await listed(alice) == [("Work", 0)]
        updates = {"action": "conversation.update", "details.fields": ["category_id"]}
        assert await database.audit_logs.count_documents(updates) == 3
        await problem(await alice.delete(f"/categories/{within['id']}"), 404, "not_found")
