"""The WebSocket of live events: the same frames, and what a client may say."""

import asyncio
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from chatvault.live import sockets
from chatvault.live.routes import LIVE_DEPS
from conftest import HttpClient
from support.answers import problem
from support.factories import begin, message
from support.fake_model import FakeModel, ScriptedAnswer
from support.following import Follower, hear, hear_until
from support.model_fixtures import settings
from support.talking import ask, begin_stream, settled

__all__ = ["settings"]


async def closed(socket: Any) -> tuple[int, str]:
    """Return the code and the reason with which a socket is closed, whatever comes before."""
    while (heard := await asyncio.wait_for(socket.receive(), 30)).type is aiohttp.WSMsgType.TEXT:
        pass
    assert heard.type is aiohttp.WSMsgType.CLOSE
    return heard.data, heard.extra


class TestSockets:
    async def test_get_the_same_frames(self, alice: HttpClient) -> None:
        follower = await Follower(alice).open()
        async with alice.ws_connect("/ws") as socket:
            assert (await hear(socket))["type"] == "ready"
            await begin(alice, messages=[message("Hello")])
            assert await hear(socket) == await follower.next()

    async def test_resume(self, alice: HttpClient) -> None:
        async with alice.ws_connect("/ws") as socket:
            ready = await hear(socket)
            made = await begin(alice)
            first = await hear(socket)
        await alice.post(f"/conversations/{made['id']}/messages", json=message("missed"))
        async with alice.ws_connect("/ws", params={"after": first["id"]}) as socket:
            assert (await hear(socket))["id"] == first["id"]
            missed = await hear(socket)
            assert missed["messages"][0]["content"] == "missed"
            await socket.send_json({"resume": ready["id"]})
            assert [await hear(socket), await hear(socket)] == [first, missed]
            await socket.send_json({"resume": "nonsense"})
            assert (await hear(socket))["type"] == "reset"

    async def test_answer_pings_and_nonsense(self, alice: HttpClient) -> None:
        async with alice.ws_connect("/ws") as socket:
            await hear(socket)
            await socket.send_json({"ping": 1})
            assert await hear(socket) == {"type": "pong", "ping": 1}
            for nonsense in ("{", "[]", '{"what": 1}', '{"subscribe": ["x"]}'):
                await socket.send_str(nonsense)
                assert await hear(socket) == {"type": "error", "code": "invalid_input"}

    async def test_end_for_one_who_says_too_much(
        self, alice: HttpClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sockets, "MOST_MESSAGES", 3)
        async with alice.ws_connect("/ws") as socket:
            for _ in range(4):
                await socket.send_json({"ping": 1})
            assert await closed(socket) == (1008, "too_many_messages")
        async with alice.ws_connect("/ws") as socket:
            await socket.send_str('"' + "x" * sockets.MAX_MESSAGE)
            assert (await closed(socket))[0] == 1009

    async def test_end_with_their_session_and_the_service(
        self, app: web.Application, alice: HttpClient, bob: HttpClient
    ) -> None:
        async with alice.ws_connect("/ws") as hers, bob.ws_connect("/ws") as his:
            await hear(hers)
            await hear(his)
            await alice.post("/auth/logout")
            assert await closed(hers) == (4401, "session_ended")
            app[LIVE_DEPS].hub.stop()
            assert (await hear(his))["type"] == "closing"
            assert await closed(his) == (1001, "stopping")
        assert app[LIVE_DEPS].hub.mailboxes == []

    async def test_free_their_place(self, app: web.Application, alice: HttpClient) -> None:
        app[LIVE_DEPS].hub._most_of_user = 1
        for _ in range(3):
            async with alice.ws_connect("/ws") as socket:
                await hear(socket)

    async def test_are_not_opened_without_asking(self, alice: HttpClient) -> None:
        await problem(await alice.get("/ws"), 426, "upgrade_required")


class TestSimpleDialect:
    @pytest.mark.parametrize("how", ["query", "subprotocol"])
    async def test_sends_messages(self, alice: HttpClient, how: str) -> None:
        wanted: dict[str, Any] = {"params": {"frames": "simple"}}
        if how == "subprotocol":
            wanted = {"protocols": [sockets.SIMPLE]}
        async with alice.ws_connect("/ws", **wanted) as socket:
            await hear(socket)
            made = await begin(alice, messages=[message("one"), message("two")])
            await alice.patch(f"/conversations/{made['id']}", json={"title": "not told"})
            path = f"/conversations/{made['id']}/messages"
            await alice.post(path, json=message("x" * 70_000))

            told = [await hear(socket) for _ in range(3)]

        assert {(frame["type"], frame["conversationId"]) for frame in told} == {
            ("new_message", made["id"])
        }
        assert [each["message"] and each["message"]["content"] for each in told] == [
            "one",
            "two",
            None,
        ]


class TestReplies:
    async def test_come_piece_by_piece_where_asked_for(
        self, alice: HttpClient, fake_model: FakeModel
    ) -> None:
        gate = asyncio.Event()
        fake_model.say(ScriptedAnswer(chunks=("One", " two", " three"), gate=gate))
        made, other = await begin(alice, title="T"), await begin(alice, title="T")
        async with alice.ws_connect("/ws") as socket:
            await hear(socket)
            await socket.send_json({"subscribe": [made["id"]]})
            answer = await begin_stream(alice, made)
            started = await hear_until(socket, "reply.started")
            assert started["messages"][0]["content"] == "Hello"
            pieces = [await hear_until(socket, "reply.event")]
            gate.set()
            while pieces[-1]["event"] != "completed":
                pieces.append(await hear_until(socket, "reply.event"))
            answer.close()
            numbers = [piece["number"] for piece in pieces]
            assert numbers == list(range(1, len(numbers) + 1))
            text = "".join(piece["data"]["text"] for piece in pieces if piece["event"] == "delta")
            assert text == "One two three"
            assert {piece["reply_id"] for piece in pieces} == {started["reply_id"]}
            await socket.send_json({"subscribe": None, "ping": 1})
            await hear_until(socket, "pong")
            await ask(alice, made)
            ended = await hear(socket)
            heard = [ended]
            while heard[-1]["type"] != "reply.ended":
                heard.append(await hear(socket))
            assert "reply.event" not in {frame["type"] for frame in heard}
        await settled(alice, other)

    async def test_end_with_the_answer(self, alice: HttpClient, fake_model: FakeModel) -> None:
        made = await begin(alice, title="T")
        follower = await Follower(alice).open()
        await ask(alice, made)

        started, ended = await follower.until("reply.started"), await follower.until("reply.ended")

        assert started["reply_id"] == ended["reply_id"]
        assert ended["state"] == "completed"
        assert ended["messages"][0]["content"] == "Answer 1."

    async def test_of_others_are_not_shown(
        self, alice: HttpClient, bob: HttpClient, fake_model: FakeModel
    ) -> None:
        gate = asyncio.Event()
        fake_model.say(ScriptedAnswer(chunks=("One", " two"), gate=gate))
        made = await begin(alice, title="T")
        answer = await begin_stream(alice, made)
        async with bob.ws_connect("/ws") as socket:
            await hear(socket)
            await socket.send_json({"subscribe": [made["id"]], "ping": 1})
            assert (await hear(socket))["type"] == "pong"
            gate.set()
            await settled(alice, made)
            answer.close()
            await begin(bob)
            assert (await hear(socket))["type"] == "conversation.created"
