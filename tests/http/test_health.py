from typing import Any

import pytest
import structlog
from aiohttp import web

from chatvault.audit import refusals
from chatvault.audit.refusals import RefusalCounter
from chatvault.commands.runner import CommandRunner
from chatvault.conversations.commits import garbage
from chatvault.http import health
from chatvault.mongodb.database import connect
from chatvault.replies.jobs import Worker
from chatvault.replies.runner import ReplyRunner
from chatvault.sealing.maintenance import Maintenance
from chatvault.settings import Settings
from chatvault.tasks import Loops
from chatvault.version import VERSION
from conftest import ClientFactory, HttpClient
from support.sealing import until


class TestHealth:
    async def test_reports_that_the_process_is_alive(self, http: HttpClient) -> None:
        answer = await http.get("/health")

        assert answer.status == 200
        body = await answer.json()
        assert body["status"] == "healthy"
        assert body["version"] == VERSION
        assert body["timestamp"] > 0

    async def test_makes_no_audit_entry_and_no_query(self, http: HttpClient, database: Any) -> None:
        for path in ("/health", "/ready", "/model/current", "/gpu/health"):
            assert (await http.get(path)).status == 200

        assert await database.audit_logs.count_documents({}) == 0

    @pytest.mark.parametrize("path", ["/health", "/ready"])
    async def test_is_logged_only_on_failure(
        self, http: HttpClient, monkeypatch: pytest.MonkeyPatch, path: str
    ) -> None:
        with structlog.testing.capture_logs() as lines:
            await http.get(path)
            await http.post(path)
        levels = [line["log_level"] for line in lines if line["event"] == "request"]
        assert levels == ["debug", "info"]


class TestRoot:
    async def test_links_to_the_documentation(self, http: HttpClient) -> None:
        answer = await http.get("/")

        assert (answer.status, answer.url.path) == (200, "/docs")
        [led] = answer.history
        assert led.status == 302

    async def test_names_existing_paths(self, http: HttpClient) -> None:
        answer = await http.get("/", allow_redirects=False)

        links = await answer.json()
        assert (links.pop("name"), links.pop("version")) == ("chatvault", VERSION)
        for path in links.values():
            assert (await http.get(path)).status == 200


class TestReady:
    async def test_reports_that_the_database_accepts_writes(self, http: HttpClient) -> None:
        answer = await http.get("/ready")

        body = await answer.json()
        assert (answer.status, body) == (
            200,
            {"status": "ready", "reason": None, "failing": []},
        )

    async def test_reports_why_it_is_not_ready(
        self,
        app: web.Application,
        http: HttpClient,
        settings: Settings,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        brief = Settings(data_dir=settings.data_dir, mongodb_timeout=0.1)
        async with connect(
            "mongodb://%2Ftmp%2Fno-such-mongod.sock/?directConnection=true", brief
        ) as nowhere:
            monkeypatch.setitem(app._state, health.CLIENT, nowhere)
            answer = await http.get("/ready")
            alive = await http.get("/health")
            monkeypatch.undo()

        assert answer.status == 503
        body = await answer.json()
        assert body["status"] == "not_ready"
        assert "cannot be reached" in body["reason"]
        assert alive.status == 200


@pytest.mark.usefixtures("clean_database")
class TestBackgroundLoops:
    """An exception that nobody foresaw does not end a loop until the next start."""

    @pytest.mark.parametrize(
        ("loop", "holder", "step"),
        [
            ("commands", CommandRunner, "reap"),
            ("jobs_ahead", Worker, "_take"),
            ("jobs_behind", Worker, "_take"),
            ("refusals", RefusalCounter, "keep"),
            ("replies", ReplyRunner, "reap"),
            ("sealer", Maintenance, "run"),
            ("sweeper", garbage, "sweep"),
        ],
    )
    async def test_are_restarted_and_reported(
        self,
        app: web.Application,
        aiohttp_client: ClientFactory,
        monkeypatch: pytest.MonkeyPatch,
        loop: str,
        holder: Any,
        step: str,
    ) -> None:
        works, calls = getattr(holder, step), 0

        async def fail_at_first(*arguments: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls <= 2:  # two workers share one class
                raise KeyError("nobody foresaw this")
            return await works(*arguments)

        monkeypatch.setattr(holder, step, fail_at_first)
        monkeypatch.setattr(refusals, "KEEP_SECONDS", 0.01)
        app[health.LOOPS] = Loops(first_pause=0.01)
        browser = await aiohttp_client(app)

        async def went_on() -> bool:
            return calls > 2

        await until(went_on)
        answer = await browser.get("/ready")
        assert answer.status == 200
        assert loop in (await answer.json())["failing"]
