"""Accounts as administrators manage them: what they may do, what it ends, and who may not."""

import asyncio
from datetime import timedelta
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from bson import ObjectId

from chatvault.accounts.models import User
from chatvault.actor import Actor, Door, Role, Scope
from chatvault.administration import service
from chatvault.administration.models import Purpose, hash_token
from chatvault.administration.schemas import UserChangeIn
from chatvault.administration.tokens import offer_first_admin
from chatvault.errors import ChatvaultError
from chatvault.fields import now
from chatvault.http.health import CLIENT
from chatvault.http.requests import SETTINGS
from conftest import HttpClient, SignIn
from support.answers import problem
from support.factories import PASSWORD, begin, message
from support.following import Follower
from support.keys import key_of, program
from support.sharing import leave

NEW = "another-horse-battery"
DAVE = {"username": "dave", "email": "dave@example.org"}


async def id_of(username: str) -> ObjectId:
    user = await User.find_one({"username": username})
    assert user is not None
    return user.id


async def path_of(username: str, more: str = "") -> str:
    return f"/admin/users/{await id_of(username)}{more}"


async def shown(answer: Any, status: int = 200) -> dict[str, Any]:
    assert answer.status == status, await answer.text()
    body: dict[str, Any] = await answer.json()
    return body


async def entries(database: Any, action: str) -> list[dict[str, Any]]:
    query = {"action": action, "outcome": "success"}
    found: list[dict[str, Any]] = await database.audit_logs.find(query).to_list()
    return found


async def login(http: HttpClient, username: str, password: str) -> int:
    answer = await http.post("/auth/login", json={"username": username, "password": password})
    http.session.cookie_jar.clear()
    return int(answer.status)


class TestCreate:
    async def test_makes_an_account_with_a_password(
        self, admin: HttpClient, http: HttpClient, database: Any
    ) -> None:
        body = {**DAVE, "password": PASSWORD, "role": "auditor"}
        made = await shown(await admin.post("/admin/users", json=body), 201)

        assert (made["username"], made["role"], made["is_active"]) == ("dave", "auditor", True)
        assert await login(http, "dave", PASSWORD) == 200
        [entry] = await entries(database, "user.create")
        assert (entry["resource_id"], entry["details"]) == (made["id"], {"role": "auditor"})
        assert entry["user_id"] == await id_of("adam")

    async def test_without_a_password_lets_nobody_in_until_one_is_set(
        self, admin: HttpClient, http: HttpClient
    ) -> None:
        await shown(await admin.post("/admin/users", json=DAVE), 201)
        assert await login(http, "dave", "") == 422
        assert await login(http, "dave", PASSWORD) == 401
        reset = await shown(await admin.put(await path_of("dave", "/password-reset")))
        body = {"token": reset["token"], "new_password": NEW}
        await shown(await http.post("/auth/password-reset", json=body))
        assert await login(http, "dave", NEW) == 200

    async def test_is_done_once_for_a_key_that_is_sent_again(
        self, admin: HttpClient, database: Any
    ) -> None:
        headers = {"Idempotency-Key": "7f3c"}
        answers = [await admin.post("/admin/users", json=DAVE, headers=headers) for _ in range(2)]
        first, again = [await shown(answer, 201) for answer in answers]
        assert first == again
        assert await database.users.count_documents({"username": "dave"}) == 1

    async def test_refuses_a_name_that_is_taken(self, admin: HttpClient, alice: HttpClient) -> None:
        for body in ({**DAVE, "username": "ALICE"}, {**DAVE, "email": "Alice@example.com"}):
            await problem(await admin.post("/admin/users", json=body), 400, "already_taken")


class TestShow:
    async def test_counts_what_it_has_and_shows_no_secret_and_no_word(
        self, admin: HttpClient, alice: HttpClient, database: Any
    ) -> None:
        await key_of("alice")
        made = await begin(alice, messages=[message("Which fjord first?")])
        await alice.delete(f"/conversations/{made['id']}")
        await begin(alice)
        found = await shown(await admin.get(await path_of("alice")))

        assert (found["email"], found["sessions"], found["api_keys"]) == (
            "alice@example.com", 1, 1,
        )  # fmt: skip
        assert found["is_being_erased"] is False
        assert (found["conversations"], found["messages"]) == (2, 1)
        assert found["bytes"] > 18
        assert "fjord" not in str(found)
        assert not {"password_hash", "lookalike_keys"} & found.keys()
        [entry] = await entries(database, "user.get")
        assert entry["resource_id"] == found["id"]
        await problem(await admin.get(f"/admin/users/{ObjectId()}"), 404, "not_found")


