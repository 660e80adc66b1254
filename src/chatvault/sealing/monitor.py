"""Check every few seconds that the audit log is complete and being sealed."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import structlog
from bson import ObjectId
from pymongo.errors import PyMongoError

from chatvault.audit.models import AuditEntry
from chatvault.fields import now
from chatvault.sealing import gaps
from chatvault.sealing.blocks import Block, Header
from chatvault.sealing.gaps import Reason

LOOK_SECONDS = 5.0
# How many consecutive checks before an alarm: a minute, so that a process that was stopped for a
# while does not conclude that nothing happened meanwhile.
LOOKS_WITHOUT_SEALING = 12
SEALED_WITHIN = timedelta(seconds=5)
log = structlog.get_logger()


class Monitor:
    """Checks the log in every process, so that blocking the sealing process hides nothing.

    Args:
        seal: seals pending entries, whoever has the lease.

    Attributes:
        cut: set when known blocks are missing, so that sealing restarts after the remaining ones.
    """

    def __init__(self, seal: Callable[[], Awaitable[None]]) -> None:
        self.cut = asyncio.Event()
        self._seal = seal
        self._keys = AuditEntry.keys()
        self._high_water = AuditEntry.high_water()
        self._seen = self._high_water.newest
        self._seen_at = self._high_water.noted_at
        self._height: int | None = None
        self._idle_looks = 0

    async def run(self) -> None:
        """Check until cancelled."""
        while True:
            # The pause comes first, so that a starting sealer has recorded what it found.
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self.look()
            except PyMongoError as error:
                # While MongoDB is away nothing is written either.
                self._idle_looks = 0
                log.info("audit_not_looked_at", error=type(error).__name__)

    async def look(self) -> None:
        """Check once.

        Raises:
            PyMongoError: the database cannot be reached.
        """
        try:
            newest = await Block.find_header()
        except ValueError:
            return  # The sealer reports a newest block that was not signed with the service's keys.
        key = self._keys.find(newest.key_id) if newest else None
        if newest and not (key and newest.is_signed_by(key.public)):
            return
        await self._check_chain(newest)
        await self._look_for_unsealed(newest)

    async def _check_chain(self, newest: Header | None) -> None:
        """Compare the chain with what the last check saw."""
        is_cut = await gaps.is_cut(self._seen, newest)
        if is_cut:
            of_block = self._seen.height
            if not await gaps.was_recorded(Reason.CUT, self._seen_at, of_block=of_block):
                await gaps.record_cut(self._seen, newest)
            self.cut.set()
        if newest is None:
            return
        mark = await Block.find_mark(newest)
        if is_cut:
            await self._high_water.note(mark)
        elif mark.height > self._high_water.newest.height:
            await self._high_water.note_higher(mark)
        self._seen, self._seen_at = mark, now()

    async def _look_for_unsealed(self, newest: Header | None) -> None:
        """Count the checks at which entries wait and nothing was sealed since the last one."""
        height = newest.height if newest else None
        if height != self._height or not await _is_waiting():
            self._height, self._idle_looks = height, 0
            return
        self._idle_looks += 1
        if self._idle_looks >= LOOKS_WITHOUT_SEALING:
            self._idle_looks = 0
            if not await gaps.was_recorded_lately(Reason.NOT_SEALED):
                await gaps.record(Reason.NOT_SEALED, newest)
            await self._seal()


async def _is_waiting() -> bool:
    """Whether the newest entry that should be sealed by now is in no block."""
    before = ObjectId.from_datetime(now() - SEALED_WITHIN)
    entries = AuditEntry.get_pymongo_collection()
    newest = await entries.find_one({"_id": {"$lt": before}}, {"_id": True}, sort=[("_id", -1)])
    return newest is not None and not await Block.find_held([newest["_id"]])
