"""Legal holds: what they keep, until they are lifted."""

import asyncio
from typing import Any

import pytest
from aiohttp import web
from bson import ObjectId
from yarl import URL

from chatvault.conversations.commits import garbage
from chatvault.conversations.released import release_lifted
from chatvault.conversations.routes import COMMITS, STORE
from chatvault.conversations.store import MessageStore
from chatvault.conversations.trash.purging import purge_page
from chatvault.conversations.trash.routes import TRASH_DEPS
from chatvault.erasure import service as erasures
from chatvault.erasure.holding import erasable
from conftest import HttpClient, SignIn
from support.answers import problem, wrong_fields
from support.codecs import sealing, usual_codec
from support.factories import PASSWORD, begin, message
from support.stored import tiny_bounds

Raw = dict[str, Any]


@pytest.fixture
async def auditor(sign_in: SignIn) -> HttpClient:
    return await sign_in("audrey", role="auditor")


async def place(auditor: HttpClient, user_id: str, conversation_id: str | None = None) -> Raw:
    body = {"user_id": user_id, "conversation_id": conversation_id, "reason": "case 7"}
    answer = await auditor.post("/admin/holds", json=body)
    assert answer.status == 201, await answer.text()
    placed: Raw = await answer.json()
    return placed


async def lift(auditor: HttpClient, hold: Raw) -> None:
    assert (await auditor.delete(f"/admin/holds/{hold['id']}")).status == 200


async def pages(http: HttpClient, path: str, limit: int = 3) -> list[Raw]:
    """Everything that a list has, over all pages."""
    found: list[Raw] = []
    address = f"{path}?limit={limit}"
    while address:
        answer = await http.get(address)
        assert answer.status == 200, await answer.text()
        found += await answer.json()
        link = answer.links.get("next")
        address = URL(str(link["url"]), encoded=True).raw_path_qs if link else ""
    return found


async def words(database: Any) -> set[str]:
    """All that is stored of messages."""
    store = MessageStore(usual_codec())
    heads = await store.open_conversations(await database.conversations.find().to_list())
    runs = await store.open_segments(await database.segments.find().to_list())
    earlier = await store.open_revisions(await database.revisions.find().to_list())
    said = [*(each["message"] for each in earlier)]
    for holder in (*heads, *runs):
        said += [each for each in holder["messages"] if "content" in each]
    return {each["content"] for each in said}