class TestChange:
    async def test_of_a_role_ends_the_sessions(
        self, admin: HttpClient, alice: HttpClient, database: Any
    ) -> None:
        answer = await admin.patch(await path_of("alice"), json={"role": "auditor"})

        assert (await shown(answer))["role"] == "auditor"
        assert (await alice.get("/auth/me")).status == 401
        [entry] = await entries(database, "user.update")
        assert entry["details"] == {
            "fields": ["role"], "role": "auditor", "is_active": True, "sessions_ended": 1,
        }  # fmt: skip

    async def test_of_a_name_keeps_the_sessions_and_is_not_logged(
        self, admin: HttpClient, alice: HttpClient, database: Any
    ) -> None:
        answer = await admin.patch(await path_of("alice"), json={"username": "Alicia"})
        assert (await shown(answer))["username"] == "Alicia"
        assert (await (await alice.get("/auth/me")).json())["username"] == "Alicia"
        [entry] = await entries(database, "user.update")
        assert "Alicia" not in str(entry)
        taken = await admin.patch(await path_of("adam"), json={"username": "ALICIA"})
        await problem(taken, 400, "already_taken")

    @pytest.mark.parametrize("body", [{}, {"role": None}, {"role": "king"}, {"email": "a@b.org"}])
    async def test_refuses_what_changes_nothing(
        self, admin: HttpClient, alice: HttpClient, body: dict[str, Any]
    ) -> None:
        answer = await admin.patch(await path_of("alice"), json=body)
        await problem(answer, 422, "invalid_input")

    async def test_ends_all_that_a_closed_account_has_open_everywhere(
        self, admin: HttpClient, alice: HttpClient, elsewhere: HttpClient
    ) -> None:
        here, there = await Follower(alice).open(), await Follower(elsewhere).open()
        by_key = program(alice, await key_of("alice"))
        streaming = await Follower(by_key).open()

        await shown(await admin.patch(await path_of("alice"), json={"is_active": False}))

        for http in (alice, elsewhere):
            assert (await http.get("/auth/me")).status == 401
        assert (await by_key.get("/conversations")).status == 401
        for follower in (here, there):
            assert (await follower.end())[-1]["type"] == "closing"
        with pytest.raises(aiohttp.ClientPayloadError):
            await streaming.end()
        await leave(by_key)
        await shown(await admin.patch(await path_of("alice"), json={"is_active": True}))
        assert await login(alice, "alice", PASSWORD) == 200


class TestLastAdministrator:
    async def test_cannot_be_locked_out(self, admin: HttpClient, sign_in: SignIn) -> None:
        path = await path_of("adam")
        for body in ({"role": "user"}, {"is_active": False}):
            await problem(await admin.patch(path, json=body), 409, "last_administrator")
        await problem(await admin.delete(path), 409, "last_administrator")
        await shown(await admin.post("/admin/users", json={**DAVE, "role": "admin"}), 201)
        # Dave has no password yet, and could not help.
        await problem(await admin.patch(path, json={"role": "user"}), 409, "last_administrator")
        await sign_in("eve", role=Role.ADMIN)
        assert (await shown(await admin.patch(path, json={"role": "user"})))["role"] == "user"

    async def test_remains_when_two_remove_each_other(
        self, admin: HttpClient, sign_in: SignIn, database: Any
    ) -> None:
        await sign_in("eve", role=Role.ADMIN)
        ids = [await id_of("adam"), await id_of("eve")]
        actors = [Actor(door=Door.HTTP, user_id=each, role=Role.ADMIN) for each in ids]
        wanted = UserChangeIn(role=Role.USER)
        works = [
            service.change_user(actor, user_id=other, wanted=wanted)
            for actor, other in zip(actors, reversed(ids), strict=True)
        ]
        found = await asyncio.gather(*works, return_exceptions=True)

        [refused] = [each for each in found if isinstance(each, ChatvaultError)]
        assert refused.code == "last_administrator"
        assert await database.users.count_documents({"role": "admin"}) == 1


