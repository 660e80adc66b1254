"""Remove old entries, whole sealed blocks at a time, announced by an entry beforehand."""

import asyncio
from datetime import timedelta
from typing import Any

import structlog
from pymongo.errors import PyMongoError

from chatvault.actor import Actor, Door
from chatvault.audit.actions import Action
from chatvault.audit.models import AuditEntry
from chatvault.audit.service import entry
from chatvault.fields import now
from chatvault.sealing.blocks import Block

PAUSE_SECONDS = 3600.0
BATCH = 500
log = structlog.get_logger()


async def announced_through(name: str = "through_block") -> int:
    """Return the highest block whose entries may be gone, by genuine announcements.

    Args:
        name: `through_block` of the announcements, or `removed_through` of the reports after.

    Returns:
        -1 where nothing is announced.
    """
    entries = AuditEntry.get_pymongo_collection().with_options(codec_options=AuditEntry.RAW)
    found = entries.find({"action": Action.AUDIT_RETENTION.value, f"details.{name}": {"$gte": 0}})
    keys = AuditEntry.keys()
    async for stored in found.sort([(f"details.{name}", -1)]):
        if keys.is_genuine(bytes(stored.raw)):
            return int(stored["details"][name])
    return -1


async def remove_expired(days: int) -> int:
    """Remove the entries of blocks whose last entry is older than this; their headers remain.

    An interrupted removal is resumed.

    Returns:
        How many entries were removed.

    Raises:
        PyMongoError: it is not done yet.
    """
    done = await announced_through("removed_through")
    through = max(await announced_through(), await _find_last_expired(done, days))
    if through <= done:
        return 0
    if through > await announced_through():
        await _record({"through_block": through})
    removed = 0
    blocks = Block.get_pymongo_collection().find(
        {"_id": {"$gt": done, "$lte": through}}, {"entry_ids": True}
    )
    async for block in blocks.sort("_id").batch_size(20):
        removed += await _remove(block["entry_ids"])
    await _record({"removed_through": through, "entries": removed})
    return removed


async def _find_last_expired(done: int, days: int) -> int:
    cutoff = now() - timedelta(days=days)
    blocks = Block.get_pymongo_collection().find({"_id": {"$gt": done}}, {"header.last_at": True})
    last = done
    async for block in blocks.sort("_id"):
        if block["header"]["last_at"] >= cutoff:
            break
        last = block["_id"]
    return last


async def _remove(ids: list[Any]) -> int:
    removed = 0
    for first in range(0, len(ids), BATCH):
        some = {"_id": {"$in": ids[first : first + BATCH]}}
        removed += (await AuditEntry.get_pymongo_collection().delete_many(some)).deleted_count
    return removed


async def _record(details: dict[str, int]) -> None:
    remover = Actor(door=Door.BACKGROUND)
    await AuditEntry.store([entry(remover, Action.AUDIT_RETENTION, details=details)])


async def run(days: int) -> None:
    """Remove what expired, now and every hour, until cancelled; with 0 days, never."""
    while True:
        try:
            removed = await remove_expired(days) if days else 0
        except PyMongoError as error:
            log.warning("audit_retention_waits", error=type(error).__name__)
        else:
            if removed:
                log.info("audit_entries_removed", entries=removed)
        await asyncio.sleep(PAUSE_SECONDS)
