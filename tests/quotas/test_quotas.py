"""Limits as administrators set and read them."""

from typing import Any

import pytest
from yarl import URL

from chatvault.accounts.models import User
from chatvault.actor import Role
from conftest import HttpClient, SignIn
from support.answers import problem
from support.commanding import Command, Documents
from support.keys import key_of

NONE: dict[str, Any] = dict.fromkeys(
    ("reads_per_minute", "writes_per_minute", "searches_per_minute", "exports_per_minute",
     "messages_per_day", "stored_bytes", "tokens_per_day")
)  # fmt: skip


@pytest.fixture
async def admin(sign_in: SignIn) -> HttpClient:
    return await sign_in("adam", role=Role.ADMIN)


async def body(answer: Any) -> Any:
    assert answer.status == 200, await answer.text()
    return await answer.json()


@pytest.mark.usefixtures("own_application")
class TestQuotas:
    async def test_are_set_in_the_place_of_those_before(
        self, admin: HttpClient, alice: HttpClient, database: Any
    ) -> None:
        user = await User.find_one({"username": "alice"})
        assert user is not None
        path = f"/admin/quotas/{user.id}"
        await body(await admin.put(path, json={"stored_bytes": 5, "tokens_per_day": 6}))

        shown = await body(await admin.put(path, json={"messages_per_day": 10**9}))

        assert {name: shown[name] for name in NONE} == {**NONE, "messages_per_day": 10**9}
        assert (shown["subject"], shown["user_id"]) == (str(user.id), str(user.id))
        assert await body(await admin.get(path)) == shown
        entries = await database.audit_logs.find({"action": "quota.set"}).sort("_id").to_list()
        assert [each["details"] for each in entries] == [
            {"stored_bytes": 5, "tokens_per_day": 6}, {"messages_per_day": 10**9},
        ]  # fmt: skip
        assert entries[0]["resource_id"] == str(user.id)

    async def test_are_removed_by_setting_none(self, admin: HttpClient, database: Any) -> None:
        await body(await admin.put("/admin/quotas/auditor", json={"reads_per_minute": 1}))

        shown = await body(await admin.put("/admin/quotas/auditor", json={}))

        assert {name: shown[name] for name in NONE} == NONE
        assert shown["role"] == "auditor"
        assert await database.quotas.count_documents({}) == 0

    async def test_are_listed_in_pages(self, admin: HttpClient, alice: HttpClient) -> None:
        key = await key_of()
        for subject in ("user", "auditor", f"key:{key.key_id}"):
            await body(await admin.put(f"/admin/quotas/{subject}", json={"reads_per_minute": 9}))

        first = await admin.get("/admin/quotas?limit=2")
        second = await admin.get(URL(first.links["next"]["url"]).path_qs)

        listed = [*await body(first), *await body(second)]
        names = [(each["subject"], each["username"]) for each in listed]
        assert names == [("auditor", None), (f"key:{key.key_id}", "alice"), ("user", None)]

    async def test_of_an_api_key_go_with_it_and_with_its_owner(
        self, admin: HttpClient, alice: HttpClient, database: Any
    ) -> None:
        key = await key_of()
        path = f"/admin/quotas/key:{key.key_id}"

        await body(await admin.put(path, json={"reads_per_minute": 9}))

        stored, [made] = await database.quotas.find_one(), await database.api_keys.find().to_list()
        assert (stored["user_id"], stored["expires_at"]) == (made["user_id"], made["expires_at"])

    async def test_of_an_api_key_cannot_limit_what_its_owner_stores(
        self, admin: HttpClient, alice: HttpClient
    ) -> None:
        path = f"/admin/quotas/key:{(await key_of()).key_id}"

        refused = await admin.put(path, json={"stored_bytes": 9})

        [wrong] = (await problem(refused, 422, "invalid_input"))["errors"]
        assert (wrong["loc"], wrong["type"]) == (["body", "stored_bytes"], "not_of_keys")

    async def test_are_refused_to_others(self, alice: HttpClient) -> None:
        refused = await alice.put("/admin/quotas/user", json={})
        await problem(refused, 403, "permission_denied")
        await problem(await alice.get("/admin/quotas"), 403, "permission_denied")

    @pytest.mark.parametrize("subject", ["nobody", "key:1", "0" * 24, f"key:{'0' * 24}"])
    async def test_of_nobody_are_not_found(self, admin: HttpClient, subject: str) -> None:
        await problem(await admin.get(f"/admin/quotas/{subject}"), 404, "not_found")
        await problem(await admin.put(f"/admin/quotas/{subject}", json={}), 404, "not_found")

    @pytest.mark.parametrize("limits", [{"reads": 1}, {"reads_per_minute": -1}])
    async def test_are_checked(self, admin: HttpClient, limits: dict[str, int]) -> None:
        refused = await admin.put("/admin/quotas/user", json=limits)
        await problem(refused, 422, "invalid_input")


class TestCommand:
    def test_sets_and_shows_limits(self, command: Command, documents: Documents) -> None:
        command("users", "create", "alice", "--email", "a@example.com", "--password", "horse 1234")

        done = command("quotas", "set", "alice", "writes_per_minute=600", "stored_bytes=1000")
        assert done.out == "alice: writes_per_minute=600, stored_bytes=1000.\n"
        done = command("quotas", "set", "alice", "stored_bytes=none")
        assert done.out == "alice: writes_per_minute=600.\n"
        [stored] = documents["quotas"].find()
        assert stored["limits"] == {"writes_per_minute": 600}
        assert "600" in command("quotas", "show").out
        assert "600" in command("quotas", "show", "alice").out
        assert command("quotas", "set", "alice", "writes=6").status == 2
        assert "no role or user" in command("quotas", "show", "bob").line
