"""A revoked key is refused at once in every process, and what it has open breaks off."""

import asyncio
from collections.abc import Set as AbstractSet
from datetime import timedelta
from typing import Any

import aiohttp
import pytest
from bson import ObjectId

from chatvault.api_keys.finder import KeyFinder
from chatvault.api_keys.throttle import KeyThrottle
from chatvault.live.routes import LIVE_DEPS
from chatvault.live.sessions import end_without_session
from chatvault.mongodb.rates import CounterStorage
from conftest import HttpClient
from support.answers import problem
from support.factories import begin
from support.fake_model import FakeModel, ScriptedAnswer
from support.keys import Key, key_of, program
from support.model_fixtures import settings
from support.sharing import leave
from support.talking import begin_stream, next_event, settled

__all__ = ["settings"]


@pytest.fixture
async def there(alice: HttpClient, elsewhere: HttpClient) -> Any:
    """A program of Alice's at another process, and how she revokes its key at hers."""
    key = await key_of()
    client = program(elsewhere, key)
    yield client, lambda: alice.delete(f"/auth/keys/{key.key_id}")
    await leave(client)


class TestRevokedKey:
    async def test_is_refused_by_another_process_at_once(self, there: Any) -> None:
        client, revoke = there
        assert (await client.get("/auth/me")).status == 200

        assert (await revoke()).status == 204

        await problem(await client.get("/auth/me"), 401, "invalid_api_key")

    async def test_ends_an_open_stream_there(
        self, there: Any, fake_model: FakeModel, alice: HttpClient
    ) -> None:
        client, revoke = there
        conversation = await begin(alice)
        gate = asyncio.Event()
        fake_model.say(ScriptedAnswer(chunks=["First", " second"], gate=gate))
        stream = await begin_stream(client, conversation)
        await next_event(stream)

        await revoke()

        with pytest.raises(aiohttp.ClientError):
            await stream.read()
        # The reply itself goes on: it was asked for while the key was good.
        gate.set()
        assert (await settled(alice, conversation))["messages"][-1]["content"] == "First second"

    async def test_ends_a_completion_there(
        self, there: Any, fake_model: FakeModel, alice: HttpClient
    ) -> None:
        client, revoke = there
        gate = asyncio.Event()
        fake_model.say(ScriptedAnswer(chunks=["First", " second"], gate=gate))
        wanted = {"messages": [{"role": "user", "content": "Hi"}], "stream": True}
        answer = await client.post("/v1/chat/completions", json=wanted)
        assert answer.status == 200
        assert b"First" in await answer.content.readline()

        await revoke()

        with pytest.raises(aiohttp.ClientError):
            await answer.read()
        gate.set()

    async def test_ends_live_events_there(self, there: Any) -> None:
        client, revoke = there
        stream = await client.get("/events")
        socket = await client.ws_connect("/ws")
        assert b"ready" in await stream.content.readline() + await stream.content.readline()
        assert (await socket.receive_json())["type"] == "ready"
        await end_without_session(client.server.app[LIVE_DEPS].hub.mailboxes)
        assert await socket.ping() is None

        await revoke()

        with pytest.raises(aiohttp.ClientError):
            await stream.read()
        # The revocation itself may be told first.
        kinds = [(await socket.receive()).type for _ in range(2)]
        assert not {aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR}.isdisjoint(kinds)

    async def test_ends_a_body_that_is_still_on_its_way(self, there: Any, database: Any) -> None:
        client, revoke = there
        held = asyncio.Event()

        async def slowly() -> Any:
            yield b'{"title": '
            await held.wait()
            yield b'"Late"}'

        headers = {"Content-Type": "application/json"}
        sending = asyncio.create_task(client.post("/conversations", data=slowly(), headers=headers))
        await asyncio.sleep(0)
        await revoke()

        with pytest.raises(aiohttp.ClientError):
            await sending
        held.set()
        assert await database.conversations.count_documents({}) == 0


class OpenRequests:
    """The open requests of a process, as the finder sees them."""

    def __init__(self, *keys: Key) -> None:
        self._keys = {key.key_id for key in keys}
        self.broken: set[ObjectId] = set()

    def keys(self) -> set[ObjectId]:
        return self._keys

    def break_off(self, key_ids: AbstractSet[ObjectId]) -> None:
        self.broken |= key_ids


class TestFinder:
    async def test_breaks_off_exactly_what_may_no_longer_be_used(
        self, alice: HttpClient, bob: HttpClient, database: Any
    ) -> None:
        good, revoked = await key_of(), await key_of()
        expired = await key_of(lifetime=timedelta(seconds=-1))
        closed = await key_of("bob")
        await database.api_keys.delete_one({"_id": revoked.key_id})
        await database.users.update_one({"username": "bob"}, {"$set": {"is_active": False}})
        opened = OpenRequests(good, revoked, expired, closed)

        await KeyFinder(KeyThrottle(CounterStorage(database.rate_limits)), opened).break_off()

        assert opened.broken == {revoked.key_id, expired.key_id, closed.key_id}
