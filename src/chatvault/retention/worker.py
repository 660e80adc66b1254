"""Applies the policies of retention, a bounded part at a time; can be interrupted any time."""

import asyncio
import uuid

import structlog
from pymongo.errors import PyMongoError

from chatvault.conversations.trash.service import TrashDeps
from chatvault.errors import Busy, OutcomeUnknown
from chatvault.mongodb import leases
from chatvault.retention import service

PAUSE_SECONDS = 3600.0
# The pause between two users, which leaves time for the changes of others.
SHORT_SECONDS = 0.05
LEASE_SECONDS = 600
JOB = "retention"
log = structlog.get_logger()


async def apply_all(deps: TrashDeps) -> int:
    """Apply each user's policy once, in bounded parts; return how many conversations went."""
    gone = 0
    for owner_id, days in (await service.list_policies()).items():
        while found := await service.apply(deps, owner_id, days):
            gone += found
            await asyncio.sleep(SHORT_SECONDS)
            if found < service.AT_ONCE:
                break
    return gone


async def run(deps: TrashDeps) -> None:
    """Apply the policies every hour, in one process at a time, until cancelled."""
    holder = uuid.uuid4().hex
    while True:
        try:
            if await leases.take(JOB, holder=holder, seconds=LEASE_SECONDS):
                gone = await apply_all(deps)
                if gone:
                    log.info("retention_applied", conversations=gone)
        except (PyMongoError, Busy, OutcomeUnknown) as error:
            log.warning("retention_not_applied_yet", error=type(error).__name__)
        await asyncio.sleep(PAUSE_SECONDS)
