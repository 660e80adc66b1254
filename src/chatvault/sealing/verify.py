"""Recompute the audit log's hashes, and find the first difference from the seals."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from bson import ObjectId
from bson.raw_bson import RawBSONDocument

from chatvault.audit.keys import KeyRing
from chatvault.audit.mark import claim_of
from chatvault.audit.models import AuditEntry
from chatvault.errors import Conflict, InvalidInput
from chatvault.fields import now
from chatvault.sealing.blocks import (
    BEFORE_ALL,
    HASH_BYTES,
    Block,
    Header,
    hash_ids,
    header_of,
    split_hashes,
)
from chatvault.sealing.claims import BEYOND, Claims
from chatvault.sealing.gaps import accepted_through, find_open
from chatvault.sealing.merkle import LEAF, root_of
from chatvault.sealing.pins import Pins
from chatvault.sealing.restores import Restore, list_restores
from chatvault.sealing.retention import announced_through
from chatvault.sealing.unsealed import UnsealedEntries

GROUP = 5_000
NEWEST_BLOCKS = 50
# How much older than the newest sealed entry a genuine unsealed one may be: after a slow
# transaction, or with differing clocks.
SEALING_DELAY = timedelta(minutes=2)
RECHECK_SECONDS = 3.0


class NotVerified(Conflict):
    """The audit log differs from its seals.

    Attributes:
        block: the height of the first block concerned.
        entry_id: the first entry concerned.
    """

    code = "not_verified"

    def __init__(
        self, detail: str, *, block: int | None = None, entry_id: object | None = None
    ) -> None:
        super().__init__(detail)
        self.block = block
        self.entry_id = entry_id


@dataclass(slots=True)
class Verified:
    """The result of a successful verification.

    Attributes:
        first: the height of the first block verified.
        blocks: how many.
        entries: how many sealed entries are there and unchanged.
        removed: how many are gone, as announced.
        unsealed: how many genuine entries are in no block yet.
        accepted: the block up to which an operator has acknowledged gaps; -1 for none.
        newest: the newest header.
        restores: when the log was restored from backups, oldest first.
    """

    first: int = 0
    blocks: int = 0
    entries: int = 0
    removed: int = 0
    unsealed: int = 0
    accepted: int = -1
    newest: Header | None = None
    restores: list[Restore] = field(default_factory=list)


@dataclass(slots=True)
class _Group:
    """Some blocks whose entries are read together."""

    ids: list[ObjectId] = field(default_factory=list)
    leaves: list[bytes] = field(default_factory=list)
    heights: list[int] = field(default_factory=list)


async def verify(
    *,
    from_block: int = 0,
    checkpoint: Header | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    group_size: int = GROUP,
    pass_recorded: bool = False,
) -> Verified:
    """Verify all blocks from a height on, their entries, and that there are no others.

    The newest block that this process knows of must be among them.

    Args:
        from_block: the first height; with a checkpoint at most the checkpoint's.
        checkpoint: a header that was kept elsewhere, which the chain must contain.
        on_progress: called with how many blocks are done, and of how many.
        group_size: how many entries are read at a time; between groups, other tasks run.
        pass_recorded: accept what gap entries record, acknowledged or not.

    Raises:
        InvalidInput: the log has never been as long as `from_block`.
        NotVerified: an entry or block was changed, removed, inserted or reordered; names the
            first.
        PyMongoError: the database cannot be read.
    """
    if checkpoint is not None:
        from_block = min(from_block, checkpoint.height)
    pins = Pins(AuditEntry.high_water().newest, checkpoint)
    accepted = await accepted_through(with_recorded=pass_recorded)
    report = await _Verification(pins, from_block, accepted, on_progress, group_size).run()
    gap = None if pass_recorded else await find_open(from_block, accepted)
    if gap is not None:
        raise NotVerified(gap.sentence, entry_id=gap.entry_id)
    report.restores = await list_restores()
    return report


async def verify_newest() -> None:
    """Verify the newest blocks, in small steps.

    Raises:
        NotVerified: see `verify`.
        PyMongoError: the database cannot be read.
    """
    newest = await Block.find_header()
    if newest is not None:
        first = max(0, newest.height - NEWEST_BLOCKS)
        await verify(from_block=first, group_size=500, pass_recorded=True)


async def find_block_since(since: datetime) -> int:
    """Return the lowest height whose entries reach this time; behind the newest if none does."""
    found = await Block.get_pymongo_collection().aggregate(
        [
            {"$match": {"header.last_at": {"$gte": since}}},
            {"$group": {"_id": None, "height": {"$min": "$_id"}}},
        ]
    )
    async for first in found:
        return int(first["height"])
    newest = await Block.find_header()
    return newest.height + 1 if newest else 0


class _Verification:
    def __init__(
        self,
        pins: Pins,
        from_block: int,
        accepted: int,
        on_progress: Callable[[int, int], None] | None,
        group_size: int,
    ) -> None:
        self._keys: KeyRing = AuditEntry.keys()
        self._pins = pins
        self._on_progress = on_progress
        self._group_size = group_size
        self._report = Verified(first=from_block, accepted=accepted)
        self._claims = Claims()
        self._sealed = 0
        self._last_at: datetime | None = None
        self._outsiders: UnsealedEntries | None = None
        self._announced = -1

    async def run(self) -> Verified:
        report = self._report
        self._announced = await announced_through()
        newest = await _newest_height()
        previous = await self._find_previous(report.first, newest)
        group = _Group()
        async for header, ids, leaves in self._walk(report.first, previous):
            group.ids += ids
            group.leaves += leaves
            group.heights += [header.height] * len(ids)
            if len(group.ids) >= self._group_size:
                await self._check(group)
                group = _Group()
                if self._on_progress:
                    self._on_progress(report.blocks, newest + 1 - report.first)
        await self._check(group)
        self._check_end(report.newest.height if report.newest else report.first - 1)
        await self._check_unsealed_macs()
        if self._on_progress:
            self._on_progress(report.blocks, report.blocks)
        return report

    async def _find_previous(self, first: int, newest: int) -> bytes:
        """Return the hash that the first block follows; raise if the chain is not that long."""
        if first > newest + 1:
            self._check_end(newest)
            last = f"the newest is {newest}" if newest >= 0 else "nothing is sealed"
            raise InvalidInput(f"from_block: there is no block {first} yet; {last}")
        if why := await self._pins.problem_before(first):
            raise NotVerified(why)
        if first == 0:
            return BEFORE_ALL
        try:
            before = await Block.find_header(first - 1)
        except ValueError:
            raise _changed(first - 1) from None
        if before is None:
            raise NotVerified(f"block {first - 1} is missing", block=first - 1)
        return before.hash

    async def _walk(
        self, height: int, previous: bytes
    ) -> AsyncIterator[tuple[Header, list[ObjectId], list[bytes]]]:
        blocks = Block.get_pymongo_collection().with_options(codec_options=AuditEntry.RAW)
        query = {"_id": {"$not": {"$lt": height}}} if height else {}
        async for stored in blocks.find(query).sort("_id"):
            if stored["_id"] != height:
                raise self._misplaced(stored, height)
            header, ids, leaves = self._check_block(stored, height, previous)
            self._report.blocks += 1
            self._report.newest = header
            self._last_at = max(self._last_at or header.last_at, header.last_at)
            yield header, ids, leaves
            height, previous = height + 1, header.hash

    def _misplaced(self, stored: RawBSONDocument, height: int) -> NotVerified:
        found = stored["_id"]
        if isinstance(found, int) and found > height:
            return NotVerified(f"block {height} is missing", block=height)
        return NotVerified(f"a block was inserted at {found!r}", block=height)

    def _check_block(
        self, stored: RawBSONDocument, height: int, previous: bytes
    ) -> tuple[Header, list[ObjectId], list[bytes]]:
        try:
            header = header_of(stored)
        except ValueError:
            raise _changed(height) from None
        key = self._keys.find(header.key_id)
        if key is None:
            raise NotVerified(
                f"block {height} is signed by the unknown key {header.key_id}", block=height
            )
        if not header.is_signed_by(key.public):
            raise _changed(height)
        if header.height != height:
            raise NotVerified(
                f"block {height} is reordered: it was sealed as block {header.height}", block=height
            )
        if header.previous != previous:
            raise NotVerified(f"block {height} does not follow block {height - 1}", block=height)
        if why := self._pins.problem_with(header):
            raise NotVerified(why, block=height)
        ids, leaves = _check_leaves(stored, header)
        self._sealed += len(ids)
        if self._report.first == 0 and header.total not in {None, self._sealed}:
            raise _changed(height)
        self._claims.add(header)
        return header, ids, leaves

    async def _check(self, group: _Group) -> None:
        """Compare the stored entries of some blocks with the leaves."""
        if not group.ids:
            return
        places = {each.binary: place for place, each in enumerate(group.ids)}
        if len(places) < len(group.ids):
            raise _duplicate(group)
        wrong: list[tuple[int, bool]] = []
        entries = AuditEntry.get_pymongo_collection()
        there: list[bytes] = []
        claims: dict[bytes, int] = {}
        query = {"_id": {"$in": group.ids}}
        async for batch in entries.find_raw_batches(query, batch_size=len(group.ids)):
            for raw in split(batch):
                entry_id = raw[9:21]
                place = places.pop(entry_id)
                there.append(entry_id)
                same = hashlib.sha256(LEAF + raw).digest() == group.leaves[place]
                if not same or not self._keys.is_genuine(raw):
                    wrong.append((place, same))
                elif group.heights[place] > self._report.accepted:
                    claim = claim_of(raw)
                    claims[claim] = min(place, claims.get(claim, place))
        gone = [place for place in places.values() if group.heights[place] > self._announced]
        if wrong or gone:
            raise _first_of(group, wrong, gone)
        if (false := await self._claims.find_false(claims, group.heights)) is not None:
            said = f"entry {group.ids[false]} of block {group.heights[false]} {BEYOND}"
            raise NotVerified(said, block=group.heights[false], entry_id=group.ids[false])
        self._report.entries += len(there)
        self._report.removed += len(places)
        if self._outsiders is None:
            start = min(group.ids) if self._report.first else None
            self._outsiders = UnsealedEntries(start)
        await self._outsiders.add_sealed(there)
        await asyncio.sleep(0)

    def _check_end(self, newest: int) -> None:
        if why := self._pins.problem_with_end(newest):
            raise NotVerified(why, block=newest + 1)

    async def _check_unsealed_macs(self) -> None:
        """Check the MACs of entries that no block holds, and that they are recent."""
        walk = self._outsiders or UnsealedEntries(None)
        outside = await walk.finish()
        for first in range(0, len(outside), GROUP):
            some = outside[first : first + GROUP]
            held = await Block.find_held(some)
            late = await self._check_unsealed([each for each in some if each not in held])
            if late:
                # It may be sealed at this moment, after the clock was set back.
                await asyncio.sleep(RECHECK_SECONDS)
                held = await Block.find_held(late)
                for each in late:
                    if each not in held:
                        raise _inserted(each, "no block holds it, though later ones are sealed")
        if walk.foreign:
            raise _inserted(walk.foreign[0], "no entry has such an id")

    async def _check_unsealed(self, ids: list[ObjectId]) -> list[ObjectId]:
        late = []
        entries = AuditEntry.get_pymongo_collection().with_options(codec_options=AuditEntry.RAW)
        async for stored in entries.find({"_id": {"$in": ids}}).sort("_id"):
            if not self._keys.is_genuine(bytes(stored.raw)):
                raise _inserted(stored["_id"], "its MAC is wrong")
            if not await self._claims.is_true(claim_of(bytes(stored.raw)), None):
                raise NotVerified(f"entry {stored['_id']} {BEYOND}", entry_id=stored["_id"])
            self._report.unsealed += 1
            newest = min(self._last_at, now()) if self._last_at else None
            if newest is not None and stored["at"] < newest - SEALING_DELAY:
                late.append(stored["_id"])
        return late


def split(batch: bytes) -> Iterator[bytes]:
    """Yield the documents of a raw batch."""
    at = 0
    while at < len(batch):
        end = at + int.from_bytes(batch[at : at + 4], "little")
        yield batch[at:end]
        at = end


async def _newest_height() -> int:
    numbered = {"_id": {"$type": ["int", "long"]}}
    blocks = Block.get_pymongo_collection()
    newest = await blocks.find_one(numbered, {"_id": True}, sort=[("_id", -1)])
    return int(newest["_id"]) if newest else -1


def _check_leaves(stored: RawBSONDocument, header: Header) -> tuple[list[Any], list[bytes]]:
    changed = _changed(header.height, " or reordered within")
    try:
        ids, leaves = list(stored["entry_ids"]), split_hashes(bytes(stored["leaf_hashes"]))
    except (KeyError, TypeError):
        raise changed from None
    if (
        not len(ids) == len(leaves) == header.count
        or not all(isinstance(each, ObjectId) for each in ids)
        or len(leaves[-1]) != HASH_BYTES
        or root_of(leaves) != header.root
        or hash_ids(ids) != header.ids_hash
    ):
        raise changed
    return ids, leaves


def _first_of(group: _Group, wrong: list[tuple[int, bool]], gone: list[int]) -> NotVerified:
    place, same = min([*wrong, *((place, False) for place in gone)])
    entry_id, height = group.ids[place], group.heights[place]
    if place in gone:
        said = f"entry {entry_id} of block {height} is missing"
    elif same:
        said = f"entry {entry_id} of block {height} was inserted: its MAC is wrong"
    else:
        said = f"entry {entry_id} of block {height} was changed"
    return NotVerified(said, block=height, entry_id=entry_id)


def _duplicate(group: _Group) -> NotVerified:
    seen: set[ObjectId] = set()
    for place, each in enumerate(group.ids):
        if each in seen:
            height = group.heights[place]
            return NotVerified(f"block {height} repeats entry {each}", block=height, entry_id=each)
        seen.add(each)
    raise AssertionError("all ids differ")


def _changed(height: int, how: str = "") -> NotVerified:
    return NotVerified(f"block {height} was changed{how}", block=height)


def _inserted(entry_id: object, why: str) -> NotVerified:
    return NotVerified(f"entry {entry_id} was inserted: {why}", entry_id=entry_id)
