"""Exports in the background: whole, one's own, resumed after a crash and within a part."""

import asyncio
import gzip
import hashlib
import io
import json
import zipfile
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st
from pymongo.errors import AutoReconnect

from chatvault.byte_ranges import parse_range
from chatvault.errors import RangeNotSatisfiable
from chatvault.exporting.jobs import models, service, worker, writing
from chatvault.exporting.jobs.worker import ExportWorker
from chatvault.exporting.routes import EXPORT_DEPS
from chatvault.fields import now
from chatvault.mongodb import jobs
from conftest import HttpClient
from support.answers import problem
from support.factories import begin, message

Ask = Callable[..., Awaitable[dict[str, Any]]]


async def made(client: HttpClient, **wanted: Any) -> dict[str, Any]:
    """An export, when it is at its end."""
    answer = await client.post("/exports", json=wanted)
    assert answer.status == 202, await answer.text()
    return await ended(client, answer.headers["Location"])


async def ended(client: HttpClient, path: str) -> dict[str, Any]:
    for _ in range(2000):
        found: dict[str, Any] = await (await client.get(path)).json()
        if found["state"] in {"done", "failed"}:
            return found
        await asyncio.sleep(0.01)
    raise TimeoutError(found)


async def download(client: HttpClient, job: dict[str, Any], number: int) -> bytes:
    answer = await client.get(f"/exports/{job['id']}/parts/{number}")
    assert answer.status == 200, await answer.text()
    data = await answer.read()
    told = job["parts"][number - 1]
    assert len(data) == told["bytes"] == int(answer.headers["Content-Length"])
    assert hashlib.sha256(data).hexdigest() == told["sha256"]
    assert answer.headers["ETag"] == f'"{told["sha256"]}"'
    return data


