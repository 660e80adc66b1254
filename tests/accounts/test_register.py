import asyncio
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from chatvault.accounts.routes import HASHER
from chatvault.settings import Registration, Settings
from conftest import HttpClient, SignIn
from support.factories import PASSWORD, account, settings_for


def wish(username: str = "bob", **changes: Any) -> dict[str, Any]:
    return {**account(username), "password": PASSWORD, **changes}


def fields_of(problem: dict[str, Any]) -> list[list[str]]:
    return [error["loc"] for error in problem["errors"]]


class TestRegister:
    async def test_answers_the_user_as_recorded(self, http: HttpClient) -> None:
        answer = await http.post("/auth/register", json=wish(full_name="Bob B."))

        assert answer.status == 200
        body = await answer.json()
        assert body.keys() == {
            "id", "username", "email", "full_name", "role", "is_active", "created_at", "last_login",
            "has_password", "has_identity",
        }  # fmt: skip
        assert (body["username"], body["email"]) == ("bob", "bob@example.com")
        assert (body["full_name"], body["role"], body["is_active"]) == ("Bob B.", "user", True)
        assert body["last_login"] is None
        assert body["created_at"].endswith("Z")
        assert len(body["id"]) == 24

    async def test_opens_no_session(self, http: HttpClient) -> None:
        answer = await http.post("/auth/register", json=wish())

        assert "Set-Cookie" not in answer.headers
        assert (await http.get("/auth/me")).status == 401

    async def test_stores_a_hash_and_no_password(self, http: HttpClient, database: Any) -> None:
        await http.post("/auth/register", json=wish())

        stored = await database.users.find_one()
        assert stored["password_hash"].startswith("$2b$04$")
        assert PASSWORD not in str(stored)

    async def test_refuses_a_taken_username(self, http: HttpClient) -> None:
        await http.post("/auth/register", json=wish())

        answer = await http.post("/auth/register", json=wish(email="other@example.com"))

        assert answer.status == 400
        problem = await answer.json()
        assert problem["detail"] == "Username 'bob' already exists"
        assert problem["code"] == "already_taken"

    async def test_refuses_a_taken_email_in_other_case(self, http: HttpClient) -> None:
        await http.post("/auth/register", json=wish())

        answer = await http.post("/auth/register", json=wish("rob", email="BOB@Example.com"))

        assert answer.status == 400
        assert "already exists" in (await answer.json())["detail"]

    @pytest.mark.parametrize("spelling", ["BOB", "bOb", "\uff42\uff4f\uff42"])
    async def test_treats_spellings_of_one_name_as_the_same(
        self, http: HttpClient, spelling: str
    ) -> None:
        await http.post("/auth/register", json=wish())

        answer = await http.post("/auth/register", json=wish(spelling, email="x@example.com"))

        assert answer.status == 400

    async def test_gives_a_name_to_one_of_twenty_concurrent_requests(
        self, http: HttpClient, database: Any
    ) -> None:
        spellings = ["".join(c.upper() if n >> i & 1 else c for i, c in enumerate("carola"))
                     for n in range(20)]  # fmt: skip

        answers = await asyncio.gather(
            *(
                http.post("/auth/register", json=wish(name, email=f"{number}@example.com"))
                for number, name in enumerate(spellings)
            )
        )

        assert sorted(answer.status for answer in answers) == [200] + [400] * 19
        assert await database.users.count_documents({}) == 1

    async def test_relies_on_existing_unique_indexes(self, http: HttpClient, database: Any) -> None:
        indexes = await database.users.index_information()

        unique = {tuple(found["key"]) for found in indexes.values() if found.get("unique")}
        assert (("username_key", 1),) in unique
        assert (("email_key", 1),) in unique

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"username": ""}, "username"),
            ({"username": "two words"}, "username"),
            ({"username": "a@b"}, "username"),
            ({"username": "nul\0"}, "username"),
            ({"username": "x" * 65}, "username"),
            ({"username": 7}, "username"),
            ({"email": "nonsense"}, "email"),
            ({"password": "seven77"}, "password"),
            ({"password": "x" * 1025}, "password"),
            ({"password": "ä" * 513}, "password"),
            ({"full_name": "x" * 256}, "full_name"),
            ({"role": "admin"}, "role"),
            ({"is_active": True}, "is_active"),
        ],
    )
    async def test_names_the_wrong_field(
        self, http: HttpClient, database: Any, changes: dict[str, Any], field: str
    ) -> None:
        answer = await http.post("/auth/register", json=wish(**changes))

        assert answer.status == 422
        problem = await answer.json()
        assert ["body", field] in fields_of(problem)
        assert problem["detail"].startswith(f"{field}: ")
        assert await database.users.count_documents({}) == 0

    async def test_names_every_missing_field(self, http: HttpClient) -> None:
        answer = await http.post("/auth/register", json={})

        assert answer.status == 422
        missing = fields_of(await answer.json())
        assert missing == [["body", "username"], ["body", "email"], ["body", "password"]]

    async def test_never_echoes_a_refused_password(self, http: HttpClient) -> None:
        answer = await http.post("/auth/register", json=wish(password="sEcr3t!"))

        assert "sEcr3t!" not in await answer.text()


class TestLongPasswords:
    @pytest.mark.parametrize(
        "password",
        ["8 chars.", "x" * 1024, "\U0001f600" * 256, "with\0nul and more", " leading, trailing "],
        ids=["shortest", "longest", "longest in characters", "nul", "blanks"],
    )
    async def test_are_hashed_completely(self, http: HttpClient, password: str) -> None:
        assert (await http.post("/auth/register", json=wish(password=password))).status == 200

        credentials = {"username": "bob", "password": password}
        assert (await http.post("/auth/login", json=credentials)).status == 200

    @pytest.mark.parametrize(
        ("password", "other"),
        [("x" * 72 + "a", "x" * 72 + "b"), ("x" * 72, "x" * 73), ("ab\0cdefgh", "ab\0cdefgi")],
        ids=["after byte 72", "one byte longer", "after a NUL"],
    )
    async def test_differ_in_their_last_character(
        self, http: HttpClient, password: str, other: str
    ) -> None:
        await http.post("/auth/register", json=wish(password=password))

        answer = await http.post("/auth/login", json={"username": "bob", "password": other})

        assert answer.status == 401


class TestClosedRegistration:
    @pytest.fixture
    def settings(self, tmp_path: Path) -> Settings:
        return settings_for(tmp_path, registration=Registration.CLOSED)

    async def test_refuses_all_without_hashing(
        self, app: web.Application, http: HttpClient, database: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(app[HASHER], "hash", None)

        answer = await http.post("/auth/register", json=wish())

        assert answer.status == 403
        assert (await answer.json())["code"] == "registration_closed"
        assert await database.users.count_documents({}) == 0

    async def test_does_not_affect_sign_in(self, sign_in: SignIn) -> None:
        assert (await (await sign_in("alice")).get("/auth/me")).status == 200
