"""`kill -9` in the middle of an import and of an export: another process does the rest, once."""

import asyncio
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from pymongo import MongoClient

from chatvault.mongodb.embedded import embedded_mongodb
from support.exports import exported
from support.running import Service, ask, processes_of

pytestmark = [pytest.mark.xdist_group("crashes"), pytest.mark.long]

COUNT = 3000
TUS = {"Tus-Resumable": "1.0.0"}


async def begin_import(service: Service, browser: aiohttp.ClientSession, data: bytes) -> str:
    """Upload a file, and begin its import; return the import's address."""
    begun = TUS | {"Upload-Length": str(len(data))}
    async with browser.post(f"{service.url}/imports/uploads", headers=begun) as answer:
        assert answer.status == 201, await answer.text()
        place = answer.headers["Location"]
    part = {**TUS, "Content-Type": "application/offset+octet-stream", "Upload-Offset": "0"}
    async with browser.patch(
        f"{service.url}{place}", headers=part, data=io.BytesIO(data)
    ) as answer:
        assert answer.status == 204, await answer.text()
    upload_id = place.rpartition("/")[2]
    answer, job = await ask(browser, "POST", f"{service.url}/imports?upload_id={upload_id}")
    assert answer.status == 202
    return f"/imports/{job['id']}"


async def state_of(
    service: Service, browser: aiohttp.ClientSession, path: str, *states: str
) -> dict[str, Any]:
    """Return a job when it has one of these states."""
    async with asyncio.timeout(180):
        while True:
            _, job = await ask(browser, "GET", f"{service.url}{path}")
            if job["state"] in states:
                found: dict[str, Any] = job
                return found
            await asyncio.sleep(0.02)


async def reach(service: Service, browser: aiohttp.ClientSession, path: str, number: int) -> None:
    """Return when a job has done this number."""
    async with asyncio.timeout(60):
        while True:
            _, job = await ask(browser, "GET", f"{service.url}{path}")
            if job["done"] >= number:
                return
            await asyncio.sleep(0.01)


def crash(service: Service) -> None:
    service.kill()
    service.start()


def stored(data_dir: Path) -> tuple[list[str], list[dict[str, Any]], list[int]]:
    """Return the sources of all conversations, the entries of jobs, and how often each began."""
    with embedded_mongodb(data_dir) as url, MongoClient[dict[str, Any]](url) as client:
        database = client["chatvault"]
        sources = [each["source"] for each in database.conversations.find({}, {"source": True})]
        actions = {"$in": ["import.run", "export.create"]}
        entries = [*database.audit_logs.find({"action": actions})]
        jobs = [*database.imports.find(), *database.exports.find()]
        return sources, entries, [each["attempts"] for each in jobs]


class TestKilled:
    @pytest.mark.timeout(600)
    async def test_jobs_are_finished_once_by_another_process(self, on_disk: Path) -> None:
        data_dir = on_disk / "data"
        data = json.dumps([exported(number) for number in range(COUNT)]).encode()
        with Service(data_dir, log_level="warning") as service:
            async with service.browser() as browser:
                await service.sign_in(browser)
                path = await begin_import(service, browser, data)
                async with asyncio.timeout(60):
                    while not (await state_of(service, browser, path, "running"))["done"]:  # noqa: ASYNC110  # another process's
                        await asyncio.sleep(0.02)
                await asyncio.to_thread(crash, service)
                done = await state_of(service, browser, path, "completed", "failed")
                assert (done["state"], done["found"], done["done"]) == ("completed", COUNT, COUNT)
                told = done["report"]
                assert told["imported"] + told["already_there"] == COUNT

                answer, _ = await ask(browser, "POST", f"{service.url}/exports", {"format": "html"})
                path = answer.headers["Location"]
                await state_of(service, browser, path, "running")
                await asyncio.to_thread(crash, service)
                assert (await ask(browser, "GET", f"{service.url}{path}"))[1]["parts"] == []
                made = await state_of(service, browser, path, "done", "failed")
                assert (made["state"], made["done"]) == ("done", COUNT)
                [part] = made["parts"]
                async with browser.get(f"{service.url}{path}/parts/1") as answer:
                    archive = zipfile.ZipFile(io.BytesIO(await answer.read()))
                assert part["conversations"] == COUNT
                assert len(archive.namelist()) == COUNT + 1
            sources, entries, attempts = await asyncio.to_thread(stored, data_dir)
        assert len(sources) == len(set(sources)) == COUNT
        assert sorted(each["action"] for each in entries) == ["export.create", "import.run"]
        assert attempts == [2, 2]
        assert processes_of(data_dir) == []

    @pytest.mark.timeout(600)
    async def test_a_batch_changes_each_conversation_once(self, on_disk: Path) -> None:
        data_dir, count = on_disk / "data", 400
        data = [exported(number) for number in range(count)]
        with Service(data_dir, log_level="warning") as service:
            async with service.browser() as browser:
                await service.sign_in(browser)
                await ask(browser, "POST", f"{service.url}/imports", data)
                body = {"action": "archive", "filter": {"status": "active"}}
                answer, _ = await ask(browser, "POST", f"{service.url}/conversations:batch", body)
                path = answer.headers["Location"]
                for part in (1, 2):
                    await reach(service, browser, path, count * part // 3)
                    await asyncio.to_thread(crash, service)
                told = await state_of(service, browser, path, "done", "failed")
            entries = await asyncio.to_thread(archived, data_dir)
        assert (told["state"], told["done"], told["changed"]) == ("done", count, count)
        assert told["failed"] == {}
        assert len(entries) == len(set(entries)) == count


def archived(data_dir: Path) -> list[str]:
    """Return the conversations of all entries of archiving."""
    with embedded_mongodb(data_dir) as url, MongoClient[dict[str, Any]](url) as client:
        found = client["chatvault"].audit_logs.find({"action": "conversation.archive"})
        return [each["resource_id"] for each in found]
