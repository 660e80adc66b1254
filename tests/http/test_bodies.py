"""How large a body may be on which route, and how many there may be at a time."""

import asyncio
import gc
import gzip
import io
import json
import weakref
import zlib
from collections.abc import AsyncIterator
from itertools import chain
from typing import Any

import pytest

from chatvault.errors import Busy
from chatvault.http import bodies
from chatvault.http.bodies import BULK_BODY, KB, MB, SMALL_BODY, Bodies, Budget
from chatvault.http.json_slices import WEIGHT_BYTES
from chatvault.operations import ROUTES
from chatvault.settings import Settings
from conftest import HttpClient
from support.answers import JSON, problem
from support.factories import begin, message
from support.serving import Address, request, serving, wire
from support.talking import until

OPERATIONS = list(chain.from_iterable(ROUTES))
BULK = {
    ("POST", "/conversations"),
    ("PUT", "/conversations/{conversation_id}"),
    ("POST", "/conversations/{conversation_id}/messages:batch"),
    ("POST", "/imports"),
    ("POST", "/conversations/{conversation_id}/attachments"),
}


async def blanks(size: int) -> AsyncIterator[bytes]:
    for start in range(0, size, 2**16):
        yield b" " * min(2**16, size - start)


class TestLimitsOfRoutes:
    def test_are_high_only_for_bulk_operations(self) -> None:
        most = {(each.method, each.path) for each in OPERATIONS if each.max_body == BULK_BODY}

        assert most == BULK

    def test_are_low_for_authentication(self) -> None:
        limits = {each.max_body for each in OPERATIONS if each.path.startswith("/auth")}

        assert limits == {16 * KB}

    def test_are_low_for_routes_without_a_body(self) -> None:
        for operation in OPERATIONS:
            if "body" not in operation.models and not operation.takes:
                assert operation.max_body == SMALL_BODY, operation.path

    @pytest.mark.parametrize(
        ("method", "path", "limit"),
        [
            ("POST", "/auth/login", "16 KB"),
            ("POST", "/conversations/{c}/archive", "16 KB"),
            ("PATCH", "/conversations/{c}", "2 MB"),
            ("POST", "/conversations/{c}/messages", "8 MB"),
            ("POST", "/chat/completions", "20 MB"),
        ],
    )
    async def test_are_named_in_the_error(
        self, alice: HttpClient, method: str, path: str, limit: str
    ) -> None:
        begun = await begin(alice)
        amount, unit = limit.split()
        size = int(amount) * {"KB": KB, "MB": MB}[unit] + 1

        answer = await alice.request(
            method, path.format(c=begun["id"]), data=blanks(size), headers=JSON
        )

        found = await problem(answer, 413, "too_large")
        assert found["detail"] == f"The body of this request may have at most {limit}."

    async def test_apply_to_requests_with_an_idempotency_key(self, alice: HttpClient) -> None:
        begun = await begin(alice)
        path = f"/conversations/{begun['id']}/summary"

        answer = await alice.post(
            path, data=blanks(SMALL_BODY + 1), headers={"Idempotency-Key": "k"}
        )

        await problem(answer, 413, "too_large")

    async def test_allow_the_largest_message_in_any_encoding(self, alice: HttpClient) -> None:
        begun = await begin(alice)
        path = f"/conversations/{begun['id']}/messages"
        content = "\x01" * MB
        text = json.dumps(message(content, metrics={"a": "\x01" * 40_000}), indent=2)

        answer = await alice.post(path, data=io.BytesIO(text.encode()), headers=JSON)

        assert answer.status == 200
        [stored] = (await answer.json())["messages"]
        assert stored["content"] == content


