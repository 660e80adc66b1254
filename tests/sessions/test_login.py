import asyncio
import hashlib
from typing import Any

import pytest
from aiohttp import web

from chatvault.accounts.passwords import PasswordHasher
from chatvault.accounts.routes import HASHER
from conftest import HttpClient, SignIn
from support.factories import PASSWORD


async def log_in(browser: HttpClient, username: str = "alice", password: str = PASSWORD) -> Any:
    return await browser.post("/auth/login", json={"username": username, "password": password})


def cookie_of(answer: Any) -> Any:
    return answer.cookies["session_id"]


class TestLogin:
    async def test_answers_as_recorded(self, alice: HttpClient, http: HttpClient) -> None:
        answer = await log_in(http)

        assert answer.status == 200
        body = await answer.json()
        assert body["message"] == "Login successful"
        assert body["user"]["username"] == "alice"
        assert body["user"]["last_login"].endswith("Z")

    async def test_accepts_the_name_in_any_case(self, alice: HttpClient, http: HttpClient) -> None:
        assert (await log_in(http, "ALICE")).status == 200

    async def test_sends_a_cookie_that_only_this_site_gets(
        self, alice: HttpClient, http: HttpClient
    ) -> None:
        cookie = cookie_of(await log_in(http))

        assert cookie["httponly"] is True
        assert cookie["samesite"] == "Lax"
        assert cookie["max-age"] == "86400"
        assert cookie["path"] == "/"
        assert cookie["domain"] == ""
        assert not cookie["secure"]

    async def test_stores_only_the_hash_of_the_cookie(
        self, alice: HttpClient, http: HttpClient, database: Any
    ) -> None:
        await database.sessions.delete_many({})

        token = cookie_of(await log_in(http)).value

        stored = await database.sessions.find_one()
        assert stored["token_hash"] == hashlib.sha256(token.encode()).digest()
        assert token not in str(stored)
        assert len(token) >= 43
        for name in await database.list_collection_names():
            assert token not in str(await database[name].find().to_list())

    async def test_answers_the_same_for_an_unknown_user_and_a_wrong_password(
        self, alice: HttpClient, http: HttpClient
    ) -> None:
        unknown = await log_in(http, "nobody")
        wrong = await log_in(http, password="wrong horse")

        assert unknown.status == wrong.status == 401
        assert "Set-Cookie" not in unknown.headers
        problems = [await answer.json() for answer in (unknown, wrong)]
        for problem in problems:
            assert problem.pop("request_id")
        assert problems[0] == problems[1]
        assert problems[0]["detail"] == "Invalid username or password"
        assert problems[0]["code"] == "invalid_credentials"

    async def test_takes_as_long_for_an_unknown_user(
        self,
        app: web.Application,
        alice: HttpClient,
        http: HttpClient,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        checked: list[str] = []
        hasher = app[HASHER]
        run = PasswordHasher._run

        async def count(self: PasswordHasher, *arguments: Any) -> Any:
            checked.append("bcrypt")
            return await run(self, *arguments)

        monkeypatch.setattr(PasswordHasher, "_run", count)
        for username in ("nobody", "alice"):
            await log_in(http, username, "wrong horse")

        assert checked == ["bcrypt"] * 2
        # The hash that stands in for the missing one has the same cost.
        assert hasher._nobody.startswith(b"$2b$04$")

    async def test_never_adopts_an_id_that_came_with_the_request(
        self, alice: HttpClient, http: HttpClient
    ) -> None:
        http.session.cookie_jar.update_cookies({"session_id": "chosen-by-an-attacker"})

        answer = await log_in(http)

        assert cookie_of(answer).value != "chosen-by-an-attacker"
        stranger = {"Cookie": "session_id=chosen-by-an-attacker"}
        http.session.cookie_jar.clear()
        assert (await http.get("/auth/me", headers=stranger)).status == 401

    async def test_creates_a_new_id_and_ends_the_previous_session(
        self, alice: HttpClient, database: Any
    ) -> None:
        before = next(iter(alice.session.cookie_jar)).value

        after = cookie_of(await log_in(alice)).value

        assert after != before
        assert await database.sessions.count_documents({}) == 1
        alice.session.cookie_jar.clear()
        old = {"Cookie": f"session_id={before}"}
        assert (await alice.get("/auth/me", headers=old)).status == 401

    async def test_ends_the_previous_session_of_another_user(
        self, alice: HttpClient, bob: HttpClient, database: Any
    ) -> None:
        assert (await log_in(alice, "bob")).status == 200

        assert (await (await alice.get("/auth/me")).json())["username"] == "bob"
        owners = {each["user_id"] for each in await database.sessions.find().to_list()}
        assert len(owners) == 1

    async def test_keeps_the_session_if_it_fails(self, alice: HttpClient) -> None:
        assert (await log_in(alice, password="wrong horse")).status == 401

        assert (await alice.get("/auth/me")).status == 200

    @pytest.mark.parametrize(
        "body",
        [
            {"username": "alice"},
            {"username": "alice", "password": ""},
            {"username": "alice", "password": "x" * 1025},
            {"username": "alice", "password": PASSWORD, "role": "admin"},
            {"username": ["alice"], "password": PASSWORD},
            {"username": {"$gt": ""}, "password": PASSWORD},
            {"username": "x" * 256, "password": PASSWORD},
        ],
    )
    async def test_refuses_a_wrong_body(self, alice: HttpClient, body: dict[str, Any]) -> None:
        assert (await alice.post("/auth/login", json=body)).status == 422

    async def test_answers_503_when_too_many_wait_for_bcrypt(
        self, app: web.Application, alice: HttpClient, http: HttpClient
    ) -> None:
        turns = app[HASHER]._checks._turns
        turns._free = turns._max_sources = 0

        answer = await log_in(http)

        assert answer.status == 503
        assert answer.headers["Retry-After"] == "1"
        assert (await alice.get("/auth/me")).status == 200

    async def test_opens_a_session_for_each_concurrent_login(
        self, alice: HttpClient, http: HttpClient, database: Any
    ) -> None:
        http.session.cookie_jar.clear()
        answers = await asyncio.gather(*(log_in(http) for _ in range(8)))

        assert {answer.status for answer in answers} == {200}
        assert len({cookie_of(answer).value for answer in answers}) == 8


class TestRole:
    async def test_is_shown_but_never_read_from_a_body(
        self, sign_in: SignIn, database: Any
    ) -> None:
        alice = await sign_in("alice")

        for path, body in {
            "/auth/register": {
                "username": "eve", "email": "e@example.com", "password": PASSWORD, "role": "admin",
            },
            "/auth/login": {"username": "alice", "password": PASSWORD, "role": "admin"},
            "/auth/password": {
                "current_password": PASSWORD, "new_password": "new horses", "role": "admin",
            },
        }.items():  # fmt: skip
            answer = await alice.post(path, json=body)
            assert answer.status == 422, path
            assert (await answer.json())["errors"][0]["loc"] == ["body", "role"]

        assert await database.users.distinct("role") == ["user"]
