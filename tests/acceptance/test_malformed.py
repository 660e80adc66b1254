"""What is no HTTP, or breaks it in the middle, gets a problem and never a 500."""

import asyncio
import json
from typing import Any

import pytest

from support.running import Service, ask

pytestmark = pytest.mark.xdist_group("service")

HOST = b"Host: x\r\n"
LOGIN = b"POST /auth/login HTTP/1.1\r\n" + HOST
JSON = b"Content-Type: application/json\r\n"
LAST = b"Connection: close\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
SENT: list[tuple[str, bytes, int]] = [
    ("garbage", b"GARBAGE\r\n\r\n", 400),
    ("TLS", bytes.fromhex("16030100a5010000a10303") + b"\r\n\r\n", 400),
    ("another protocol", b"GET / HTTP/9.9x\r\n" + HOST + b"\r\n", 400),
    ("a header without colon", b"GET /health HTTP/1.1\r\nHost x\r\n\r\n", 400),
    ("NUL in a header", b"GET /health HTTP/1.1\r\n" + HOST + b"A: b\0c\r\n\r\n", 400),
    ("a long line", b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    ("a long header", b"GET /health HTTP/1.1\r\nA: " + b"x" * 20_000 + b"\r\n\r\n", 400),
    ("two lengths", LOGIN + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
    ("a negative length", LOGIN + b"Content-Length: -1\r\n\r\n", 400),
    ("length and chunks", LOGIN + b"Content-Length: 3\r\n" + CHUNKED + b"\r\n0\r\n\r\n", 400),
    ("a broken chunk", LOGIN + JSON + CHUNKED + b"\r\nzz\r\n{}\r\n0\r\n\r\n", 400),
    (
        "no gzip",
        LOGIN
        + JSON
        + b"Content-Encoding: gzip\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}",
        400,
    ),
    ("an unknown path", b"GET /nothing/here HTTP/1.1\r\n" + HOST + LAST, 404),
    ("a wrong method", b"PATCH /health HTTP/1.1\r\n" + HOST + LAST, 405),
    ("an unknown method", b"BREW /health HTTP/1.1\r\n" + HOST + LAST, 400),
    ("a bad escape", b"GET /conversations/%zz HTTP/1.1\r\n" + HOST + LAST, 401),
    (
        "a bad cookie",
        b"GET /auth/me HTTP/1.1\r\nHost: x\r\nCookie: session_id=\xff\r\n" + LAST,
        401,
    ),
]


async def answer_to(service: Service, sent: bytes) -> tuple[int, dict[str, str], Any]:
    """Status, headers and problem of the one answer, after which the service hangs up."""
    host, port = service.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(sent)
    try:
        received = await asyncio.wait_for(reader.read(), 10)
    finally:
        writer.close()
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)
    head, _, body = received.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    return int(status.split()[1]), headers, json.loads(body)


class TestMalformedRequest:
    @pytest.mark.parametrize(
        ("sent", "status"), [each[1:] for each in SENT], ids=[each[0] for each in SENT]
    )
    async def test_gets_a_problem_document(
        self, service: Service, sent: bytes, status: int
    ) -> None:
        answered, headers, problem = await answer_to(service, sent)
        assert answered == status, problem
        assert headers["content-type"].startswith("application/problem+json")
        assert problem["status"] == status
        assert problem["code"]
        assert problem["detail"]
        assert "python" not in headers.get("server", "")

    async def test_survives_clients_that_disconnect(self, service: Service) -> None:
        host, port = service.url.removeprefix("http://").split(":")
        logged = len(service.log.read_text())
        for sent in (LOGIN + JSON + b"Content-Length: 99\r\n\r\n{", b"GET /hea", b""):
            _, writer = await asyncio.open_connection(host, int(port))
            writer.write(sent)
            await asyncio.sleep(0.05)
            writer.close()
            await asyncio.gather(writer.wait_closed(), return_exceptions=True)
        async with service.browser() as browser:
            answer, _ = await ask(browser, "GET", f"{service.url}/health")
        assert answer.status == 200
        assert "Traceback" not in service.log.read_text()[logged:]
