"""Live events: what is told, to whom, and how a stream continues after a break."""

import asyncio
import json
import socket
from typing import Any

import pytest
from aiohttp import web
from bson.timestamp import Timestamp
from pymongo.errors import AutoReconnect

from chatvault.accounts.sessions import Session
from chatvault.audit.outbox import CHANGES
from chatvault.live import sending
from chatvault.live.events import OTHERS, TYPES, first_id, time_of
from chatvault.live.routes import LIVE_DEPS
from chatvault.live.sessions import end_without_session
from chatvault.mongodb.changes import Batch
from conftest import HttpClient, SignIn
from support.answers import problem
from support.factories import PASSWORD, begin, message
from support.following import Follower
from support.talking import until

ELSEWHERE = {"Origin": "https://elsewhere.example"}


def types_of(frames: list[dict[str, Any]]) -> list[str]:
    return [frame["type"] for frame in frames]


async def append(browser: HttpClient, made: dict[str, Any], *contents: str) -> None:
    for content in contents:
        path = f"/conversations/{made['id']}/messages"
        answer = await browser.post(path, json=message(content))
        assert answer.status == 200, await answer.text()


def contents_of(frames: list[dict[str, Any]]) -> list[str]:
    return [each["content"] for frame in frames for each in frame.get("messages", ())]


