"""Requests that cost a service more than their sender, and their effect on other clients."""

import contextlib
import http.client
import json
import socket
import threading
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import psutil  # type: ignore[import-untyped]  # it carries no annotations

MB = 2**20
JSON = "application/json"


@dataclass(frozen=True)
class Attack:
    """One hostile request.

    Attributes:
        path: the path, with `{c}` for a conversation of the sender's.
        body: returns the body, made when it is needed, as some are large.
        status: the expected status.
        signed_in: whether a user sends it.
    """

    name: str
    method: str
    path: str
    body: Callable[[], bytes]
    status: int
    signed_in: bool = True
    headers: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        return self.name

    def request(self, conversation_id: str, cookie: str) -> tuple[bytes, bytes]:
        """Return the head and the body as they are sent."""
        body = self.body()
        path = self.path.format(c=conversation_id)
        lines = [
            f"{self.method} {path} HTTP/1.1",
            "Host: localhost",
            f"Content-Type: {JSON}",
            f"Content-Length: {len(body)}",
            "Connection: close",
            *(f"{name}: {value}" for name, value in self.headers),
        ]
        if self.signed_in:
            lines.append(f"Cookie: session_id={cookie}")
        return "\r\n".join([*lines, "", ""]).encode(), body


def repeated(start: bytes, part: bytes, end: bytes, size: int = 30 * MB) -> Callable[[], bytes]:
    """Return a function that makes a body which mostly repeats one part."""
    return lambda: start + part * ((size - len(start) - len(end)) // len(part)) + end


def keys(start: bytes, end: bytes, count: int) -> Callable[[], bytes]:
    """Return a function that makes a body with very many names."""
    return lambda: start + b",".join(b'"%x":0' % number for number in range(count)) + end


def bomb(body: Callable[[], bytes]) -> Callable[[], bytes]:
    """Return a function that makes a compressed body."""
    return lambda: zlib.compress(body(), 9)


def message(**more: Any) -> bytes:
    return json.dumps({"role": "user", "content": "x", **more}).encode()


CONVERSATION = "/conversations/{c}"
MESSAGES = CONVERSATION + "/messages"
PACKED = (("Content-Encoding", "deflate"),)
LOGIN = ("POST", "/auth/login")
ATTACKS = [
    Attack("login, unknown names", *LOGIN, keys(b"{", b"}", 2_900_000), 413, signed_in=False),
    Attack(
        "login, 16 KB of unknown names", *LOGIN, keys(b"{", b"}", 1_700), 422, signed_in=False
    ),
    Attack(
        "login, lists for a name", *LOGIN, repeated(b'{"username":[', b"[],", b"[]]}"), 413,
        signed_in=False,
    ),
    Attack(
        "login, packed", *LOGIN, bomb(repeated(b'{"username":"', b"x", b'"}')), 413,
        signed_in=False, headers=PACKED,
    ),
    Attack("brackets", "POST", "/conversations", repeated(b"", b"[", b""), 413),
    Attack("batch, empty objects", "POST", MESSAGES + ":batch",
           repeated(b'{"messages":[', b"{},", b"{}]}"), 413),
    Attack("put, empty objects", "PUT", CONVERSATION,
           repeated(b'{"messages":[', b"{},", b"{}]}", 49_000 * 3), 422),
    Attack("put, numbers", "PUT", CONVERSATION, repeated(b'{"messages":[', b"1,", b"1]}"), 413),
    Attack("create, names of metadata", "POST", "/conversations",
           keys(b'{"metadata":{', b"}}", 2_500_000), 413),
    Attack("create, small metadata", "POST", "/conversations",
           keys(b'{"metadata":{', b"}}", 70_000), 422),
    Attack("create, escapes", "POST", "/conversations",
           repeated(b'{"title":"', b"\\u00e9", b'"}', 10 * MB), 422),
    Attack("create, quotes", "POST", "/conversations",
           repeated(b'{"title":"', b'\\"', b'"}', 5 * MB), 422),
    Attack("create, white space", "POST", "/conversations",
           repeated(b"{", b" ", b"}", 10 * MB), 413),
    Attack("create, digits", "POST", "/conversations",
           repeated(b'{"messages":[', b"1" * 4000 + b",", b"1]}", 5 * MB), 422),
    Attack("create, packed", "POST", "/conversations",
           bomb(repeated(b'{"title":"', b"x", b'"}', 40 * MB)), 413, headers=PACKED),
    Attack("create, one name often", "POST", "/conversations",
           repeated(b"{", b'"title":"x",', b'"title":"x"}', 3 * MB), 413),
    Attack("create, wrong messages", "POST", "/conversations",
           repeated(b'{"messages":[', message(metrics=1) + b",", message() + b"]}", 2 * MB), 422),
    Attack("append, lists", "POST", MESSAGES,
           repeated(b'{"role":"user","content":"x","a":[', b"[],", b"[]]}", 250_000), 200),
    Attack("append, many lists", "POST", MESSAGES,
           repeated(b'{"role":"user","content":"x","a":[', b"[],", b"[]]}", 7 * MB), 413),
    Attack("completion, numbers", "POST", "/chat/completions",
           repeated(b'{"messages":[', b"1,", b"1]}", MB // 2), 422),
]  # fmt: skip


@dataclass
class Bystander:
    """Another user, who appends messages one after the other until stopped.

    Attributes:
        process_id: the service's process.
        waits: the service's processor time while each append waited, in seconds. Wall-clock time
            would include what else the machine does.
    """

    address: tuple[str, int]
    process_id: int
    cookie: str
    conversation_id: str
    waits: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        connection = http.client.HTTPConnection(*self.address, timeout=30)
        headers = {
            "Content-Type": JSON,
            "Cookie": f"session_id={self.cookie}",
            "Prefer": "return=minimal",
        }
        path = f"/conversations/{self.conversation_id}/messages"
        process = psutil.Process(self.process_id)
        is_first = True
        while is_first or not self._stopping.wait(0.005):
            is_first = False
            began = process.cpu_times()
            connection.request("POST", path, message(), headers)
            answer = connection.getresponse()
            answer.read()
            ended = process.cpu_times()
            self.waits.append(ended.user + ended.system - began.user - began.system)
            if answer.status != 200:
                self.failures.append(str(answer.status))
        connection.close()

    @property
    def worst(self) -> float:
        """The longest wait, in seconds of the service's processor time."""
        return max(self.waits)


class Memory:
    """Watches the memory of a process.

    Args:
        process_id: the process's id.
    """

    def __init__(self, process_id: int) -> None:
        self._process = psutil.Process(process_id)
        self.peak = 0

    def __enter__(self) -> Self:
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(0.01):
            self.peak = max(self.peak, self._process.memory_info().rss)


@dataclass(frozen=True)
class Outcome:
    """The result of an attack."""

    status: int
    body: bytes
    seconds: float


def carry_out(address: tuple[str, int], head: bytes, body: bytes) -> Outcome:
    """Send a request, as fast as it is taken, and read its answer."""
    began = time.perf_counter()
    with socket.create_connection(address, timeout=60) as connection:
        connection.sendall(head)
        sending = threading.Thread(target=_send, args=(connection, body))
        sending.start()
        received = bytearray()
        try:
            while chunk := connection.recv(MB):
                received += chunk
        except ConnectionError:
            pass
        sending.join()
    found, _, answer = bytes(received).partition(b"\r\n\r\n")
    status = int(found.split()[1]) if found else 0
    return Outcome(status, answer, time.perf_counter() - began)


def _send(connection: socket.socket, body: bytes) -> None:
    with contextlib.suppress(OSError):  # The service may have closed the connection.
        connection.sendall(body)
