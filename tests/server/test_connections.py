"""Heads and bodies that do not come, and connections without end."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from ipaddress import ip_network
from typing import Any

import pytest

from chatvault.http import bodies
from chatvault.server import connections
from chatvault.server.connections import Connections
from chatvault.settings import Settings
from conftest import HttpClient
from support.serving import Address, Wire, request, serving, wire

MOST = 4
LOGIN = ("POST", "/auth/login", "Content-Type: application/json")


@pytest.fixture
async def served(
    http: HttpClient, settings: Settings, mongodb_url: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Address]:
    monkeypatch.setattr(connections, "WATCH_SECONDS", 0.02)
    bounded = settings.model_copy(update={"connections_per_address": MOST})
    async with serving(bounded, mongodb_url) as address:
        yield address


async def trickle(client: Wire, part: bytes) -> tuple[int, Any]:
    """The answer to a request that comes part by part, and never whole."""
    answering = asyncio.create_task(client.answer())
    while not answering.done():
        with contextlib.suppress(ConnectionError):
            await client.send(part)
        await asyncio.sleep(0.01)
    return await answering


class TestHeads:
    @pytest.mark.parametrize(
        "sent", [b"GET /health HT", b"GET /health HTTP/1.1\r\nHost: x\r\nA: b"]
    )
    async def test_time_out_if_incomplete(
        self, served: Address, sent: bytes, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(connections, "HEAD_SECONDS", 0.1)
        async with asyncio.timeout(20), wire(served) as client:
            await client.send(sent)
            status, problem = await client.answer()
            assert (status, problem["code"]) == (408, "too_slow")
            assert await client.rest() == b""

    async def test_time_out_if_slow(self, served: Address, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(connections, "HEAD_SECONDS", 0.1)
        async with asyncio.timeout(20), wire(served) as client:
            await client.send(b"GET /health HTTP/1.1\r\n")
            status, _ = await trickle(client, b"a: b\r\n")
            assert status == 408

    async def test_time_out_on_silent_connections(
        self, served: Address, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(connections, "HEAD_SECONDS", 0.1)
        async with asyncio.timeout(20), wire(served) as client:
            await client.rest()

    async def test_are_answered_in_order(
        self, served: Address, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(connections, "HEAD_SECONDS", 0.5)
        async with asyncio.timeout(20), wire(served) as client:
            for pause in (0, 0.6, 0.6):  # between two requests there is more time
                await asyncio.sleep(pause)
                await client.send(request("GET", "/health"))
                assert (await client.answer())[0] == 200


class TestBodies:
    @pytest.fixture(autouse=True)
    def impatient(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(bodies, "GRACE_SECONDS", 0.2)

    async def test_are_refused_if_missing(self, served: Address, database: Any) -> None:
        async with asyncio.timeout(20), wire(served) as client:
            await client.send(request(*LOGIN, "Content-Length: 100") + b'{"username":')
            status, problem = await client.answer()

        assert (status, problem["code"]) == (408, "too_slow")
        entry = await database.audit_logs.find_one({"action": "session.login"})
        assert (entry["outcome"], entry["code"]) == ("failed", "too_slow")

    async def test_are_refused_if_slow(self, served: Address) -> None:
        async with asyncio.timeout(20), wire(served) as client:
            await client.send(request(*LOGIN, "Transfer-Encoding: chunked"))
            status, _ = await trickle(client, b"1\r\n \r\n")
            assert status == 408

    async def test_are_accepted_at_the_minimum_pace(
        self, served: Address, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(bodies, "BYTES_A_SECOND", 1)
        body = b'{"username":"x","password":"y"}'
        async with asyncio.timeout(20), wire(served) as client:
            await client.send(request(*LOGIN, f"Content-Length: {len(body)}"))
            for place in range(len(body)):
                await client.send(body[place : place + 1])
                await asyncio.sleep(0.02)
            assert (await client.answer())[0] == 401


class TestConnections:
    async def test_are_limited_for_one_address(self, served: Address) -> None:
        async with asyncio.timeout(20), asyncio.TaskGroup():
            kept = [wire(served) for _ in range(MOST)]
            clients = [await each.__aenter__() for each in kept]
            for client in clients:
                await client.send(request("GET", "/health"))
                assert (await client.answer())[0] == 200
            async with wire(served) as another:
                status, problem = await another.answer()
                assert (status, problem["code"]) == (429, "too_many_connections")
                assert await another.rest() == b""
            await kept.pop().__aexit__(None, None, None)
            status = 429
            while status == 429:  # until it is seen that one has gone
                async with wire(served) as again:
                    await again.send(request("GET", "/health"))
                    status, _ = await again.answer()
            assert status == 200
            for each in kept:
                await each.__aexit__(None, None, None)


class Some:
    """A connection as `Connections` knows it."""

    waits_since: float | None = None

    def time_out(self) -> None:
        """Nothing."""


class TestCounting:
    def test_is_by_network_for_ipv6(self) -> None:
        counted = Connections(most=2, trusted=())

        assert counted.admit(Some(), "2001:db8::1")
        assert counted.admit(Some(), "2001:db8::ffff:1")
        assert not counted.admit(Some(), "2001:db8::2")
        assert counted.admit(Some(), "2001:db8:0:1::1")

    def test_is_the_same_for_both_forms_of_ipv4(self) -> None:
        counted = Connections(most=1, trusted=())

        assert counted.admit(Some(), "192.0.2.1")
        assert not counted.admit(Some(), "::ffff:192.0.2.1")
        assert counted.admit(Some(), "192.0.2.2")

    @pytest.mark.parametrize("address", ["10.1.2.3", "::ffff:10.1.2.3", None])
    def test_ignores_proxies(self, address: str | None) -> None:
        counted = Connections(most=1, trusted=(ip_network("10.0.0.0/8"),))

        assert all(counted.admit(Some(), address) for _ in range(5))

    def test_can_be_disabled(self) -> None:
        counted = Connections(most=0, trusted=())

        assert all(counted.admit(Some(), "192.0.2.1") for _ in range(5))

    def test_ends_with_the_connection(self) -> None:
        counted = Connections(most=1, trusted=())
        first, refused = Some(), Some()
        counted.admit(first, "192.0.2.1")
        counted.admit(refused, "192.0.2.1")

        counted.release(refused)
        assert not counted.admit(Some(), "192.0.2.1")
        counted.release(first)
        assert counted.admit(Some(), "192.0.2.1")