class TestEvents:
    async def test_tell_what_happens_in_order(self, alice: HttpClient) -> None:
        follower = await Follower(alice).open()
        made = await begin(alice, messages=[message("first", id="m1")])
        path = f"/conversations/{made['id']}"
        answer = await alice.post(f"{path}/messages", json=message("second", id="m2"))
        # A frame shows messages as they are when it is sent.
        told = [await follower.next(), await follower.next()]
        await alice.patch(f"{path}/messages/m2", json={"content": "edited"})
        await alice.patch(path, json={"title": "new"})
        await alice.delete(f"{path}/messages/m2")
        await alice.post(f"{path}/archive", json={"archived": True})
        await alice.post(f"{path}/archive", json={"archived": False})
        await alice.patch("/users/me/preferences", json={"theme": "dark"})
        await alice.post("/categories", json={"name": "Journeys"})
        await alice.put(path, json={"messages": [message("other")]})
        await alice.delete(path)

        told += [await follower.next() for _ in range(9)]

        assert types_of(told) == [
            "conversation.created",
            "message.appended",
            "message.edited",
            "conversation.updated",
            "message.removed",
            "conversation.archived",
            "conversation.updated",
            "preferences.updated",
            "categories.updated",
            "conversation.updated",
            "conversation.trashed",
        ]
        ids = [frame["id"] for frame in told]
        assert ids == sorted(set(ids))
        assert {frame.get("conversation_id", made["id"]) for frame in told} == {made["id"]}
        versions = [frame["version"] for frame in told if "version" in frame]
        assert versions == list(range(1, 10))
        assert told[1]["request_id"] == answer.headers["X-Request-ID"]
        assert (told[1]["first_seq"], told[1]["count"]) == (1, 1)
        assert [each["id"] for each in told[1]["messages"]] == ["m2"]
        assert told[3]["fields"] == ["title"]
        assert "messages" not in told[4]
        assert told[9]["replaced"]
        assert "messages" not in told[9]

    async def test_are_ones_own(self, alice: HttpClient, bob: HttpClient) -> None:
        hers, his = await Follower(alice).open(), await Follower(bob).open()
        await append(alice, await begin(alice, title="hers"), "hers")
        await begin(bob, title="his")

        assert types_of([await his.next()]) == ["conversation.created"]
        assert types_of([await hers.next(), await hers.next()]) == [
            "conversation.created",
            "message.appended",
        ]
        assert his.frames[1]["conversation_id"] != hers.frames[1]["conversation_id"]

    async def test_leave_out_what_changed_nothing(self, alice: HttpClient) -> None:
        made = await begin(alice)
        follower = await Follower(alice).open()
        path = f"/conversations/{made['id']}/messages"
        for _ in range(3):
            await alice.post(path, json=message("once", id="m1"))
        await append(alice, made, "last")

        assert contents_of([await follower.next(), await follower.next()]) == ["once", "last"]

    async def test_of_many_or_large_messages_name_the_places(self, alice: HttpClient) -> None:
        made = await begin(alice)
        follower = await Follower(alice).open()
        await append(alice, made, "x" * 70_000)
        path = f"/conversations/{made['id']}/messages:batch"
        await alice.post(path, json={"messages": [message("small")] * 51})

        large, many = await follower.next(), await follower.next()

        assert (large["first_seq"], large["count"]) == (0, 1)
        assert (many["first_seq"], many["count"]) == (1, 51)
        assert "messages" not in {**large, **many}

    async def test_read_older_messages_too(self, alice: HttpClient) -> None:
        made = await begin(alice, messages=[message(str(number)) for number in range(300)])
        follower = await Follower(alice).open()
        [first] = (await (await alice.get(f"/conversations/{made['id']}/messages?limit=1")).json())[
            "messages"
        ]
        path = f"/conversations/{made['id']}/messages/{first['id']}"
        await alice.patch(path, json={"content": "edited"})

        assert contents_of([await follower.next()]) == ["edited"]

    async def test_tell_how_far_imports_are(self, alice: HttpClient) -> None:
        follower = await Follower(alice).open()
        headers = {"Upload-Length": "2", "Tus-Resumable": "1.0.0"}
        made = await alice.post("/imports/uploads", headers=headers)
        part = {"Content-Type": "application/offset+octet-stream", "Upload-Offset": "0"}
        await alice.patch(made.headers["Location"], data=b"[]", headers={**headers, **part})
        upload_id = made.headers["Location"].rpartition("/")[2]
        job = await (await alice.post(f"/imports?upload_id={upload_id}")).json()

        frame = await follower.until("import.progress")
        while frame["state"] in {"queued", "running"}:
            frame = await follower.until("import.progress")

        assert frame["import_id"] == job["id"]
        assert "id" not in frame

    async def test_tell_how_far_exports_are(self, alice: HttpClient, bob: HttpClient) -> None:
        await begin(alice, messages=[message()])
        follower, other = await Follower(alice).open(), await Follower(bob).open()
        job = await (await alice.post("/exports", json={"format": "json"})).json()

        frame = await follower.until("export.progress")
        while frame["state"] in {"waiting", "running"}:
            frame = await follower.until("export.progress")
        await alice.delete(f"/exports/{job['id']}")
        deleted = await follower.until("export.deleted")
        await begin(bob)

        assert {name: frame[name] for name in ("export_id", "state", "total", "done", "parts")} == {
            "export_id": job["id"], "state": "done", "total": 1, "done": 1, "parts": 1,
        }  # fmt: skip
        assert "id" not in frame
        assert deleted["export_id"] == job["id"]
        assert types_of([await other.next()]) == ["conversation.created"]

    async def test_tell_of_agents_and_api_keys(self, alice: HttpClient) -> None:
        follower = await Follower(alice).open()
        repeated = {"Idempotency-Key": "k1"}
        for _ in range(2):
            answer = await alice.post("/agents", json={"name": "Guide"}, headers=repeated)
        agent = await answer.json()
        await alice.patch(f"/agents/{agent['id']}", json={"name": "Leader"})
        await alice.delete(f"/agents/{agent['id']}")
        wanted = {"name": "Secret purpose", "scopes": ["export"]}
        key = await (await alice.post("/auth/keys", json=wanted)).json()
        await alice.delete(f"/auth/keys/{key['id']}")
        await alice.delete("/auth/keys")

        told = [await follower.next() for _ in range(6)]

        assert types_of(told) == [
            "agent.created", "agent.updated", "agent.deleted",
            "api_key.created", "api_key.revoked", "api_key.revoked",
        ]  # fmt: skip
        assert {frame["agent_id"] for frame in told[:3]} == {agent["id"]}
        assert [frame.get("api_key_id") for frame in told[3:]] == [key["id"], key["id"], None]
        assert "Secret" not in str(told)
        assert key["key"] not in str(told)

    def test_have_a_type_for_each_change(self) -> None:
        assert CHANGES.keys() <= TYPES.keys()
        assert TYPES.keys() - CHANGES.keys() <= OTHERS


