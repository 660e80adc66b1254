"""Retention: whole blocks' entries go, announced; the chain still verifies."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from chatvault.audit.models import AuditEntry
from chatvault.fields import now
from chatvault.sealing import retention
from chatvault.sealing.retention import announced_through, remove_expired
from chatvault.sealing.sealer import Sealer
from chatvault.sealing.verify import NotVerified, verify
from support.sealing import Killed, Log, entry, running, until

OLD = timedelta(days=40)


async def write_old(log: Log, *sizes: int) -> list[Any]:
    """Blocks whose entries are 40 days old."""
    ids = []
    for size in sizes:
        entries = [entry(number, at=now() - OLD) for number in range(size)]
        await AuditEntry.store(entries)
        await log.seal()
        ids += [each["_id"] for each in entries]
    return ids


class TestRetention:
    async def test_removes_whole_blocks_and_the_chain_verifies(self, log: Log) -> None:
        await write_old(log, 3, 4)
        kept = await log.write(2)
        await log.seal()

        assert await remove_expired(30) == 7

        await log.seal()
        left = [each["_id"] async for each in log.entries.find().sort("_id", 1)]
        assert left[:2] == kept
        found = log.entries.find({"action": "audit.retention"}).sort("_id", 1)
        said = [each["details"] async for each in found]
        assert said == [{"through_block": 1}, {"removed_through": 1, "entries": 7}]
        report = await verify()
        assert (report.entries, report.removed, report.unsealed) == (4, 7, 0)
        assert await log.alerts() == []

    async def test_keeps_a_block_with_one_young_entry_and_later_blocks(self, log: Log) -> None:
        await write_old(log, 2)
        await AuditEntry.store([entry(at=now() - OLD), entry()])
        await log.seal()
        await write_old(log, 2)

        assert await remove_expired(30) == 2
        assert await announced_through() == 0
        assert await remove_expired(30) == 0

    async def test_announces_nothing_if_nothing_expired(self, log: Log) -> None:
        await log.write_blocks(2, 2)
        assert await remove_expired(30) == 0
        assert "audit.retention" not in await log.actions()

    async def test_is_resumed_after_any_interruption(
        self, log: Log, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(retention, "BATCH", 2)
        await write_old(log, 5, 3)
        await log.write_blocks(1)
        for at in range(1, 300):
            killed = Killed(remove_expired(30), at=at)
            await killed
            await log.seal()
            await verify()
            if killed.is_done:
                break
        assert killed.is_done
        assert (await verify()).removed == 8
        assert await log.alerts() == []

    async def test_removes_expired_announcements_too(self, log: Log) -> None:
        await write_old(log, 2)
        await remove_expired(30)
        await log.seal()
        await log.write_blocks(1)
        assert await remove_expired(-1) > 0
        await log.seal()
        assert (await verify()).removed > 2

    async def test_does_not_excuse_a_removal_beyond_the_announced_one(self, log: Log) -> None:
        await write_old(log, 2)
        [[young]] = await log.write_blocks(1)
        await remove_expired(30)
        await log.entries.delete_one({"_id": young})
        await log.seal()

        with pytest.raises(NotVerified, match=f"entry {young} of block 1 is missing"):
            await verify()
        [alert] = await log.alerts()
        assert alert["entries"] == [str(young)]

    async def test_ignores_a_forged_announcement(self, log: Log) -> None:
        [[first], _] = await log.write_blocks(1, 1)
        forged = entry(action="audit.retention", details={"through_block": 5})
        await log.entries.insert_one(forged)
        await log.entries.delete_one({"_id": first})

        with pytest.raises(NotVerified, match=f"entry {first} of block 0 is missing"):
            await verify()

    async def test_raises_no_alert_while_the_sealer_runs(self, log: Log) -> None:
        await write_old(log, 5)
        async with running(Sealer().follow()):
            await asyncio.sleep(0.2)
            await remove_expired(30)

            async def all_sealed() -> bool:
                return len(await log.sealed()) == 7

            await until(all_sealed)
        assert await log.alerts() == []

    async def test_does_nothing_with_0_days(self, log: Log) -> None:
        await write_old(log, 1)
        async with running(retention.run(0)):
            await asyncio.sleep(0.1)
        assert await log.entries.count_documents({}) == 1
