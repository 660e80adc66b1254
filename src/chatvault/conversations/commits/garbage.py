"""Delete documents that no conversation refers to; can be interrupted at any point."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog
from beanie import Document
from bson import ObjectId
from pymongo.errors import PyMongoError

from chatvault.access import Access
from chatvault.actor import Actor, Door
from chatvault.conversations.paths import PathRuns
from chatvault.conversations.reading.consistency import not_deleted
from chatvault.conversations.reading.finding import find_messages
from chatvault.conversations.reading.pages import read_consistently
from chatvault.conversations.segments import PendingDeletion, Revision, Segment
from chatvault.conversations.shapes import ConversationDoc, StoredMessage
from chatvault.conversations.store import MessageStore
from chatvault.errors import Busy, NotFound
from chatvault.fields import Raw, now

PAUSE_SECONDS = 60.0
BATCH = 50
log = structlog.get_logger()


# Called with the ids of a user and of a deleted conversation.
Release = Callable[[ObjectId, ObjectId], Awaitable[None]]


async def sweep(
    store: MessageStore, beside: Sequence[type[Document]] = (), release: Release | None = None
) -> int:
    """Delete everything that is due in small batches; return the number of deleted documents.

    Args:
        store: reads messages.
        beside: documents of other domains that go with their conversation.
        release: deletes further data of the conversation.

    Several processes may sweep at once; an interrupted sweep is continued by the next one.
    """
    removed = 0
    notes = PendingDeletion.get_pymongo_collection()
    while note := await notes.find_one_and_update(
        {"due_at": {"$lte": now()}}, {"$set": {"swept": True}}, sort=[("due_at", 1)]
    ):
        if release is not None and note["conversation_id"] and note.get("before_seq") is None:
            await release(note["user_id"], note["conversation_id"])
        removed += await _sweep_one(store, note, beside)
        await notes.delete_one({"_id": note["_id"], "user_id": note["user_id"]})
    return removed


async def _sweep_one(store: MessageStore, note: Raw, beside: Sequence[type[Document]]) -> int:
    removed = 0
    targets: list[tuple[type[Document], Raw]] = []
    if note["generation"] is not None:
        within = {"generation": note["generation"]}
        targets += [(Segment, within), (PathRuns, within)]
    if note["conversation_id"] is not None and note.get("before_seq") is not None:
        removed += await _sweep_replaced(store, note)
    elif note["conversation_id"] is not None:
        within = {"conversation_id": note["conversation_id"]}
        targets.append((Revision, within))
        targets += [(document, within) for document in beside]
    for document, which in targets:
        collection = document.get_pymongo_collection()
        mine = {"user_id": note["user_id"], **which}
        while ids := await _some_ids(document, mine):
            removed += (await collection.delete_many({**mine, "_id": {"$in": ids}})).deleted_count
    return removed


async def _sweep_replaced(store: MessageStore, note: Raw) -> int:
    """Delete the revisions of messages that a replacement removed and did not contain again."""
    revisions = Revision.get_pymongo_collection()
    old = {
        "user_id": note["user_id"],
        "conversation_id": note["conversation_id"],
        "seq": {"$lt": note["before_seq"]},
    }
    removed = 0
    after = ""
    while True:
        further = {**old, "message_id": {"$gt": after}}
        found = revisions.find(further, {"message_id": True}).sort("message_id", 1).limit(BATCH)
        if not (ids := [each["message_id"] async for each in found]):
            return removed
        after = ids[-1]
        gone = sorted(set(ids) - await _find_present(store, note, ids))
        swept = await revisions.delete_many({**old, "message_id": {"$in": gone}})
        removed += swept.deleted_count


async def _find_present(store: MessageStore, note: Raw, ids: list[str]) -> set[str]:
    """Return the ids of those messages that the conversation still has."""
    access = Access.of(Actor(door=Door.BACKGROUND, user_id=note["user_id"]))

    async def read(conversation: ConversationDoc) -> list[StoredMessage]:
        return not_deleted(await find_messages(access, store, conversation, sorted(set(ids))))

    try:
        found = await read_consistently(access, store, note["conversation_id"], read)
    except NotFound:
        return set()
    return {each.message["id"] for each in found}


async def _some_ids(document: type[Document], mine: Raw) -> list[ObjectId]:
    found = document.get_pymongo_collection().find(mine, {"_id": True}).limit(BATCH)
    return [each["_id"] async for each in found]


async def run(
    store: MessageStore, beside: Sequence[type[Document]] = (), release: Release | None = None
) -> None:
    """Delete what is due, periodically, until cancelled."""
    while True:
        try:
            removed = await sweep(store, beside, release)
        except (PyMongoError, Busy) as error:
            log.warning("not_swept_yet", error=type(error).__name__)
        else:
            if removed:
                log.info("swept", documents=removed)
        await asyncio.sleep(PAUSE_SECONDS)