async def lines_of(client: HttpClient, job: dict[str, Any], number: int) -> list[Any]:
    data = gzip.decompress(await download(client, job, number))
    head, *found, tail = [json.loads(line) for line in data.splitlines()]
    assert head["chatvault"]["version"] == 1
    assert tail["end"]["conversations"] == len(found) == job["parts"][number - 1]["conversations"]
    return found


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each part takes one conversation, in chunks of few bytes."""
    monkeypatch.setattr(writing, "PART_BYTES", 1)
    monkeypatch.setattr(writing, "CHUNK_BYTES", 100)
    monkeypatch.setattr(service, "CHUNK_BYTES", 100)


@pytest.fixture
async def ids(alice: HttpClient) -> list[str]:
    return [
        (await begin(alice, title=f"T{n}", messages=[message(f"{n}" * 300, id="m")]))["id"]
        for n in range(4)
    ]


class TestExports:
    async def test_are_made_in_parts(
        self, alice: HttpClient, ids: list[str], small: None, database: Any
    ) -> None:
        job = await made(alice, format="ndjson")
        assert job["state"] == "done"
        assert (job["total"], job["done"], len(job["parts"])) == (4, 4, 4)
        assert job["counts"] == {
            "conversations": 4, "messages": 4, "changed": 0, "cut": 0, "deleted": 0,
            "attachments": 0,
        }  # fmt: skip
        found = [await lines_of(alice, job, number) for number in range(1, 5)]
        assert [each["id"] for [each] in found] == ids
        assert job["parts"][1]["name"].endswith(".ndjson.gz")
        [entry] = await database.audit_logs.find({"action": "export.create"}).to_list()
        assert entry["details"] == {"format": "ndjson", "conversations": 4}
        assert entry["resource_id"] == job["id"]
        got = await database.audit_logs.find({"action": "export.get_part"}).to_list()
        assert sorted(each["details"]["part"] for each in got) == [1, 2, 3, 4]

    @pytest.mark.parametrize("shape", ["markdown", "html", "json", "openai", "sharegpt", "pdf"])
    async def test_are_made_in_each_format(
        self, alice: HttpClient, ids: list[str], shape: str
    ) -> None:
        job = await made(alice, format=shape)
        [part] = job["parts"]
        data = await download(alice, job, 1)
        if part["media_type"] == "application/zip":
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                assert archive.testzip() is None
                assert len(archive.namelist()) == 5
        else:
            assert b"T3" in gzip.decompress(data) or shape == "openai"

    async def test_may_be_of_many_conversations(self, alice: HttpClient) -> None:
        body = {"ids": [f"{number:024x}" for number in range(10_000)]}
        await problem(await alice.post("/exports", json=body), 404, "not_found")

    async def test_have_one_empty_part_without_conversations(self, alice: HttpClient) -> None:
        job = await made(alice)
        assert await lines_of(alice, job, 1) == []

    async def test_can_be_limited_to_some_conversations(
        self, alice: HttpClient, bob: HttpClient, ids: list[str]
    ) -> None:
        job = await made(alice, ids=[ids[2], ids[0], ids[2]])
        assert [each["id"] for each in await lines_of(alice, job, 1)] == [ids[0], ids[2]]
        await alice.post(f"/conversations/{ids[1]}/archive", json={"archived": True})
        job = await made(alice, filter={"status": "archived"})
        assert [each["id"] for each in await lines_of(alice, job, 1)] == [ids[1]]
        later = (now() + timedelta(days=1)).isoformat()
        job = await made(alice, filter={"updated_since": later})
        assert job["total"] == 0
        theirs = (await begin(bob))["id"]
        answer = await alice.post("/exports", json={"ids": [ids[0], theirs]})
        await problem(answer, 404, "not_found")
        answer = await alice.post("/exports", json={"ids": ids, "filter": {}})
        await problem(answer, 422, "invalid_input")

    async def test_are_hidden_from_others(
        self, alice: HttpClient, bob: HttpClient, ids: list[str]
    ) -> None:
        job = await made(alice)
        path = f"/exports/{job['id']}"
        for answer in (
            await bob.get(path),
            await bob.get(f"{path}/parts/1"),
            await bob.delete(path),
            await alice.get(f"{path}/parts/2"),
        ):
            await problem(answer, 404, "not_found")
        assert await (await bob.get("/exports")).json() == []
        assert [each["id"] for each in await (await alice.get("/exports")).json()] == [job["id"]]
        # Bob's own is not kept up by Alice's.
        assert (await made(bob))["state"] == "done"

    async def test_run_one_at_a_time_and_can_be_cancelled(
        self, alice: HttpClient, ids: list[str], database: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        begun, going = asyncio.Event(), asyncio.Event()
        write = writing.write_part

        async def write_slowly(*args: Any) -> Any:
            part = await write(*args)
            begun.set()
            await going.wait()
            return part

        monkeypatch.setattr(worker, "write_part", write_slowly)
        monkeypatch.setattr(service, "NOTICED_AFTER", timedelta())
        first = await alice.post("/exports", json={})
        path = first.headers["Location"]
        await begun.wait()
        await problem(await alice.post("/exports", json={}), 409, "export_in_progress")
        assert (await alice.delete(path)).status == 204
        going.set()
        await problem(await alice.get(path), 404, "not_found")
        job = await made(alice)
        assert job["state"] == "done"
        # What was being written when it was removed is removed with it.
        for _ in range(500):
            left = await database.export_parts.distinct("export_id")
            if [str(each) for each in left] == [job["id"]]:
                break
            await asyncio.sleep(0.01)
        assert [str(each) for each in left] == [job["id"]]
        [entry] = await database.audit_logs.find({"action": "export.delete"}).to_list()
        assert entry["resource_id"] == path.rpartition("/")[2]

    async def test_are_created_once_for_a_key(self, alice: HttpClient, ids: list[str]) -> None:
        once = {"Idempotency-Key": "once"}
        first = await (await alice.post("/exports", json={}, headers=once)).json()
        await ended(alice, f"/exports/{first['id']}")
        again = await (await alice.post("/exports", json={}, headers=once)).json()
        assert again["id"] == first["id"]

    async def test_expire(self, alice: HttpClient, ids: list[str], database: Any) -> None:
        job = await made(alice)
        await worker.remove_expired()
        assert await database.exports.count_documents({}) == 1
        await database.exports.update_one({}, {"$set": {"expires_at": now()}})
        await worker.remove_expired()
        await problem(await alice.get(f"/exports/{job['id']}"), 404, "not_found")
        assert await database.export_parts.count_documents({}) == 0

    async def test_are_kept_up_to_a_number(
        self, alice: HttpClient, bob: HttpClient, ids: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(models, "MOST_KEPT", 2)
        his = await made(bob)
        made_in_order = [(await made(alice, ids=[each]))["id"] for each in ids]

        await worker.remove_expired()

        kept = await (await alice.get("/exports")).json()
        assert [each["id"] for each in kept] == made_in_order[:1:-1]
        assert (await bob.get(f"/exports/{his['id']}")).status == 200

    async def test_of_several_users_take_turns_between_parts(
        self,
        alice: HttpClient,
        bob: HttpClient,
        ids: list[str],
        small: None,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        await begin(bob)
        going, write = asyncio.Event(), writing.write_part
        owners: list[Any] = []

        async def write_later(actor: Any, *args: Any) -> Any:
            owners.append(actor.owner_id)
            await going.wait()
            return await write(actor, *args)

        monkeypatch.setattr(worker, "write_part", write_later)
        hers = (await alice.post("/exports", json={})).headers["Location"]
        his = (await bob.post("/exports", json={})).headers["Location"]
        going.set()
        ends = [await ended(alice, hers), await ended(bob, his)]

        assert [len(each["parts"]) for each in ends] == [4, 1]
        assert [owners.index(each) for each in owners] == [0, 1, 0, 0, 0]


class TestInterruption:
    async def test_is_continued_by_another_process(
        self,
        alice: HttpClient,
        app: web.Application,
        ids: list[str],
        small: None,
        database: Any,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        write, calls = writing.write_part, 0
        hanging, let_go, taken, told, go_on = (asyncio.Event() for _ in range(5))
        update = jobs.Attempt.update

        async def hang_at_the_third(*args: Any) -> Any:
            nonlocal calls
            calls += 1
            part = await write(*args)
            if calls == 3:
                hanging.set()
                await let_go.wait()
            elif calls == 4:
                taken.set()
                await go_on.wait()
            return part

        async def update_and_tell(self: Any, change: Any) -> Any:
            try:
                return await update(self, change)
            finally:
                if let_go.is_set():
                    told.set()

        monkeypatch.setattr(worker, "write_part", hang_at_the_third)
        monkeypatch.setattr(jobs.Attempt, "update", update_and_tell)
        answer = await alice.post("/exports", json={})
        await hanging.wait()
        # Its process says nothing any more, and another one takes the export over.
        await database.exports.update_one({}, {"$set": {"due_at": now() - timedelta(seconds=1)}})
        other = asyncio.create_task(ExportWorker(app[EXPORT_DEPS]).run())
        await taken.wait()
        # The first one was only slow, and has nothing more to say.
        let_go.set()
        await told.wait()
        go_on.set()
        job = await ended(alice, answer.headers["Location"])
        other.cancel()
        assert calls == 5
        found = [await lines_of(alice, job, number) for number in range(1, 5)]
        assert [each["id"] for [each] in found] == ids
        assert job["counts"]["messages"] == 4
        writings = {each["writing"] for each in (await database.exports.find_one())["parts"]}
        assert set(await database.export_parts.distinct("writing")) == writings

    async def test_by_an_outage_of_mongodb_delays_the_export(
        self,
        alice: HttpClient,
        ids: list[str],
        small: None,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(jobs, "WAIT_SECONDS", 0)
        monkeypatch.setattr(jobs, "POLL", 0.01)
        write, calls = writing.write_part, 0

        async def fail_every_second_time(*args: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls % 2 == 0:
                raise AutoReconnect
            return await write(*args)

        monkeypatch.setattr(worker, "write_part", fail_every_second_time)
        job = await made(alice)
        assert job["state"] == "done"
        assert job["code"] is None
        assert [(await lines_of(alice, job, n))[0]["id"] for n in range(1, 5)] == ids

    async def test_of_every_attempt_fails_the_export(
        self, alice: HttpClient, ids: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(jobs, "WAIT_SECONDS", 0)
        monkeypatch.setattr(jobs, "POLL", 0.01)

        async def fail(*args: Any) -> Any:
            raise AutoReconnect

        monkeypatch.setattr(worker, "write_part", fail)
        job = await made(alice)
        assert (job["state"], job["code"], job["parts"]) == ("failed", "unavailable", [])
        assert job["expires_at"] is not None
        monkeypatch.undo()
        assert (await made(alice))["state"] == "done"


class TestRanges:
    @pytest.fixture
    async def part(self, alice: HttpClient, ids: list[str], small: None) -> tuple[str, bytes, str]:
        job = await made(alice, ids=[ids[0]])
        path = f"/exports/{job['id']}/parts/1"
        return path, await download(alice, job, 1), f'"{job["parts"][0]["sha256"]}"'

    async def test_return_the_exact_bytes(
        self, alice: HttpClient, part: tuple[str, bytes, str]
    ) -> None:
        path, data, tag = part
        size = len(data)
        assert size > 250  # several chunks
        for wanted, start, end in (
            ("bytes=0-0", 0, 1),
            ("bytes=99-100", 99, 101),
            ("bytes=100-199", 100, 200),
            ("bytes=250-", 250, size),
            ("bytes=0-999999", 0, size),
            ("bytes=-7", size - 7, size),
            ("bytes=-999999", 0, size),
        ):
            for more in ({}, {"If-Range": tag}):
                answer = await alice.get(path, headers={"Range": wanted, **more})
                assert answer.status == 206, wanted
                assert await answer.read() == data[start:end]
                assert answer.headers["Content-Range"] == f"bytes {start}-{end - 1}/{size}"
                assert answer.headers["Content-Length"] == str(end - start)

    async def test_are_ignored_if_they_do_not_apply(
        self, alice: HttpClient, part: tuple[str, bytes, str]
    ) -> None:
        path, data, _ = part
        for headers in (
            {"Range": "bytes=5-", "If-Range": '"another"'},
            {"Range": "bytes=5-", "If-Range": "Sat, 21 Nov 2026 10:00:00 GMT"},
            {"Range": "bytes=0-1,5-6"},
            {"Range": "bytes=5-3"},
            {"Range": "lines=1-2"},
        ):
            answer = await alice.get(path, headers=headers)
            assert answer.status == 200
            assert await answer.read() == data

    async def test_are_refused_beyond_the_end(
        self, alice: HttpClient, part: tuple[str, bytes, str]
    ) -> None:
        path, data, tag = part
        for wanted in (f"bytes={len(data)}-", "bytes=-0"):
            answer = await alice.get(path, headers={"Range": wanted})
            await problem(answer, 416, "range_not_satisfiable")
        assert (await alice.get(path, headers={"If-None-Match": tag})).status == 304
        head = await alice.head(path)
        assert (head.status, head.headers["Content-Length"]) == (200, str(len(data)))

    @settings(max_examples=50)
    @given(st.text(max_size=30) | st.from_regex(r"bytes=\d{0,20}-\d{0,20}", fullmatch=True))
    def test_are_parsed_or_ignored(self, header: str) -> None:
        try:
            found = parse_range(header, 1000)
        except RangeNotSatisfiable:
            return
        assert 0 <= found.start < found.end <= 1000
        assert not found.is_whole or (found.start, found.end) == (0, 1000)
