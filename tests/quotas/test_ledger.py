"""Limits of messages and tokens a day and of stored bytes, and what counts against them."""

import asyncio
from typing import Any

import pytest
from aiohttp import web
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import ConnectionFailure

from chatvault.accounts.models import User
from chatvault.actor import Role
from chatvault.fields import first_day
from chatvault.quotas.ledger import QuotaLedger
from chatvault.quotas.routes import QUOTAS
from chatvault.usage.metering import count_stored
from conftest import HttpClient, SignIn
from support.answers import problem
from support.factories import begin, message
from support.using import insert_usage

pytestmark = pytest.mark.usefixtures("own_application")


@pytest.fixture
async def admin(sign_in: SignIn) -> HttpClient:
    return await sign_in("adam", role=Role.ADMIN)


@pytest.fixture
def ledger(app: web.Application, http: HttpClient) -> QuotaLedger:
    return app[QUOTAS].ledger


async def limit(admin: HttpClient, **limits: int) -> None:
    answer = await admin.put("/admin/quotas/user", json=limits)
    assert answer.status == 200, await answer.text()


async def append(browser: HttpClient, conversation: str, count: int = 1, **more: Any) -> Any:
    path = f"/conversations/{conversation}/messages:batch"
    body = {"messages": [message("word " * 20) for _ in range(count)]}
    return await browser.post(path, json=body, **more)


class TestMessagesPerDay:
    async def test_are_limited_exactly(self, admin: HttpClient, alice: HttpClient) -> None:
        await limit(admin, messages_per_day=20)
        conversation = (await begin(alice))["id"]

        answers = await asyncio.gather(*(append(alice, conversation, 3) for _ in range(9)))

        found = [each.status for each in answers]
        assert (found.count(200), found.count(429)) == (6, 3)
        assert (await append(alice, conversation, 2)).status == 200
        refused = await append(alice, conversation)
        told = await problem(refused, 429, "daily_limit_reached")
        assert told["limit"] == "messages_per_day"
        assert 1 <= int(refused.headers["Retry-After"]) <= 86_400

    async def test_do_not_count_what_was_refused_or_repeated(
        self, admin: HttpClient, alice: HttpClient
    ) -> None:
        await limit(admin, messages_per_day=2)
        conversation = (await begin(alice))["id"]
        missing = "0" * 24
        for _ in range(3):
            await problem(await append(alice, missing), 404, "not_found")
        key = {"Idempotency-Key": "once"}
        body = {"messages": [message("Hello", id="one")]}
        path = f"/conversations/{conversation}/messages:batch"

        for _ in range(3):
            assert (await alice.post(path, json=body, headers=key)).status == 200
        assert (await append(alice, conversation)).status == 200
        # A repeat is answered even now.
        assert (await alice.post(path, json=body, headers=key)).status == 200
        await problem(await append(alice, conversation), 429, "daily_limit_reached")

    async def test_are_counted_by_day(
        self, alice: HttpClient, ledger: QuotaLedger, database: Any
    ) -> None:
        conversation = (await begin(alice))["id"]
        await append(alice, conversation, 3)
        await ledger.flush()
        await append(alice, conversation, 2)
        await alice.delete(f"/conversations/{conversation}")
        await ledger.flush()

        user = await User.find_one({"username": "alice"})
        [counted] = await database.usage_days.find({}, {"_id": False}).to_list()
        stored = await database.conversations.find_one()
        assert user is not None
        assert counted == {
            "user_id": user.id, "day": first_day(1), "messages": 5,
            "bytes": stored["message_bytes"],
        }  # fmt: skip

    async def test_are_counted_later_if_mongodb_is_away(
        self, alice: HttpClient, ledger: QuotaLedger, database: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await append(alice, (await begin(alice))["id"], 3)

        async def fail(*_: Any, **__: Any) -> None:
            raise ConnectionFailure

        with monkeypatch.context() as patch:
            patch.setattr("chatvault.usage.metering._grow", fail)
            patch.setattr(AsyncCollection, "bulk_write", fail)
            with pytest.raises(ConnectionFailure):
                await ledger.flush()
        await ledger.flush()

        [counted] = await database.usage_days.find().to_list()
        assert counted["messages"] == 3


class TestStoredBytes:
    async def test_are_limited_and_given_back(
        self, admin: HttpClient, alice: HttpClient, ledger: QuotaLedger, database: Any
    ) -> None:
        conversation = (await begin(alice))["id"]
        await append(alice, conversation, 10)
        stored = await database.conversations.find_one()
        await limit(admin, stored_bytes=2 * stored["message_bytes"])

        assert (await append(alice, conversation, 9)).status == 200
        told = await problem(await append(alice, conversation, 5), 413, "storage_full")
        assert told["limit"] == "stored_bytes"
        await ledger.flush()
        await problem(await append(alice, conversation, 5), 413, "storage_full")

        # In the trash it is stored all the same.
        await alice.delete(f"/conversations/{conversation}")
        other = (await begin(alice))["id"]
        await problem(await append(alice, other, 5), 413, "storage_full")
        await alice.delete("/trash")
        assert (await append(alice, other, 5)).status == 200
        await ledger.flush()
        assert (await append(alice, other, 5)).status == 200

    async def test_of_changes_under_way_count(self, admin: HttpClient, alice: HttpClient) -> None:
        await limit(admin, stored_bytes=100_000)
        conversation = (await begin(alice))["id"]
        body = {"messages": [message("a" * 30_000)]}
        path = f"/conversations/{conversation}/messages:batch"

        answers = await asyncio.gather(*(alice.post(path, json=body) for _ in range(8)))

        assert [each.status for each in answers].count(200) == 3

    async def test_are_counted_again_in_full(
        self, admin: HttpClient, alice: HttpClient, ledger: QuotaLedger, database: Any
    ) -> None:
        await limit(admin, stored_bytes=10**6)
        await append(alice, (await begin(alice))["id"], 10)
        await ledger.flush()
        [conversation] = await database.conversations.find().to_list()
        [total] = await database.stored_totals.find().to_list()
        assert total["bytes"] == conversation["message_bytes"]
        await database.stored_totals.update_one({}, {"$set": {"bytes": 7}})

        assert await count_stored(conversation["user_id"]) == conversation["message_bytes"]

        [total] = await database.stored_totals.find().to_list()
        assert total["bytes"] == conversation["message_bytes"]


class TestTokensPerDay:
    async def test_are_limited_by_those_of_today(
        self, admin: HttpClient, alice: HttpClient
    ) -> None:
        await insert_usage("alice", (60, 40))
        await insert_usage("alice", (900, 0), days_ago=1)
        body = {"messages": [{"role": "user", "content": "Hello"}]}
        await limit(admin, tokens_per_day=101)
        await problem(
            await alice.post("/v1/chat/completions", json=body), 503, "model_not_configured"
        )

        await limit(admin, tokens_per_day=100)

        conversation = (await begin(alice))["id"]
        asked = await alice.post(f"/conversations/{conversation}/replies", json={"content": "Hi"})
        told = await problem(asked, 429, "daily_limit_reached")
        assert told["limit"] == "tokens_per_day"
