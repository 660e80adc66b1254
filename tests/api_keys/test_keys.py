"""Making, listing and revoking API keys."""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chatvault.actor import Role, Scope
from chatvault.api_keys import service
from chatvault.api_keys.schemas import ApiKeyIn
from chatvault.api_keys.secret import hash_secret, is_well_formed, new_secret
from chatvault.app import KEYS_PER_MINUTE
from conftest import HttpClient, SignIn
from support.answers import problem
from support.keys import key_of

WANTED = {"name": "Backup", "scopes": ["conversations:read"]}


async def made(browser: HttpClient, **wanted: Any) -> dict[str, Any]:
    answer = await browser.post("/auth/keys", json={**WANTED, **wanted})
    assert answer.status == 201, await answer.text()
    shown: dict[str, Any] = await answer.json()
    return shown


async def listed(browser: HttpClient) -> list[dict[str, Any]]:
    answer = await browser.get("/auth/keys")
    assert answer.status == 200
    shown: list[dict[str, Any]] = await answer.json()
    return shown


class TestSecret:
    def test_has_the_form_that_scanners_find(self) -> None:
        for _ in range(100):
            secret = new_secret()
            assert re.fullmatch(r"cv_[0-9A-Za-z]{49}", secret)
            assert is_well_formed(secret)

    def test_detects_a_typing_error_by_the_checksum(self) -> None:
        secret = new_secret()
        for place in range(3, len(secret)):
            other = "a" if secret[place] != "a" else "b"
            assert not is_well_formed(secret[:place] + other + secret[place + 1 :])
        assert not is_well_formed(secret[:-1])
        assert not is_well_formed(secret + "0")

    def test_is_another_each_time(self) -> None:
        assert len({new_secret() for _ in range(1000)}) == 1000


class TestCreate:
    async def test_shows_the_key_once_and_stores_its_hash(
        self, alice: HttpClient, database: Any
    ) -> None:
        shown = await made(alice)

        secret = shown.pop("key")
        assert is_well_formed(secret)
        assert shown["prefix"] == secret[:12]
        assert await listed(alice) == [shown]
        [stored] = await database.api_keys.find().to_list()
        assert stored["key_hash"] == hash_secret(secret)
        for name in await database.list_collection_names():
            for document in await database[name].find().to_list():
                assert secret not in str(document), name

    async def test_lasts_ninety_days_unless_said_otherwise(self, alice: HttpClient) -> None:
        for wanted, days in (({}, 90), ({"expires_in_days": 7}, 7)):
            shown = await made(alice, **wanted)
            begun, ended = map(datetime.fromisoformat, (shown["created_at"], shown["expires_at"]))
            assert ended - begun == timedelta(days=days)
            assert datetime.now(UTC) - begun < timedelta(minutes=5)

    async def test_includes_reading_in_writing(self, alice: HttpClient) -> None:
        shown = await made(alice, scopes=["export", "conversations:write", "export"])

        assert shown["scopes"] == ["conversations:read", "conversations:write", "export"]

    async def test_leaves_an_entry_without_the_name(self, alice: HttpClient, database: Any) -> None:
        shown = await made(alice, name="Meine Sicherung")

        [entry] = await database.audit_logs.find({"action": "api_key.create"}).to_list()
        assert entry["resource_id"] == shown["id"]
        assert entry["details"] == {"scopes": ["conversations:read"], "days": 90}
        assert "Sicherung" not in str(entry)

    @pytest.mark.parametrize(
        "wrong",
        [
            {"name": ""},
            {"name": "a\nb"},
            {"name": "x" * 101},
            {"scopes": []},
            {"scopes": ["everything"]},
            {"expires_in_days": 0},
            {"expires_in_days": 3651},
            {"more": 1},
        ],
        ids=json.dumps,
    )
    async def test_refuses_what_is_wrong(
        self, alice: HttpClient, database: Any, wrong: dict[str, Any]
    ) -> None:
        answer = await alice.post("/auth/keys", json={**WANTED, **wrong})

        await problem(answer, 422, "invalid_input")
        assert await database.api_keys.count_documents({}) == 0

    async def test_lets_only_an_administrators_key_administrate(
        self, alice: HttpClient, sign_in: SignIn
    ) -> None:
        refused = await alice.post("/auth/keys", json={**WANTED, "scopes": ["admin"]})
        await problem(refused, 403, "permission_denied")

        admin = await sign_in("root", role=Role.ADMIN)
        assert (await made(admin, scopes=["admin"]))["scopes"] == ["admin"]

    async def test_ends_at_as_many_as_there_may_be(
        self, alice: HttpClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(service, "MAX_KEYS", 2)
        first, _ = [await made(alice) for _ in range(2)]

        refused = await alice.post("/auth/keys", json=WANTED)

        await problem(refused, 409, "too_many_api_keys")
        await alice.delete(f"/auth/keys/{first['id']}")
        await made(alice)

    async def test_is_limited_by_the_minute(self, alice: HttpClient, bob: HttpClient) -> None:
        for _ in range(KEYS_PER_MINUTE):
            await made(alice)

        refused = await alice.post("/auth/keys", json=WANTED)

        await problem(refused, 429, "too_many_requests")
        await made(bob)

    def test_says_in_its_repr_nothing_of_the_secret(self) -> None:
        wanted = ApiKeyIn(name="a", scopes=[Scope.EXPORT])
        assert "cv_" not in repr(wanted)


class TestList:
    async def test_shows_ones_own_newest_first(self, alice: HttpClient, bob: HttpClient) -> None:
        await made(bob)
        ids = [(await made(alice, name=f"key {n}"))["id"] for n in range(3)]

        assert [key["id"] for key in await listed(alice)] == ids[::-1]

    async def test_shows_an_expired_key_for_a_while(self, alice: HttpClient, database: Any) -> None:
        await key_of(lifetime=timedelta(seconds=-1))

        assert len(await listed(alice)) == 1
        indexes = await database.api_keys.index_information()
        assert indexes["expires_at_1"]["expireAfterSeconds"] == 30 * 24 * 60 * 60


class TestRevoke:
    async def test_ends_one_key(self, alice: HttpClient, use_key: Any, database: Any) -> None:
        client, other = await use_key(), await use_key()
        assert (await client.get("/auth/me")).status == 200
        first = await database.api_keys.find_one({}, sort=[("created_at", 1)])

        answer = await alice.delete(f"/auth/keys/{first['_id']}")

        assert answer.status == 204
        await problem(await client.get("/auth/me"), 401, "invalid_api_key")
        assert (await other.get("/auth/me")).status == 200
        [entry] = await database.audit_logs.find({"action": "api_key.revoke"}).to_list()
        assert entry["resource_id"] == str(first["_id"])

    async def test_finds_no_key_of_another_user(self, alice: HttpClient, bob: HttpClient) -> None:
        hers = await made(alice)

        for path in (hers["id"], "0" * 24, "nonsense"):
            answer = await bob.delete(f"/auth/keys/{path}")
            await problem(answer, 404, "not_found")
        assert len(await listed(alice)) == 1

    async def test_ends_all_of_ones_own(
        self, alice: HttpClient, bob: HttpClient, use_key: Any
    ) -> None:
        clients = [await use_key(), await use_key()]
        his = await use_key("bob")

        answer = await alice.delete("/auth/keys")

        assert await answer.json() == {"revoked_count": 2, "message": "Revoked 2 API keys"}
        assert [(await client.get("/auth/me")).status for client in clients] == [401, 401]
        assert (await his.get("/auth/me")).status == 200
