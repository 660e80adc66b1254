"""Requests with API keys: who they are taken for, and what is noted of them."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import structlog
from aiohttp import web

from chatvault.actor import Role
from chatvault.api_keys.secret import new_secret
from chatvault.api_keys.throttle import WRONG_KEYS_PER_ADDRESS
from chatvault.background import KEY_FINDER
from chatvault.http.middlewares import REFUSALS
from conftest import HttpClient, SignIn
from support.answers import problem
from support.keys import key_of, program
from support.sharing import leave


@pytest.fixture
async def stranger(http: HttpClient) -> Any:
    """A program with a key that nobody made."""
    client = program(http, new_secret())
    yield client
    await leave(client)


class TestRequest:
    async def test_is_its_users(self, alice: HttpClient, use_key: Any) -> None:
        client = await use_key()

        begun = await client.post("/conversations", json={"title": "By a program"})

        assert begun.status == 201
        [shown] = await (await alice.get("/conversations")).json()
        assert shown["title"] == "By a program"
        assert (await (await client.get("/auth/me")).json())["username"] == "alice"
        assert (await client.head("/conversations")).status == 200

    async def test_is_not_that_of_its_cookie(self, alice: HttpClient, bob: HttpClient) -> None:
        key = await key_of("alice")

        answer = await bob.get("/auth/me", headers=key.headers)

        assert (await answer.json())["username"] == "alice"
        assert "Set-Cookie" not in answer.headers
        wrong = await bob.get("/auth/me", headers={"Authorization": f"bearer {new_secret()}"})
        assert wrong.status == 401

    @pytest.mark.parametrize("value", ["Bearer none", "Basic YTpi", "Bearer", "cv_", ""])
    async def test_with_other_credentials_is_that_of_its_cookie(
        self, alice: HttpClient, http: HttpClient, value: str
    ) -> None:
        """OpenAI's clients send some key in any case, and proxies have passwords of their own."""
        headers = {"Authorization": value}

        assert (await alice.get("/auth/me", headers=headers)).status == 200
        assert (await http.get("/auth/me", headers=headers)).status == 401
        foreign = {**headers, "Origin": "https://elsewhere.example"}
        refused = await alice.post("/conversations", json={}, headers=foreign)
        await problem(refused, 403, "foreign_origin")

    async def test_needs_no_origin_of_ours(self, alice: HttpClient, use_key: Any) -> None:
        client = await use_key()
        for headers in ({"Origin": "https://elsewhere.example"}, {"Sec-Fetch-Site": "cross-site"}):
            answer = await client.post("/conversations", json={}, headers=headers)
            assert answer.status == 201

    async def test_to_sign_in_keeps_its_check_of_origins(
        self, alice: HttpClient, use_key: Any
    ) -> None:
        client = await use_key()
        headers = {"Origin": "https://elsewhere.example"}
        answer = await client.post("/auth/login", json={}, headers=headers)
        await problem(answer, 403, "foreign_origin")

    async def test_of_a_page_may_be_announced(self, http: HttpClient) -> None:
        asked = {
            "Origin": "http://localhost:5173",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization",
        }
        answer = await http.options("/conversations", headers=asked)
        assert "Authorization" in answer.headers["Access-Control-Allow-Headers"]

    async def test_is_named_in_the_log_by_its_id(
        self, sign_in: SignIn, use_key: Any, database: Any
    ) -> None:
        root = await sign_in("root", role=Role.ADMIN)
        client = await use_key("root")
        await client.post("/conversations", json={})
        await client.get("/conversations")
        await client.get("/conversations/nonsense")
        await root.get("/conversations")

        [key] = await database.api_keys.find().to_list()
        query = {"action": {"$regex": "^conv"}}
        entries = await database.audit_logs.find(query).sort("_id", 1).to_list()
        assert [entry.get("api_key_id") for entry in entries] == [*[key["_id"]] * 3, None]
        assert "api_key_id" not in entries[3]
        assert [entry["session_id"] is None for entry in entries] == [True] * 3 + [False]
        found = await root.get("/admin/audit-logs", params={"key_id": str(key["_id"])})
        shown = await found.json()
        assert [entry["key_id"] for entry in shown] == [str(key["_id"])] * 3
        everything = await (await root.get("/users/me/audit-logs")).json()
        assert {entry["key_id"] for entry in everything} == {str(key["_id"]), None}
        plan = await database.audit_logs.find({"api_key_id": key["_id"]}).explain()
        assert "api_key" in str(plan["queryPlanner"]["winningPlan"])


