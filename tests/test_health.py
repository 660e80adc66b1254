from typing import Any

import pytest
from aiohttp import web

from chatvault import health
from chatvault.database import connect
from chatvault.settings import Settings
from chatvault.version import VERSION
from conftest import HttpClient


class TestHealth:
    async def test_says_that_the_process_is_alive(self, http: HttpClient) -> None:
        answer = await http.get("/health")

        assert answer.status == 200
        body = await answer.json()
        assert body["status"] == "healthy"
        assert body["version"] == VERSION
        assert body["timestamp"] > 0

    async def test_leaves_no_entry_and_asks_no_database(
        self, http: HttpClient, database: Any
    ) -> None:
        for path in ("/health", "/ready", "/model/current", "/gpu/health"):
            assert (await http.get(path)).status == 200

        assert await database.audit_logs.count_documents({}) == 0


class TestReady:
    async def test_says_that_the_database_takes_writes(self, http: HttpClient) -> None:
        answer = await http.get("/ready")

        assert (answer.status, await answer.json()) == (200, {"status": "ready", "reason": None})

    async def test_says_why_not(
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
