"""How a session lives on with use, and how it ends."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp_session
import pytest
from aiohttp import web

from chatvault.settings import Settings
from conftest import HttpClient
from support.factories import begin, message, settings_for

DAY = timedelta(days=1)


async def age(database: Any, by: timedelta) -> datetime:
    """Let the only session be that much older."""
    session = await database.sessions.find_one()
    expires_at: datetime = session["expires_at"] - by
    await database.sessions.update_one({}, {"$set": {"expires_at": expires_at}})
    return expires_at


class TestSliding:
    async def test_extends_the_session_and_the_cookie_with_use(
        self, alice: HttpClient, database: Any
    ) -> None:
        expires_at = await age(database, timedelta(hours=6))

        answer = await alice.get("/auth/me")

        assert answer.cookies["session_id"]["max-age"] == "86400"
        assert answer.cookies["session_id"]["httponly"] is True
        session = await database.sessions.find_one()
        assert session["expires_at"] - expires_at > timedelta(hours=5)
        assert session["expires_at"] > datetime.now(UTC) + DAY - timedelta(minutes=1)
        assert session["last_seen_at"] > datetime.now(UTC) - timedelta(minutes=1)

    async def test_keeps_the_same_id(self, alice: HttpClient, database: Any) -> None:
        before = next(iter(alice.session.cookie_jar)).value
        await age(database, timedelta(hours=6))

        await alice.get("/auth/me")

        assert next(iter(alice.session.cookie_jar)).value == before

    async def test_does_not_write_at_each_request(self, alice: HttpClient, database: Any) -> None:
        before = await database.sessions.find_one()

        answer = await alice.get("/auth/me")

        assert "Set-Cookie" not in answer.headers
        assert await database.sessions.find_one() == before

    async def test_does_not_restore_a_session_that_was_ended_meanwhile(
        self, alice: HttpClient, database: Any
    ) -> None:
        await age(database, timedelta(hours=6))
        session_id = str((await database.sessions.find_one())["_id"])

        assert (await alice.delete(f"/auth/sessions/{session_id}")).status == 204

        assert await database.sessions.count_documents({}) == 0
        assert (await alice.get("/auth/me")).status == 401


class TestStreams:
    """Answers that leave piece by piece are requests like others."""

    @pytest.fixture
    async def app(self, own_application: None, app: web.Application) -> web.Application:
        async def events(request: web.Request) -> web.StreamResponse:
            await aiohttp_session.get_session(request)
            response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            await response.prepare(request)
            return response

        async def socket(request: web.Request) -> web.StreamResponse:
            await aiohttp_session.get_session(request)
            response = web.WebSocketResponse()
            await response.prepare(request)
            await response.close()
            return response

        app.router.add_get("/test/events", events)
        app.router.add_get("/test/socket", socket)
        return app

    async def test_of_messages_extend_the_session_and_the_cookie(
        self, alice: HttpClient, database: Any
    ) -> None:
        begun = await begin(alice, messages=[message()])
        expires_at = await age(database, timedelta(hours=6))

        answer = await alice.get(
            f"/conversations/{begun['id']}/messages", headers={"Accept": "application/x-ndjson"}
        )

        assert answer.content_type == "application/x-ndjson"
        assert answer.cookies["session_id"]["max-age"] == "86400"
        session = await database.sessions.find_one()
        assert session["expires_at"] - expires_at > timedelta(hours=5)

    async def test_do_not_write_if_the_end_is_far_enough(
        self, alice: HttpClient, database: Any
    ) -> None:
        begun = await begin(alice, messages=[message()])
        before = await database.sessions.find_one()

        answer = await alice.get(
            f"/conversations/{begun['id']}/messages", headers={"Accept": "application/x-ndjson"}
        )

        assert "Set-Cookie" not in answer.headers
        assert await database.sessions.find_one() == before

    async def test_of_events_and_web_sockets_extend_the_session(
        self, app: web.Application, alice: HttpClient, database: Any
    ) -> None:
        await age(database, timedelta(hours=6))
        assert "session_id" in (await alice.get("/test/events")).cookies
        await age(database, timedelta(hours=6))
        async with alice.ws_connect("/test/socket") as opened:
            assert "Set-Cookie" in opened._response.headers
        session = await database.sessions.find_one()
        assert session["expires_at"] > datetime.now(UTC) + DAY - timedelta(minutes=1)


class TestEnd:
    async def test_is_enforced_before_mongodb_removes_the_document(
        self, alice: HttpClient, database: Any
    ) -> None:
        await age(database, DAY + timedelta(seconds=1))

        answer = await alice.get("/auth/me")

        assert answer.status == 401
        assert (await answer.json())["detail"] == "Authentication required"

    async def test_is_implemented_by_a_ttl_index(self, http: HttpClient, database: Any) -> None:
        indexes = await database.sessions.index_information()

        ttl = [each for each in indexes.values() if each["key"] == [("expires_at", 1)]]
        assert ttl[0]["expireAfterSeconds"] == 0
        assert any(
            each["key"] == [("token_hash", 1)] and each["unique"]
            for each in indexes.values()
            if "unique" in each
        )

    async def test_hides_expired_sessions_in_the_list(
        self, alice: HttpClient, http: HttpClient, database: Any
    ) -> None:
        await age(database, DAY + timedelta(seconds=1))
        await http.post("/auth/login", json={"username": "alice", "password": "correct horse"})

        sessions = await (await http.get("/auth/sessions")).json()

        assert [each["current"] for each in sessions] == [True]


class TestShortLifetime:
    @pytest.fixture
    def settings(self, tmp_path: Path) -> Settings:
        return settings_for(tmp_path, session_lifetime=600)

    async def test_applies_to_the_cookie(self, alice: HttpClient, http: HttpClient) -> None:
        credentials = {"username": "alice", "password": "correct horse"}

        answer = await http.post("/auth/login", json=credentials)

        assert answer.cookies["session_id"]["max-age"] == "600"

    async def test_slides_after_a_tenth(self, alice: HttpClient, database: Any) -> None:
        await age(database, timedelta(seconds=50))
        assert "Set-Cookie" not in (await alice.get("/auth/me")).headers

        await age(database, timedelta(seconds=20))
        assert "Set-Cookie" in (await alice.get("/auth/me")).headers


class TestStrangeCookies:
    @pytest.mark.parametrize(
        "value",
        ["", "x", "x" * 128, "x" * 129, "x" * 4000, '"quoted"', "{}", "\xe4\xf6", "%00", "a=b"],
    )
    async def test_are_anonymous(self, alice: HttpClient, http: HttpClient, value: str) -> None:
        answer = await http.get("/auth/me", headers={"Cookie": f"session_id={value}"})

        assert answer.status == 401