class TestEnd:
    async def test_ends_sessions_and_keys(
        self, admin: HttpClient, alice: HttpClient, database: Any
    ) -> None:
        by_key = program(alice, await key_of("alice"))
        ended = await shown(await admin.delete(await path_of("alice", "/sessions")))
        assert ended == {"ended": 1}
        assert (await alice.get("/auth/me")).status == 401
        assert (await by_key.get("/conversations")).status == 200

        ended = await shown(await admin.delete(await path_of("alice", "/keys")))
        assert ended == {"ended": 1}
        assert (await by_key.get("/conversations")).status == 401
        await leave(by_key)
        for action in ("user.end_sessions", "user.revoke_keys"):
            [entry] = await entries(database, action)
            assert entry["details"] == {"removed": 1}
            assert entry["resource_id"] == str(await id_of("alice"))


class TestReset:
    async def test_sets_a_password_once_and_ends_the_sessions(
        self, admin: HttpClient, alice: HttpClient, http: HttpClient, database: Any
    ) -> None:
        reset = await shown(await admin.put(await path_of("alice", "/password-reset")))
        assert await login(http, "alice", PASSWORD) == 200
        body = {"token": reset["token"], "new_password": NEW}
        await shown(await http.post("/auth/password-reset", json=body))

        assert (await alice.get("/auth/me")).status == 401
        assert await login(http, "alice", PASSWORD) == 401
        assert await login(http, "alice", NEW) == 200
        again = await http.post("/auth/password-reset", json=body)
        await problem(again, 401, "invalid_token")
        [entry] = await entries(database, "user.reset_password")
        assert entry["user_id"] == await id_of("alice")
        assert reset["token"] not in str(await database.audit_logs.find().to_list())

    async def test_stores_only_the_hash_and_replaces_the_one_before(
        self, admin: HttpClient, alice: HttpClient, http: HttpClient, database: Any
    ) -> None:
        path = await path_of("alice", "/password-reset")
        first, second = [await shown(await admin.put(path)) for _ in range(2)]

        [stored] = await database.one_time_tokens.find().to_list()
        assert stored["token_hash"] == hash_token(second["token"])
        assert second["token"] not in str(stored)
        body = {"token": first["token"], "new_password": NEW}
        await problem(await http.post("/auth/password-reset", json=body), 401, "invalid_token")

    async def test_refuses_what_has_expired_and_closed_accounts(
        self, admin: HttpClient, alice: HttpClient, http: HttpClient, database: Any
    ) -> None:
        path = await path_of("alice", "/password-reset")
        reset = await shown(await admin.put(path))
        body = {"token": reset["token"], "new_password": NEW}
        over = {"$set": {"expires_at": now() - timedelta(seconds=1)}}
        await database.one_time_tokens.update_one({}, over)
        await problem(await http.post("/auth/password-reset", json=body), 401, "invalid_token")

        body["token"] = (await shown(await admin.put(path)))["token"]
        await shown(await admin.patch(await path_of("alice"), json={"is_active": False}))
        await problem(await http.post("/auth/password-reset", json=body), 401, "invalid_token")
        await problem(await admin.put(path), 409, "conflict")
        assert await database.one_time_tokens.count_documents({}) == 1

    async def test_is_slowed_down_for_an_address(self, http: HttpClient) -> None:
        body = {"token": "none", "new_password": NEW}
        statuses = [(await http.post("/auth/password-reset", json=body)).status for _ in range(32)]
        assert statuses == [401] * 30 + [429] * 2