class TestCompressedBody:
    @pytest.fixture
    async def served(
        self, http: HttpClient, settings: Settings, mongodb_url: str
    ) -> AsyncIterator[Address]:
        async with serving(settings, mongodb_url) as address:
            yield address

    async def send(self, served: Address, packed: bytes, encoding: str) -> tuple[int, Any]:
        async with asyncio.timeout(20), wire(served) as client:
            await client.send(
                request("POST", "/auth/login", f"Content-Encoding: {encoding}", body=packed)
            )
            return await client.answer()

    @pytest.mark.parametrize(
        ("encoding", "pack"),
        [("gzip", gzip.compress), ("deflate", zlib.compress), ("identity", bytes)],
    )
    async def test_is_decompressed(self, served: Address, encoding: str, pack: Any) -> None:
        packed = pack(b'{"username":"x","password":"y"}')

        assert (await self.send(served, packed, encoding))[0] == 401

    @pytest.mark.parametrize(
        "packed",
        [
            pytest.param(b"not packed", id="not at all"),
            pytest.param(gzip.compress(b"{}")[:-4], id="not whole"),
            pytest.param(gzip.compress(b"{}") * 2, id="twice"),
        ],
    )
    async def test_is_malformed_if_it_cannot_be_decompressed(
        self, served: Address, packed: bytes
    ) -> None:
        status, found = await self.send(served, packed, "gzip")

        assert (status, found["code"]) == (400, "malformed")

    async def test_is_refused_in_an_unknown_encoding(self, served: Address) -> None:
        status, found = await self.send(served, b"{}", "br")

        assert (status, found["code"]) == (415, "unsupported_media_type")

    async def test_is_limited_by_its_decompressed_size(self, served: Address) -> None:
        status, found = await self.send(served, zlib.compress(b" " * 4 * MB), "deflate")

        assert (status, found["code"]) == (413, "too_large")


class TestBudget:
    async def test_is_shared_by_all_requests(self) -> None:
        budget = Budget(10, 8)
        await budget.take("a", 6)
        await budget.take("b", 4)
        waiting = asyncio.create_task(budget.take("c", 1))
        await asyncio.sleep(0)
        assert not waiting.done()

        budget.give_back("b", 4)
        await waiting

    async def test_leaves_a_share_to_each_user(self) -> None:
        budget = Budget(100, 8)
        await budget.take("a", 6)
        waiting = asyncio.create_task(budget.take("a", 3))
        await asyncio.sleep(0)
        assert not waiting.done()
        await budget.take("b", 8)

        budget.give_back("a", 6)
        await waiting

    async def test_lets_the_largest_body_pass_alone(self) -> None:
        budget = Budget(10, 8)

        await budget.take("a", 1000)

    async def test_limits_the_wait(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(bodies, "ROOM_SECONDS", 0.01)
        budget = Budget(10, 10)
        await budget.take("a", 10)

        with pytest.raises(Busy):
            await budget.take("b", 1)

    async def test_is_released_at_the_end_of_the_request(self) -> None:
        shared = Bodies()
        for _ in range(100):
            async with shared.room("a", BULK_BODY) as room:
                await room.admit(b"[" + b"0," * 100_000 + b"0]", max_weight=200_000)

        assert shared._texts._held.total() == shared._values._held.total() == 0

    async def test_counts_the_memory_of_parsed_values(self) -> None:
        shared = Bodies()
        async with shared.room("a", 10) as room:
            await room.admit(b"[0,0,0]", max_weight=200_000)
            assert shared._values._held["a"] == 4 * WEIGHT_BYTES


class TestMemory:
    async def test_is_freed_at_once_for_a_refused_body(
        self, alice: HttpClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Without the collector, which comes too seldom for bodies of megabytes."""
        seen: list[weakref.ref[Any]] = []

        class Watched(bytearray):
            pass

        read = bodies._read

        async def watch(content: Any, limit: int) -> bytearray:
            body = Watched(await read(content, limit))
            seen.append(weakref.ref(body))
            return body

        monkeypatch.setattr(bodies, "_read", watch)
        gc.disable()
        try:
            text = json.dumps({"title": "x" * 100_000}).encode()
            answer = await alice.post("/conversations", data=io.BytesIO(text), headers=JSON)
            assert answer.status == 422
            await until(lambda: all(each() is None for each in seen))
        finally:
            gc.enable()
        assert seen
