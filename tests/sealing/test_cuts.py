"""Cuts: somebody with MongoDB alone removes blocks, and the services seal what is left.

The attacker writes to MongoDB as they like, and has neither the keys nor the data directory.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import bson
import orjson
import pytest
from bson import ObjectId
from bson.binary import Binary
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chatvault.actor import Actor, Door
from chatvault.audit.mark import NOTHING, HighWater, Mark, claim_of
from chatvault.audit.models import AuditEntry
from chatvault.audit.recorder import Recorder
from chatvault.fields import now
from chatvault.mongodb.leases import Lease, take
from chatvault.sealing import maintenance, monitor, sealer, service
from chatvault.sealing.blocks import Block, Leaf, build
from chatvault.sealing.gaps import Reason, was_recorded
from chatvault.sealing.maintenance import Maintenance
from chatvault.sealing.merkle import hash_leaf
from chatvault.sealing.monitor import Monitor
from chatvault.sealing.verify import NotVerified, verify, verify_newest
from support.sealing import Log, entry, lose_tokens, running, until

OPERATOR = Actor(door=Door.CLI)


@pytest.fixture
def note(tmp_path: Path) -> Path:
    """The mark outside MongoDB."""
    return tmp_path / "audit.tests-seal.mark"


@pytest.fixture(params=["noted", "not noted"])
def kept(request: pytest.FixtureRequest, note: Path) -> Path | None:
    """Where the mark is kept, on a machine that keeps one and on one that does not."""
    return note if request.param == "noted" else None


@pytest.fixture
async def blocks(log: Log, note: Path) -> list[list[ObjectId]]:
    """Three blocks of three entries, sealed by a service that notes its mark."""
    await log.restart(note)
    return await log.write_blocks(3, 3, 3)


async def finding(**arguments: Any) -> str:
    with pytest.raises(NotVerified) as found:
        await verify(**arguments)
    return found.value.detail


def noted(note: Path) -> dict[str, Any]:
    told: dict[str, Any] = orjson.loads(note.read_bytes())
    return told


def write(note: Path, content: bytes) -> None:
    note.write_bytes(content)


async def acknowledge() -> tuple[int, int]:
    return await service.acknowledge(OPERATOR, Recorder())


@pytest.fixture
def without_oplog(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let MongoDB show nothing of before: the attacker emptied its oplog, too."""
    lose_tokens(monkeypatch)


