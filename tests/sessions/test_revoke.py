"""Seeing and ending one's sessions."""

import asyncio
from typing import Any

import pytest

from conftest import HttpClient
from support.factories import PASSWORD


async def log_in(browser: HttpClient, username: str = "alice", **headers: str) -> None:
    credentials = {"username": username, "password": PASSWORD}
    answer = await browser.post("/auth/login", json=credentials, headers=headers)
    assert answer.status == 200


async def sessions_of(browser: HttpClient) -> list[dict[str, Any]]:
    answer = await browser.get("/auth/sessions")
    assert answer.status == 200
    sessions: list[dict[str, Any]] = await answer.json()
    return sessions


class TestLogout:
    async def test_ends_the_session_at_once_and_clears_the_cookie(
        self, alice: HttpClient, database: Any
    ) -> None:
        token = next(iter(alice.session.cookie_jar)).value

        answer = await alice.post("/auth/logout")

        assert answer.status == 200
        assert await answer.json() == {"message": "Logout successful"}
        cookie = answer.cookies["session_id"]
        assert (cookie.value, cookie["max-age"], cookie["path"]) == ("", "0", "/")
        assert (cookie["httponly"], cookie["samesite"]) == (True, "Lax")
        assert await database.sessions.count_documents({}) == 0
        kept = await alice.get("/auth/me", headers={"Cookie": f"session_id={token}"})
        assert kept.status == 401

    async def test_leaves_the_other_sessions(self, alice: HttpClient, http: HttpClient) -> None:
        await log_in(http)

        await alice.post("/auth/logout")

        assert (await http.get("/auth/me")).status == 200

    async def test_requires_a_session(self, http: HttpClient) -> None:
        assert (await http.post("/auth/logout")).status == 401

    async def test_twice_at_once_leaves_two_entries(self, alice: HttpClient, database: Any) -> None:
        answers = await asyncio.gather(*(alice.post("/auth/logout") for _ in range(4)))

        assert {answer.status for answer in answers} <= {200, 401}
        done = [answer for answer in answers if answer.status == 200]
        query = {"action": "session.logout", "outcome": "success"}
        assert await database.audit_logs.count_documents(query) == len(done)


class TestList:
    async def test_shows_times_addresses_and_the_current_session(
        self, alice: HttpClient, http: HttpClient
    ) -> None:
        await log_in(http, **{"User-Agent": "a second browser"})

        mine, other = await sessions_of(http)

        assert (mine["current"], other["current"]) == (True, False)
        assert mine["user_agent"] == "a second browser"
        assert mine["address"] == "127.0.0.1"
        assert mine["created_at"].endswith("Z")
        assert mine["expires_at"] > mine["last_seen_at"] >= mine["created_at"]
        assert mine.keys() == {
            "id", "created_at", "last_seen_at", "expires_at", "address", "user_agent", "current",
        }  # fmt: skip

    async def test_shows_only_the_users_own(self, alice: HttpClient, bob: HttpClient) -> None:
        hers, his = await sessions_of(alice), await sessions_of(bob)

        assert len(hers) == len(his) == 1
        assert hers[0]["id"] != his[0]["id"]


class TestRevokeOne:
    async def test_ends_it_at_once(self, alice: HttpClient, http: HttpClient) -> None:
        await log_in(http)
        other = next(each for each in await sessions_of(alice) if not each["current"])

        answer = await alice.delete(f"/auth/sessions/{other['id']}")

        assert answer.status == 204
        assert (await http.get("/auth/me")).status == 401
        assert [each["current"] for each in await sessions_of(alice)] == [True]

    async def test_does_not_find_another_users_session(
        self, alice: HttpClient, bob: HttpClient
    ) -> None:
        his = (await sessions_of(bob))[0]["id"]

        answer = await alice.delete(f"/auth/sessions/{his}")

        assert answer.status == 404
        assert (await answer.json())["detail"] == "Session not found"
        assert (await bob.get("/auth/me")).status == 200

    @pytest.mark.parametrize(
        "session_id", ["6b01b953de2c8b7a2bc24cd3", "nonsense", "0" * 23, "%00"]
    )
    async def test_does_not_find_an_unknown_session(
        self, alice: HttpClient, session_id: str
    ) -> None:
        assert (await alice.delete(f"/auth/sessions/{session_id}")).status == 404

    async def test_finds_it_only_once(self, alice: HttpClient, http: HttpClient) -> None:
        await log_in(http)
        other = next(each for each in await sessions_of(alice) if not each["current"])

        answers = await asyncio.gather(
            *(alice.delete(f"/auth/sessions/{other['id']}") for _ in range(4))
        )

        assert sorted(answer.status for answer in answers) == [204, 404, 404, 404]


class TestRevokeOthers:
    async def test_keeps_this_one_and_every_other_user_s(
        self, alice: HttpClient, bob: HttpClient, http: HttpClient
    ) -> None:
        for _ in range(3):
            http.session.cookie_jar.clear()
            await log_in(http)

        answer = await alice.delete("/auth/sessions")

        assert answer.status == 200
        assert await answer.json() == {"revoked_count": 3, "message": "Ended 3 other sessions"}
        assert (await http.get("/auth/me")).status == 401
        assert (await alice.get("/auth/me")).status == 200
        assert (await bob.get("/auth/me")).status == 200

    async def test_changes_nothing_for_a_single_session(self, alice: HttpClient) -> None:
        answer = await alice.delete("/auth/sessions")

        assert await answer.json() == {"revoked_count": 0, "message": "Ended 0 other sessions"}
