"""Limits of requests a minute, by role, user and API key, and the headers that show them."""

import asyncio
import re
from typing import Any

import pytest

from chatvault.actor import Role
from chatvault.quotas.book import QuotaBook
from chatvault.quotas.ledger import QuotaLedger
from chatvault.quotas.routes import QUOTAS
from conftest import HttpClient, SignIn
from support.answers import problem
from support.factories import begin, message
from support.keys import key_of, program
from support.sharing import leave
from support.using import insert_usage

pytestmark = pytest.mark.usefixtures("own_application")


@pytest.fixture
async def admin(sign_in: SignIn) -> HttpClient:
    return await sign_in("adam", role=Role.ADMIN)


async def user_id(browser: HttpClient) -> str:
    return str((await (await browser.get("/auth/me")).json())["id"])


async def limit(admin: HttpClient, subject: str, **limits: int | None) -> dict[str, Any]:
    answer = await admin.put(f"/admin/quotas/{subject}", json=limits)
    assert answer.status == 200, await answer.text()
    shown: dict[str, Any] = await answer.json()
    return shown


async def statuses(browser: HttpClient, times: int, path: str = "/conversations") -> list[int]:
    return [(await browser.get(path)).status for _ in range(times)]


def book_of(browser: HttpClient) -> QuotaBook:
    """The limits that a process of the service has in memory."""
    server: Any = browser.server
    book: QuotaBook = server.app[QUOTAS].book
    return book


def ledger_of(browser: HttpClient) -> QuotaLedger:
    """What counts the bytes that a process of the service stores."""
    server: Any = browser.server
    ledger: QuotaLedger = server.app[QUOTAS].ledger
    return ledger


class TestLimits:
    async def test_are_none_by_default(self, alice: HttpClient) -> None:
        answer = await alice.get("/conversations")

        assert not {"RateLimit", "RateLimit-Policy"} & set(answer.headers)

    async def test_of_a_role_hold_for_each_of_its_users(
        self, admin: HttpClient, alice: HttpClient, bob: HttpClient
    ) -> None:
        await limit(admin, "user", reads_per_minute=3)

        assert await statuses(alice, 4) == [200, 200, 200, 429]
        assert await statuses(bob, 4) == [200, 200, 200, 429]
        assert await statuses(admin, 4) == [200] * 4

    async def test_of_a_user_come_before_those_of_the_role(
        self, admin: HttpClient, alice: HttpClient
    ) -> None:
        await limit(admin, "user", reads_per_minute=1, searches_per_minute=1)
        await limit(admin, await user_id(alice), reads_per_minute=3)

        assert await statuses(alice, 4) == [200, 200, 200, 429]
        assert await statuses(alice, 2, "/search?q=x") == [200, 429]

    async def test_are_those_of_the_kind_of_operation(
        self, admin: HttpClient, alice: HttpClient
    ) -> None:
        await limit(admin, "user", writes_per_minute=1, exports_per_minute=1)
        conversation = (await begin(alice))["id"]

        refused = await alice.post(f"/conversations/{conversation}/archive")
        await problem(refused, 429, "too_many_requests")
        assert await statuses(alice, 2, f"/conversations/{conversation}/export") == [200, 429]
        assert await statuses(alice, 5) == [200] * 5
        # Signing in and out, and one's sessions, are never limited by class.
        assert await statuses(alice, 3, "/auth/sessions") == [200] * 3

    async def test_of_an_api_key_count_beside_those_of_its_user(
        self, admin: HttpClient, alice: HttpClient
    ) -> None:
        key, other = await key_of(), await key_of()
        await limit(admin, f"key:{key.key_id}", reads_per_minute=2)
        await limit(admin, await user_id(alice), reads_per_minute=5)
        client, another = program(alice, key), program(alice, other)

        assert await statuses(client, 3) == [200, 200, 429]
        # The refused request counts against no limit.
        assert await statuses(another, 4) == [200, 200, 200, 429]
        await leave(client)
        await leave(another)

    async def test_never_keep_administrators_from_changing_them(self, admin: HttpClient) -> None:
        await limit(admin, "admin", reads_per_minute=0, writes_per_minute=0)
        assert await statuses(admin, 1) == [429]

        await limit(admin, "admin")

        assert await statuses(admin, 1) == [200]


