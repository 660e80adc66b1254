"""Delete what was kept because of holds that were lifted; can be interrupted any time."""

from typing import Any

from chatvault.access import Access
from chatvault.actor import Actor, Door
from chatvault.conversations.holds import IN_FORCE, Hold, Holds
from chatvault.conversations.segments import PendingDeletion, Revision
from chatvault.fields import Raw, now

AT_ONCE = 500


async def release_lifted() -> int:
    """Delete what was kept by lifted holds alone; return the number of deleted revisions."""
    removed = 0
    holds = Hold.get_pymongo_collection()
    while hold := await holds.find_one({"lifted_at": {"$type": "date"}, **IN_FORCE}):
        access = Access.of(Actor(door=Door.BACKGROUND, user_id=hold["user_id"]))
        removed += await _release(access, hold, await Holds.of(access))
        done = Hold.owned_by(access, _id=hold["_id"])
        await holds.update_one(done, {"$set": {"is_open": False}})
    return removed


async def _release(access: Access, hold: Raw, left: Holds) -> int:
    """Delete what a hold kept, unless one of those that are left keeps it, too."""
    conversation_id = hold["conversation_id"]
    if left.whole or conversation_id in left.ids:
        return 0
    which: Any = {"$nin": [*left.ids]} if conversation_id is None else conversation_id
    notes = PendingDeletion.owned_by(access, conversation_id=which, due_at=None)
    await PendingDeletion.get_pymongo_collection().update_many(notes, {"$set": {"due_at": now()}})
    revisions, removed = Revision.get_pymongo_collection(), 0
    kept = Revision.owned_by(access, conversation_id=which, kept=True)
    while found := await revisions.find(kept, {"_id": True}).limit(AT_ONCE).to_list():
        ids = [each["_id"] for each in found]
        some = Revision.owned_by(access, conversation_id=which, _id={"$in": ids})
        removed += (await revisions.delete_many(some)).deleted_count
    return removed