class TestWrongKey:
    async def test_is_refused(self, stranger: HttpClient, database: Any) -> None:
        answer = await stranger.get("/conversations")

        await problem(answer, 401, "invalid_api_key")
        assert answer.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'
        [entry] = await database.audit_logs.find({"action": "conversation.list"}).to_list()
        assert (entry["code"], entry["user_id"]) == ("invalid_api_key", None)

    async def test_is_one_that_has_expired(self, alice: HttpClient, use_key: Any) -> None:
        client = await use_key(lifetime=timedelta(seconds=-1))

        await problem(await client.get("/auth/me"), 401, "invalid_api_key")

    async def test_is_one_of_a_closed_account(
        self, alice: HttpClient, use_key: Any, database: Any
    ) -> None:
        client = await use_key()
        assert (await client.get("/auth/me")).status == 200

        await database.users.update_one({}, {"$set": {"is_active": False}})
        refused = await client.get("/auth/me")

        await problem(refused, 401, "invalid_api_key")

    async def test_throttles_wrong_keys_and_no_valid_ones(
        self,
        app: web.Application,
        alice: HttpClient,
        stranger: HttpClient,
        use_key: Any,
        database: Any,
    ) -> None:
        client = await use_key()
        amount = WRONG_KEYS_PER_ADDRESS.amount

        answers = [await stranger.get("/auth/me") for _ in range(amount + 3)]

        assert [answer.status for answer in answers] == [401] * amount + [429] * 3
        assert int(answers[-1].headers["Retry-After"]) > 200
        assert (await client.get("/auth/me")).status == 200
        assert (await alice.get("/auth/me")).status == 200
        await app[REFUSALS].close_minute()
        entries = await database.audit_logs.find({"outcome": {"$ne": "success"}}).to_list()
        counts = [(entry["code"], (entry["details"] or {"count": 1})["count"]) for entry in entries]
        assert sorted(counts) == [
            ("invalid_api_key", 1), ("invalid_api_key", amount - 1),
            ("too_many_requests", 1), ("too_many_requests", 2),
        ]  # fmt: skip


@pytest.fixture
def logged() -> Iterator[list[Any]]:
    with structlog.testing.capture_logs() as lines:
        yield lines


class TestSecret:
    async def test_is_in_no_log(
        self,
        app: web.Application,
        alice: HttpClient,
        http: HttpClient,
        database: Any,
        logged: list[Any],
        caplog: pytest.LogCaptureFixture,
        capfd: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        caplog.set_level("DEBUG")
        answer = await alice.post("/auth/keys", json={"name": "a", "scopes": ["export"]})
        secret = (await answer.json())["key"]
        client = program(http, secret)
        await client.get("/exports")
        await client.get("/conversations")
        await client.post("/exports", data=b"{", headers={"Content-Type": "application/json"})
        await database.api_keys.delete_many({})
        await client.get("/exports")

        def fail(*_: Any) -> None:
            raise RuntimeError("broken")

        monkeypatch.setattr(app[KEY_FINDER]._lookup, "submit", fail)
        assert (await client.get("/exports")).status == 500
        await leave(client)

        told = f"{logged} {caplog.text} {capfd.readouterr()}"
        assert "RuntimeError" in told or "internal_error" in told
        assert secret not in told
        assert secret[12:] not in told


class TestUse:
    async def test_is_noted_once_a_minute(
        self, app: web.Application, alice: HttpClient, use_key: Any, database: Any
    ) -> None:
        client = await use_key()
        for _ in range(3):
            await asyncio.gather(*(client.get("/auth/me") for _ in range(5)))
            await app[KEY_FINDER].note_uses()

        [shown] = await (await alice.get("/auth/keys")).json()
        assert shown["last_used_at"] is not None
        [key] = await database.api_keys.find().to_list()
        earlier = key["last_used_at"] - timedelta(seconds=61)
        await database.api_keys.update_one({}, {"$set": {"last_used_at": earlier}})

        await client.get("/auth/me")
        await app[KEY_FINDER].note_uses()

        [again] = await database.api_keys.find().to_list()
        assert again["last_used_at"] > earlier

    async def test_is_written_for_the_first_of_many(
        self, alice: HttpClient, app: web.Application, use_key: Any, database: Any
    ) -> None:
        client = await use_key()
        await client.get("/auth/me")
        await app[KEY_FINDER].note_uses()
        before = await database.api_keys.find_one()

        for _ in range(5):
            await client.get("/auth/me")
            await app[KEY_FINDER].note_uses()

        assert await database.api_keys.find_one() == before