class TestResumption:
    async def test_sends_each_event_once(self, alice: HttpClient) -> None:
        made = await begin(alice)
        follower, heard = await Follower(alice).open(), []
        for number in range(6):
            await append(alice, made, f"{number}a", f"{number}b")
            heard.append(await follower.next())
            follower.close()
            await append(alice, made, f"{number}c")
            await follower.open()
            assert follower.frames[-1]["type"] == "ready"
            heard += [await follower.next(), await follower.next()]

        assert contents_of(heard) == [f"{number}{part}" for number in range(6) for part in "abc"]

    async def test_prefers_the_header(self, alice: HttpClient) -> None:
        made = await begin(alice)
        follower = await Follower(alice).open()
        before = follower.last_id
        await append(alice, made, "first", "second")
        await follower.next()
        assert before is not None
        await follower.open(after=before)

        assert contents_of([await follower.next()]) == ["second"]

    async def test_begins_before_the_process_followed_anything(
        self, alice: HttpClient, elsewhere: HttpClient
    ) -> None:
        made = await begin(alice)
        follower = await Follower(alice).open()
        await append(alice, made, "first", "second")
        follower.close()
        other = Follower(elsewhere)
        other.last_id = follower.last_id
        await other.open()

        assert contents_of([await other.next(), await other.next()]) == ["first", "second"]

    async def test_can_end_with_what_there_is(self, alice: HttpClient) -> None:
        made = await begin(alice)
        follower = await Follower(alice).open(follow="false")
        assert await follower.end() == []
        await append(alice, made, "first", "second")
        live = await Follower(alice).open()
        await append(alice, made, "third")
        while contents_of([await live.next()]) != ["third"]:
            pass
        await follower.open(follow="false")

        assert contents_of(await follower.end()) == ["first", "second", "third"]

    @pytest.mark.parametrize("after", ["nonsense", "8200000001", "82" + "F" * 60, "82" + "0" * 60])
    async def test_after_an_unknown_id_begins_with_a_reset(
        self, alice: HttpClient, after: str
    ) -> None:
        follower = Follower(alice)
        follower.last_id = after
        await follower.open()
        await begin(alice, messages=[message("later")])

        [reset] = follower.frames
        assert reset.keys() == {"type", "id", "since"}
        assert reset["type"] == "reset"
        assert contents_of([await follower.next()]) == ["later"]

    async def test_resets_after_a_lost_stream(
        self, app: web.Application, alice: HttpClient
    ) -> None:
        follower = await Follower(alice).open()
        known = follower.last_id
        token = {"_data": first_id(Timestamp(2**31, 1))}
        app[LIVE_DEPS].hub._take(Batch([], token, is_gap=True))

        reset = await follower.next()

        assert reset["type"] == "reset"
        assert reset["id"] == token["_data"]
        at = time_of(str(known))
        assert at is not None
        assert reset["since"] < at.isoformat()


