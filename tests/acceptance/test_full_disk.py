"""A disk without room: 503 while it lasts, ready soon after, and nothing acknowledged is lost."""

import asyncio
import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import psutil  # type: ignore[import-untyped]  # it carries no annotations
import pytest

from support.appending import everything
from support.disks import as_seen_by, filled, require_mounts, top_up, with_disk
from support.running import Service, ask, processes_of

READY_SECONDS = 30


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    require_mounts()
    # In its namespace the service is called root, and the real one's directory would be in the way.
    sockets = tempfile.TemporaryDirectory(dir="/tmp")
    monkeypatch.setenv("TMPDIR", sockets.name)
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    running = Service(data_dir, log_level="warning", mongodb_timeout=1)
    running.command = with_disk(data_dir, "size=200m,mode=700", running.command)
    with sockets, running:
        yield running


def mongods(service: Service) -> list[psutil.Process]:
    return [each for each in processes_of(service.data_dir) if "--dbpath" in each.cmdline()[:4]]


async def append(service: Service, browser: aiohttp.ClientSession, home: str, words: str) -> bool:
    """Whether a message was acknowledged; what is refused says so."""
    url = f"{service.url}/conversations/{home}/messages"
    body = {"role": "user", "content": words}
    answer, told = await ask(browser, "POST", url, body, headers={"Prefer": "return=minimal"})
    assert answer.status in {200, 503}, told
    return answer.status == 200


class TestFullDisk:
    async def test_is_recovered_from_once_there_is_space(self, service: Service) -> None:
        disk = as_seen_by(service.process.pid, service.data_dir)
        async with service.browser() as browser:
            await service.sign_in(browser)
            _, begun = await ask(browser, "POST", f"{service.url}/conversations", {})
            home = begun["id"]
            acknowledged = set()
            with filled(disk):
                while mongods(service):
                    top_up(disk)
                    words = secrets.token_hex(250_000)  # or the journal has room for a thousand
                    if await append(service, browser, home, words):
                        acknowledged.add(words)
                # Nor does it help to start all over again.
                for keeper in processes_of(service.data_dir):
                    keeper.kill()
                log = service.log
                while "has 0 MB left" not in log.read_text():
                    top_up(disk)
                    await asyncio.sleep(0.05)
                answer, _ = await ask(browser, "GET", f"{service.url}/ready")
                assert answer.status == 503

            async with asyncio.timeout(READY_SECONDS):
                while not await append(service, browser, home, "again"):  # noqa: ASYNC110  # each time is another try
                    await asyncio.sleep(0.1)
            answer, _ = await ask(browser, "GET", f"{service.url}/ready")
            assert answer.status == 200
            stored = await everything(service, browser, home)
        assert acknowledged | {"again"} <= {each["content"] for each in stored}