class TestCutWhileStopped:
    """No service runs meanwhile; then one starts."""

    async def test_finds_a_deleted_entry_and_all_blocks_dropped(
        self, log: Log, blocks: list[list[ObjectId]], kept: Path | None
    ) -> None:
        await log.entries.delete_one({"_id": blocks[1][1]})
        await log.blocks.drop()

        await log.restart(kept)
        await log.seal()

        assert "cut" in await log.gaps()
        with pytest.raises(NotVerified):
            await verify()

    async def test_finds_all_blocks_dropped(
        self, log: Log, blocks: list[list[ObjectId]], kept: Path | None
    ) -> None:
        await log.blocks.delete_many({})
        await log.restart(kept)
        await log.seal()

        assert (await log.gaps())[0] == ("cut" if kept else "begun_late")
        assert await finding() == (
            f"entry {blocks[1][0]} of block 0 was written after a block that is gone: "
            "the log was cut"
        )

    async def test_finds_newest_blocks_and_an_entry_missing_from_the_oplog(
        self,
        log: Log,
        blocks: list[list[ObjectId]],
        kept: Path | None,
        without_oplog: None,
    ) -> None:
        await log.entries.delete_one({"_id": blocks[1][1]})
        await log.blocks.delete_many({"_id": {"$gte": 1}})
        await log.restart(kept)
        await log.seal()

        assert "cut" in await log.gaps()
        assert "was written after a block that is gone" in await finding()

    async def test_finds_the_newest_blocks_dropped_with_their_entries(
        self, log: Log, blocks: list[list[ObjectId]], note: Path
    ) -> None:
        newest = await Block.find_header()
        assert newest is not None
        await log.blocks.delete_one({"_id": 2})
        await log.entries.delete_many({"_id": {"$in": blocks[2]}})
        await log.restart(note)
        assert await finding() == (
            "block 2 is missing: the log was sealed up to block 2, with 9 entries"
        )
        await log.seal()

        assert (await log.gaps())[0] == "cut"
        gap = await log.entries.find_one({"action": "audit.gap"})
        assert gap["details"] == {
            "reason": "cut",
            "after_block": 1,
            "known_block": 2,
            "known_hash": newest.hash.hex(),
            "known_entries": 9,
        }
        with pytest.raises(NotVerified):
            await verify()

    @pytest.mark.parametrize("is_emptied", [False, True])
    async def test_finds_the_whole_database_rolled_back(
        self,
        log: Log,
        note: Path,
        is_emptied: bool,  # noqa: FBT001  # a parameter of the test
    ) -> None:
        await log.restart(note)
        await log.write_blocks(2, 2)
        names = ("audit_logs", "audit_blocks", "leases")
        snapshot = {name: await log.database[name].find().to_list() for name in names}
        await log.write_blocks(2, 2)
        for name in names:
            await log.database[name].delete_many({})
            if snapshot[name] and not is_emptied:
                await log.database[name].insert_many(snapshot[name])

        await log.restart(note)
        assert "the log was sealed up to block 3, with 8 entries" in await finding()
        await log.write(1)
        await log.seal()
        assert "cut" in await log.gaps()
        with pytest.raises(NotVerified):
            await verify()

    async def test_is_not_found_without_a_mark(
        self, log: Log, blocks: list[list[ObjectId]], without_oplog: None
    ) -> None:
        """As docs/audit.md says: all that was written after a block goes with it."""
        await log.blocks.delete_many({"_id": {"$gte": 1}})
        gone = [each for ids in blocks[1:] for each in ids]
        await log.entries.delete_many({"_id": {"$in": gone}})
        await log.restart()
        assert (await verify()).entries == 3

    async def test_a_mark_of_another_machine_is_a_lower_bound(
        self, log: Log, blocks: list[list[ObjectId]], tmp_path: Path
    ) -> None:
        """It knows of block 0 alone, and so misses what is cut behind it, and nothing else."""
        other = tmp_path / "other" / "audit.tests-seal.mark"
        first = await Block.find_header(0)
        await HighWater(log.keys, other).note(await Block.find_mark(first))
        await log.restart(other)
        await verify()
        await log.blocks.delete_many({})
        await log.restart(other)
        assert "was sealed up to block 0" in await finding()

    async def test_is_recorded_once_if_sealing_fails_meanwhile(
        self, log: Log, blocks: list[list[ObjectId]], note: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await log.blocks.delete_many({"_id": {"$gte": 1}})
        await log.restart(note)

        async def fail(*_: Any) -> None:
            raise ValueError("the disk is full")

        with monkeypatch.context() as patched:
            patched.setattr(Block, "append", fail)
            for _ in range(3):
                with pytest.raises(ValueError, match="the disk is full"):
                    await log.seal()
        await log.seal()
        assert (await log.gaps()).count("cut") == 1


class TestCutWhileRunning:
    """The service runs."""

    @pytest.fixture(autouse=True)
    def quick(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(maintenance, "PAUSE_SECONDS", 0.05)
        monkeypatch.setattr(maintenance, "LEASE_SECONDS", 1)
        monkeypatch.setattr(monitor, "LOOK_SECONDS", 0.05)
        # A busy machine may take seconds.
        monkeypatch.setattr(monitor, "SEALED_WITHIN", timedelta(minutes=1))
        monkeypatch.setattr(sealer, "SEAL_AFTER_SECONDS", 0.1)

    @asynccontextmanager
    async def holding(self, log: Log, holder: str) -> AsyncIterator[None]:
        """Hold the lease as an attacker does, whatever the services do."""

        async def hold() -> None:
            while True:
                ahead = {"holder": holder, "until": now() + timedelta(seconds=1)}
                await log.database["leases"].update_one(
                    {"_id": maintenance.JOB}, {"$set": ahead}, upsert=True
                )
                await asyncio.sleep(0.005)

        async with running(hold()):
            await until(lambda: held_by(log, holder))
            yield

    async def test_records_a_lease_without_our_keys_and_seals_anyway(
        self, log: Log, note: Path
    ) -> None:
        await log.restart(note)
        await log.write_blocks(1)
        async with (
            self.holding(log, "0123456789abcdef0123456789abcdef"),
            running(Maintenance(retention_days=0).run()),
        ):
            written = await log.write(3)
            await until(lambda: is_sealed(log, written))
        assert await log.gaps() == ["stranger"]
        assert "(stranger)" in await finding()

    async def test_finds_blocks_dropped_under_a_foreign_lease(
        self, log: Log, blocks: list[list[ObjectId]], note: Path
    ) -> None:
        async with running(Maintenance(retention_days=0).run()):
            async with self.holding(log, "stranger"):
                await log.entries.delete_one({"_id": blocks[0][1]})
                await log.blocks.delete_many({})
                await until(lambda: told(log, "cut"))
            written = await log.write(1)
            await until(lambda: is_sealed(log, written))
        with pytest.raises(NotVerified):
            await verify()

    async def test_accepts_a_lease_of_an_old_version(
        self, log: Log, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await take(maintenance.JOB, holder="0123456789abcdef0123456789abcdef", seconds=1)
        written = await log.write(1)
        async with running(Maintenance(retention_days=0).run()):
            await until(lambda: is_sealed(log, written))
        assert await log.gaps() == []

    async def test_seals_under_a_lease_forged_for_an_ended_process(
        self, log: Log, note: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The attacker kept the name of one, which has a MAC that fits."""
        monkeypatch.setattr(monitor, "SEALED_WITHIN", timedelta(seconds=-2))
        await log.restart(note)
        await log.write_blocks(1)
        async with (
            self.holding(log, log.keys.certify("dead")),
            running(Maintenance(retention_days=0).run()),
        ):
            written = await log.write(3)
            await asyncio.sleep(0)
            await until(lambda: is_sealed(log, written))
        assert await log.gaps() == ["not_sealed"]
        assert "(not_sealed)" in await finding()

    async def test_finds_all_blocks_dropped(
        self, log: Log, blocks: list[list[ObjectId]], note: Path
    ) -> None:
        async with running(Maintenance(retention_days=0).run()):
            await until(lambda: holds(log))
            await log.blocks.delete_many({})
            await until(lambda: told(log, "cut"))
            written = await log.write(1)
            await until(lambda: is_sealed(log, written))
        with pytest.raises(NotVerified):
            await verify()

    async def test_records_no_gap_in_an_untouched_log(
        self, log: Log, note: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Two services, one of which begins later and stops earlier, and pauses between."""
        await log.restart(note)
        looks = 0
        look = Monitor.look

        async def count(self: Monitor) -> None:
            nonlocal looks
            looks += 1
            await look(self)

        monkeypatch.setattr(Monitor, "look", count)

        async def looked_often() -> bool:
            return looks > 3 * monitor.LOOKS_WITHOUT_SEALING

        async with running(Maintenance(retention_days=0).run()):
            written = await log.write(2)
            await until(lambda: is_sealed(log, written))
            async with running(Maintenance(retention_days=0).run()):
                written = await log.write(2)
                await until(lambda: is_sealed(log, written))
                await until(looked_often)
        assert await log.gaps() == []
        assert (await verify()).entries == 4


async def held_by(log: Log, holder: str) -> bool:
    lease = await log.database["leases"].find_one({"_id": maintenance.JOB})
    return lease is not None and lease["holder"] == holder


async def holds(_log: Log) -> bool:
    return bool(await Lease.get_pymongo_collection().count_documents({}))


async def is_sealed(log: Log, ids: list[ObjectId]) -> bool:
    return set(ids) <= set(await log.sealed())


async def told(log: Log, reason: str) -> bool:
    return await log.entries.find_one({"details.reason": reason}) is not None


async def write_legacy(log: Log, *sizes: int) -> list[ObjectId]:
    """Entries and blocks as they were stored before there were marks."""
    newest, written = None, []
    for size in sizes:
        stored = [log.keys.stamp(entry(number)) for number in range(size)]
        await log.entries.insert_many(stored)
        written += [each["_id"] for each in stored]
        leaves = [
            Leaf(each["_id"], hash_leaf(await log.raw(each["_id"])), each["at"]) for each in stored
        ]
        block = build(log.keys, newest, leaves, None)
        del block["header"]["total"]
        block["signature"] = Binary(log.keys.current.sign(bson.encode(block["header"])))
        await log.blocks.insert_one(block)
        newest = await Block.find_header()
    return written


class TestOldLogs:
    """From before there were marks: entries that tell none, blocks that do not count."""

    async def test_are_opened_and_get_a_mark(self, log: Log, note: Path) -> None:
        await write_legacy(log, 3, 2)
        await log.entries.insert_one(log.keys.stamp(entry()))
        high_water = await log.restart(note)
        assert high_water.newest.count == 5
        await log.write(1)
        await log.seal()

        assert await log.gaps() == []
        report = await verify()
        assert (report.blocks, report.entries, report.unsealed) == (3, 7, 0)
        assert noted(note)["count"] == 7

    async def test_are_noted_at_the_first_start_without_new_entries(
        self, log: Log, note: Path
    ) -> None:
        await write_legacy(log, 3, 2)
        await log.restart(note)
        await log.seal()
        assert noted(note)["height"] == 1

        await log.blocks.delete_one({"_id": 1})
        await log.restart(note)
        assert "was sealed up to block 1, with 5 entries" in await finding()

    async def test_cut_before_the_first_start_of_this_version_are_found(
        self, log: Log, note: Path
    ) -> None:
        """All blocks are gone, as they may be where only commands were ever run."""
        await write_legacy(log, 3, 2)
        await log.blocks.delete_many({})
        await log.restart(note)
        await log.seal()

        assert await log.gaps() == ["begun_late"]
        assert "was written after a block that is gone" in await finding()
        await acknowledge()
        assert (await verify()).entries == 7

    async def test_written_by_commands_only_are_sealed_by_the_first_service(
        self, log: Log, note: Path
    ) -> None:
        await log.restart(note)
        await log.write(2)
        await log.restart(note)
        await log.write(2)
        await log.restart(note)
        await log.seal()
        assert await log.gaps() == []
        assert (await verify()).entries == 4


class TestSealedLate:
    async def test_records_an_entry_that_was_held_back(self, log: Log) -> None:
        await log.write_blocks(1)
        await AuditEntry.store([entry(at=now() - sealer.LATE - timedelta(seconds=5))])
        await log.seal()
        assert await log.gaps() == ["sealed_late"]
        assert "(sealed_late)" in await finding()

    async def test_is_recorded_once_in_ten_minutes(self, log: Log) -> None:
        await log.write_blocks(1)
        for _ in range(3):
            await AuditEntry.store([entry(at=now() - timedelta(hours=1))])
            await log.seal()
        assert await log.gaps() == ["sealed_late"]

    async def test_ignores_entries_written_before_a_stop(self, log: Log) -> None:
        """A service was killed within a second of its last entry, and started a day later."""
        old = now() - timedelta(days=1)
        await AuditEntry.store([entry(at=old)])
        await log.seal()
        await AuditEntry.store([entry(at=old + timedelta(seconds=1))])
        await log.restart()
        await log.seal()
        await log.write_blocks(2)
        assert await log.gaps() == []


class TestAcknowledge:
    async def test_accepts_the_gaps_recorded_so_far(
        self, log: Log, blocks: list[list[ObjectId]], note: Path
    ) -> None:
        await log.blocks.delete_many({"_id": {"$gte": 1}})
        await log.restart(note)
        await log.seal()
        newest = await Block.find_header()
        assert newest is not None
        assert await acknowledge() == (1, newest.height)

        report = await verify()
        assert report.entries == 11
        assert report.accepted >= 1
        await log.seal()
        assert (await verify()).entries == 12

    async def test_is_refused_while_no_service_has_recorded_the_gap(
        self, log: Log, blocks: list[list[ObjectId]], note: Path
    ) -> None:
        await log.blocks.delete_many({"_id": {"$gte": 1}})
        await log.restart(note)
        with pytest.raises(NotVerified, match="start the service first"):
            await acknowledge()

    async def test_is_refused_while_a_gap_is_not_sealed(
        self, log: Log, blocks: list[list[ObjectId]], note: Path
    ) -> None:
        await log.restart(note)
        await AuditEntry.store([entry(action="audit.gap", details={"reason": "stranger"})])
        with pytest.raises(NotVerified, match="not sealed yet"):
            await acknowledge()

    async def test_accepts_no_later_cut(
        self, log: Log, blocks: list[list[ObjectId]], kept: Path | None, without_oplog: None
    ) -> None:
        """What was accepted is one chain: cut below, it is another."""
        await log.blocks.delete_many({"_id": {"$gte": 1}})
        await log.restart(kept)
        await log.seal()
        await acknowledge()
        await log.seal()
        await verify()

        await log.entries.delete_one({"_id": blocks[1][1]})
        await log.blocks.delete_many({"_id": {"$gte": 1}})
        await log.restart(kept)
        await log.seal()
        assert "was written after a block that is gone" in await finding()

    async def test_accepts_no_missing_entry(
        self, log: Log, blocks: list[list[ObjectId]], note: Path
    ) -> None:
        await log.entries.delete_one({"_id": blocks[0][1]})
        await log.restart(note)
        await log.seal()
        await acknowledge()
        assert await finding() == f"entry {blocks[0][1]} of block 0 is missing"

    async def test_has_no_effect_if_forged(
        self, log: Log, blocks: list[list[ObjectId]], note: Path
    ) -> None:
        await log.blocks.delete_many({"_id": {"$gte": 1}})
        await log.restart(note)
        await log.seal()
        newest = await Block.find_header()
        assert newest is not None
        details = {"block": newest.height, "hash": newest.hash.hex(), "gaps": 1}
        forged = entry(action="audit.acknowledge", details=details)
        await log.entries.insert_one(forged)
        assert "was written after a block that is gone" in await finding()


class TestMonitor:
    async def test_records_a_cut_that_the_sealing_process_cannot_see(
        self, log: Log, blocks: list[list[ObjectId]], without_oplog: None
    ) -> None:
        """The one that seals runs on a machine that has just joined."""
        looking = Monitor(log.seal)
        await log.blocks.delete_many({"_id": {"$gte": 1}})
        await log.entries.delete_many({"_id": {"$in": [*blocks[1], *blocks[2]]}})
        await log.restart()
        await log.seal()
        assert await log.gaps() == ["stream_lost"]

        await looking.look()
        assert await log.gaps() == ["stream_lost", "cut"]
        assert looking.cut.is_set()
        await looking.look()
        assert await log.gaps() == ["stream_lost", "cut"]

    async def test_raises_the_mark_of_a_machine_that_does_not_seal(
        self, log: Log, blocks: list[list[ObjectId]], tmp_path: Path
    ) -> None:
        other = await log.restart(tmp_path / "other" / "mark")
        looking = Monitor(log.seal)
        await log.restart()
        await log.write_blocks(1)
        await looking.look()

        newest = await Block.find_header()
        assert newest is not None
        read = other.read()
        assert read is not None
        assert read[0] == other.newest == Mark(3, newest.hash, 10)

    async def test_ignores_new_entries(self, log: Log) -> None:
        looking = Monitor(log.seal)
        await log.write(1)
        for _ in range(3 * monitor.LOOKS_WITHOUT_SEALING):
            await looking.look()
        assert await log.gaps() == []

    async def test_records_and_seals_entries_that_wait_for_a_minute(
        self, log: Log, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(monitor, "SEALED_WITHIN", timedelta(seconds=-2))
        looking = Monitor(log.seal)
        written = await log.write(1)
        assert monitor.LOOKS_WITHOUT_SEALING * monitor.LOOK_SECONDS == 60.0
        for _ in range(monitor.LOOKS_WITHOUT_SEALING):
            assert await log.gaps() == []
            await looking.look()
        await looking.look()
        assert await log.gaps() == ["not_sealed"]
        assert set(written) <= set(await log.sealed())

    async def test_leaves_a_foreign_block_to_the_sealer(
        self, log: Log, blocks: list[list[ObjectId]]
    ) -> None:
        looking = Monitor(log.seal)
        await log.blocks.update_one({"_id": 2}, {"$set": {"signature": b"x"}})
        await looking.look()
        await log.blocks.update_one({"_id": 2}, {"$set": {"header": None}})
        await looking.look()
        assert await log.gaps() == []


class TestMark:
    """The note outside MongoDB."""

    async def test_is_written_with_each_block_and_read_again(
        self, log: Log, blocks: list[list[ObjectId]], note: Path
    ) -> None:
        newest = await Block.find_header()
        assert newest is not None
        told = noted(note)
        assert (told["height"], told["hash"], told["count"]) == (2, newest.hash.hex(), 9)
        assert [each.name for each in note.parent.iterdir() if "mark" in each.name] == [note.name]
        again = HighWater(log.keys, note)
        read = again.read()
        assert read is not None
        assert read[0] == Mark(2, newest.hash, 9)
        assert again.problem is None

    async def test_is_in_each_entry(self, log: Log, blocks: list[list[ObjectId]]) -> None:
        newest = await Block.find_header()
        assert newest is not None
        [entry_id] = await log.write(1)
        stored = await log.entries.find_one({"_id": entry_id})
        assert stored["newest_block"] == {"height": 2, "hash": newest.hash, "count": 9}
        assert Mark.parse(claim_of(await log.raw(entry_id))) == Mark(2, newest.hash, 9)
        assert Mark.parse(claim_of(await log.raw(blocks[0][0]))) == NOTHING

    async def test_is_ignored_and_reported_if_damaged(
        self, log: Log, blocks: list[list[ObjectId]], note: Path
    ) -> None:
        for content in (b"", b"{}", b"[]", b"\xff", b'{"height": "x"}'):
            write(note, content)
            high_water = await log.restart(note)
            assert high_water.read() is None, content
            assert high_water.problem is not None
            assert high_water.newest.height >= 2, "MongoDB is all that is left to go by"
            await log.write_blocks(1)
            assert high_water.read() is not None

    async def test_is_ignored_if_changed(
        self, log: Log, blocks: list[list[ObjectId]], note: Path
    ) -> None:
        told = noted(note)
        changed = {"height": 1, "hash": "00" * 32, "count": 3, "noted_at": now().isoformat()}
        for name, value in changed.items():
            write(note, orjson.dumps(told | {name: value}))
            assert HighWater(log.keys, note).read() is None, name

    async def test_is_ignored_if_of_another_database(
        self, log: Log, blocks: list[list[ObjectId]], note: Path
    ) -> None:
        other = note.with_name("audit.other.mark")
        write(other, orjson.dumps(noted(note)))
        assert HighWater(log.keys, other).read() is None

    async def test_is_logged_once_if_it_cannot_be_written(
        self, log: Log, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "file").write_text("")
        await log.restart(tmp_path / "file" / "mark")
        await log.write_blocks(1, 1, 1)
        assert (await verify()).blocks == 3
        told = capsys.readouterr().out
        assert told.count("audit_mark_not_kept") == 1
        assert "CHATVAULT_AUDIT_MARK_DIR" in told

    async def test_is_not_lowered_by_a_process_that_only_reads(self, log: Log, note: Path) -> None:
        high, low = Mark(7, bytes(32), 20), Mark(5, bytes(32), 10)
        await HighWater(log.keys, note).note(high)
        await HighWater(log.keys, note).note_higher(low)
        read = HighWater(log.keys, note).read()
        assert read is not None
        assert read[0] == high


SLOW = settings(
    max_examples=15,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@SLOW
@given(data=st.data())
async def test_any_cut_but_a_whole_end_is_found(log: Log, note: Path, data: st.DataObject) -> None:
    """Blocks from a height on are dropped, and any entries deleted, at one moment or another.

    With a mark each cut is found. Without, only the end of the log can be cut unnoticed, together
    with every entry that was written since.
    """
    await log.clear()
    write(note, b"")
    is_noted = data.draw(st.booleans(), label="noted")
    kept = note if is_noted else None
    await log.restart(kept)
    written = await log.write_blocks(
        *data.draw(st.lists(st.integers(1, 3), min_size=1, max_size=4))
    )
    height = data.draw(st.integers(0, len(written) - 1), label="cut from")
    everything = [each for ids in written for each in ids]
    deleted = set(data.draw(st.lists(st.sampled_from(everything), unique=True), label="deleted"))
    if data.draw(st.booleans(), label="with their entries"):
        deleted |= {each for ids in written[height:] for each in ids}
        # Those after block `height` tell of it, so that a lone one of them would convict.
    await log.blocks.delete_many({"_id": {"$gte": height}})
    await log.entries.delete_many({"_id": {"$in": list(deleted)}})

    await log.restart(kept)
    with pytest.MonkeyPatch.context() as patched:
        lose_tokens(patched)
        await log.seal()

    left = {each for ids in written[height + 1 :] for each in ids} - deleted
    is_missing = any(each in deleted for ids in written[:height] for each in ids)
    if is_noted or left or is_missing:
        with pytest.raises(NotVerified):
            await verify()
    else:
        await verify()


async def test_a_check_of_the_newest_blocks_accepts_recorded_gaps(
    log: Log, blocks: list[list[ObjectId]], note: Path
) -> None:
    await log.blocks.delete_many({"_id": {"$gte": 1}})
    await log.restart(note)
    await log.seal()
    await log.seal()
    assert await was_recorded(Reason.CUT, now() - timedelta(minutes=1))
    await verify_newest()
    with pytest.raises(NotVerified):
        await verify()
