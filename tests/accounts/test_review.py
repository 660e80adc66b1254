from typing import Any

import pytest
from yarl import URL

from chatvault.actor import Role
from conftest import HttpClient, SignIn

PATH = "/admin/users"
# In letters of full width, which fold to the usual ones.
WIDE = "\uff5a\uff4f\uff52\uff4f"


async def users(http: HttpClient, **query: Any) -> list[dict[str, Any]]:
    answer = await http.get(PATH, params=query)
    assert answer.status == 200, await answer.text()
    found: list[dict[str, Any]] = await answer.json()
    return found


def names(found: list[dict[str, Any]]) -> list[str]:
    return [each["username"] for each in found]


@pytest.fixture
async def admin(sign_in: SignIn) -> HttpClient:
    return await sign_in("adam", role=Role.ADMIN)


class TestUsers:
    async def test_are_shown_to_admins_without_their_secrets(
        self, admin: HttpClient, alice: HttpClient
    ) -> None:
        me = await (await alice.get("/auth/me")).json()

        own = {"email", "has_password", "has_identity"}
        adam, shown = await users(admin)
        assert (adam["username"], adam["role"]) == ("adam", "admin")
        told = {name: me[name] for name in me if name not in own}
        assert shown == {**told, "is_service": False}

    async def test_are_found_by_a_prefix_of_their_names(
        self, admin: HttpClient, sign_in: SignIn, database: Any
    ) -> None:
        for name in ("Zo\u00eb", "zoltan", "zo.", WIDE, "yzo", "z"):
            await sign_in(name)

        assert names(await users(admin, name=" ZO")) == ["zo.", "zoltan", WIDE, "Zo\u00eb"]
        assert names(await users(admin, name="zo.")) == ["zo."]
        assert names(await users(admin, name="$")) == []
        await database.users.update_one({"username": "z"}, {"$set": {"is_active": False}})
        assert names(await users(admin, is_active="false")) == ["z"]
        assert names(await users(admin, role="admin")) == ["adam"]

    async def test_are_listed_in_pages_without_gaps(
        self, admin: HttpClient, sign_in: SignIn
    ) -> None:
        for number in range(5):
            await sign_in(f"user-{number}")
        seen: list[dict[str, Any]] = []
        target: str | None = f"{PATH}?limit=2&name=user"
        while target:
            answer = await admin.get(target)
            seen += await answer.json()
            links = answer.links
            target = URL(links["next"]["url"]).path_qs if "next" in links else None

        assert names(seen) == [f"user-{number}" for number in range(5)]
        assert len(await users(admin)) == 6

    async def test_are_for_admins_and_reading_is_audited(
        self, admin: HttpClient, alice: HttpClient, sign_in: SignIn, database: Any
    ) -> None:
        for other in (alice, await sign_in("audrey", role=Role.AUDITOR)):
            answer = await other.get(PATH)
            assert answer.status == 403
            assert (await answer.json())["code"] == "permission_denied"
        await users(admin, name="ali")

        found = database.audit_logs.find({"action": "user.list"}).sort("_id", 1)
        entries = [(entry["outcome"], entry["details"]) async for entry in found]
        assert sorted(entries, key=str) == [
            ("denied", None), ("denied", None), ("success", {"users": 1}),
        ]  # fmt: skip

    @pytest.mark.parametrize(
        "query", ["cursor=%FF", "cursor=%2F", "name=" + 65 * "a", "role=king", "email=a", "limit=0"]
    )
    async def test_refuse_an_invalid_query(self, admin: HttpClient, query: str) -> None:
        answer = await admin.get(URL(f"{PATH}?{query}", encoded=True))
        assert answer.status == 422

    async def test_are_empty_if_no_name_has_the_prefix(self, admin: HttpClient) -> None:
        for query in ("name=%ED%A0%80", "name=%00", "name=%F4%8F%BF%BF"):
            answer = await admin.get(URL(f"{PATH}?{query}", encoded=True))
            assert answer.status in {200, 422}
            assert answer.status == 422 or await answer.json() == []