class TestDoors:
    @pytest.mark.parametrize("path", ["/events", "/ws"])
    async def test_are_closed_to_foreign_pages(
        self, alice: HttpClient, database: Any, path: str
    ) -> None:
        upgrade = {
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        }
        for headers in (ELSEWHERE, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
            answer = await alice.get(path, headers={**upgrade, **headers})
            await problem(answer, 403, "foreign_origin")
        entry = await database.audit_logs.find_one({"action": "events.follow"})
        assert (entry["outcome"], entry["code"]) == ("denied", "foreign_origin")

    async def test_are_open_to_our_own_pages(self, alice: HttpClient) -> None:
        for origin in (str(alice.make_url("/")).rstrip("/"), "http://localhost:5173"):
            answer = await alice.get("/events?follow=false", headers={"Origin": origin})
            assert answer.status == 200

    async def test_are_closed_to_nobody(self, http: HttpClient) -> None:
        await problem(await http.get("/events"), 401, "authentication_required")
        await problem(await http.get("/ws"), 401, "authentication_required")

    async def test_let_in_so_many_of_a_user(
        self, app: web.Application, alice: HttpClient, bob: HttpClient
    ) -> None:
        app[LIVE_DEPS].hub._most_of_user = 2
        opened = [await Follower(alice).open() for _ in range(2)]
        answer = await alice.get("/events")
        await problem(answer, 429, "too_many_streams")
        assert answer.headers["Retry-After"]
        await Follower(bob).open()
        opened[0].close()
        await until(lambda: len(app[LIVE_DEPS].hub.mailboxes) == 2)

        await Follower(alice).open()

    async def test_let_in_so_many_of_all(
        self, app: web.Application, alice: HttpClient, bob: HttpClient
    ) -> None:
        app[LIVE_DEPS].hub._most = 1
        await Follower(alice).open()
        await problem(await bob.get("/events"), 503, "unavailable")

    async def test_close_when_the_service_stops(
        self, app: web.Application, alice: HttpClient
    ) -> None:
        follower = await Follower(alice).open()
        app[LIVE_DEPS].hub.stop()

        [closing] = await follower.end()

        assert (closing["code"], closing["reason"]) == (1001, "stopping")
        assert 500 <= closing["retry_ms"] <= 4000
        await problem(await alice.get("/events"), 503, "unavailable")


class TestSessions:
    async def test_close_their_streams_at_once_when_they_end(
        self, alice: HttpClient, http: HttpClient
    ) -> None:
        account = {"username": "alice", "password": PASSWORD}
        assert (await http.post("/auth/login", json=account)).status == 200
        hers, other = await Follower(alice).open(), await Follower(http).open()
        assert (await alice.delete("/auth/sessions")).status < 300

        [closing] = await other.end()

        assert (closing["code"], closing["reason"]) == (4401, "session_ended")
        await begin(alice)
        assert (await hers.next())["type"] == "conversation.created"

    async def test_close_their_streams_at_sign_out(self, alice: HttpClient) -> None:
        follower = await Follower(alice).open()
        await alice.post("/auth/logout")

        assert types_of(await follower.end()) == ["closing"]

    async def test_close_their_streams_when_they_expire(
        self, app: web.Application, alice: HttpClient, database: Any
    ) -> None:
        follower = await Follower(alice).open()
        await database.sessions.delete_many({})
        # What a loop does every minute.
        await end_without_session(app[LIVE_DEPS].hub.mailboxes)

        assert types_of(await follower.end()) == ["closing"]

    async def test_are_looked_at_again_if_the_database_was_away(
        self,
        app: web.Application,
        alice: HttpClient,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        follower = await Follower(alice).open()
        find = Session.find_active
        failed: list[Any] = []

        async def fail_once(*args: Any) -> Any:
            if not failed:
                failed.append(args)
                raise AutoReconnect
            return await find(*args)

        monkeypatch.setattr(Session, "find_active", fail_once)
        await alice.post("/auth/logout")

        assert types_of(await follower.end()) == ["closing"]
        assert failed


class TestSlowClients:
    async def test_are_cut_off_with_a_reason_and_hold_up_nobody(
        self,
        app: web.Application,
        alice: HttpClient,
        sign_in: SignIn,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(sending, "STALL_SECONDS", 0.5)
        monkeypatch.setattr(sending, "FAREWELL_SECONDS", 30.0)
        made = await begin(alice)
        reader, writer = await stalled_client(alice)
        quick = await Follower(alice).open()
        hub = app[LIVE_DEPS].hub
        sent: list[str] = []
        while len(hub.mailboxes) > 1:
            sent.append(f"{len(sent)} " + "x" * 40_000)
            await append(alice, made, sent[-1])
        heard = [await quick.next() for _ in sent]
        rest = (await asyncio.wait_for(reader.read(), 30)).decode()
        writer.close()
        last = [json.loads(line[6:]) for line in rest.splitlines() if line.startswith("data: ")]

        assert contents_of(heard) == sent
        assert (last[-1]["code"], last[-1]["reason"]) == (1013, "too_slow")


async def stalled_client(
    browser: HttpClient,
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Ask for events, and read no more of them than the kernel takes."""
    url = browser.make_url("/events")
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.settimeout(0)
    await asyncio.get_running_loop().sock_connect(sock, (url.host, url.port))
    reader, writer = await asyncio.open_connection(sock=sock, limit=2048)
    cookie = browser.session.cookie_jar.filter_cookies(url)["session_id"].value
    writer.write(f"GET /events HTTP/1.1\r\nHost: x\r\nCookie: session_id={cookie}\r\n\r\n".encode())
    await reader.readuntil(b"ready")
    return reader, writer
