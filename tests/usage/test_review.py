from typing import Any

import pytest
from yarl import URL

from chatvault.actor import Role
from chatvault.fields import first_day
from conftest import HttpClient, SignIn
from support.using import insert_usage

PATH = "/admin/usage"


async def rows(http: HttpClient, **query: Any) -> list[dict[str, Any]]:
    answer = await http.get(PATH, params=query)
    assert answer.status == 200, await answer.text()
    found: list[dict[str, Any]] = await answer.json()
    return found


@pytest.fixture
async def admin(sign_in: SignIn) -> HttpClient:
    return await sign_in("adam", role=Role.ADMIN)


class TestUsage:
    async def test_is_summed_by_user_with_the_highest_first(
        self, admin: HttpClient, alice: HttpClient, bob: HttpClient
    ) -> None:
        alice_id = await insert_usage("alice", (10, 5))
        await insert_usage("alice", (1, 1), days_ago=1)
        bob_id = await insert_usage("bob", (100, 50), days_ago=2)
        await insert_usage("bob", (9000, 9000), days_ago=40)

        assert await rows(admin) == [
            {
                "user_id": str(bob_id), "username": "bob", "day": None,
                "input_tokens": 100, "output_tokens": 50, "total_tokens": 150, "requests": 1,
            },
            {
                "user_id": str(alice_id), "username": "alice", "day": None,
                "input_tokens": 11, "output_tokens": 6, "total_tokens": 17, "requests": 2,
            },
        ]  # fmt: skip

    async def test_is_summed_by_day_for_all_and_for_one(
        self, admin: HttpClient, alice: HttpClient, bob: HttpClient
    ) -> None:
        alice_id = await insert_usage("alice", (10, 5))
        await insert_usage("bob", (100, 50), days_ago=2)

        days = [(row["day"], row["total_tokens"]) for row in await rows(admin, by="day")]
        assert days == [(first_day(3), 150), (first_day(1), 15)]
        [mine] = await rows(admin, by="day", user_id=str(alice_id))
        assert (mine["day"], mine["total_tokens"]) == (first_day(1), 15)
        assert mine["user_id"] == str(alice_id)
        assert await rows(admin, by="day", days=1, user_id=str(alice_id)) == [mine]

    async def test_is_listed_in_pages_without_gaps(
        self, admin: HttpClient, sign_in: SignIn
    ) -> None:
        for number in range(5):
            await sign_in(f"user-{number}")
            await insert_usage(f"user-{number}", (number // 2, 0))
        whole = await rows(admin)
        assert len(whole) == 5

        seen: list[dict[str, Any]] = []
        target: str | None = f"{PATH}?limit=2"
        while target:
            answer = await admin.get(target)
            seen += await answer.json()
            links = answer.links
            target = URL(links["next"]["url"]).path_qs if "next" in links else None
        assert seen == whole

    async def test_has_no_name_for_a_deleted_account(
        self, admin: HttpClient, alice: HttpClient, database: Any
    ) -> None:
        alice_id = await insert_usage("alice", (10, 5))
        await database.users.delete_one({"_id": alice_id})

        [row] = await rows(admin)
        assert (row["user_id"], row["username"]) == (str(alice_id), None)

    async def test_is_for_admins_and_reading_is_audited(
        self, admin: HttpClient, alice: HttpClient, sign_in: SignIn, database: Any
    ) -> None:
        for other in (alice, await sign_in("audrey", role=Role.AUDITOR)):
            answer = await other.get(PATH)
            assert answer.status == 403
            assert (await answer.json())["code"] == "permission_denied"
        await insert_usage("alice", (10, 5))
        await rows(admin)

        found = database.audit_logs.find({"action": "usage.count"}).sort("_id", 1)
        entries = [(entry["outcome"], entry["details"]) async for entry in found]
        assert sorted(entries, key=str) == [
            ("denied", None), ("denied", None), ("success", {"groups": 1}),
        ]  # fmt: skip

    async def test_refuses_a_forged_cursor(self, admin: HttpClient) -> None:
        for cursor in ("nonsense", "OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk6YQ"):
            answer = await admin.get(PATH, params={"cursor": cursor})
            assert answer.status == 422
            assert (await answer.json())["errors"][0]["loc"] == ["query", "cursor"]
