"""Uploads in parts, and the imports made of them: resumed, refused, cancelled, taken over."""

import asyncio
import base64
import errno
import json
import os
import shutil
import stat
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import ClientResponse, web
from bson import ObjectId

from chatvault.fields import now
from chatvault.importing import service
from chatvault.importing.jobs import runner
from chatvault.importing.jobs.routes import JOB_DEPS
from chatvault.importing.jobs.runner import ImportRunner
from chatvault.importing.models import ImportJob, Upload
from chatvault.importing.uploads import files as upload_files
from chatvault.importing.uploads import service as upload_service
from chatvault.importing.uploads.files import UploadFiles, _report_full_disk
from chatvault.settings import Settings
from chatvault.tasks import stop
from conftest import HttpClient
from support.answers import problem
from support.exports import exported

PATH = "/imports/uploads"
TUS = {"Tus-Resumable": "1.0.0"}
PART = {**TUS, "Content-Type": "application/offset+octet-stream"}
UNKNOWN = str(ObjectId())


def data_of(count: int, **changes: Any) -> bytes:
    return json.dumps([exported(number) | changes for number in range(count)]).encode()


async def create(client: HttpClient, length: int, name: str = "my.json") -> str:
    named = f"filename {base64.b64encode(name.encode()).decode()}"
    headers = {**TUS, "Upload-Length": str(length), "Upload-Metadata": named}
    answer = await client.post(PATH, headers=headers)
    assert answer.status == 201, await answer.text()
    return answer.headers["Location"]


async def send(client: HttpClient, path: str, offset: int, data: Any) -> ClientResponse:
    return await client.patch(path, headers={**PART, "Upload-Offset": str(offset)}, data=data)


async def upload(client: HttpClient, data: bytes, name: str = "my.json") -> str:
    path = await create(client, len(data), name)
    assert (await send(client, path, 0, data)).status == 204
    return path.rpartition("/")[2]


async def start(client: HttpClient, upload_id: str, query: str = "") -> dict[str, Any]:
    answer = await client.post(f"/imports?upload_id={upload_id}{query}")
    assert answer.status == 202, await answer.text()
    found: dict[str, Any] = await answer.json()
    assert answer.headers["Location"] == f"/imports/{found['id']}"
    return found


async def ended(client: HttpClient, import_id: str) -> dict[str, Any]:
    async with asyncio.timeout(60):
        while True:
            found: dict[str, Any] = await (await client.get(f"/imports/{import_id}")).json()
            if found["ended_at"] is not None:
                return found
            await asyncio.sleep(0.05)


async def run(client: HttpClient, data: bytes, query: str = "") -> dict[str, Any]:
    job = await start(client, await upload(client, data), query)
    return await ended(client, job["id"])


def file_of(settings: Settings, upload_id: str) -> Path:
    return settings.data_dir / "uploads" / f"{upload_id}.part"


