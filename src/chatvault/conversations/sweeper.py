"""Collects what no conversation points to any more; it can be interrupted at any point."""

import asyncio
from collections.abc import Sequence

import structlog
from beanie import Document
from bson import ObjectId
from pymongo.errors import PyMongoError

from chatvault.conversations.models import Raw
from chatvault.conversations.segments import Retired, Revision, Segment
from chatvault.fields import now

PAUSE_SECONDS = 60.0
BATCH = 50
log = structlog.get_logger()


async def sweep(beside: Sequence[type[Document]] = ()) -> int:
    """Remove all that is due, in small batches; returns how many documents went.

    Args:
        beside: documents of other domains that go with their conversation.

    Several processes may sweep at once, and one that stopped in the middle is taken over.
    """
    removed = 0
    notes = Retired.get_pymongo_collection()
    while note := await notes.find_one_and_update(
        {"due_at": {"$lte": now()}}, {"$set": {"swept": True}}, sort=[("due_at", 1)]
    ):
        removed += await _sweep_one(note, beside)
        await notes.delete_one({"_id": note["_id"], "user_id": note["user_id"]})
    return removed


async def _sweep_one(note: Raw, beside: Sequence[type[Document]]) -> int:
    removed = 0
    targets: list[tuple[type[Document], Raw]] = []
    if note["generation"] is not None:
        targets.append((Segment, {"generation": note["generation"]}))
    if note["conversation_id"] is not None:
        mine = {"conversation_id": note["conversation_id"]}
        targets.append((Revision, mine))
        targets += [(document, mine) for document in beside]
    for document, which in targets:
        collection = document.get_pymongo_collection()
        mine = {"user_id": note["user_id"], **which}
        while ids := await _some_ids(document, mine):
            removed += (await collection.delete_many({**mine, "_id": {"$in": ids}})).deleted_count
    return removed


async def _some_ids(document: type[Document], mine: Raw) -> list[ObjectId]:
    found = document.get_pymongo_collection().find(mine, {"_id": True}).limit(BATCH)
    return [each["_id"] async for each in found]


async def run(beside: Sequence[type[Document]] = ()) -> None:
    """Sweep now and then, until cancelled."""
    while True:
        try:
            removed = await sweep(beside)
        except PyMongoError as error:
            log.warning("not_swept_yet", error=type(error).__name__)
        else:
            if removed:
                log.info("swept", documents=removed)
        await asyncio.sleep(PAUSE_SECONDS)