class TestErase:
    async def test_closes_the_account_and_begins(
        self, admin: HttpClient, alice: HttpClient, http: HttpClient, database: Any
    ) -> None:
        await begin(alice)
        path = await path_of("alice")
        begun = await shown(await admin.delete(path), 202)

        assert (await alice.get("/auth/me")).status == 401
        headers = {"Erasure-Token": begun["token"]}
        found = await shown(await http.get(f"/erasures/{begun['id']}", headers=headers))
        assert found["state"] == "removing"
        assert (await shown(await admin.get(path)))["is_being_erased"] is True
        for answer in (
            await admin.delete(path),
            await admin.patch(path, json={"is_active": True}),
            await admin.put(f"{path}/password-reset"),
        ):
            await problem(answer, 409, "being_erased")
        [entry] = await entries(database, "user.erase")
        assert entry["user_id"] == await id_of("adam")


class TestOthers:
    CALLS = (
        ("POST", "", DAVE),
        ("GET", "/{}", None),
        ("PATCH", "/{}", {"is_active": False}),
        ("DELETE", "/{}", None),
        ("DELETE", "/{}/sessions", None),
        ("DELETE", "/{}/keys", None),
        ("PUT", "/{}/password-reset", None),
    )

    async def test_may_do_nothing_of_it(
        self, alice: HttpClient, sign_in: SignIn, database: Any
    ) -> None:
        auditor = await sign_in("audrey", role=Role.AUDITOR)
        before = await database.users.find().to_list()
        for method, path, body in self.CALLS:
            for other in (alice, auditor):
                target = f"/admin/users{path.format(await id_of('alice'))}"
                answer = await other.request(method, target, json=body)
                await problem(answer, 403, "permission_denied")
        assert await database.users.find().to_list() == before

    async def test_with_a_key_make_no_administrators(
        self, admin: HttpClient, alice: HttpClient
    ) -> None:
        by_key = program(admin, await key_of("adam", [Scope.ADMIN]))
        alices = await path_of("alice")
        for answer in (
            await by_key.post("/admin/users", json={**DAVE, "role": "admin"}),
            await by_key.patch(alices, json={"role": "auditor"}),
            await by_key.put(f"{alices}/password-reset"),
            await by_key.delete(alices),
        ):
            await problem(answer, 403, "session_required")
        await shown(await by_key.post("/admin/users", json=DAVE), 201)
        await shown(await by_key.patch(alices, json={"is_active": False}))
        await leave(by_key)


class TestFirstAdmin:
    async def test_is_made_once_by_the_token_of_the_first_start(
        self, app: web.Application, http: HttpClient, database: Any
    ) -> None:
        where = app[CLIENT], app[SETTINGS].mongodb_database
        first, token = await offer_first_admin(*where), await offer_first_admin(*where)
        assert token is not None
        body = {**DAVE, "password": PASSWORD, "token": first}
        await problem(await http.post("/auth/first-admin", json=body), 401, "invalid_token")
        made = await shown(await http.post("/auth/first-admin", json={**body, "token": token}))

        assert made["role"] == "admin"
        assert await login(http, "dave", PASSWORD) == 200
        assert await offer_first_admin(*where) is None
        other = {**body, "username": "eve", "email": "eve@example.org", "token": token}
        await problem(await http.post("/auth/first-admin", json=other), 401, "invalid_token")
        [entry] = await entries(database, "user.create")
        assert entry["details"] == {"role": "admin"}

    async def test_is_not_made_beside_another(
        self, app: web.Application, http: HttpClient, sign_in: SignIn
    ) -> None:
        token = await offer_first_admin(app[CLIENT], app[SETTINGS].mongodb_database)
        await sign_in("adam", role=Role.ADMIN)
        body = {**DAVE, "password": PASSWORD, "token": token}
        await problem(await http.post("/auth/first-admin", json=body), 401, "invalid_token")

    async def test_takes_no_other_token(
        self, admin: HttpClient, alice: HttpClient, http: HttpClient, database: Any
    ) -> None:
        reset = await shown(await admin.put(await path_of("alice", "/password-reset")))
        await database.users.delete_many({"username": "adam"})
        body = {**DAVE, "password": PASSWORD, "token": reset["token"]}
        await problem(await http.post("/auth/first-admin", json=body), 401, "invalid_token")
        assert (await database.one_time_tokens.find_one({}))["purpose"] == Purpose.PASSWORD