class TestHeaders:
    async def test_show_each_limit_and_what_is_left(
        self, admin: HttpClient, alice: HttpClient
    ) -> None:
        key = await key_of()
        await limit(admin, "user", reads_per_minute=100)
        await limit(admin, f"key:{key.key_id}", reads_per_minute=10)
        client = program(alice, key)

        answer = await client.get("/conversations")

        assert answer.headers["RateLimit-Policy"] == '"read";q=100;w=60, "key-read";q=10;w=60'
        shown = answer.headers["RateLimit"]
        assert re.fullmatch(r'"read";r=99;t=(59|60), "key-read";r=9;t=(59|60)', shown)
        await leave(client)

    async def test_are_sent_with_a_refusal_that_names_the_limit(
        self, admin: HttpClient, alice: HttpClient
    ) -> None:
        await limit(admin, "user", reads_per_minute=1)
        await statuses(alice, 1)

        answer = await alice.get("/conversations")

        found = await problem(answer, 429, "too_many_requests")
        assert found["limit"] == "reads_per_minute"
        assert 1 <= int(answer.headers["Retry-After"]) <= 60
        assert re.fullmatch('"read";r=0;t=(59|60)', answer.headers["RateLimit"])


async def limits_of(browser: HttpClient) -> list[dict[str, Any]]:
    answer = await browser.get("/usage")
    assert answer.status == 200, await answer.text()
    found: list[dict[str, Any]] = (await answer.json())["limits"]
    return found


class TestOwnLimits:
    async def test_show_what_is_left(self, admin: HttpClient, alice: HttpClient) -> None:
        await insert_usage("alice", (20, 10))
        await limit(
            admin,
            "user",
            writes_per_minute=40,
            searches_per_minute=9,
            messages_per_day=5,
            tokens_per_day=10**6,
            stored_bytes=10,
        )
        await limit(admin, await user_id(alice), stored_bytes=10**6)
        await begin(alice, messages=[message("Hello"), message("Which fjord?")])
        await ledger_of(alice).flush()

        shown = {each["limit"]: each for each in await limits_of(alice)}

        writes, bytes_ = shown["writes_per_minute"], shown["stored_bytes"]
        assert (writes["of"], writes["amount"], writes["used"], writes["left"]) == (
            "role", 40, 1, 39,
        )  # fmt: skip
        assert writes["resets_at"] is not None
        searches = shown["searches_per_minute"]
        assert (searches["used"], searches["left"], searches["resets_at"]) == (0, 9, None)
        assert (shown["messages_per_day"]["used"], shown["messages_per_day"]["left"]) == (2, 3)
        assert shown["messages_per_day"]["resets_at"].endswith("T00:00:00.000Z")
        assert shown["tokens_per_day"]["used"] == 30
        assert (bytes_["of"], bytes_["amount"]) == ("user", 10**6)
        assert 0 < bytes_["used"] == 10**6 - bytes_["left"]
        assert "reads_per_minute" not in shown

    async def test_of_an_api_key_are_shown_to_it_alone(
        self, admin: HttpClient, alice: HttpClient
    ) -> None:
        key = await key_of()
        await limit(admin, "user", reads_per_minute=100)
        await limit(admin, f"key:{key.key_id}", reads_per_minute=10)
        client = program(alice, key)

        found = [(each["of"], each["used"], each["left"]) for each in await limits_of(client)]

        assert found == [("role", 1, 99), ("key", 1, 9)]
        assert [each["of"] for each in await limits_of(alice)] == ["role"]
        await leave(client)

    async def test_are_none_without_quotas(self, alice: HttpClient) -> None:
        assert await limits_of(alice) == []

    async def test_show_a_limit_that_was_lowered_as_used_up(
        self, admin: HttpClient, alice: HttpClient
    ) -> None:
        await limit(admin, "user", reads_per_minute=40)
        await statuses(alice, 5)
        await limit(admin, await user_id(alice), writes_per_minute=1, reads_per_minute=8)

        [reads, writes] = await limits_of(alice)

        assert (reads["of"], reads["used"], reads["left"]) == ("user", 6, 2)
        assert (writes["of"], writes["used"]) == ("user", 0)


class TestTwoProcesses:
    async def test_never_grant_more_than_the_limit_together(
        self, admin: HttpClient, alice: HttpClient, elsewhere: HttpClient
    ) -> None:
        await limit(admin, "user", reads_per_minute=40)
        await book_of(elsewhere).read()

        each = await asyncio.gather(
            *(statuses(browser, 15) for browser in (alice, elsewhere, alice, elsewhere))
        )

        assert sum(found.count(200) for found in each) == 40

    async def test_follow_a_limit_that_another_sets(
        self, admin: HttpClient, elsewhere: HttpClient
    ) -> None:
        book = book_of(elsewhere)
        await limit(admin, "user", reads_per_minute=1)
        assert book.is_empty

        await book.read()
        assert await statuses(elsewhere, 2) == [200, 429]
        await limit(admin, "user")
        await book.read()

        assert await statuses(elsewhere, 1) == [200]
