"""Follow the audit log in the order of commits and seal it into blocks."""

import math
import time
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import structlog
from bson import ObjectId
from bson.raw_bson import RawBSONDocument

from chatvault.audit.mark import NOTHING, Mark, claim_of
from chatvault.audit.models import AuditEntry
from chatvault.fields import now
from chatvault.mongodb.changes import Change, ChangeStream, StreamLost, Token, Watched, watch
from chatvault.sealing import gaps
from chatvault.sealing.alerts import Alarm, Alert, Watch, name_entries, record_alerts
from chatvault.sealing.blocks import MAX_LEAVES, Block, Header, Leaf, Overtaken
from chatvault.sealing.gaps import Reason
from chatvault.sealing.merkle import hash_leaf
from chatvault.sealing.retention import announced_through
from chatvault.sealing.verify import NotVerified

SEAL_AFTER_SECONDS = 1.0
# How long MongoDB holds a request for new changes, and how long we wait before the next request; a
# block may wait twice this time in addition.
AWAIT_MILLISECONDS = 300
# An entry is sealed within seconds; a later one was held back, or a clock is wrong.
LATE = timedelta(minutes=5)
PIPELINE = [{"$project": {"operationType": 1, "fullDocument": 1, "documentKey": 1}}]
INSERT = "insert"
CHANGES = {"update", "replace", "delete"}
log = structlog.get_logger()


@dataclass(slots=True)
class _Pending:
    """Changes from the stream since the last block."""

    began: float = field(default_factory=time.monotonic)
    leaves: list[Leaf] = field(default_factory=list)
    claims: set[bytes] = field(default_factory=set)
    forged: list[Any] = field(default_factory=list)
    changed: list[Any] = field(default_factory=list)
    deleted: list[Any] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)

    @property
    def size(self) -> int:
        return len(self.leaves) + len(self.forged) + len(self.changed) + len(self.deleted)

    def is_due(self) -> bool:
        if self.size >= MAX_LEAVES:
            return True
        return self.size > 0 and time.monotonic() - self.began >= SEAL_AFTER_SECONDS


