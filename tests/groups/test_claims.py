"""Groups that are bound to what an identity provider says of people; tests/oidc has a real one."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from bson import ObjectId
from structlog.testing import capture_logs

from chatvault.actor import Role
from chatvault.errors import Busy
from chatvault.external import Oidc
from chatvault.fields import now
from chatvault.groups import claims
from chatvault.groups.claims import ClaimWorker, leave_task
from chatvault.groups.models import ClaimTask
from chatvault.groups.routes import GROUP_DEPS
from chatvault.mongodb.jobs import Attempt, JobLost
from chatvault.oidc.routes import OIDC_DEPS
from chatvault.settings import Settings
from conftest import HttpClient, SignIn
from support.answers import problem, wrong_fields
from support.factories import begin, settings_for
from support.granting import at
from support.grouping import add, bind, found_group, members_of, share_with, take_out
from support.sealing import until

AWAY = Oidc(issuer="http://127.0.0.1:1", client_id="chatvault")


@pytest.fixture
def settings(data_dir: Path) -> Settings:
    return settings_for(data_dir, oidc=AWAY)


@pytest.fixture
async def root(sign_in: SignIn) -> HttpClient:
    return await sign_in("root", role=Role.ADMIN)


class Provider:
    """The provider as far as it says something at sign-ins."""

    def __init__(self, app: web.Application, database: Any) -> None:
        self._app = app
        self._database = database

    async def id_of(self, name: str) -> ObjectId:
        found: ObjectId = (await self._database.users.find_one({"username": name}))["_id"]
        return found

    async def says(self, name: str, *values: str) -> None:
        """Tell somebody's values, and wait until their groups are in line."""
        await leave_task(await self.id_of(name), values)
        await self.is_done()

    async def is_done(self) -> None:
        """Have what is due done; wait for it."""
        self.wake()
        await until(self._is_empty)

    def wake(self) -> None:
        """Have the service look for what is due."""
        self._app[OIDC_DEPS].claims_due.set()

    async def _is_empty(self) -> bool:
        count: int = await self._database.claim_tasks.count_documents({})
        return count == 0


@pytest.fixture
def provider(app: web.Application, http: HttpClient, database: Any) -> Provider:
    return Provider(app, database)


class TestBinding:
    async def test_is_shown_and_ended(self, root: HttpClient) -> None:
        group = await found_group(root)
        assert group["claim"] is None

        bound = await bind(root, group, " engineering ")

        assert (bound["claim"], bound["name"]) == ("engineering", "Team")
        assert (await (await root.get(f"/groups/{group['id']}")).json())["claim"] == "engineering"
        assert (await bind(root, group, None))["claim"] is None

    async def test_is_for_administrators_who_own_the_group(
        self, root: HttpClient, alice: HttpClient, sign_in: SignIn
    ) -> None:
        other = await sign_in("other", role=Role.ADMIN)
        hers, his = await found_group(alice), await found_group(root)
        body = {"claim": "engineering"}
        refused = await alice.patch(f"/groups/{hers['id']}", json=body)
        await problem(refused, 403, "permission_denied")
        stranger = await other.patch(f"/groups/{his['id']}", json=body)
        await problem(stranger, 404, "group_not_found")
        await add(root, his, "other", "manager")
        for named in (body, {"claim": None}):
            manager = await other.patch(f"/groups/{his['id']}", json={"name": "x", **named})
            await problem(manager, 403, "not_manager")

    async def test_needs_that_scope_of_a_key(self, root: HttpClient, http: HttpClient) -> None:
        group = await found_group(root)
        new = {"name": "key", "scopes": ["conversations:write"]}
        secret = (await (await root.post("/auth/keys", json=new)).json())["key"]
        headers = {"Authorization": f"Bearer {secret}"}
        path = f"/groups/{group['id']}"
        refused = await http.patch(path, json={"claim": "x"}, headers=headers)
        await problem(refused, 403, "insufficient_scope")
        assert (await http.patch(path, json={"name": "New"}, headers=headers)).status == 200

    async def test_is_of_one_group_a_value(self, root: HttpClient, sign_in: SignIn) -> None:
        other = await sign_in("other", role=Role.ADMIN)
        first, second = await found_group(root), await found_group(other)
        await bind(root, first, "engineering")
        path = f"/groups/{second['id']}"
        refused = await other.patch(path, json={"claim": "engineering", "name": "New"})
        await problem(refused, 409, "claim_in_use")
        assert (await (await other.get(path)).json())["name"] == "Team"

        await bind(root, first, None)
        await bind(other, second, "engineering")
        assert (await other.delete(path)).status == 204
        await bind(root, first, "engineering")

    async def test_takes_a_value_or_null(self, root: HttpClient) -> None:
        path = f"/groups/{(await found_group(root))['id']}"
        for body in ({"claim": ""}, {"claim": "x" * 256}, {"claim": 1}):
            assert await wrong_fields(await root.patch(path, json=body)) == [["body", "claim"]]
        for empty in ({}, {"name": None}, {"claim": "x", "name": None}):
            assert (await root.patch(path, json=empty)).status == 422


