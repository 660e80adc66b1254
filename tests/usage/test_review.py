from typing import Any

import pytest
from yarl import URL

from chatvault.actor import Role
from chatvault.fields import first_day
from conftest import HttpClient, SignIn
from support.answers import problem
from support.commanding import Command, Documents
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
                "messages": 0, "bytes": 0,
            },
            {
                "user_id": str(alice_id), "username": "alice", "day": None,
                "input_tokens": 11, "output_tokens": 6, "total_tokens": 17, "requests": 2,
                "messages": 0, "bytes": 0,
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


class TestMessagesAndBytes:
    @pytest.fixture
    async def counted(
        self, admin: HttpClient, alice: HttpClient, bob: HttpClient, database: Any
    ) -> dict[str, Any]:
        ids = {each["username"]: each["_id"] async for each in database.users.find()}
        today, before = first_day(1), first_day(2)
        await insert_usage("alice", (10, 5))
        await database.usage_days.insert_many(
            [
                {"user_id": ids["alice"], "day": before, "messages": 3, "bytes": 300},
                {"user_id": ids["alice"], "day": today, "messages": 1, "bytes": 100},
                {"user_id": ids["bob"], "day": today, "messages": 2, "bytes": 200},
            ]
        )
        return ids

    async def test_are_summed_beside_the_tokens(
        self, admin: HttpClient, counted: dict[str, Any]
    ) -> None:
        shown = [
            (row["username"], row["total_tokens"], row["messages"], row["bytes"])
            for row in await rows(admin)
        ]
        assert shown == [("alice", 15, 4, 400), ("bob", 0, 2, 200)]

    async def test_are_listed_by_user_and_day_in_pages(
        self, admin: HttpClient, counted: dict[str, Any]
    ) -> None:
        seen: list[dict[str, Any]] = []
        target: str | None = f"{PATH}?by=user_and_day&limit=2"
        while target:
            answer = await admin.get(target)
            seen += await answer.json()
            links = answer.links
            target = URL(links["next"]["url"]).path_qs if "next" in links else None

        shown = [
            (row["day"], row["username"], row["total_tokens"], row["messages"]) for row in seen
        ]
        assert shown == [
            (first_day(2), "alice", 0, 3), (first_day(1), "alice", 15, 1),
            (first_day(1), "bob", 0, 2),
        ]  # fmt: skip

    async def test_are_those_of_the_days_and_the_user_asked_for(
        self, admin: HttpClient, counted: dict[str, Any]
    ) -> None:
        days = {"from": first_day(2), "to": first_day(2)}
        [one] = await rows(admin, by="user_and_day", user="alice", **days)
        assert (one["user_id"], one["messages"]) == (str(counted["alice"]), 3)
        assert await rows(admin, user="bob", **days) == []
        await problem(await admin.get(PATH, params={"user": "nobody"}), 404, "not_found")
        await problem(await admin.get(PATH, params={"from": "May"}), 422, "invalid_input")

    async def test_of_oneself_are_shown(
        self, alice: HttpClient, bob: HttpClient, counted: dict[str, Any], database: Any
    ) -> None:
        answer = await alice.get("/usage")

        assert answer.status == 200, await answer.text()
        shown = await answer.json()
        assert [(day["day"], day["total_tokens"], day["bytes"]) for day in shown["days"]] == [
            (first_day(2), 0, 300), (first_day(1), 15, 100),
        ]  # fmt: skip
        assert shown["stored_bytes"] == 0
        [today] = (await (await bob.get(f"/usage?from={first_day(1)}")).json())["days"]
        assert (today["messages"], today["requests"]) == (2, 0)


class TestCommand:
    def test_shows_usage(self, command: Command, documents: Documents) -> None:
        command("users", "create", "alice", "--email", "a@example.com", "--password", "horse 1234")
        [user] = documents["users"].find()
        counted = {"user_id": user["_id"], "day": first_day(1), "messages": 30, "bytes": 4711}
        documents["usage_days"].insert_one(counted)

        for by in ("user", "day", "user_and_day"):
            assert "4711" in command("usage", "--by", by).out
        assert "4711" not in command("usage", "--user", "alice", "--to", first_day(2)).out
