"""The audit log verified over HTTP, in the background."""

import asyncio
import time
from typing import Any

import pytest

from chatvault.actor import Role
from conftest import HttpClient, SignIn
from support.answers import problem

PATH = "/admin/audit-logs/verifications"


@pytest.fixture(autouse=True)
def sealer(own_application: None) -> None:
    """Let the service's own sealer run."""


@pytest.fixture
async def auditor(sign_in: SignIn) -> HttpClient:
    return await sign_in("paula", role=Role.AUDITOR)


async def newest(client: HttpClient) -> dict[str, Any]:
    found: list[dict[str, Any]] = await (await client.get(PATH)).json()
    return found[0]


async def ended(client: HttpClient) -> dict[str, Any]:
    while (found := await newest(client))["state"] == "running":  # noqa: ASYNC110  # over HTTP
        await asyncio.sleep(0.05)
    return found


class TestVerification:
    async def test_reports_its_result(self, auditor: HttpClient, database: Any) -> None:
        for _ in range(3):
            await auditor.get("/conversations")
        answer = await auditor.post(PATH)
        assert answer.status == 201

        found = await ended(auditor)
        assert found["id"] == (await answer.json())["id"]
        assert (found["state"], found["finding"]) == ("verified", None)
        assert found["entries"] + found["unsealed"] >= 3
        entries = await database.audit_logs.find({"action": "audit.verify"}).to_list()
        assert [each["outcome"] for each in entries] == ["success"]
        assert {each["door"] for each in entries} == {"http"}

    async def test_names_the_changed_entry(self, auditor: HttpClient, database: Any) -> None:
        await auditor.get("/conversations")
        entry = await database.audit_logs.find_one({"action": "conversation.list"})
        held = {"entry_ids": entry["_id"]}
        while await database.audit_blocks.find_one(held) is None:  # noqa: ASYNC110  # the same
            await asyncio.sleep(0.05)
        await database.audit_logs.update_one({"_id": entry["_id"]}, {"$set": {"outcome": "denied"}})
        await auditor.post(PATH)

        found = await ended(auditor)
        assert found["state"] == "failed"
        assert str(entry["_id"]) in found["finding"]

    async def test_is_begun_once(self, auditor: HttpClient, database: Any) -> None:
        key = {"Idempotency-Key": "k"}
        answers = await asyncio.gather(*(auditor.post(PATH, headers=key) for _ in range(4)))
        assert len({(await answer.json())["id"] for answer in answers}) == 1
        assert await database.audit_verifications.count_documents({}) == 1

    async def test_is_interrupted_if_its_process_ended(
        self, auditor: HttpClient, database: Any
    ) -> None:
        await auditor.post(PATH)
        await ended(auditor)
        await database.audit_verifications.update_one(
            {}, [{"$set": {"state": "running", "told_at": {"$subtract": ["$$NOW", 60_000]}}}]
        )
        assert (await newest(auditor))["state"] == "interrupted"
        await auditor.post(PATH)
        assert await database.audit_verifications.count_documents({}) == 2

    async def test_is_for_auditors(self, alice: HttpClient) -> None:
        await problem(await alice.post(PATH), 403, "permission_denied")
        await problem(await alice.get(PATH), 403, "permission_denied")

    async def test_leaves_the_event_loop_to_other_tasks(self, auditor: HttpClient) -> None:
        for _ in range(40):
            await asyncio.gather(*(auditor.get("/auth/me") for _ in range(25)))
        await auditor.post(PATH)
        longest, before = 0.0, time.perf_counter()
        while (await newest(auditor))["state"] == "running":
            await asyncio.sleep(0)
            now = time.perf_counter()
            longest, before = max(longest, now - before), now
        assert longest < 2