class TestOff:
    @pytest.fixture
    def settings(self, data_dir: Path) -> Settings:
        return settings_for(data_dir)

    async def test_binds_no_group(self, root: HttpClient) -> None:
        group = await found_group(root)
        refused = await root.patch(f"/groups/{group['id']}", json={"claim": "engineering"})
        await problem(refused, 409, "claims_off")
        assert (await bind(root, group, None))["claim"] is None


class TestJoining:
    async def test_gives_what_is_shared_and_is_audited(
        self, root: HttpClient, bob: HttpClient, provider: Provider, database: Any
    ) -> None:
        group, conversation = await found_group(root), await begin(root)
        await share_with(root, conversation, group)
        # MongoDB reads a text like this as the name of a field, if it is let.
        await bind(root, group, "$engineering")

        await provider.says("bob", "others", "$engineering")

        joined = (await members_of(root, group))["bob"]
        assert (joined["role"], joined["by_claim"]) == ("member", True)
        assert joined["added_by"] == joined["user_id"]
        assert (await bob.get(at(conversation))).status == 200
        entry = await database.audit_logs.find_one({"action": "group.set_member"})
        assert (entry["door"], str(entry["user_id"])) == ("background", joined["user_id"])
        about = {"member_id": joined["user_id"], "role": "member", "oidc": True}
        assert (entry["resource_id"], entry["details"]) == (group["id"], about)

    async def test_ends_with_the_value(
        self, root: HttpClient, bob: HttpClient, provider: Provider, database: Any
    ) -> None:
        group, conversation = await found_group(root), await begin(root)
        await share_with(root, conversation, group)
        await bind(root, group, "engineering")
        await provider.says("bob", "engineering")

        await provider.says("bob", "others")

        assert (await members_of(root, group)).keys() == {"root"}
        assert (await bob.get(at(conversation))).status == 404
        entry = await database.audit_logs.find_one({"action": "group.remove_member"})
        assert entry["details"]["oidc"] is True

    async def test_leaves_who_was_added_by_hand(
        self, root: HttpClient, bob: HttpClient, sign_in: SignIn, provider: Provider
    ) -> None:
        await sign_in("carol")
        group = await found_group(root, "bob")
        await bind(root, group, "engineering")
        for name in ("root", "bob", "carol"):
            await provider.says(name, "engineering")
        assert [each["by_claim"] for each in (await members_of(root, group)).values()] == [
            *(False, False, True)
        ]
        added = await add(root, group, "carol", "manager")
        assert (added["by_claim"], added["added_by"]) == (False, group["owner_id"])

        for name in ("root", "bob", "carol"):
            await provider.says(name)

        roles = {key: each["role"] for key, each in (await members_of(root, group)).items()}
        assert roles == {"root": "owner", "bob": "member", "carol": "manager"}

    async def test_comes_again_after_leaving(
        self, root: HttpClient, bob: HttpClient, provider: Provider
    ) -> None:
        group = await found_group(root)
        await bind(root, group, "engineering")
        await provider.says("bob", "engineering")
        await take_out(bob, group, "bob")
        assert (await bob.get(f"/groups/{group['id']}")).status == 404
        await provider.says("bob", "engineering")
        assert (await bob.get(f"/groups/{group['id']}")).status == 200

    async def test_ends_once_the_group_is_bound_to_another_value(
        self, root: HttpClient, bob: HttpClient, provider: Provider
    ) -> None:
        group = await found_group(root)
        await bind(root, group, "engineering")
        await provider.says("bob", "engineering")
        await bind(root, group, "sales")
        assert "bob" in await members_of(root, group)
        await provider.says("bob", "engineering")
        assert "bob" not in await members_of(root, group)

    async def test_ends_with_the_account(
        self, root: HttpClient, bob: HttpClient, provider: Provider, database: Any
    ) -> None:
        group = await found_group(root)
        await bind(root, group, "engineering")
        await database.users.update_one({"username": "bob"}, {"$set": {"is_active": False}})
        await provider.says("bob", "engineering")
        assert "bob" not in await members_of(root, group)

    async def test_passes_over_a_full_group(
        self, root: HttpClient, bob: HttpClient, provider: Provider, constants: Any
    ) -> None:
        full, other = await found_group(root, "bob"), await found_group(root)
        await bind(root, full, "engineering")
        await bind(root, other, "sales")
        await take_out(root, full, "bob")
        constants.setattr("chatvault.groups.joining.MOST_MEMBERS", 1)
        with capture_logs() as logs:
            await provider.says("bob", "engineering")
        [line] = [each for each in logs if each["event"] == "group_is_full"]
        assert line["group_id"] == full["id"]
        constants.setattr("chatvault.groups.joining.MOST_MEMBERS", 2)
        await provider.says("bob", "engineering", "sales")
        assert "bob" in await members_of(root, full)
        assert "bob" in await members_of(root, other)

    async def test_leaves_nothing_where_nothing_is_bound(
        self, bob: HttpClient, provider: Provider, database: Any
    ) -> None:
        await leave_task(await provider.id_of("bob"), ["engineering"])
        assert await database.claim_tasks.count_documents({}) == 0


