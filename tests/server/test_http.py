import asyncio
import errno
import json
import signal
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import ClientSession

from chatvault.server import http as server
from chatvault.server.listening import CannotListen, address_of, listen
from chatvault.settings import Settings
from conftest import HttpClient


@pytest.fixture
def free(settings: Settings) -> Settings:
    return settings.model_copy(update={"port": 0})


@pytest.fixture
async def running(
    http: HttpClient, free: Settings, mongodb_url: str
) -> AsyncIterator[tuple[str, int]]:
    """The service as it is served, until the event says stop."""
    stopping, listening = asyncio.Event(), asyncio.Event()
    listener = listen(free)
    serving = asyncio.create_task(
        server.serve(
            free,
            mongodb_url=mongodb_url,
            listener=listener,
            stopping=stopping,
            on_listening=listening.set,
        )
    )
    await listening.wait()
    yield "127.0.0.1", listener.port
    stopping.set()
    await serving
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().remove_signal_handler(number)


async def send(address: tuple[str, int], sent: bytes) -> tuple[int, str, Any]:
    reader, writer = await asyncio.open_connection(*address)
    writer.write(sent)
    received = await asyncio.wait_for(reader.read(), 60)
    writer.close()
    await writer.wait_closed()
    head, _, body = received.partition(b"\r\n\r\n")
    return int(head.split()[1]), head.decode().lower(), json.loads(body)


class TestServer:
    @pytest.mark.parametrize(
        ("sent", "status"),
        [
            (b"NONSENSE\r\n\r\n", 400),
            (b"GET / HTTP/1.1\r\nA: " + b"x" * 10_000 + b"\r\n\r\n", 400),
            (b"GET /health HTTP/1.1\r\nHost: x\r\nExpect: a miracle\r\n\r\n", 417),
            (b"GET /nowhere HTTP/1.1\r\nHost: x\r\nExpect: a miracle\r\n\r\n", 417),
        ],
        ids=["no http", "long header", "expectation", "expectation of nothing"],
    )
    async def test_answers_malformed_requests_with_a_problem(
        self, running: tuple[str, int], sent: bytes, status: int
    ) -> None:
        closing = sent.replace(b"Host: x\r\n", b"Host: x\r\nConnection: close\r\n")

        found, head, problem = await send(running, closing)

        assert (found, problem["status"]) == (status, status)
        assert "content-type: application/problem+json" in head
        assert "server: chatvault" in head
        assert problem["code"] in {"malformed", "invalid_input"}
        assert "miracle" not in str(problem)

    async def test_answers_well_formed_requests(self, running: tuple[str, int]) -> None:
        host, port = running
        async with ClientSession() as browser, browser.get(f"http://{host}:{port}/health") as found:
            assert found.status == 200

    async def test_treats_a_broken_body_as_the_clients_error(
        self, running: tuple[str, int], alice: HttpClient, database: Any
    ) -> None:
        token = next(iter(alice.session.cookie_jar)).value.encode()
        _reader, writer = await asyncio.open_connection(*running)
        writer.write(
            b"POST /conversations HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Content-Length: 100\r\nCookie: session_id=" + token + b'\r\n\r\n{"title'
        )
        await writer.drain()
        writer.close()
        await writer.wait_closed()

        entry = None
        while entry is None:
            await asyncio.sleep(0.01)
            entry = await database.audit_logs.find_one({"action": "conversation.create"})
        assert (entry["outcome"], entry["code"]) == ("failed", "malformed")
        assert await database.conversations.count_documents({}) == 0


class TestListen:
    def test_refuses_a_port_in_use_in_one_line(self, free: Settings) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            wanted = free.model_copy(update={"port": taken.getsockname()[1]})
            with pytest.raises(CannotListen, match="CHATVAULT_PORT") as refused:
                listen(wanted)

        assert "\n" not in refused.value.detail

    def test_refuses_an_address_of_another_machine(self, free: Settings) -> None:
        with pytest.raises(CannotListen, match=r"Cannot listen on 192\.0\.2\.1:0"):
            listen(free.model_copy(update={"host": "192.0.2.1"}))

    @pytest.mark.parametrize(
        ("host", "shown", "called"),
        [
            ("localhost", "http://localhost", "http://127.0.0.1"),
            ("127.0.0.1", "http://127.0.0.1", "http://127.0.0.1"),
            ("::1", "http://[::1]", "http://[::1]"),
            ("0.0.0.0", "http://localhost", "http://127.0.0.1"),
            ("::", "http://localhost", "http://[::1]"),
        ],
    )
    def test_names_the_address(self, free: Settings, host: str, shown: str, called: str) -> None:
        settings = free.model_copy(update={"host": host})
        with listen(settings) as listener:
            assert address_of(listener, settings) == f"{shown}:{listener.port}"
            assert listener.url == f"{called}:{listener.port}"

    @pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "::"])
    def test_listens_on_both_families_on_one_port(self, free: Settings, host: str) -> None:
        with listen(free.model_copy(update={"host": host})) as listener:
            for address in ("127.0.0.1", "::1"):
                socket.create_connection((address, listener.port), timeout=5).close()

    def test_listens_on_localhost_without_ipv6(
        self, free: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        create = socket.create_server

        def without_ipv6(address: tuple[str, int], **options: Any) -> socket.socket:
            if ":" in address[0]:
                raise OSError(errno.EADDRNOTAVAIL, "no such address")
            return create(address, **options)

        monkeypatch.setattr(socket, "create_server", without_ipv6)
        with listen(free) as listener:
            assert [each.family for each in listener.sockets] == [socket.AF_INET]

    def test_tries_another_free_port_if_one_family_has_it_already(
        self, free: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        create = socket.create_server
        refused: list[int] = []

        def taken_once(address: tuple[str, int], **options: Any) -> socket.socket:
            if address[0] == "::1" and address[1] and not refused:
                refused.append(address[1])
                raise OSError(errno.EADDRINUSE, "taken")
            return create(address, **options)

        monkeypatch.setattr(socket, "create_server", taken_once)
        with listen(free) as listener:
            assert len(listener.sockets) == 2
            assert listener.port not in refused

    def test_occupies_both_addresses_of_localhost(self, free: Settings) -> None:
        with socket.create_server(("::1", 0), family=socket.AF_INET6) as taken:
            wanted = free.model_copy(update={"port": taken.getsockname()[1]})
            with pytest.raises(CannotListen, match=r"Cannot listen on \[::1\]:"):
                listen(wanted)
