"""Groups: who makes them, who is in them, and what they are called."""

from typing import Any

import pytest
from bson import ObjectId

from conftest import HttpClient, SignIn
from support.granting import code_of
from support.grouping import add, found_group, take_out


class TestMake:
    async def test_answers_with_the_group(self, alice: HttpClient, database: Any) -> None:
        made = await found_group(alice, name="  Kitchen ")

        [owner] = made["members"]
        assert (made["name"], made["role"]) == ("Kitchen", "owner")
        assert (owner["username"], owner["role"]) == ("alice", "owner")
        assert await (await alice.get(f"/groups/{made['id']}")).json() == made
        listed = (await (await alice.get("/groups")).json())["groups"]
        assert [each["id"] for each in listed] == [made["id"]]
        entry = await database.audit_logs.find_one({"action": "group.create"})
        assert (entry["resource_id"], entry["details"]) == (made["id"], None)

    async def test_repeats_with_an_idempotency_key(self, alice: HttpClient) -> None:
        headers = {"Idempotency-Key": "once"}
        first = await alice.post("/groups", json={"name": "Team"}, headers=headers)
        again = await alice.post("/groups", json={"name": "Team"}, headers=headers)

        assert await first.json() == await again.json()
        assert len((await (await alice.get("/groups")).json())["groups"]) == 1

    async def test_has_limits(
        self, alice: HttpClient, bob: HttpClient, constants: pytest.MonkeyPatch
    ) -> None:
        constants.setattr("chatvault.groups.service.MOST_GROUPS", 1)
        constants.setattr("chatvault.groups.joining.MOST_MEMBERS", 1)
        made = await found_group(alice)

        groups = await alice.post("/groups", json={"name": "Other"})
        members = await alice.put(f"/groups/{made['id']}/members/bob", json={})

        assert (groups.status, await code_of(groups)) == (409, "too_many_groups")
        assert (members.status, await code_of(members)) == (409, "too_many_members")


class TestMembers:
    async def test_join_and_leave(self, alice: HttpClient, bob: HttpClient) -> None:
        made = await found_group(alice)
        path = f"/groups/{made['id']}"
        assert (await bob.get(path)).status == 404

        added = await add(alice, made, "bob")

        assert (added["username"], added["role"]) == ("bob", "member")
        seen = await (await bob.get(path)).json()
        assert (seen["role"], [each["username"] for each in seen["members"]]) == (
            "member",
            ["alice", "bob"],
        )
        await take_out(bob, made, "bob")
        assert (await bob.get(path)).status == 404
        assert (await (await bob.get("/groups")).json())["groups"] == []

    async def test_are_managed_by_managers(
        self, alice: HttpClient, bob: HttpClient, sign_in: SignIn
    ) -> None:
        carol, _ = await sign_in("carol"), await sign_in("dave")
        made = await found_group(alice, "bob", "carol")
        path = f"/groups/{made['id']}"
        await add(alice, made, "bob", "manager")
        await add(bob, made, "dave")
        assert (await bob.patch(path, json={"name": "New"})).status == 200
        for browser, method, further, body in (
            (carol, "PUT", "/members/dave", {}),
            (carol, "DELETE", "/members/dave", None),
            (carol, "DELETE", "/members/nobody", None),
            (carol, "PATCH", "", {"name": "x"}),
            (carol, "DELETE", "", None),
            (bob, "PUT", "/members/carol", {"role": "manager"}),
            (bob, "PUT", "/members/bob", {"role": "member"}),
            (bob, "DELETE", "", None),
        ):
            answer = await browser.request(method, path + further, json=body)
            assert (answer.status, await code_of(answer)) == (403, "not_manager"), (method, further)
        for browser in (alice, bob):
            answer = await browser.delete(f"{path}/members/alice")
            assert answer.status == 422
        assert (await alice.put(f"{path}/members/bob", json={"role": "owner"})).status == 422
        assert (await alice.put(f"{path}/members/nobody", json={})).status == 404
        await take_out(bob, made, "dave")
        await take_out(alice, made, "bob")

    async def test_hide_the_group_from_others(self, alice: HttpClient, bob: HttpClient) -> None:
        made = await found_group(alice)
        for group_id in (made["id"], str(ObjectId())):
            for method, further, body in (
                ("GET", "", None),
                ("PATCH", "", {"name": "x"}),
                ("DELETE", "", None),
                ("PUT", "/members/bob", {}),
                ("DELETE", "/members/bob", None),
            ):
                answer = await bob.request(method, f"/groups/{group_id}{further}", json=body)
                assert (answer.status, await code_of(answer)) == (404, "group_not_found")