class TestTask:
    async def test_is_resumed_after_a_failure(
        self,
        root: HttpClient,
        bob: HttpClient,
        provider: Provider,
        database: Any,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        group = await found_group(root)
        await bind(root, group, "engineering")

        async def fail(*_args: Any) -> None:
            raise Busy(retry_after=1)

        with monkeypatch.context() as patch:
            patch.setattr(claims, "_join_or_leave", fail)
            await leave_task(await provider.id_of("bob"), ["engineering"])

            async def has_failed() -> bool:
                return await database.claim_tasks.find_one({"code": "busy"}) is not None

            provider.wake()
            await until(has_failed)
        # It is put off for some seconds.
        await database.claim_tasks.update_one({}, {"$set": {"due_at": now()}})
        await provider.is_done()
        assert "bob" in await members_of(root, group)

    async def test_gives_way_to_a_later_sign_in(
        self, app: web.Application, root: HttpClient, bob: HttpClient, provider: Provider
    ) -> None:
        """Nor does a process that still works on the earlier one add anybody."""
        group = await found_group(root)
        await bind(root, group, "engineering")
        bobs = await provider.id_of("bob")
        job = {"_id": ObjectId(), "user_id": bobs, "claims": ["engineering"], "attempts": 1}
        held = {**job, "is_open": True, "due_at": now() + timedelta(hours=1)}
        await ClaimTask.get_pymongo_collection().insert_one(held)
        await provider.says("bob")

        worker = ClaimWorker(app[GROUP_DEPS], asyncio.Event())
        with pytest.raises(JobLost):
            await worker._work(Attempt(ClaimTask, job))

        assert "bob" not in await members_of(root, group)