class Sealer:
    """Seals the entries that the change stream of the audit log shows.

    Its only state is the blocks: stopped at any point, it or another one resumes after the newest.
    Several may run; the unique height lets one win, and the others resume after its block.
    """

    def __init__(self) -> None:
        self._keys = AuditEntry.keys()
        self._entries = AuditEntry.get_pymongo_collection().with_options(
            codec_options=AuditEntry.RAW
        )
        self._high_water = AuditEntry.high_water()
        self._newest: Header | None = None
        self._reached: datetime | None = None
        self._recorded_at: dict[Reason, float] = {}
        self._pending = _Pending()
        self._watch = Watch()

    async def follow(self, *, until_idle: bool = False, is_restored: bool = False) -> None:
        """Seal present entries and those that follow.

        Args:
            until_idle: return once everything is sealed, rather than wait for more.
            is_restored: begin with a scan, as the newest block's token is of another MongoDB.

        Raises:
            NotVerified: our keys did not sign the newest block.
            PyMongoError: the database cannot be reached; call it again.
        """
        is_lost, has_token = False, not is_restored
        while True:
            try:
                await self._follow(is_lost=is_lost, has_token=has_token, until_idle=until_idle)
            except Overtaken:
                log.info("audit_sealer_overtaken")
                is_lost, has_token = False, True
            except StreamLost:
                is_lost, has_token = True, False
            else:
                return

    async def _follow(self, *, is_lost: bool, has_token: bool, until_idle: bool) -> None:
        known = self._high_water.newest
        self._newest = await self._find_newest()
        self._reached = self._newest.last_at if self._newest else None
        await self._check_start(known)
        self._pending, self._watch = _Pending(), Watch()
        token = self._newest.resume_token if has_token and self._newest else None
        async with watch(self._watched(until_idle=until_idle), token) as stream:
            if token is None:
                # The stream is open: later commits are in it, all earlier ones in the scan.
                if is_lost:
                    await self._record_gap()
                first = await stream.read(1)
                await self._seal_unsealed(None if first else stream.token)
                for change in first:
                    await self._take(change)
            await self._read(stream, until_idle=until_idle)

    def _watched(self, *, until_idle: bool) -> Watched:
        """Return the options of the stream: every change of the audit log."""
        return Watched(
            collection=self._entries,
            pipeline=PIPELINE,
            await_seconds=AWAIT_MILLISECONDS / 1000,
            gather_seconds=0 if until_idle else AWAIT_MILLISECONDS / 1000,
        )

    async def _find_newest(self) -> Header | None:
        """Return the header to resume after.

        Raises:
            NotVerified: our keys did not sign it, and sealing on it would make it look genuine.
        """
        try:
            newest = await Block.find_header()
        except ValueError:
            raise NotVerified("the newest block was changed") from None
        key = newest and self._keys.find(newest.key_id)
        if newest and not (key and newest.is_signed_by(key.public)):
            raise NotVerified("the newest block is not signed by a key of ours")
        return newest

    async def _check_start(self, known: Mark) -> None:
        """Record a gap if a block that was seen is gone, or if entries are older than the first.

        Raises:
            Overtaken: another process has sealed the first block just now.
        """
        if await gaps.is_cut(known, self._newest):
            since = self._high_water.noted_at
            if not await gaps.was_recorded(Reason.CUT, since, of_block=known.height):
                await gaps.record_cut(known, self._newest)
        elif self._newest is not None:
            await self._high_water.note(await Block.find_mark(self._newest))
        elif await self._entries.find_one({"newest_block.height": {"$ne": NOTHING.height}}):
            # Entries from before the first block name no block.
            if await Block.find_header() is not None:
                raise Overtaken
            if not await gaps.was_recorded_lately(Reason.BEGUN_LATE):
                await gaps.record(Reason.BEGUN_LATE, None)
        else:
            # Written now, so that a path that is not writable is reported at the start.
            await self._high_water.note(NOTHING)

    async def _read(self, stream: ChangeStream, *, until_idle: bool) -> None:
        while True:
            changes = await stream.read(max(1, MAX_LEAVES - self._pending.size))
            for change in changes:
                await self._take(change)
            is_over = until_idle and not changes
            if self._pending.is_due() or (is_over and self._pending.size):
                await self._close(stream.token)
            elif is_over:
                return

    async def _take(self, change: Change) -> None:
        kind = change["operationType"]
        if not self._pending.size:
            self._pending.began = time.monotonic()
        if kind == INSERT:
            self._take_entry(change["fullDocument"])
        elif kind in CHANGES:
            ids = self._pending.deleted if kind == "delete" else self._pending.changed
            ids.append(change["documentKey"]["_id"])
        else:
            await record_alerts([Alert(Alarm.DROPPED, {"operation": kind})])
            raise StreamLost

    def _take_entry(self, stored: RawBSONDocument) -> None:
        if not self._keys.is_genuine(bytes(stored.raw)):
            self._pending.forged.append(stored["_id"])
        else:
            self._pending.alerts += self._watch.see(stored)
            self._pending.claims.add(claim_of(bytes(stored.raw)))
        leaf = _leaf(stored)
        if leaf is not None:
            self._pending.leaves.append(leaf)

    async def _close(self, token: Token | None) -> None:
        """Seal pending entries; store alerts first, as the block's token passes their entries."""
        pending, self._pending = self._pending, _Pending()
        await record_alerts(pending.alerts + await _find_tampering(pending))
        held = await Block.find_held(leaf.entry_id for leaf in pending.leaves)
        leaves = [leaf for leaf in pending.leaves if leaf.entry_id not in held]
        if leaves:
            await self._append(leaves, pending.claims, token)

    async def _append(
        self, leaves: list[Leaf], claims: Iterable[bytes], token: Token | None
    ) -> None:
        """Seal a block, after recording what is suspicious about its entries."""
        await self._check_claims(claims)
        await self._check_times(leaves)
        self._newest = await Block.append(self._keys, self._newest, leaves, token)
        self._reached = max(self._reached or self._newest.last_at, self._newest.last_at)
        await self._high_water.note(await Block.find_mark(self._newest))

    async def _check_claims(self, claims: Iterable[bytes]) -> None:
        """Record a gap if an entry names a block beyond the newest, so that blocks are gone.

        Raises:
            Overtaken: another process has sealed that block.
        """
        claimed = max((Mark.parse(each) for each in claims if each), key=_height, default=NOTHING)
        if claimed.height > _height(self._newest):
            newest = await self._find_newest()
            if _height(newest) > _height(self._newest):
                raise Overtaken
            if not await self._was_recorded(Reason.CUT):
                await gaps.record_cut(claimed, self._newest)

    async def _check_times(self, leaves: list[Leaf]) -> None:
        """Record a gap if an entry is sealed long after it was written, and after later ones."""
        oldest = min(leaf.at for leaf in leaves)
        is_late = self._reached is not None and oldest < self._reached - LATE
        # After a clock was set back, entries look older than those before and are not.
        is_late = is_late and oldest < now() - LATE
        if is_late and not await self._was_recorded(Reason.SEALED_LATE):
            await gaps.record(Reason.SEALED_LATE, self._newest, written_at=oldest)

    async def _was_recorded(self, reason: Reason) -> bool:
        """Whether any process recorded it lately; else each block would record it again."""
        if (
            time.monotonic() - self._recorded_at.get(reason, -math.inf)
            < gaps.REPEAT_AFTER.total_seconds()
        ):
            return True
        self._recorded_at[reason] = time.monotonic()
        return await gaps.was_recorded_lately(reason)

    async def _record_gap(self) -> None:
        await gaps.record(Reason.STREAM_LOST, self._newest)
        log.warning("audit_gap", after_block=self._newest.height if self._newest else None)

    async def _seal_unsealed(self, opened: Token | None) -> None:
        """Seal every entry that no block holds, in bounded memory.

        Except the last, these blocks have no token: a sealer that resumes after one of them scans
        again.

        Args:
            opened: the stream's token before its first change, if it has shown no change yet.
        """
        async for ids in self._list_ids():
            held = await Block.find_held(ids)
            unsealed = [each for each in ids if each not in held]
            stored = {
                each["_id"]: each async for each in self._entries.find({"_id": {"$in": unsealed}})
            }
            ordered = [stored[each] for each in unsealed if each in stored]
            leaves = [leaf for leaf in map(_leaf, ordered) if leaf is not None]
            if leaves:
                is_last = len(ids) < MAX_LEAVES
                token = opened if is_last else None
                await self._append(leaves, map(self._claim_of, ordered), token)

    def _claim_of(self, stored: RawBSONDocument) -> bytes:
        raw = bytes(stored.raw)
        return claim_of(raw) if self._keys.is_genuine(raw) else b""

    async def _list_ids(self) -> AsyncIterator[list[ObjectId]]:
        client = self._entries.database.client
        async with client.start_session(causal_consistency=True) as session:
            # A session's reads see at least what its earlier answers did: all before the stream.
            await self._entries.database.command("ping", session=session)
            first: dict[str, Any] = {"$gte": ObjectId("0" * 24)}
            while True:
                page = self._entries.find({"_id": first}, {"_id": True}, session=session)
                ids = [each["_id"] async for each in page.sort("_id").limit(MAX_LEAVES)]
                if not ids:
                    return
                yield ids
                first = {"$gt": ids[-1]}


def _height(block: Header | Mark | None) -> int:
    return block.height if block else NOTHING.height


def _leaf(stored: RawBSONDocument) -> Leaf | None:
    """Return an entry's leaf; None if its id is not an ObjectId, so that it is never sealed."""
    entry_id = stored["_id"]
    if not isinstance(entry_id, ObjectId):
        return None
    at = stored.get("at")
    known = at if isinstance(at, datetime) else entry_id.generation_time
    return Leaf(entry_id, hash_leaf(bytes(stored.raw)), known)


async def _find_tampering(pending: _Pending) -> list[Alert]:
    alerts = []
    if pending.forged:
        alerts.append(name_entries(Alarm.FORGED, pending.forged))
    if pending.changed:
        alerts.append(name_entries(Alarm.TAMPERED, pending.changed, operation="update"))
    if pending.deleted:
        through = await announced_through()
        announced = await Block.find_held(pending.deleted, through=through)
        ids = [each for each in pending.deleted if each not in announced]
        if ids:
            alerts.append(name_entries(Alarm.TAMPERED, ids, operation="delete"))
    return alerts
