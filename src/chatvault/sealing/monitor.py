"""Looks every few seconds whether the audit log is all there, and is being sealed."""

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
# So many looks one after the other, so that a process that was stopped for a while does not think
# that nothing happened meanwhile: a minute.
LOOKS_WITHOUT_SEALING = 12
SEALED_WITHIN = timedelta(seconds=5)
log = structlog.get_logger()


class Monitor:
    """Looks in every process, whichever of them seals; so nobody can keep all from it unseen.

    Args:
        seal: seals what there is, whoever's turn it is.

    Attributes:
        cut: set when blocks that were seen are gone, so that sealing has to begin after the rest.
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
        """Look until cancelled."""
        while True:
            # First, so that a sealer that begins has told already what it found.
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self.look()
            except PyMongoError as error:
                # While MongoDB is away nothing is written either.
                self._idle_looks = 0
                log.info("audit_not_looked_at", error=type(error).__name__)

    async def look(self) -> None:
        """Look once.

        Raises:
            PyMongoError: the database cannot be reached.
        """
        try:
            newest = await Block.find_header()
        except ValueError:
            return  # The sealer tells of a newest block that is none of ours.
        key = self._keys.find(newest.key_id) if newest else None
        if newest and not (key and newest.is_signed_by(key.public)):
            return
        await self._look_back(newest)
        await self._look_for_unsealed(newest)

    async def _look_back(self, newest: Header | None) -> None:
        """Compare the chain with what was seen at the last look."""
        is_cut = await gaps.is_cut(self._seen, newest)
        if is_cut:
            of_block = self._seen.height
            if not await gaps.was_told(Reason.CUT, self._seen_at, of_block=of_block):
                await gaps.tell_cut(self._seen, newest)
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
        """Count the looks at which something waits, and nothing was sealed since the last."""
        height = newest.height if newest else None
        if height != self._height or not await _is_waiting():
            self._height, self._idle_looks = height, 0
            return
        self._idle_looks += 1
        if self._idle_looks >= LOOKS_WITHOUT_SEALING:
            self._idle_looks = 0
            if not await gaps.was_told_lately(Reason.NOT_SEALED):
                await gaps.tell(Reason.NOT_SEALED, newest)
            await self._seal()


async def _is_waiting() -> bool:
    """Whether the newest entry that has had its time to be sealed is in no block."""
    before = ObjectId.from_datetime(now() - SEALED_WITHIN)
    entries = AuditEntry.get_pymongo_collection()
    newest = await entries.find_one({"_id": {"$lt": before}}, {"_id": True}, sort=[("_id", -1)])
    return newest is not None and not await Block.find_held([newest["_id"]])
