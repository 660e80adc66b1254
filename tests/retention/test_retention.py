"""Policies of retention: what goes to the trash, and what stays."""

from datetime import timedelta
from typing import Any

from aiohttp import web
from bson import ObjectId

from chatvault.actor import Actor, Door, Role
from chatvault.conversations.trash.routes import TRASH_DEPS
from chatvault.fields import now
from chatvault.retention import service
from chatvault.retention.worker import apply_all
from conftest import HttpClient, SignIn
from support.answers import wrong_fields
from support.factories import begin, message

PATH = "/users/me/retention"


async def age(database: Any, conversation: dict[str, Any], days: int) -> None:
    at, which = now() - timedelta(days=days), {"_id": ObjectId(conversation["id"])}
    await database.conversations.update_one(which, {"$set": {"updated_at": at}})


async def titles(http: HttpClient, query: str = "") -> set[str]:
    listed = await (await http.get(f"/conversations{query}")).json()
    return {each["title"] for each in listed}


class TestRetention:
    async def test_puts_what_was_left_into_the_trash(
        self, app: web.Application, alice: HttpClient, bob: HttpClient, database: Any
    ) -> None:
        for http, title, days in (
            (alice, "old", 40), (alice, "pinned", 40), (alice, "new", 5), (bob, "bob's", 40),
        ):  # fmt: skip
            pinned = title == "pinned"
            begun = await begin(http, title=title, messages=[message()], pinned=pinned)
            await age(database, begun, days)
        dry = await (await alice.get(PATH, params={"days": 30})).json()
        assert (dry["days"], dry["role_days"], dry["due"], len(dry["due_ids"])) == (
            None,
            None,
            1,
            1,
        )
        assert await apply_all(app[TRASH_DEPS]) == 0
        kept = await (await alice.put(PATH, json={"days": 30})).json()
        assert (kept["days"], kept["due"]) == (30, 1)

        assert [await apply_all(app[TRASH_DEPS]) for _ in range(2)] == [1, 0]

        assert await titles(alice) == {"pinned", "new"}
        assert await titles(alice, "?status=deleted") == {"old"}
        assert await titles(bob) == {"bob's"}
        [entry] = await database.audit_logs.find({"action": "conversation.trash"}).to_list()
        assert (entry["door"], entry["details"]["retention"]) == ("background", True)
        assert (await (await alice.put(PATH, json={"days": None})).json())["days"] is None
        assert await wrong_fields(await alice.put(PATH, json={"days": 0}))

    async def test_of_a_role_is_an_operators(
        self, app: web.Application, alice: HttpClient, database: Any
    ) -> None:
        await age(database, await begin(alice, title="old"), 40)
        operator = Actor(door=Door.CLI)
        await alice.put(PATH, json={"days": 100})
        await service.set_for_role(operator, role=Role.USER, days=39)
        shown = await (await alice.get(PATH)).json()
        assert (shown["days"], shown["role_days"], shown["due"]) == (100, 39, 1)
        assert await apply_all(app[TRASH_DEPS]) == 1
        await service.set_for_role(operator, role=Role.USER, days=None)
        assert (await (await alice.get(PATH)).json())["role_days"] is None

    async def test_of_a_role_is_for_admins(self, alice: HttpClient, sign_in: SignIn) -> None:
        root = await sign_in("root", role=Role.ADMIN)
        for browser, status in ((root, 200), (alice, 403)):
            answer = await browser.put("/admin/retention/user", json={"days": 730})
            assert answer.status == status
            assert (await browser.get("/admin/retention")).status == status

        assert await (await root.get("/admin/retention")).json() == [
            {"role": "user", "days": 730},
            {"role": "auditor", "days": None},
            {"role": "admin", "days": None},
        ]
        assert (await root.put("/admin/retention/nobody", json={"days": 1})).status == 404
        assert (await (await alice.get(PATH)).json())["role_days"] == 730
