"""What an operator does at the command line, by the functions its commands call."""

from collections.abc import Iterator
from typing import Any

import pytest
from bson import ObjectId

from chatvault.accounts import service
from chatvault.accounts.passwords import PasswordHasher
from chatvault.actor import Actor, Door, Role
from chatvault.audit.recorder import Recorder
from chatvault.errors import AlreadyTaken, Denied, NotFound
from conftest import HttpClient, SignIn
from support.factories import PASSWORD, account

OPERATOR = Actor(door=Door.CLI)


@pytest.fixture
def hasher() -> Iterator[PasswordHasher]:
    hasher = PasswordHasher(4)
    yield hasher
    hasher.close()


async def log_in(browser: HttpClient, password: str = PASSWORD) -> int:
    credentials = {"username": "alice", "password": password}
    return (await browser.post("/auth/login", json=credentials)).status


class TestChangeRole:
    async def test_ends_the_sessions_and_applies_at_the_next_login(
        self, alice: HttpClient, bob: HttpClient
    ) -> None:
        await service.change_role(OPERATOR, username="ALICE", role=Role.AUDITOR)

        assert (await alice.get("/auth/me")).status == 401
        assert (await bob.get("/auth/me")).status == 200
        assert await log_in(alice) == 200
        assert (await (await alice.get("/auth/me")).json())["role"] == "auditor"
        assert (await alice.get("/admin/audit-logs")).status == 200

    async def test_revokes_the_old_rights_at_once(self, sign_in: SignIn) -> None:
        admin = await sign_in("alice", role=Role.ADMIN)
        assert (await admin.get("/admin/audit-logs")).status == 200

        await service.change_role(OPERATOR, username="alice", role=Role.USER)

        assert (await admin.get("/admin/audit-logs")).status == 401
        assert await log_in(admin) == 200
        assert (await admin.get("/admin/audit-logs")).status == 403

    async def test_fails_for_an_unknown_name(self, http: HttpClient) -> None:
        with pytest.raises(NotFound):
            await service.change_role(OPERATOR, username="nobody", role=Role.ADMIN)


class TestSetActive:
    async def test_deactivation_ends_the_sessions_and_refuses_sign_in(
        self, alice: HttpClient, database: Any
    ) -> None:
        closed = await service.set_active(OPERATOR, username="alice", is_active=False)

        assert not closed.is_active
        assert (await alice.get("/auth/me")).status == 401
        answer = await alice.post("/auth/login", json={"username": "alice", "password": PASSWORD})
        assert answer.status == 401
        assert (await answer.json())["detail"] == "Invalid username or password"
        assert await database.sessions.count_documents({}) == 0

    async def test_reactivation_allows_sign_in(self, alice: HttpClient) -> None:
        await service.set_active(OPERATOR, username="alice", is_active=False)
        await service.set_active(OPERATOR, username="alice", is_active=True)

        assert await log_in(alice) == 200


class TestSetPassword:
    async def test_ends_the_sessions(self, alice: HttpClient, hasher: PasswordHasher) -> None:
        await service.set_password(OPERATOR, hasher, username="alice", password="reset it")

        assert (await alice.get("/auth/me")).status == 401
        assert await log_in(alice) == 401
        assert await log_in(alice, "reset it") == 200


class TestCreate:
    async def test_gives_a_role(self, http: HttpClient, hasher: PasswordHasher) -> None:
        made = await service.create(
            OPERATOR, hasher, **account("eve"), password=PASSWORD, role=Role.ADMIN
        )

        assert made.role is Role.ADMIN

    async def test_refuses_a_taken_name(self, alice: HttpClient, hasher: PasswordHasher) -> None:
        with pytest.raises(AlreadyTaken):
            await service.create(OPERATOR, hasher, **account("Alice"), password=PASSWORD)

    async def test_lists_and_finds_by_name_and_by_id(
        self, alice: HttpClient, bob: HttpClient
    ) -> None:
        users = await service.list_users(OPERATOR, Recorder())

        assert [user.username for user in users] == ["alice", "bob"]
        for text in ("ALICE", str(users[0].id)):
            found = await service.find_by_name_or_id(text)
            assert found is not None
            assert found.id == users[0].id
        assert await service.find_by_name_or_id(str(ObjectId())) is None
        assert await service.find_by_name_or_id("nobody") is None


class TestOverHttp:
    async def test_even_an_admin_is_no_operator(
        self, http: HttpClient, hasher: PasswordHasher
    ) -> None:
        admin = Actor(door=Door.HTTP, user_id=ObjectId(), role=Role.ADMIN)
        name = {"username": "alice"}

        with pytest.raises(Denied):
            await service.create(admin, hasher, **account("eve"), password=PASSWORD)
        with pytest.raises(Denied):
            await service.change_role(admin, **name, role=Role.ADMIN)
        with pytest.raises(Denied):
            await service.set_active(admin, **name, is_active=False)
        with pytest.raises(Denied):
            await service.set_password(admin, hasher, **name, password=PASSWORD)
        with pytest.raises(Denied):
            await service.list_users(admin, Recorder())
