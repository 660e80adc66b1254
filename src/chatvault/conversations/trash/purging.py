"""Delete permanently what has been in the trash for long enough; can be interrupted any time."""

import asyncio
import uuid
from datetime import timedelta
from itertools import groupby
from operator import attrgetter

import structlog
from pymongo.errors import PyMongoError

from chatvault.actor import Actor, Door
from chatvault.conversations.released import release_lifted
from chatvault.conversations.trash.queries import Trashed, list_due
from chatvault.conversations.trash.service import TrashDeps, purge_due
from chatvault.errors import Busy, OutcomeUnknown
from chatvault.fields import now
from chatvault.mongodb import leases

PAUSE_SECONDS = 60.0
# The pause between two pages, which leaves time for the changes of others.
SHORT_SECONDS = 0.5
LEASE_SECONDS = 180
PAGE = 100
JOB = "trash"
OWNER = attrgetter("owner_id")
log = structlog.get_logger()


async def purge_page(deps: TrashDeps, after: Trashed | None = None) -> tuple[int, Trashed | None]:
    """Delete what is due of one page of everybody's trash.

    What a legal hold keeps is passed over.

    Args:
        deps: the dependencies of the trash.
        after: where the page before ended.

    Returns:
        How many conversations were deleted, and where the page ended if there may be another.
    """
    cutoff = now() - timedelta(days=deps.days)
    page = await list_due(cutoff, after, PAGE)
    purged = 0
    for owner_id, some in groupby(sorted(page, key=OWNER), key=OWNER):
        actor = Actor(door=Door.BACKGROUND, user_id=owner_id)
        purged += await purge_due(actor, deps, [each.id for each in some], cutoff)
    return purged, page[-1] if len(page) == PAGE else None


async def run(deps: TrashDeps) -> None:
    """Delete what is due, page by page, in one process at a time, until cancelled."""
    holder = uuid.uuid4().hex
    after: Trashed | None = None
    while True:
        try:
            if await leases.take(JOB, holder=holder, seconds=LEASE_SECONDS):
                await release_lifted()
                purged, after = await purge_page(deps, after)
                if purged:
                    log.info("trash_purged", conversations=purged)
        except (PyMongoError, Busy, OutcomeUnknown) as error:
            after = None
            log.warning("trash_not_purged_yet", error=type(error).__name__)
        await asyncio.sleep(PAUSE_SECONDS if after is None else SHORT_SECONDS)