class TestUpload:
    async def test_is_received_in_parts_and_resumed(
        self, alice: HttpClient, settings: Settings
    ) -> None:
        data = data_of(3)
        path = await create(alice, len(data))
        for start_at in range(0, len(data), 700):
            asked = await alice.head(path, headers=TUS)
            assert asked.status == 200
            assert asked.headers["Upload-Offset"] == str(start_at)
            assert asked.headers["Upload-Length"] == str(len(data))
            assert asked.headers["Tus-Resumable"] == "1.0.0"
            sent = await send(alice, path, start_at, data[start_at : start_at + 700])
            assert sent.status == 204
        assert sent.headers["Upload-Offset"] == str(len(data))

        file = file_of(settings, path.rpartition("/")[2])
        assert file.read_bytes() == data
        if os.name == "posix":
            assert stat.S_IMODE(file.stat().st_mode) == 0o600
            assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700

    async def test_keeps_the_received_bytes_of_a_broken_part(
        self, alice: HttpClient, constants: pytest.MonkeyPatch
    ) -> None:
        path = await create(alice, 100)
        received = asyncio.Event()
        append = upload_service.append

        async def watch(*args: Any, chunks: AsyncIterator[bytes], **more: Any) -> Any:
            async def each() -> AsyncIterator[bytes]:
                async for chunk in chunks:
                    yield chunk
                    received.set()

            return await append(*args, chunks=each(), **more)

        async def broken() -> Any:
            yield b"a" * 40
            await asyncio.Event().wait()

        constants.setattr(upload_service, "append", watch)
        sending = asyncio.create_task(send(alice, path, 0, broken()))
        await received.wait()
        await stop(sending)
        async with asyncio.timeout(20):
            while (await alice.head(path)).headers["Upload-Offset"] != "40":  # noqa: ASYNC110  # the service notices by itself
                await asyncio.sleep(0.05)  # the service notices by itself
        assert (await send(alice, path, 40, b"b" * 60)).status == 204

    @pytest.mark.parametrize(("offset", "size"), [(1, 5), (0, 11), (99, 1)])
    async def test_refuses_a_part_at_another_offset(
        self, alice: HttpClient, offset: int, size: int
    ) -> None:
        path = await create(alice, 10)
        answer = await send(alice, path, offset, b"x" * size)
        if offset:
            await problem(answer, 409, "wrong_offset")
        else:
            await problem(answer, 413, "too_large")
        assert (await alice.head(path)).headers["Upload-Offset"] == "0"

    async def test_refuses_a_part_without_a_length_that_is_too_long(
        self, alice: HttpClient, settings: Settings
    ) -> None:
        path = await create(alice, 10)

        async def many() -> Any:
            for _ in range(5):
                yield b"x" * 4

        await problem(await send(alice, path, 0, many()), 413, "too_large")
        assert file_of(settings, path.rpartition("/")[2]).stat().st_size <= 10

    async def test_is_hidden_from_others(self, alice: HttpClient, bob: HttpClient) -> None:
        path = await create(alice, 10)
        for other in (path, f"{PATH}/{UNKNOWN}", f"{PATH}/nonsense"):
            await problem(await bob.get(other), 404, "not_found")
            await problem(await send(bob, other, 0, b"x"), 404, "not_found")
            await problem(await bob.delete(other), 404, "not_found")
            upload_id = other.rpartition("/")[2]
            if upload_id != "nonsense":
                await problem(await bob.post(f"/imports?upload_id={upload_id}"), 404, "not_found")
        assert (await alice.head(path)).headers["Upload-Offset"] == "0"

    async def test_counts_against_the_users_limit(
        self, alice: HttpClient, bob: HttpClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(upload_files, "RESERVE", -(10 * 1024**3))
        headers = {**TUS, "Upload-Length": str(5 * 1024**3)}
        await problem(await alice.post(PATH, headers=headers), 413, "too_large")
        for _ in range(2):
            path = await create(alice, 4 * 1024**3)
        one = {**TUS, "Upload-Length": "1"}
        await problem(await alice.post(PATH, headers=one), 429, "too_many_requests")
        await create(bob, 1)
        assert (await alice.delete(path)).status == 204
        await create(alice, 1)
        monkeypatch.setattr(upload_service, "MAX_UPLOADS", 2)
        await problem(await alice.post(PATH, headers=one), 429, "too_many_requests")

    async def test_reports_a_full_disk(
        self, alice: HttpClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = await create(alice, 10)
        append = UploadFiles.append

        def full(self: UploadFiles, upload_id: ObjectId, data: bytes) -> None:
            append(self, upload_id, data[:3])
            if data:
                with _report_full_disk():
                    raise OSError(errno.ENOSPC, "full")

        monkeypatch.setattr(UploadFiles, "append", full)
        await problem(await send(alice, path, 0, b"0123456789"), 503, "no_space")
        monkeypatch.undo()
        assert (await alice.head(path)).headers["Upload-Offset"] == "3"
        assert (await send(alice, path, 3, b"3456789")).status == 204

    async def test_leaves_room_on_the_disk(
        self, alice: HttpClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        free = 100
        monkeypatch.setattr(
            shutil, "disk_usage", lambda _: SimpleNamespace(total=20 * 90, free=free)
        )
        more = {**TUS, "Upload-Length": "11"}
        await problem(await alice.post(PATH, headers=more), 503, "no_space")
        path = await create(alice, 10)
        free = 95
        await problem(await send(alice, path, 0, b"0123456789"), 503, "no_space")
        free = 100
        assert (await send(alice, path, 0, b"0123456789")).status == 204

    @pytest.mark.parametrize(
        ("headers", "status", "code"),
        [
            ({"Tus-Resumable": "0.2.2"}, 412, "unsupported_tus_version"),
            ({"Content-Type": "application/json"}, 415, "unsupported_media_type"),
            ({"Content-Encoding": "gzip"}, 415, "unsupported_media_type"),
            ({"Upload-Offset": "-1"}, 422, "invalid_input"),
        ],
    )
    async def test_refuses_malformed_parts(
        self, alice: HttpClient, headers: dict[str, str], status: int, code: str
    ) -> None:
        path = await create(alice, 10)
        sent = await alice.patch(path, headers={**PART, "Upload-Offset": "0", **headers}, data=b"x")
        await problem(sent, status, code)
        assert sent.headers["Tus-Version"] == "1.0.0"

    async def test_refuses_malformed_uploads(self, alice: HttpClient) -> None:
        for length in ("", "0", "-5", "x"):
            answer = await alice.post(PATH, headers={**TUS, "Upload-Length": length})
            await problem(answer, 422, "invalid_input")
        bad = {**TUS, "Upload-Length": "1", "Upload-Metadata": "filename !!!"}
        await problem(await alice.post(PATH, headers=bad), 422, "invalid_input")

    async def test_reports_that_another_machine_has_its_bytes(
        self, alice: HttpClient, settings: Settings
    ) -> None:
        upload_id = await upload(alice, b"12345")
        file_of(settings, upload_id).unlink()
        await problem(await alice.get(f"{PATH}/{upload_id}"), 409, "upload_elsewhere")
        answer = await alice.post(f"/imports?upload_id={upload_id}")
        await problem(answer, 409, "upload_elsewhere")


class TestImport:
    async def test_runs_and_reports_its_result(
        self, alice: HttpClient, settings: Settings, database: Any
    ) -> None:
        # Other tests share the application, and its directory.
        before = set((settings.data_dir / "uploads").glob("*.part"))
        job = await run(alice, data_of(5))
        assert job["state"] == "completed"
        counts = {"found": 5, "imported": 5, "already_there": 0}
        assert {name: job["report"][name] for name in counts} == counts
        assert job["report"]["formats"]["localstorage"]["imported"] == 5
        assert (job["found"], job["done"], job["names"]) == (5, 5, ["my.json"])
        assert job["report"]["messages"] == sum(len(exported(n)["messages"]) for n in range(5))
        assert await (await alice.get("/conversations/stats/count")).json() == {"count": 5}
        entry = await database.audit_logs.find_one({"action": "import.run"})
        assert (entry["door"], entry["resource_id"]) == ("background", job["id"])
        assert entry["details"]["imported"] == 5
        assert set((settings.data_dir / "uploads").glob("*.part")) == before
        assert await database.import_uploads.count_documents({}) == 0

    async def test_fails_if_nothing_is_imported(self, alice: HttpClient) -> None:
        await run(alice, data_of(2))
        job = await run(alice, data_of(2))
        assert job["state"] == "nothing_imported"
        assert job["report"]["already_there"] == 2

    async def test_reports_an_error_and_keeps_the_upload(self, alice: HttpClient) -> None:
        upload_id = await upload(alice, data_of(2)[:-5], "cut.json")
        job = await ended(alice, (await start(alice, upload_id))["id"])
        assert (job["state"], job["code"]) == ("failed", "import_rejected")
        assert job["detail"].startswith("cut.json: not JSON at")
        job = await ended(alice, (await start(alice, upload_id, "&salvage=true"))["id"])
        assert (job["state"], job["report"]["imported"]) == ("completed", 1)

    async def test_supports_a_dry_run(self, alice: HttpClient) -> None:
        upload_id = await upload(alice, data_of(3))
        job = await ended(alice, (await start(alice, upload_id, "&dry_run=true"))["id"])
        assert (job["state"], job["report"]["imported"]) == ("completed", 3)
        assert await (await alice.get("/conversations/stats/count")).json() == {"count": 0}
        job = await ended(alice, (await start(alice, upload_id))["id"])
        assert job["state"] == "completed"

    async def test_imports_several_files_as_one(self, alice: HttpClient) -> None:
        ids = [await upload(alice, json.dumps([exported(n)]).encode()) for n in range(3)]
        job = await ended(alice, (await start(alice, ",".join(ids)))["id"])
        assert job["report"]["imported"] == 3

    async def test_requires_complete_and_unused_uploads(
        self, alice: HttpClient, database: Any
    ) -> None:
        path = await create(alice, 10)
        upload_id = path.rpartition("/")[2]
        answer = await alice.post(f"/imports?upload_id={upload_id}")
        await problem(answer, 409, "upload_incomplete")
        await send(alice, path, 0, b"0123456789")
        held = {"state": "queued", "uploads": [ObjectId(upload_id)], "place": "elsewhere"}
        owner = (await database.import_uploads.find_one({}))["user_id"]
        await database.imports.insert_one({"user_id": owner, **held})
        answer = await alice.post(f"/imports?upload_id={upload_id}")
        await problem(answer, 409, "upload_in_use")
        await problem(await alice.delete(path), 409, "upload_in_use")
        await problem(await send(alice, path, 10, b""), 409, "upload_in_use")

    async def test_can_be_followed_from_any_event(self, alice: HttpClient) -> None:
        job = await run(alice, data_of(2))
        path = f"/imports/{job['id']}/events"
        for after, count in ((0, 1), (job["version"] - 1, 1), (job["version"], 0)):
            answer = await alice.get(path, headers={"Last-Event-ID": str(after)})
            text = await answer.text()
            assert text.count("event: import") == count
        running = await start(alice, await upload(alice, data_of(4)))
        answer = await alice.get(f"/imports/{running['id']}/events")
        told = [
            json.loads(line.removeprefix("data: "))
            for line in (await answer.text()).splitlines()
            if line.startswith("data: ")
        ]
        assert told[-1]["state"] == "completed"
        versions = [each["version"] for each in told]
        assert versions == sorted(set(versions))

    async def test_is_listed_in_pages(self, alice: HttpClient, bob: HttpClient) -> None:
        ids = [(await run(alice, data_of(1)))["id"] for _ in range(3)]
        await run(bob, data_of(1))
        page = await (await alice.get("/imports?limit=2")).json()
        assert [each["id"] for each in page["imports"]] == [ids[2], ids[1]]
        page = await (await alice.get(f"/imports?limit=2&after={page['next']}")).json()
        assert ([each["id"] for each in page["imports"]], page["next"]) == ([ids[0]], None)

    async def test_is_hidden_from_others(self, alice: HttpClient, bob: HttpClient) -> None:
        job = await run(alice, data_of(1))
        for import_id in (job["id"], UNKNOWN, "nonsense"):
            path = f"/imports/{import_id}"
            await problem(await bob.get(path), 404, "not_found")
            await problem(await bob.get(f"{path}/events"), 404, "not_found")
            await problem(await bob.post(f"{path}/cancel"), 404, "not_found")

    async def test_leaves_complete_conversations_if_cancelled(
        self, alice: HttpClient, monkeypatch: pytest.MonkeyPatch, settings: Settings
    ) -> None:
        gate = asyncio.Event()
        monkeypatch.setattr(service, "BATCH", 2)
        monkeypatch.setattr(runner, "RENEW_EVERY", 0.02)
        stored = service._Storing.store  # the step to hold

        async def held(self: Any, conversation: Any, found: Any) -> Any:
            if conversation.title == "About 5":
                await gate.wait()
            return await stored(self, conversation, found)

        monkeypatch.setattr(service._Storing, "store", held)  # as above
        job = await start(alice, await upload(alice, data_of(9)))
        async with asyncio.timeout(30):
            while (await (await alice.get(f"/imports/{job['id']}")).json())["done"] < 4:  # noqa: ASYNC110  # it is polled
                await asyncio.sleep(0.02)  # it is told by polling only
        answer = await alice.post(f"/imports/{job['id']}/cancel")
        assert (await answer.json())["cancel_requested"]
        await asyncio.sleep(0.1)
        gate.set()
        found = await ended(alice, job["id"])
        assert found["state"] == "cancelled"
        assert found["report"]["imported"] == found["done"] < 9
        assert not list((settings.data_dir / "uploads").glob("*.part"))
        count = await (await alice.get("/conversations/stats/count")).json()
        assert count == {"count": found["done"]}
        again = await alice.post(f"/imports/{job['id']}/cancel")
        assert (await again.json())["state"] == "cancelled"


class TestRunner:
    """With imports that the service's own runner leaves alone, as another process has them."""

    async def test_continues_an_import_of_another_process(
        self, app: web.Application, alice: HttpClient, database: Any
    ) -> None:
        job = await self._left(alice, database, count=6)
        await self._begin(app, alice, job, of=6, done=4)
        found = await ended(alice, job["id"])
        assert found["state"] == "completed"
        report = {"imported": 6, "already_there": 0, "found": 6}
        assert {name: found["report"][name] for name in report} == report
        assert await (await alice.get("/conversations/stats/count")).json() == {"count": 6}

    async def test_makes_no_second_copy_after_another_process(
        self, app: web.Application, alice: HttpClient, database: Any
    ) -> None:
        await run(alice, data_of(3))
        first = await run(alice, data_of(3), "&on_duplicate=copy")
        assert first["report"]["copied"] == 3
        again: dict[str, Any] = {"state": "queued", "ended_at": None, "done": 0, "report": {}}
        again["lease_until"] = now()
        upload_id = await upload(alice, data_of(3))
        path = app[JOB_DEPS].files.path
        path(ObjectId(upload_id)).rename(path(ObjectId((await self._raw(database))["uploads"][0])))
        await database.imports.update_one({"_id": ObjectId(first["id"])}, {"$set": again})
        app[JOB_DEPS].due.set()
        await ended(alice, first["id"])
        assert await (await alice.get("/conversations/stats/count")).json() == {"count": 6}

    async def test_skips_imports_whose_files_are_elsewhere(
        self, app: web.Application, alice: HttpClient, database: Any
    ) -> None:
        job = await self._left(alice, database, place="another machine")
        made = ImportRunner(app[JOB_DEPS])
        assert await made._take() is None  # one round of it
        old = now() - timedelta(days=2)
        await database.imports.update_one({}, {"$set": {"created_at": old, "state": "queued"}})
        await made._sweep()  # as above
        found = await ended(alice, job["id"])
        assert (found["state"], found["code"]) == ("failed", "upload_missing")

    async def test_runs_one_import_of_a_user_at_a_time(
        self, app: web.Application, alice: HttpClient, bob: HttpClient, database: Any
    ) -> None:
        later = now() + timedelta(hours=1)
        place = app[JOB_DEPS].files.place()
        owner = ObjectId((await (await alice.get("/auth/me")).json())["id"])
        other = ObjectId((await (await bob.get("/auth/me")).json())["id"])
        due = {"place": place, "state": "queued", "lease_until": now(), "attempts": 0, "version": 1}
        running = {**due, "state": "running", "lease_until": later, "user_id": owner}
        await database.imports.insert_one(running)
        held = [{**due, "user_id": each, "lease_until": now()} for each in (owner, other)]
        made = ImportRunner(app[JOB_DEPS])
        # Within a transaction that the service's own runner does not see until it is done.
        await database.imports.insert_many(held)
        taken = await made._take()  # one round of it
        assert taken is None or taken["user_id"] == other
        assert await database.imports.count_documents({"user_id": owner, "state": "queued"}) == 1
        await database.imports.delete_many({})

    async def test_gives_up_after_too_many_interruptions(
        self, alice: HttpClient, app: web.Application, database: Any
    ) -> None:
        job = await self._left(alice, database, attempts=5)
        await self._begin(app, alice, job)
        found = await ended(alice, job["id"])
        assert (found["state"], found["code"]) == ("failed", "import_broke_off")

    async def test_removes_files_without_uploads(
        self, app: web.Application, alice: HttpClient, settings: Settings, database: Any
    ) -> None:
        ids = [await upload(alice, b"x") for _ in range(3)]
        for upload_id in ids[:2]:
            os.utime(file_of(settings, upload_id), (0, 0))
        await database.import_uploads.delete_one({"_id": ObjectId(ids[0])})
        await ImportRunner(app[JOB_DEPS])._sweep()  # one round of it
        there = {path.stem for path in (settings.data_dir / "uploads").glob("*.part")}
        assert there == set(ids[1:])

    @staticmethod
    async def _raw(database: Any) -> dict[str, Any]:
        found: dict[str, Any] = await database.imports.find_one({}, sort=[("_id", -1)])
        return found

    async def _left(
        self, alice: HttpClient, database: Any, *, count: int = 2, **changes: Any
    ) -> dict[str, Any]:
        """Store an import as a process left it that was killed."""
        await upload(alice, data_of(count))
        raw = await Upload.get_pymongo_collection().find_one({}, sort=[("_id", -1)])
        assert raw is not None
        options = {
            "dry_run": False, "salvage": False, "on_duplicate": "skip", "restore_deleted": False,
            "format": None,
        }  # fmt: skip
        left = ImportJob(
            user_id=raw["user_id"], state="running", options=options, uploads=[raw["_id"]],
            names=["my.json"], size=raw["length"], place=raw["place"], created_at=now(),
            lease_until=now() + timedelta(hours=1), attempts=1,
        ).model_dump(exclude={"id", "revision_id"})  # fmt: skip
        left |= {"_id": ObjectId(), "state": "running", **changes}
        await database.imports.insert_one(left)
        return {**left, "id": str(left["_id"])}

    async def _begin(
        self, app: web.Application, alice: HttpClient, job: Any, *, of: int = 0, done: int = 0
    ) -> None:
        """Let the lease end, after so many conversations were imported."""
        report = {}
        if done:
            # What the process before had done.
            first = json.dumps([exported(number) for number in range(of)][:done]).encode()
            answer = await alice.post("/imports", data=first)
            assert answer.status == 200
            counts = {"found": done, "imported": done}
            report = {"imported": done, "formats": [["localstorage", counts]]}
        changes = {"lease_until": now(), "done": done, "report": report}
        jobs = ImportJob.get_pymongo_collection()
        await jobs.update_one({"_id": job["_id"], "user_id": job["user_id"]}, {"$set": changes})
        app[JOB_DEPS].due.set()


class TestRepeat:
    async def test_creates_no_second_upload(self, alice: HttpClient, database: Any) -> None:
        headers = {**TUS, "Upload-Length": "5", "Idempotency-Key": "k"}
        answers = [await alice.post(PATH, headers=headers) for _ in range(2)]
        assert len({each.headers["Location"] for each in answers}) == 1
        assert await database.import_uploads.count_documents({}) == 1
        other = await alice.post(PATH, headers=headers | {"Upload-Length": "6"})
        await problem(other, 422, "idempotency_key_reused")

    async def test_starts_no_second_import(self, alice: HttpClient) -> None:
        upload_id = await upload(alice, data_of(1))
        path, key = f"/imports?upload_id={upload_id}", {"Idempotency-Key": "k"}
        answers = [await alice.post(path, headers=key) for _ in range(2)]
        assert [each.status for each in answers] == [202, 202]
        assert len({each.headers["Location"] for each in answers}) == 1
