"""The sealer: every entry that commits ends in exactly one block, whatever happens meanwhile."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId

from chatvault.audit import service
from chatvault.audit.keys import load_key_ring
from chatvault.audit.models import AuditEntry
from chatvault.documents import bind_documents
from chatvault.fields import now
from chatvault.mongodb.database import connect, transaction
from chatvault.mongodb.embedded import embedded_mongodb, find_mongod
from chatvault.sealing import sealer
from chatvault.sealing.blocks import Block, Leaf, Overtaken
from chatvault.sealing.sealer import Sealer
from chatvault.sealing.verify import verify
from chatvault.settings import Settings
from support.oplogs import overflow_oplog
from support.sealing import Killed, Log, entry, lose_tokens, running, until

OTHER = {"audit.gap", "audit.alert"}


async def check(log: Log) -> None:
    """Every entry is in exactly one block, and the log verifies."""
    stored = [each["_id"] async for each in log.entries.find({}, {"_id": True})]
    sealed = await log.sealed()
    assert sorted(sealed) == sorted(stored)
    report = await verify()
    assert (report.entries, report.unsealed) == (len(stored), 0)


class TestFollow:
    async def test_seals_new_entries_within_seconds(self, log: Log) -> None:
        async with running(Sealer().follow()):
            await asyncio.sleep(0.3)
            for _ in range(5):
                await log.write(3)
                await asyncio.sleep(0.3)

            async def all_sealed() -> bool:
                return len(await log.sealed()) == 15

            await until(all_sealed)
        await check(log)

    async def test_keeps_blocks_small(self, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sealer, "MAX_LEAVES", 10)
        await log.write_blocks(1)
        await log.write(95)
        await log.seal()

        sizes = [len(block["entry_ids"]) async for block in log.blocks.find()]
        assert max(sizes) <= 10
        await check(log)

    async def test_seals_in_the_order_of_commits(self, log: Log) -> None:
        await log.write_blocks(1)
        began, go_on = asyncio.Event(), asyncio.Event()
        early = entry()

        async def slowly(session: Any) -> None:
            await AuditEntry.store([early], session)
            began.set()
            await go_on.wait()

        slow = asyncio.create_task(transaction(slowly))
        await began.wait()
        later = await log.write(3)
        await log.seal()
        go_on.set()
        await slow
        await log.seal()

        assert (await log.sealed())[1:] == [*later, early["_id"]]
        assert early["_id"] < later[0]
        await check(log)

    async def test_seals_entries_written_while_nothing_sealed(self, log: Log) -> None:
        await log.write_blocks(2)
        written = await log.write(7)

        await log.seal()

        assert (await log.sealed())[2:] == written
        assert "audit.gap" not in await log.actions()
        await check(log)

    async def test_seals_everything_at_its_first_start(
        self, log: Log, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sealer, "MAX_LEAVES", 10)
        await log.write(33)

        await log.seal()
        await log.seal()

        assert not OTHER & set(await log.actions())
        assert await log.blocks.count_documents({}) == 4
        await check(log)

    async def test_works_with_clocks_that_go_back(
        self, log: Log, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await log.write_blocks(3)
        monkeypatch.setattr(service, "now", lambda: now() - timedelta(hours=1))
        for module in ("blocks", "sealer"):
            monkeypatch.setattr(
                f"chatvault.sealing.{module}.now", lambda: now() - timedelta(hours=1)
            )
        await log.write_blocks(3)
        monkeypatch.undo()
        await log.write_blocks(3)
        await check(log)


class TestRace:
    async def test_of_two_sealers_seals_each_entry_once(self, log: Log) -> None:
        await log.write_blocks(1)
        async with running(Sealer().follow()), running(Sealer().follow()):
            for _ in range(12):
                await log.write(4)
                await asyncio.sleep(0.25)

            async def all_sealed() -> bool:
                return len(await log.sealed()) >= 49

            await until(all_sealed)
        await check(log)

    async def test_gives_a_height_once(self, log: Log) -> None:
        await log.write_blocks(1)
        await log.write(1)
        newest = await Block.find_header()
        await log.seal()
        leaf = Leaf(ObjectId(), bytes(32), now())

        with pytest.raises(Overtaken):
            await Block.append(log.keys, newest, [leaf], None)


class TestKilled:
    async def test_between_any_two_steps_loses_nothing(self, log: Log) -> None:
        """Cancelled at each point where it waits, one after the other, until it gets through."""
        await log.write(3)
        for at in range(1, 400):
            killed = Killed(Sealer().follow(until_idle=True), at=at)
            await killed
            await log.write(1)
            if killed.is_done:
                break
        assert killed.is_done
        assert at > 10
        await log.seal()
        await check(log)

    async def test_in_a_gap_loses_nothing(self, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
        await log.write_blocks(2)
        lose_tokens(monkeypatch)
        for at in range(1, 600):
            await log.write(1)
            killed = Killed(Sealer().follow(until_idle=True), at=at)
            await killed
            if killed.is_done:
                break
        assert killed.is_done
        await log.seal()
        assert "audit.gap" in await log.actions()
        await check_entries(log)


async def check_entries(log: Log) -> None:
    """Every entry is in exactly one block."""
    stored = [each["_id"] async for each in log.entries.find({}, {"_id": True})]
    assert sorted(await log.sealed()) == sorted(stored)


class TestGap:
    async def test_seals_entries_that_the_stream_has_lost(
        self, log: Log, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await log.write_blocks(2)
        lose_tokens(monkeypatch)
        await log.write(5)

        await log.seal()

        gap = await log.entries.find_one({"action": "audit.gap"})
        assert gap["details"] == {"reason": "stream_lost", "after_block": 0}
        await check(log)

    async def test_is_sealed_past_the_end_of_a_real_oplog(
        self, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # The oplog keeps what came after the last checkpoint of the data: once a minute, usually.
        hurried = tmp_path / "mongod"
        hurried.write_text(f'#!/bin/sh\nexec "{find_mongod()}" --syncdelay 1 "$@"\n')
        hurried.chmod(0o700)
        monkeypatch.setattr("chatvault.mongodb.embedded.find_mongod", lambda: hurried)
        with embedded_mongodb(tmp_path / "small", oplog_mb=1) as url:
            client = connect(url, settings)
            await bind_documents(client, "tests-small", load_key_ring(settings))
            log = Log(client["tests-small"], AuditEntry.keys())
            await log.write_blocks(3, 3)
            written = await log.write(4)
            await overflow_oplog(client)
            await log.seal()

            assert "audit.gap" in await log.actions()
            assert set(written) <= set(await log.sealed())
            await check(log)
            await client.close()
