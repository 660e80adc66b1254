import asyncio
from typing import Any

import pytest
from aiohttp import web

from chatvault.accounts import service
from chatvault.accounts.passwords import PasswordHasher
from chatvault.accounts.routes import HASHER
from chatvault.actor import Actor, Door
from conftest import HttpClient
from support.factories import PASSWORD

NEW = "another horse"


async def log_in(browser: HttpClient, password: str, username: str = "alice") -> int:
    credentials = {"username": username, "password": password}
    return (await browser.post("/auth/login", json=credentials)).status


async def change(browser: HttpClient, current: str = PASSWORD, new: str = NEW) -> Any:
    return await browser.post(
        "/auth/password", json={"current_password": current, "new_password": new}
    )


class TestChangePassword:
    async def test_ends_the_other_sessions_and_keeps_this_one(
        self, alice: HttpClient, http: HttpClient, bob: HttpClient
    ) -> None:
        assert await log_in(http, PASSWORD) == 200

        answer = await change(alice)

        assert answer.status == 200
        assert (await answer.json())["revoked_count"] == 1
        assert (await alice.get("/auth/me")).status == 200
        assert (await http.get("/auth/me")).status == 401
        assert (await bob.get("/auth/me")).status == 200

    async def test_invalidates_the_old_password(self, alice: HttpClient, http: HttpClient) -> None:
        await change(alice)

        assert await log_in(http, PASSWORD) == 401
        assert await log_in(http, NEW) == 200

    async def test_requires_the_current_password(self, alice: HttpClient, http: HttpClient) -> None:
        answer = await change(alice, current="wrong horse")

        assert answer.status == 401
        assert (await answer.json())["detail"] == "The current password is wrong"
        assert await log_in(http, PASSWORD) == 200

    @pytest.mark.parametrize("new", ["short", "x" * 1025])
    async def test_applies_the_rules_of_registration(self, alice: HttpClient, new: str) -> None:
        answer = await change(alice, new=new)

        assert answer.status == 422
        assert (await answer.json())["errors"][0]["loc"] == ["body", "new_password"]

    async def test_fails_if_an_operator_changed_it_meanwhile(
        self, app: web.Application, alice: HttpClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # Whoever knew the old password must not undo the reset that was to shut them out.
        hasher = app[HASHER]
        verified, may_go_on = asyncio.Event(), asyncio.Event()
        verify = PasswordHasher.verify

        async def slow(
            self: PasswordHasher, password: str, hashed: str | None, *, source: str
        ) -> bool:
            matches = await verify(self, password, hashed, source=source)
            verified.set()
            await may_go_on.wait()
            return matches

        monkeypatch.setattr(PasswordHasher, "verify", slow)
        pending = asyncio.create_task(change(alice))
        await verified.wait()
        await service.set_password(
            Actor(door=Door.CLI), hasher, username="alice", password="reset by an operator"
        )
        may_go_on.set()

        assert (await pending).status == 401
        assert await log_in(alice, NEW) == 401
        assert await log_in(alice, "reset by an operator") == 200

    async def test_throttles_guesses_and_keeps_the_session(self, alice: HttpClient) -> None:
        for _ in range(10):
            assert (await change(alice, current="a wrong guess")).status == 401

        answer = await change(alice)

        assert answer.status == 429
        assert (await answer.json())["code"] == "too_many_requests"
        assert int(answer.headers["Retry-After"]) > 0
        assert (await alice.get("/auth/me")).status == 200
