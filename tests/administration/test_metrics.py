"""Metrics over HTTP: what they count, and who may read them."""

import re
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web
from bson import ObjectId
from pymongo.errors import AutoReconnect

from chatvault.actor import Role, Scope
from chatvault.administration import readings
from chatvault.administration.routes import HEALTH_DEPS
from chatvault.fields import now
from chatvault.operations import ROUTES
from conftest import HttpClient, SignIn
from support.factories import begin, message
from support.following import Follower
from support.keys import key_of, program
from support.metrics import Read
from support.sharing import leave

APPEND = "/conversations/{conversation_id}/messages"


async def read(http: HttpClient) -> Read:
    answer = await http.get("/metrics")
    assert answer.status == 200, await answer.text()
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    return Read(await answer.text())


@pytest.fixture
def fresh(constants: pytest.MonkeyPatch) -> None:
    """What is read of the database is read each time."""
    constants.setattr(readings, "KEPT_SECONDS", -1)


class TestMetrics:
    async def test_count_requests_by_route_and_never_name_anybody(
        self, admin: HttpClient, alice: HttpClient
    ) -> None:
        made = await begin(alice, title="Fjords")
        before = await read(admin)
        path = f"/conversations/{made['id']}/messages"
        for _ in range(3):
            await alice.post(path, json=message("Which glacier?"))
        await alice.get(f"/conversations/{ObjectId()}")
        await alice.get("/nowhere/alice")
        await alice.request("LOCK", "/nowhere")
        after = await read(admin)

        def grown(name: str, **labels: str) -> float:
            return (after.get(name, **labels) or 0) - (before.get(name, **labels) or 0)

        append = {"route": APPEND, "method": "POST"}
        assert grown("chatvault_requests_total", **append, status="200") == 3
        assert grown("chatvault_request_duration_seconds_count", **append) == 3
        assert grown("chatvault_requests_total", status="404", method="GET") == 1
        assert grown("chatvault_requests_total", route="none", method="OTHER", status="404") == 2
        assert grown("chatvault_commit_queue_wait_seconds_count") == 3
        batches = grown("chatvault_commit_batch_changes_count")
        assert 1 <= batches == grown("chatvault_commit_duration_seconds_count")
        assert grown("chatvault_commit_batch_changes_sum") == 3
        templates = {operation.path for routes in ROUTES for operation in routes}
        assert after.labels("route") <= templates | {"none", "page"}
        words = " ".join(f"{name} {labels}" for name, labels in after.samples)
        assert not re.search(r"[0-9a-f]{24}|alice|Fjords|glacier", words)

    async def test_tell_of_the_process_and_of_the_database(
        self, admin: HttpClient, alice: HttpClient, database: Any, fresh: None
    ) -> None:
        waiting = ObjectId.from_datetime(now() - timedelta(minutes=2))
        await database.audit_logs.insert_one({"_id": waiting})
        await database.reply_jobs.insert_one({"user_id": ObjectId(), "due_at": now()})
        found = await read(admin)

        assert 119 <= (found.get("chatvault_audit_unsealed_seconds") or 0) < 600
        assert found.get("chatvault_jobs", kind="reply") == 1
        assert found.get("chatvault_jobs", kind="import") == 0
        assert found.get("chatvault_database_up") == 1
        assert found.get("chatvault_worker_up", worker="0") == 1
        for gauge in (
            "chatvault_commit_queue_depth",
            "chatvault_replies_running",
            "chatvault_change_stream_silence_seconds",
            "chatvault_search_missing_messages",
            "chatvault_failing_loops",
        ):
            assert found.get(gauge, worker="0") == 0, gauge
        assert (found.get("process_resident_memory_bytes") or 0) > 1e6
        assert not [name for name, _ in found.samples if name.endswith("_created")]

    async def test_are_shown_without_the_database(
        self, app: web.Application, http: HttpClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def fail(*_: object) -> int:
            raise AutoReconnect("away")

        monkeypatch.setattr(readings, "_count", fail)
        text = await app[HEALTH_DEPS].exposition.show_all()

        found = Read(text.decode())
        assert found.get("chatvault_database_up") == 0
        assert found.get("chatvault_jobs") is None
        assert found.get("chatvault_commit_queue_depth") == 0

    async def test_count_streams_and_how_late_changes_come(
        self, admin: HttpClient, alice: HttpClient
    ) -> None:
        before = await read(admin)
        follower = await Follower(alice).open()
        found = await read(admin)
        assert found.get("chatvault_stream_connections", transport="sse") == 1
        assert 0 < (found.get("chatvault_change_stream_silence_seconds") or 0) < 60
        await begin(alice)
        await follower.until("conversation.created")
        follower.close()
        delayed = "chatvault_change_stream_delay_seconds_count"

        async def is_over() -> bool:
            found = await read(admin)
            streams = found.get("chatvault_stream_connections", transport="sse")
            return streams == 0 and (found.get(delayed) or 0) > (before.get(delayed) or 0)

        while not await is_over():
            pass

    async def test_are_for_admins_and_their_keys_alone(
        self, admin: HttpClient, alice: HttpClient, sign_in: SignIn, database: Any
    ) -> None:
        for other in (alice, await sign_in("audrey", role=Role.AUDITOR)):
            for path in ("/metrics", "/admin/health"):
                assert (await other.get(path)).status == 403
        with_scope = program(admin, await key_of("adam", [Scope.ADMIN]))
        without = program(admin, await key_of("adam", [Scope.AUDIT_READ]))
        of_alice = program(admin, await key_of("alice", [Scope.ADMIN]))

        assert (await with_scope.get("/metrics")).status == 200
        assert (await without.get("/metrics")).status == 403
        assert (await of_alice.get("/metrics")).status == 403
        entry = await database.audit_logs.find_one({"action": "metrics.get", "outcome": "success"})
        assert entry["details"] is None
        for each in (with_scope, without, of_alice):
            await leave(each)


class TestHealth:
    async def test_shows_the_parts_of_the_service(
        self, admin: HttpClient, alice: HttpClient, database: Any, fresh: None
    ) -> None:
        await begin(alice)
        answer = await admin.get("/admin/health")
        shown = await answer.json()

        assert answer.status == 200
        assert shown["is_database_up"] is True
        assert (shown["failing"], shown["replies_running"]) == ([], 0)
        assert shown["commit_queue"] == {"waiting": 0}
        assert shown["live"]["connections"] == 0
        assert shown["search"] == {"users": 0, "missing_messages": 0}
        assert shown["audit"]["block"] is None
        assert 0 <= shown["audit"]["unsealed_seconds"] < 60
        assert shown["jobs"] == {"batch": 0, "erasure": 0, "export": 0, "import": 0, "reply": 0}
