"""Verification: whatever somebody does to entries or blocks in MongoDB is found and named."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import bson
import pytest
from bson import ObjectId
from bson.binary import Binary
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chatvault.audit.keys import KeyRing, new_root
from chatvault.audit.models import AuditEntry
from chatvault.errors import InvalidInput
from chatvault.fields import now
from chatvault.sealing import verify as verification
from chatvault.sealing.blocks import Block, Leaf, build
from chatvault.sealing.merkle import hash_leaf
from chatvault.sealing.proofs import Checkpoint, check_pin, check_proof, find_checkpoint, make_proof
from chatvault.sealing.verify import NotVerified, find_block_since, verify
from support.sealing import Log, entry


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verification, "RECHECK_SECONDS", 0.0)
    monkeypatch.setattr(verification, "SEALING_DELAY", timedelta(0))


async def finding(**arguments: Any) -> str:
    with pytest.raises(NotVerified) as found:
        await verify(**arguments)
    return found.value.detail


async def rebuild(log: Log, keys: KeyRing, *, from_block: int) -> None:
    """Seal the tail anew, with correct hashes, MACs and signatures by these keys."""
    newest = await Block.find_header(from_block - 1) if from_block else None
    AuditEntry.bind_keys(keys)
    tail = await log.blocks.find({"_id": {"$gte": from_block}}).sort("_id", 1).to_list()
    await log.blocks.delete_many({"_id": {"$gte": from_block}})
    for block in tail:
        # The entries, too, have to tell of blocks that are there.
        AuditEntry.high_water().know(await Block.find_mark(newest))
        for entry_id in block["entry_ids"]:
            if old := await log.entries.find_one_and_delete({"_id": entry_id}):
                told = {"newest_block", "key_id", "mac"}
                await AuditEntry.store([{n: v for n, v in old.items() if n not in told}])
        stored = {each["_id"]: each async for each in log.entries.find()}
        leaves = [
            Leaf(each, hash_leaf(await log.raw(each)), stored[each]["at"])
            for each in block["entry_ids"]
            if each in stored
        ]
        newest = await Block.append(keys, newest, leaves, block["header"]["resume_token"])
    AuditEntry.bind_keys(log.keys)
    await log.restart()


class TestIntactLog:
    async def test_verifies_if_empty(self, log: Log) -> None:
        report = await verify()
        assert (report.blocks, report.entries, report.unsealed, report.newest) == (0, 0, 0, None)

    async def test_has_its_blocks_entries_and_unsealed_entries_counted(self, log: Log) -> None:
        await log.write_blocks(3, 1, 4)
        await log.write(2)
        progress: list[tuple[int, int]] = []

        report = await verify(on_progress=lambda *done: progress.append(done), group_size=2)

        assert (report.first, report.blocks, report.entries, report.unsealed) == (0, 3, 8, 2)
        assert progress == [(1, 3), (3, 3), (3, 3)]

    async def test_can_be_verified_from_a_later_block(self, log: Log) -> None:
        ids = await log.write_blocks(3, 2, 4)
        await log.entries.delete_one({"_id": ids[0][0]})
        middle = await log.blocks.find_one({"_id": 1})

        report = await verify(from_block=1)
        assert (report.first, report.blocks, report.entries) == (1, 2, 6)
        assert (await verify(from_block=3)).blocks == 0
        assert await find_block_since(middle["header"]["last_at"]) <= 1
        assert await find_block_since(now() + timedelta(hours=1)) == 3
        assert await find_block_since(now() - timedelta(hours=1)) == 0

    async def test_cannot_be_verified_from_beyond_its_end(self, log: Log) -> None:
        with pytest.raises(InvalidInput, match="no block 1 yet; nothing is sealed"):
            await verify(from_block=1)
        await log.write_blocks(1, 1)
        with pytest.raises(InvalidInput, match="there is no block 90 yet; the newest is 1"):
            await verify(from_block=90)
        assert (await verify(from_block=2)).blocks == 0

    async def test_is_cut_if_it_was_longer_before(self, log: Log) -> None:
        await log.write_blocks(1, 1, 1)
        pinned = check_pin(await find_checkpoint())
        await log.blocks.delete_many({"_id": {"$gte": 1}})
        assert await finding(from_block=3) == (
            "block 1 is missing: the log was sealed up to block 2, with 3 entries"
        )
        AuditEntry.bind_keys(log.keys)
        assert await finding(from_block=90, checkpoint=pinned) == (
            "block 1 is missing: the checkpoint is of block 2"
        )

    async def test_verifies_with_entries_sealed_late(self, log: Log) -> None:
        late = entry()
        await log.write_blocks(3, 3)
        await AuditEntry.store([late])
        await log.write_blocks(3)
        for first in range(3):
            assert (await verify(from_block=first, group_size=1)).unsealed == 0

    async def test_verifies_with_old_keys(self, log: Log) -> None:
        await log.write_blocks(3)
        log.keys = KeyRing([new_root()])
        AuditEntry.bind_keys(log.keys)
        with pytest.raises(NotVerified, match="unknown key"):
            await verify()


class TestTampering:
    """Each in the middle of three blocks of three entries; the later ones are left alone."""

    @pytest.fixture
    async def ids(self, log: Log) -> list[list[ObjectId]]:
        return await log.write_blocks(3, 3, 3)

    @pytest.mark.parametrize(
        "change",
        [
            {"$set": {"details.number": 7}},
            {"$set": {"action": "conversation.lis"}},
            {"$set": {"user_id": ObjectId()}},
            {"$set": {"extra": None}},
            {"$unset": {"address": 1}},
            {"$rename": {"address": "adress"}},
            {"$set": {"mac": Binary(bytes(32))}},
            {"$set": {"key_id": "00000000"}},
            {"$inc": {"duration_ms": 1e-9}},
        ],
    )
    async def test_a_changed_entry(self, log: Log, ids: Any, change: Any) -> None:
        await log.entries.update_one({"_id": ids[1][1]}, change)
        assert await finding() == f"entry {ids[1][1]} of block 1 was changed"

    async def test_a_changed_time(self, log: Log, ids: Any) -> None:
        at = now() - timedelta(days=1)
        await log.entries.update_one({"_id": ids[1][1]}, {"$set": {"at": at}})
        assert await finding() == f"entry {ids[1][1]} of block 1 was changed"

    async def test_a_deleted_entry(self, log: Log, ids: Any) -> None:
        await log.entries.delete_many({"_id": {"$in": [ids[1][2], ids[2][0]]}})
        assert await finding() == f"entry {ids[1][2]} of block 1 is missing"

    async def test_the_first_of_several(self, log: Log, ids: Any) -> None:
        await log.entries.update_one({"_id": ids[2][0]}, {"$set": {"code": "x"}})
        await log.entries.delete_one({"_id": ids[1][2]})
        await log.entries.update_one({"_id": ids[1][1]}, {"$set": {"code": "x"}})
        assert await finding() == f"entry {ids[1][1]} of block 1 was changed"

    async def test_a_forged_entry(self, log: Log, ids: Any) -> None:
        forged = entry()
        await log.entries.insert_one(forged)
        assert await finding() == f"entry {forged['_id']} was inserted: its MAC is wrong"

    async def test_a_forged_entry_with_the_look_of_a_mac(self, log: Log, ids: Any) -> None:
        forged = KeyRing([new_root()]).stamp(entry()) | {"key_id": log.keys.current.id}
        await log.entries.insert_one(forged)
        assert await finding() == f"entry {forged['_id']} was inserted: its MAC is wrong"

    async def test_a_copy_of_a_genuine_entry(self, log: Log, ids: Any) -> None:
        copy = await log.entries.find_one({"_id": ids[1][1]}) | {"_id": ObjectId()}
        await log.entries.insert_one(copy)
        assert await finding() == f"entry {copy['_id']} was inserted: its MAC is wrong"

    @pytest.mark.parametrize("entry_id", ["text", 5, Binary(b"\x00" * 12)])
    async def test_an_entry_with_an_id_of_another_kind(
        self, log: Log, ids: Any, entry_id: Any
    ) -> None:
        await log.entries.insert_one(log.keys.stamp(entry() | {"_id": entry_id}))
        assert (await finding()).startswith(f"entry {entry_id} was inserted")

    async def test_a_forged_entry_that_was_sealed(self, log: Log, ids: Any) -> None:
        forged = entry()
        await log.entries.insert_one(forged)
        await log.seal()
        assert await finding() == f"entry {forged['_id']} of block 3 was inserted: its MAC is wrong"

    async def test_an_entry_with_a_mac_that_no_block_holds(self, log: Log, ids: Any) -> None:
        """As only somebody with the key, or who removed it from a block, can have it."""
        old = log.keys.stamp(entry(at=now() - timedelta(hours=1)))
        await log.entries.insert_one(old)
        assert await finding() == (
            f"entry {old['_id']} was inserted: no block holds it, though later ones are sealed"
        )

    async def test_swapped_entries(self, log: Log, ids: Any) -> None:
        a, b = [await log.entries.find_one({"_id": each}) for each in ids[1][:2]]
        await log.entries.replace_one({"_id": a["_id"]}, b | {"_id": a["_id"]})
        await log.entries.replace_one({"_id": b["_id"]}, a | {"_id": b["_id"]})
        assert await finding() == f"entry {ids[1][0]} of block 1 was changed"

    async def test_a_renumbered_entry(self, log: Log, ids: Any) -> None:
        moved = await log.entries.find_one({"_id": ids[1][0]}) | {"_id": ObjectId()}
        await log.entries.delete_one({"_id": ids[1][0]})
        await log.entries.insert_one(moved)
        assert await finding() == f"entry {ids[1][0]} of block 1 is missing"

    @pytest.mark.parametrize("name", ["entry_ids", "leaf_hashes", "both"])
    async def test_reordered_entries_of_a_block(self, log: Log, ids: Any, name: str) -> None:
        block = await log.blocks.find_one({"_id": 1})
        hashes = block["leaf_hashes"]
        changes = {
            "entry_ids": block["entry_ids"][::-1],
            "leaf_hashes": hashes[64:] + hashes[32:64] + hashes[:32],
        }
        if name != "both":
            changes = {name: changes[name]}
        await log.blocks.update_one({"_id": 1}, {"$set": changes})
        assert await finding() == "block 1 was changed or reordered within"

    @pytest.mark.parametrize("height", [0, 1])
    async def test_a_dropped_block(self, log: Log, ids: Any, height: int) -> None:
        await log.blocks.delete_one({"_id": height})
        assert await finding() == f"block {height} is missing"

    async def test_a_dropped_block_and_its_entries(self, log: Log, ids: Any) -> None:
        await log.blocks.delete_one({"_id": 1})
        await log.entries.delete_many({"_id": {"$in": ids[1]}})
        assert await finding() == "block 1 is missing"

    async def test_renumbered_blocks(self, log: Log, ids: Any) -> None:
        one, two = [await log.blocks.find_one({"_id": height}) for height in (1, 2)]
        await log.blocks.replace_one({"_id": 1}, two | {"_id": 1})
        await log.blocks.replace_one({"_id": 2}, one | {"_id": 2})
        assert await finding() == "block 1 is reordered: it was sealed as block 2"

    async def test_a_block_dropped_and_the_later_ones_renumbered(self, log: Log, ids: Any) -> None:
        two = await log.blocks.find_one_and_delete({"_id": 2})
        await log.blocks.replace_one({"_id": 1}, two | {"_id": 1})
        await log.entries.delete_many({"_id": {"$in": ids[1]}})
        assert await finding() == "block 1 is reordered: it was sealed as block 2"

    @pytest.mark.parametrize(
        "change",
        [
            pytest.param({"header.sealed_at": now()}, id="header.sealed_at"),
            {"header.count": 2},
            {"header.previous": bytes(32)},
            {"header.extra": 1},
            {"header": None},
            {"signature": Binary(bytes(64))},
            {"signature": None},
            {"entry_ids": []},
            {"leaf_hashes": Binary(b"")},
            {"entry_ids": None},
        ],
        ids=str,
    )
    async def test_a_changed_block(self, log: Log, ids: Any, change: Any) -> None:
        await log.blocks.update_one({"_id": 1}, {"$set": change})
        assert (await finding()).startswith("block 1 was changed")

    @pytest.mark.parametrize("height", [-1, 1.5, "text"])
    async def test_an_inserted_block(self, log: Log, ids: Any, height: Any) -> None:
        one = await log.blocks.find_one({"_id": 1})
        await log.blocks.insert_one(one | {"_id": height})
        assert re.match(r"a block was inserted|block \d is (missing|reordered)", await finding())

    async def test_a_tail_rebuilt_without_the_keys(self, log: Log, ids: Any) -> None:
        await log.entries.delete_one({"_id": ids[1][1]})
        forger = KeyRing([new_root()])
        await rebuild(log, forger, from_block=1)
        assert await finding() == f"block 1 is signed by the unknown key {forger.current.id}"

    async def test_a_block_of_another_chain(self, log: Log, ids: Any) -> None:
        leaf = Leaf(ids[1][0], hash_leaf(await log.raw(ids[1][0])), now())
        strange = build(log.keys, None, [leaf], None)
        header = strange["header"] | {"height": 1}
        strange |= {"header": header, "signature": log.keys.current.sign(bson.encode(header))}
        await log.blocks.replace_one({"_id": 1}, strange | {"_id": 1})
        assert await finding() == "block 1 does not follow block 0"


class TestCheckpoint:
    async def test_is_contained(self, log: Log) -> None:
        await log.write_blocks(3)
        kept = await find_checkpoint()
        await log.write_blocks(3, 2)

        report = await verify(from_block=2, checkpoint=check_pin(kept))
        assert (report.first, report.blocks) == (0, 3)

    async def test_reveals_a_rewrite_with_the_keys(self, log: Log) -> None:
        ids = await log.write_blocks(3, 3, 3)
        kept = (await find_checkpoint()).model_dump_json()
        await log.entries.delete_one({"_id": ids[1][1]})
        await rebuild(log, log.keys, from_block=1)
        assert (await verify()).entries == 8, "by itself the rewritten log is sound"

        pinned = check_pin(Checkpoint.model_validate_json(kept))
        assert await finding(checkpoint=pinned) == (
            "block 2 is not the checkpoint's: the log was rewritten"
        )

    async def test_is_not_needed_with_a_mark(self, log: Log, tmp_path: Path) -> None:
        note = tmp_path / "mark"
        await log.restart(note)
        ids = await log.write_blocks(3, 3, 3)
        await log.entries.delete_one({"_id": ids[1][1]})
        await rebuild(log, log.keys, from_block=1)
        await log.restart(note)
        assert await finding() == (
            "block 2 is not the one that was sealed: the log was cut and sealed anew"
        )

    @pytest.mark.parametrize("left", [0, 1])
    async def test_reveals_a_cut_end(self, log: Log, left: int) -> None:
        ids = await log.write_blocks(3, 3)
        pinned = check_pin(await find_checkpoint())
        await log.blocks.delete_many({"_id": {"$gte": left}})
        await log.entries.delete_many({"_id": {"$in": [e for b in ids[left:] for e in b]}})
        assert await finding() == (
            f"block {left} is missing: the log was sealed up to block 1, with 6 entries"
        )
        await log.restart()
        await verify()  # who knows of nothing else sees a younger log
        assert await finding(checkpoint=pinned) == (
            f"block {left} is missing: the checkpoint is of block 1"
        )

    async def test_is_refused_if_forged(self, log: Log) -> None:
        await log.write_blocks(3)
        kept = await find_checkpoint()
        other = KeyRing([new_root()]).current
        for change in (
            {"height": 5},
            {"header": kept.header[:-1] + b"\x01"},
            {"signature": bytes(64)},
            {"public_key": other.public},
            {"public_key": other.public, "signature": other.sign(kept.header)},
        ):
            with pytest.raises(NotVerified):
                check_pin(kept.model_copy(update=change))


class TestProof:
    async def test_is_checked_for_every_entry_without_the_database(self, log: Log) -> None:
        ids = await log.write_blocks(5, 3)
        pinned = await find_checkpoint()
        for each in [*ids[0], *ids[1]]:
            proof, raw = await make_proof(each)
            again = type(proof).model_validate_json(proof.model_dump_json())
            header = check_proof(again, pinned=pinned, entry=raw)
            assert header.count in {5, 3}

    async def test_holds_for_nothing_else(self, log: Log) -> None:
        [ids] = await log.write_blocks(5)
        proof, raw = await make_proof(ids[2])
        other, other_raw = await make_proof(ids[3])
        stranger = KeyRing([new_root()]).current
        forged = proof.block.model_copy(
            update={
                "public_key": stranger.public,
                "signature": stranger.sign(proof.block.header),
            }
        )
        pinned = await find_checkpoint()
        with pytest.raises(NotVerified, match="not the one that is proved"):
            check_proof(proof, entry=other_raw)
        for change in (
            {"leaf": other.leaf},
            {"index": 3},
            {"index": 9},
            {"path": proof.path[1:]},
            {"path": other.path},
            {"entry_id": ids[3]},
            {"block": forged},
        ):
            with pytest.raises(NotVerified):
                check_proof(proof.model_copy(update=change), pinned=pinned, entry=raw)


SIZES = st.lists(st.integers(1, 6), min_size=1, max_size=4)
SLOW = settings(
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@SLOW
@given(sizes=SIZES, unsealed=st.integers(0, 3))
async def test_any_sequence_verifies(log: Log, sizes: list[int], unsealed: int) -> None:
    await log.clear()
    await log.write_blocks(*sizes)
    await log.write(unsealed)

    report = await verify()

    assert (report.blocks, report.entries, report.unsealed) == (len(sizes), sum(sizes), unsealed)


@SLOW
@given(sizes=SIZES, data=st.data())
async def test_any_change_of_any_stored_byte_is_found(
    log: Log, sizes: list[int], data: st.DataObject
) -> None:
    await log.clear()
    written = await log.write_blocks(*sizes)
    height = data.draw(st.integers(0, len(sizes) - 1))
    wanted: Any
    if data.draw(st.booleans(), label="of an entry"):
        target, wanted = log.entries, data.draw(st.sampled_from(written[height]))
    else:
        target, wanted = log.blocks, height
    raw = await target.with_options(codec_options=AuditEntry.RAW).find_one({"_id": wanted})
    stored = bytes(raw.raw)
    changed = data.draw(st.integers(4, len(stored) - 1).map(lambda place: _flip(stored, place)))
    try:
        document = bson.decode(changed)
        bson.encode(document)
    except (bson.errors.BSONError, UnicodeError, ValueError, OverflowError):
        return
    if bson.encode(document) == stored or document.get("_id") is None:
        return
    await target.delete_one({"_id": wanted})
    await target.insert_one(document)
    with pytest.raises(NotVerified):
        await verify()


def _flip(stored: bytes, place: int) -> bytes:
    return stored[:place] + bytes([stored[place] ^ 1]) + stored[place + 1 :]
