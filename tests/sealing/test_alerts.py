"""Alerts: what somebody should look at is recorded from the stream, and nothing else is."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId

from chatvault.audit.actions import Action, Outcome
from chatvault.audit.models import AuditEntry, Entry
from chatvault.fields import now
from chatvault.mongodb.leases import Lease, release, take
from chatvault.sealing import alerts, maintenance
from chatvault.sealing.alerts import Alarm, Alert, Watch
from chatvault.sealing.maintenance import Maintenance
from chatvault.sealing.sealer import Sealer
from chatvault.sealing.verify import NotVerified, verify
from support.sealing import Log, entry, running, until


def failed_login(account: str = "a1", address: str = "192.0.2.1", **fields: Any) -> Entry:
    failed = {
        "action": Action.SESSION_LOGIN.value,
        "outcome": Outcome.DENIED.value,
        "code": "invalid_credentials",
        "user_id": None,
        "resource_id": account,
        "address": address,
        "details": None,
    }
    return entry(**(failed | fields))


def refused(user: ObjectId, resource: str | None) -> Entry:
    said = {"outcome": Outcome.DENIED.value, "code": "not_found", "details": None}
    return entry() | {"user_id": user, "resource_id": resource} | said


def see(entries: list[Entry], seen: Watch | None = None) -> list[Alert]:
    looking = seen or Watch()
    return [alert for each in entries for alert in looking.see(each)]


class TestFailedLogins:
    def test_cause_one_alert_for_an_account(self) -> None:
        found = see([failed_login(address=f"192.0.2.{n}") for n in range(25)])
        assert [alert.details for alert in found] == [
            {"by": "account", "account": "a1", "count": alerts.FAILED_LOGINS_OF_ACCOUNT}
        ]

    def test_cause_an_alert_for_an_unknown_name(self) -> None:
        unknown = failed_login(resource_id=None, details={"name_hash": "ab12"})
        [alert] = see([unknown | {"address": str(n)} for n in range(10)])
        assert alert.details["account"] == "ab12"

    def test_cause_one_alert_for_an_address(self) -> None:
        found = see([failed_login(account=f"a{n}") for n in range(70)])
        assert [(alert.alarm, alert.address, alert.details) for alert in found] == [
            (Alarm.FAILED_LOGINS, "192.0.2.1", {"by": "address", "count": 30})
        ]

    def test_count_as_many_if_one_entry_counts_many(self) -> None:
        counted = failed_login(resource_id=None, code="too_many_requests", details={"count": 40})
        [alert] = see([counted])
        assert alert.details == {"by": "address", "count": 40}

    def test_are_forgotten_after_ten_minutes(self) -> None:
        began = now()
        entries = [failed_login(at=began + timedelta(minutes=2 * n)) for n in range(40)]
        assert see(entries) == []

    def test_cause_another_alert_in_another_window(self) -> None:
        later = now() + timedelta(hours=1)
        entries = [failed_login() for _ in range(12)] + [failed_login(at=later) for _ in range(12)]
        assert len(see(entries)) == 2

    def test_count_if_they_arrive_out_of_order(self) -> None:
        began = now()
        entries = [failed_login(at=began - timedelta(milliseconds=n)) for n in range(10)]
        assert len(see(entries)) == 1

    def test_are_counted_for_a_limited_number_of_subjects(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(alerts, "MAX_SUBJECTS", 10)
        looking = Watch()
        see([failed_login(account=str(n), address=str(n)) for n in range(100)], looking)
        assert len(looking._windows) == 10


class TestForeignIds:
    def test_cause_one_alert(self) -> None:
        user = ObjectId()
        found = see([refused(user, str(ObjectId())) for _ in range(50)])
        assert [alert.details for alert in found] == [{"user_id": str(user), "ids": 20}]

    @pytest.mark.parametrize("resource", ["one", None])
    def test_cause_no_alert_if_they_are_few(self, resource: str | None) -> None:
        user = ObjectId()
        assert see([refused(user, resource) for _ in range(50)]) == []

    def test_cause_no_alert_if_they_are_of_many_users(self) -> None:
        assert see([refused(ObjectId(), str(ObjectId())) for _ in range(50)]) == []

    def test_are_not_successful_operations(self) -> None:
        assert see([entry(action=Action.SESSION_LOGIN.value) for _ in range(50)]) == []


Tamper = Callable[[Log, ObjectId], Awaitable[Any]]


async def update(log: Log, entry_id: ObjectId) -> None:
    await log.entries.update_one({"_id": entry_id}, {"$set": {"code": "x"}})


async def replace(log: Log, entry_id: ObjectId) -> None:
    await log.entries.replace_one({"_id": entry_id}, {"x": 1})


async def delete(log: Log, entry_id: ObjectId) -> None:
    await log.entries.delete_one({"_id": entry_id})


class TestStream:
    @pytest.mark.parametrize(
        ("tamper", "operation"), [(update, "update"), (replace, "update"), (delete, "delete")]
    )
    async def test_causes_an_alert_for_tampering(
        self, log: Log, tamper: Tamper, operation: str
    ) -> None:
        [[first, _]] = await log.write_blocks(2)
        await tamper(log, first)
        await log.seal()
        assert await log.alerts() == [
            {
                "alarm": "tampered_entry",
                "entries": [str(first)],
                "count": 1,
                "operation": operation,
            }
        ]

    async def test_causes_an_alert_for_an_entry_deleted_before_sealing(self, log: Log) -> None:
        await log.write_blocks(1)
        [hasty] = await log.write(1)
        await delete(log, hasty)
        await log.seal()

        assert hasty in await log.sealed()
        with pytest.raises(NotVerified, match=f"entry {hasty} of block 1 is missing"):
            await verify()

    async def test_causes_an_alert_for_forged_entries(self, log: Log) -> None:
        await log.write_blocks(1)
        forged = entry()
        await log.entries.insert_one(forged)
        await log.seal()
        [alert] = await log.alerts()
        assert (alert["alarm"], alert["entries"]) == ("forged_entry", [str(forged["_id"])])

    async def test_causes_an_alert_for_a_dropped_collection(self, log: Log) -> None:
        await log.write_blocks(2)
        await log.entries.drop()
        await log.write(1)
        await log.seal()
        assert [alert["alarm"] for alert in await log.alerts()] == ["log_dropped"]
        assert "audit.gap" in await log.actions()

    async def test_causes_alerts_that_are_sealed_too(self, log: Log) -> None:
        await log.write_blocks(1)
        await AuditEntry.store([failed_login() for _ in range(12)])
        await log.seal()
        [alert] = await log.alerts()
        assert alert == {"alarm": "failed_logins", "by": "account", "account": "a1", "count": 10}
        assert (await verify()).unsealed == 0

    async def test_records_tampering_before_the_block_after_it(
        self, log: Log, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        [[first]] = await log.write_blocks(1)
        await delete(log, first)
        await log.write(1)

        async def die(*_: Any) -> None:
            raise asyncio.CancelledError

        with monkeypatch.context() as patched:
            patched.setattr("chatvault.sealing.sealer.Block.append", die)
            with pytest.raises(asyncio.CancelledError):
                await log.seal()
        assert len(await log.alerts()) == 1


class TestMaintenance:
    async def test_checks_the_newest_blocks_and_reports_a_finding_once(self, log: Log) -> None:
        [[first, _]] = await log.write_blocks(2)
        care = Maintenance(retention_days=0)
        await care.check_newest()
        assert await log.alerts() == []
        await update(log, first)
        for _ in range(3):
            await care.check_newest()
        assert await log.alerts() == [
            {"alarm": "not_verified", "finding": f"entry {first} of block 0 was changed"}
        ]

    async def test_does_not_build_on_a_block_that_is_not_ours(
        self, log: Log, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(maintenance, "PAUSE_SECONDS", 0.05)
        await log.write_blocks(1)
        await log.blocks.update_one({"_id": 0}, {"$set": {"signature": b"x"}})
        await log.write(1)
        async with running(Maintenance(retention_days=0).run()):

            async def told() -> bool:
                return bool(await log.alerts())

            await until(told)
            await asyncio.sleep(0.3)
        [alert] = await log.alerts()
        assert alert["alarm"] == "not_verified"
        assert await log.blocks.count_documents({}) == 1

    async def test_moves_to_another_process_within_seconds_of_a_crash(self, log: Log) -> None:
        await take(maintenance.JOB, holder="dead", seconds=maintenance.LEASE_SECONDS)
        lease = await Lease.get_pymongo_collection().find_one({"_id": maintenance.JOB})
        assert lease is not None
        await log.write(3)
        async with running(Maintenance(retention_days=0).run()):

            async def sealed() -> bool:
                return len(await log.sealed()) == 3

            await until(sealed)
        block = await log.blocks.find_one({})
        assert block is not None
        assert block["header"]["sealed_at"] >= lease["until"]

    async def test_moves_to_another_process_at_once_when_stopped(self, log: Log) -> None:
        async with running(Maintenance(retention_days=0).run()):

            async def holds() -> bool:
                return bool(await Lease.get_pymongo_collection().count_documents({}))

            await until(holds)
        assert await take(maintenance.JOB, holder="next", seconds=4)

    async def test_continues_after_any_failure(
        self, log: Log, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(maintenance, "PAUSE_SECONDS", 0.05)
        follow, failures = Sealer.follow, [ValueError("a fault of ours"), None]

        async def fail_once(self: Sealer) -> None:
            if failures and (failure := failures.pop(0)):
                raise failure
            await follow(self)

        monkeypatch.setattr(Sealer, "follow", fail_once)
        await log.write(1)
        async with running(Maintenance(retention_days=0).run()):

            async def sealed() -> bool:
                return len(await log.sealed()) == 1

            await until(sealed)


class TestLease:
    async def test_has_one_holder(self, log: Log) -> None:
        assert await take("job", holder="a", seconds=60)
        assert not await take("job", holder="b", seconds=60)
        assert await take("job", holder="a", seconds=60)
        await release("job", holder="b")
        assert not await take("job", holder="b", seconds=60)
        await release("job", holder="a")
        assert await take("job", holder="b", seconds=60)

    @pytest.mark.parametrize("away", [timedelta(seconds=-1), timedelta(hours=1)])
    async def test_is_free_when_expired_or_the_clock_was_set_back(
        self, log: Log, away: timedelta
    ) -> None:
        lease = {"_id": "job", "holder": "a", "until": now() + away}
        await Lease.get_pymongo_collection().insert_one(lease)
        assert await take("job", holder="b", seconds=60)