class TestHolds:
    @pytest.mark.parametrize("is_of_one", [False, True])
    async def test_prevent_the_erasure_of_their_user(
        self, alice: HttpClient, auditor: HttpClient, *, is_of_one: bool
    ) -> None:
        begun = await begin(alice)
        await place(auditor, begun["user_id"], begun["id"] if is_of_one else None)
        refused = await alice.delete("/users/me", json={"password": PASSWORD})
        await problem(refused, 409, "held")

    async def test_are_not_placed_on_a_user_who_is_being_erased(
        self, alice: HttpClient, auditor: HttpClient, database: Any
    ) -> None:
        begun = await begin(alice)
        assert (await alice.delete("/users/me", json={"password": PASSWORD})).status == 202
        body = {"user_id": begun["user_id"], "reason": "case 7"}
        refused = await auditor.post("/admin/holds", json=body)
        await problem(refused, 409, "being_erased")
        assert await database.holds.count_documents({}) == 0

    async def test_exclude_an_erasure_at_the_same_time(
        self, alice: HttpClient, auditor: HttpClient, constants: pytest.MonkeyPatch, database: Any
    ) -> None:
        """The hold is placed after the erasure has looked for holds, and before its commit."""
        user_id = (await begin(alice))["user_id"]
        tried: list[asyncio.Task[Raw]] = []
        look = erasable

        async def place_then(of: ObjectId, session: Any) -> bool:
            is_free = await look(of, session)
            if not tried:
                tried.append(asyncio.create_task(place(auditor, user_id)))
                await asyncio.wait(tried, timeout=0.2)
            return is_free

        constants.setattr(erasures, "erasable", place_then)
        erased = await alice.delete("/users/me", json={"password": PASSWORD})
        outcome = (await asyncio.gather(*tried, return_exceptions=True))[0]

        is_held = not isinstance(outcome, BaseException)
        assert erased.status == (409 if is_held else 202)
        assert await database.holds.count_documents({}) == is_held

    @pytest.mark.parametrize("is_of_one", [False, True])
    async def test_prevent_permanent_deletion(
        self, app: web.Application, alice: HttpClient, auditor: HttpClient, database: Any,
        *, is_of_one: bool,
    ) -> None:  # fmt: skip
        begun, other = await begin(alice), await begin(alice)
        path = f"/conversations/{begun['id']}"
        hold = await place(auditor, begun["user_id"], begun["id"] if is_of_one else None)

        refused = await alice.delete(path, params={"permanent": "true"})
        await problem(refused, 409, "under_hold")
        object.__setattr__(app[TRASH_DEPS], "days", 0)
        assert (await alice.delete(path)).status == 204  # to the trash, all the same
        [listed] = await (await alice.get("/conversations?status=deleted")).json()
        assert (listed["held"], listed["purge_at"]) == (True, None)
        await problem(await alice.delete(path, params={"permanent": "true"}), 409, "under_hold")
        emptied = await alice.delete("/trash")
        assert emptied.status == (200 if is_of_one else 409)
        assert (await purge_page(app[TRASH_DEPS]))[0] == 0
        assert (await alice.delete(f"/conversations/{other['id']}")).status == 204
        left = await database.conversations.count_documents({})
        assert left == (1 if is_of_one else 2)

        await lift(auditor, hold)

        assert (await purge_page(app[TRASH_DEPS]))[0] == left
        assert await database.conversations.count_documents({}) == 0

    async def test_keep_removed_and_replaced_messages(
        self, app: web.Application, alice: HttpClient, auditor: HttpClient, database: Any,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        tiny_bounds(monkeypatch)
        said = [message(f"w{n}", id=f"m{n}") for n in range(12)]
        begun = await begin(alice, messages=said)
        path = f"/conversations/{begun['id']}"
        await app[COMMITS].drain()
        hold = await place(auditor, begun["user_id"], begun["id"])
        second = await place(auditor, begun["user_id"])
        await alice.patch(f"{path}/messages/m11", json={"content": "edited"})
        for removed in ("m0", "m11"):
            assert (await alice.delete(f"{path}/messages/{removed}")).status == 204
        shown = await alice.get(path)
        changed = await alice.put(
            path, json={"messages": [message("new", id="m5")]}, headers={"If-Match": "*"}
        )
        assert changed.status == 200
        assert "w0" not in await shown.text()
        await garbage.sweep(app[STORE])
        every = {f"w{n}" for n in range(12)} | {"edited", "new"}
        assert await words(database) == every
        # Nobody is shown what is kept.
        assert await (await alice.get(f"{path}/messages/m5/revisions")).json() == []
        export = await (await alice.get("/users/me/export")).read()
        assert b"w11" not in export

        await lift(auditor, hold)
        await release_lifted()
        assert await words(database) == every
        await lift(auditor, second)
        await release_lifted()
        await garbage.sweep(app[STORE])

        assert await words(database) == {"new"}
        assert await database.retired.count_documents({}) == 0
        assert await database.holds.count_documents({"is_open": True}) == 0

    @pytest.mark.parametrize("is_sealed", [False, True])
    async def test_let_auditors_read_what_they_keep(
        self, app: web.Application, alice: HttpClient, bob: HttpClient, auditor: HttpClient,
        sign_in: SignIn, database: Any, constants: pytest.MonkeyPatch, *, is_sealed: bool,
    ) -> None:  # fmt: skip
        tiny_bounds(constants)
        if is_sealed:
            constants.setattr(app[STORE], "codec", sealing())
        said = [message(f"w{n}", id=f"m{n}") for n in range(12)]
        begun, other = await begin(alice, title="Mine", messages=said), await begin(alice)
        his = await begin(bob)
        path = f"/conversations/{begun['id']}"
        await app[COMMITS].drain()
        hold = await place(auditor, begun["user_id"], begun["id"])
        whole = await place(auditor, begun["user_id"])
        await alice.patch(f"{path}/messages/m11", json={"content": "edited"})
        for removed in ("m0", "m11"):
            assert (await alice.delete(f"{path}/messages/{removed}")).status == 204
        kept = f"/admin/holds/{hold['id']}/conversations"
        found = await pages(auditor, f"{kept}/{begun['id']}/messages")
        current = [each["message"] for each in found if each["kind"] == "current"]
        assert [each["content"] for each in current] == [f"w{n}" for n in range(1, 11)]
        assert [each["seq"] for each in current] == [*range(1, 11)]
        new = {"messages": [message("new", id="m5")]}
        assert (await alice.put(path, json=new, headers={"If-Match": "*"})).status == 200
        assert (await alice.delete(path)).status == 204

        [listed] = await pages(auditor, kept)
        assert (listed["id"], listed["title"], listed["status"]) == (begun["id"], "Mine", "deleted")
        both = await pages(auditor, f"/admin/holds/{whole['id']}/conversations", limit=1)
        assert [each["id"] for each in both] == [begun["id"], other["id"]]
        for limit in (1, 5, 100):
            found = await pages(auditor, f"{kept}/{begun['id']}/messages", limit)
            kinds = [each["kind"] for each in found]
            assert kinds == sorted(kinds, key=["current", "earlier", "replaced"].index)
            assert kinds.count("current") == 1
            every = [each["message"]["content"] for each in found]
            assert sorted(every) == sorted({f"w{n}" for n in range(12)} | {"edited", "new"})

        for one in (other["id"], his["id"]):
            await problem(await auditor.get(f"{kept}/{one}/messages"), 404, "not_found")
        for stranger in (alice, bob, await sign_in("ada", role="admin")):
            for address in (kept, f"{kept}/{begun['id']}/messages"):
                await problem(await stranger.get(address), 403, "permission_denied")
        for bad in ("?cursor=x", "?cursor=WyJjdXJyZW50IixbInkiXV0"):
            for address in (kept, f"{kept}/{begun['id']}/messages"):
                assert await wrong_fields(await auditor.get(address + bad)) == [["query", "cursor"]]
        told = await database.audit_logs.find(
            {"resource_id": hold["id"], "outcome": "success", "action": "hold.list_messages"}
        ).to_list()
        assert {
            "user_id": begun["user_id"], "conversation_id": begun["id"], "messages": 14,
        } in [each["details"] for each in told]  # fmt: skip
        await lift(auditor, hold)
        await problem(await auditor.get(kept), 404, "not_found")

    async def test_are_for_auditors(
        self, alice: HttpClient, bob: HttpClient, auditor: HttpClient, database: Any
    ) -> None:
        begun = await begin(alice)
        body = {"user_id": begun["user_id"], "reason": "Secret case"}
        await problem(await bob.post("/admin/holds", json=body), 403, "permission_denied")
        await problem(await bob.get("/admin/holds"), 403, "permission_denied")
        hold = await place(auditor, begun["user_id"], begun["id"])
        await problem(await bob.delete(f"/admin/holds/{hold['id']}"), 403, "permission_denied")
        for unknown in (
            {**body, "user_id": str(ObjectId())},
            {**body, "conversation_id": str(ObjectId())},
        ):
            await problem(await auditor.post("/admin/holds", json=unknown), 404, "not_found")
        listed = await (await auditor.get("/admin/holds")).json()
        assert listed == [{**hold, "username": "alice"}]
        await lift(auditor, hold)
        await problem(await auditor.delete(f"/admin/holds/{hold['id']}"), 404, "not_found")
        assert await (await auditor.get("/admin/holds")).json() == []
        [lifted] = await (await auditor.get("/admin/holds?lifted=true")).json()
        assert lifted["lifted_at"] is not None
        told = await database.audit_logs.find({"resource_id": hold["id"]}).to_list()
        done = {each["action"] for each in told if each["outcome"] == "success"}
        assert done == {"hold.place", "hold.lift"}
        assert "case" not in str(told)

    async def test_are_placed_once_for_a_key(self, alice: HttpClient, auditor: HttpClient) -> None:
        body = {"user_id": (await begin(alice))["user_id"], "reason": "case 7"}
        headers = {"Idempotency-Key": "k"}
        made = [await auditor.post("/admin/holds", json=body, headers=headers) for _ in range(2)]
        assert [each.status for each in made] == [201, 201]
        assert len(await (await auditor.get("/admin/holds")).json()) == 1
