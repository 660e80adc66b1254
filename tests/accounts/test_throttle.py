import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from chatvault.accounts import throttle
from chatvault.accounts.routes import HASHER
from chatvault.accounts.throttle import LoginThrottle
from chatvault.errors import Throttled
from chatvault.mongodb.rates import CounterStorage, Limit
from chatvault.settings import Settings
from conftest import HttpClient
from support.factories import PASSWORD, account, settings_for


async def guess(
    browser: HttpClient, username: str = "alice", password: str = "wrong", address: str = "10.0.0.1"
) -> Any:
    return await browser.post(
        "/auth/login",
        json={"username": username, "password": password},
        headers={"X-Forwarded-For": address},
    )


class TestLogins:
    @pytest.fixture
    def settings(self, tmp_path: Path) -> Settings:
        return settings_for(tmp_path, trusted_proxies="127.0.0.1")

    async def test_are_throttled_per_account_and_address(
        self, alice: HttpClient, http: HttpClient
    ) -> None:
        first = [(await guess(http)).status for _ in range(10)]
        answer = await guess(http, password=PASSWORD)

        assert set(first) == {401}
        assert answer.status == 429
        assert (await answer.json())["code"] == "too_many_requests"
        assert 1 <= int(answer.headers["Retry-After"]) <= 300

    async def test_do_not_lock_out_the_owner_elsewhere(
        self, alice: HttpClient, http: HttpClient
    ) -> None:
        for _ in range(11):
            await guess(http)

        assert (await alice.get("/auth/me")).status == 200
        assert (await guess(http, password=PASSWORD, address="10.0.0.2")).status == 200

    async def test_are_counted_separately_for_accounts(
        self, alice: HttpClient, bob: HttpClient, http: HttpClient
    ) -> None:
        for _ in range(11):
            await guess(http)

        assert (await guess(http, "bob", PASSWORD)).status == 200

    async def test_are_throttled_the_same_for_unknown_names(self, http: HttpClient) -> None:
        statuses = [(await guess(http, "nobody")).status for _ in range(11)]

        assert statuses == [401] * 10 + [429]

    async def test_are_throttled_over_all_spellings_of_a_name(
        self, alice: HttpClient, http: HttpClient
    ) -> None:
        statuses = [
            (await guess(http, name)).status for name in ["alice", "ALICE", "Alice", "aLICE"] * 3
        ]

        assert statuses == [401] * 10 + [429] * 2

    async def test_are_counted_from_zero_after_a_success(
        self, alice: HttpClient, http: HttpClient
    ) -> None:
        for _ in range(9):
            await guess(http)
        assert (await guess(http, password=PASSWORD)).status == 200

        assert (await guess(http)).status == 401
        assert (await guess(http, password=PASSWORD)).status == 200

    async def test_are_throttled_per_address_over_all_names(
        self, http: HttpClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(throttle, "PER_ADDRESS", Limit(5, 300))

        statuses = [(await guess(http, f"name{number}")).status for number in range(6)]

        assert statuses == [401] * 5 + [429]
        assert (await guess(http, "name9", address="10.0.0.2")).status == 401

    async def test_are_throttled_per_account_over_all_addresses(
        self, http: HttpClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(throttle, "PER_ACCOUNT", Limit(5, 3600))

        statuses = [(await guess(http, address=f"10.0.0.{number}")).status for number in range(6)]

        assert statuses == [401] * 5 + [429]

    async def test_are_not_throttled_if_successful(
        self, alice: HttpClient, http: HttpClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(throttle, "PER_ADDRESS", Limit(3, 300))
        monkeypatch.setattr(throttle, "PER_ACCOUNT", Limit(4, 3600))

        right = [(await guess(http, password=PASSWORD)).status for _ in range(8)]
        wrong = [(await guess(http)).status for _ in range(4)]

        assert right == [200] * 8
        assert wrong == [401] * 3 + [429]

    async def test_are_not_counted_if_the_hasher_is_busy(
        self, app: web.Application, alice: HttpClient, http: HttpClient
    ) -> None:
        turns = app[HASHER]._checks._turns
        kept = turns._free, turns._max_sources
        turns._free = turns._max_sources = 0
        busy = [(await guess(http, password=PASSWORD)).status for _ in range(12)]
        turns._free, turns._max_sources = kept

        assert busy == [503] * 12
        assert (await guess(http, password=PASSWORD)).status == 200

    async def test_are_counted_together_for_an_ipv6_network(
        self, alice: HttpClient, http: HttpClient
    ) -> None:
        statuses = [
            (await guess(http, address=f"2001:db8:1:2::{number:x}")).status for number in range(11)
        ]

        assert statuses == [401] * 10 + [429]
        assert (await guess(http, address="2001:db8:1:3::1")).status == 401

    async def test_are_counted_separately_for_mapped_ipv4_addresses(
        self, alice: HttpClient, http: HttpClient, database: Any
    ) -> None:
        statuses = [
            (await guess(http, address=f"::ffff:10.0.0.{number}")).status for number in range(11)
        ]

        assert statuses == [401] * 11
        assert (await guess(http, password=PASSWORD, address="::ffff:10.0.0.1")).status == 200
        [session] = await database.sessions.find({"address": "10.0.0.1"}).to_list()
        assert session

    async def test_store_no_name_in_their_counters(self, http: HttpClient, database: Any) -> None:
        await guess(http, "plantedname")

        counters = await database.rate_limits.find().to_list()
        assert len(counters) == 3
        assert "plantedname" not in str(counters)


class TestRegistrations:
    async def test_are_throttled_per_address(
        self, http: HttpClient, database: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(throttle, "REGISTRATIONS_PER_ADDRESS", Limit(3, 300))

        answers = [
            await http.post("/auth/register", json={**account(name), "password": PASSWORD})
            for name in ("one", "one", "two", "three", "four")
        ]

        assert [answer.status for answer in answers] == [200, 400, 200, 429, 429]
        assert (await answers[-1].json())["code"] == "too_many_requests"
        assert 1 <= int(answers[-1].headers["Retry-After"]) <= 300
        assert await database.users.count_documents({}) == 2

    async def test_do_not_affect_sign_in_if_throttled(
        self, alice: HttpClient, http: HttpClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(throttle, "REGISTRATIONS_PER_ADDRESS", Limit(1, 300))
        for name in ("one", "two"):
            await http.post("/auth/register", json={**account(name), "password": PASSWORD})

        assert (await guess(http, password=PASSWORD)).status == 200

    async def test_do_not_delay_sign_in_while_hashing(
        self, app: web.Application, alice: HttpClient, http: HttpClient
    ) -> None:
        hold = threading.Event()
        held = asyncio.create_task(app[HASHER]._new.run(hold.wait, ""))
        try:
            answer = await asyncio.wait_for(guess(http, password=PASSWORD), 10)
        finally:
            hold.set()

        assert answer.status == 200
        assert await held


class TestCounterStorage:
    @pytest.fixture
    def storage(self, database: Any) -> CounterStorage:
        return CounterStorage(database.rate_limits)

    async def test_counts_exactly_with_concurrent_requests(self, storage: CounterStorage) -> None:
        counts = await asyncio.gather(*(storage.incr("key", 60) for _ in range(60)))

        assert sorted(counts) == list(range(1, 61))
        assert await storage.incr("key", 60) == 61

    async def test_restarts_after_the_window(self, storage: CounterStorage, database: Any) -> None:
        assert [await storage.incr("key", 60), await storage.incr("key", 60)] == [1, 2]
        await database.rate_limits.update_one(
            {}, [{"$set": {"expires_at": {"$subtract": ["$$NOW", 1]}}}]
        )

        assert await storage.incr("key", 60) == 1

    async def test_releases_only_what_was_counted(
        self, storage: CounterStorage, database: Any
    ) -> None:
        await storage.take_back("key")
        assert await database.rate_limits.count_documents({}) == 0

        await storage.incr("key", 60)
        await storage.take_back("key")
        await storage.take_back("key")
        assert await storage.incr("key", 60) == 1

    async def test_is_removed_by_a_ttl_index(self, http: HttpClient, database: Any) -> None:
        indexes = await database.rate_limits.index_information()

        assert any("expireAfterSeconds" in found for found in indexes.values())

    async def test_resets_one_counter(self, storage: CounterStorage) -> None:
        await storage.incr("one", 60)
        await storage.incr("two", 60)

        await storage.clear("one")
        assert [await storage.incr("one", 60), await storage.incr("two", 60)] == [1, 2]


class TestLoginThrottle:
    async def test_lets_ten_of_many_concurrent_attempts_pass(self, database: Any) -> None:
        guard = LoginThrottle(CounterStorage(database.rate_limits))

        outcomes = await asyncio.gather(
            *(guard.admit(account="a", address="10.0.0.1") for _ in range(30)),
            return_exceptions=True,
        )

        assert sum(outcome is None for outcome in outcomes) == 10
        assert sum(isinstance(outcome, Throttled) for outcome in outcomes) == 20
