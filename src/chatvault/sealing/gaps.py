"""Record gaps: evidence that the log was cut, or could not be sealed for a while."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from bson import ObjectId
from bson.raw_bson import RawBSONDocument

from chatvault.actor import Actor, Door
from chatvault.audit.actions import Action
from chatvault.audit.mark import Mark
from chatvault.audit.models import AuditEntry
from chatvault.audit.service import entry
from chatvault.fields import now
from chatvault.sealing.alerts import Alarm, Alert, record_alerts
from chatvault.sealing.blocks import Block, Header

# A gap that persists is recorded again after this time.
REPEAT_AFTER = timedelta(minutes=10)


class Reason(StrEnum):
    """The evidence of a gap."""

    STREAM_LOST = "stream_lost"
    BEGUN_LATE = "begun_late"
    CUT = "cut"
    SEALED_LATE = "sealed_late"
    STRANGER = "stranger"
    NOT_SEALED = "not_sealed"

    @property
    def sentence(self) -> str:
        """The meaning, for people."""
        return SENTENCES[self]


SENTENCES = {
    Reason.STREAM_LOST: "MongoDB could not show what came after the newest block",
    Reason.BEGUN_LATE: "there were entries of before, and no block",
    Reason.CUT: "a block that was seen before was gone, or another one",
    Reason.SEALED_LATE: "an entry was sealed long after it was written, and after later ones",
    Reason.STRANGER: "a stranger kept the services from sealing",
    Reason.NOT_SEALED: "nothing was sealed for a minute, though there was something to seal",
}
# After a lost stream all present entries are sealed, and missing blocks are found.
HARMLESS = {Reason.STREAM_LOST}


async def is_cut(known: Mark, newest: Header | None) -> bool:
    """Whether a block that was seen is no longer in the chain.

    Args:
        known: the block, seen before the newest was read.
        newest: the newest header now.

    Raises:
        PyMongoError: the database cannot be read.
    """
    if known.height < 0:
        return False
    if newest is None or newest.height < known.height:
        return True
    try:
        there = await Block.find_header(known.height)
    except ValueError:
        return True
    return there is None or there.hash != known.hash


async def record(reason: Reason, newest: Header | None, **more: Any) -> None:
    """Record a gap, and raise an alert unless it is harmless.

    Args:
        reason: the evidence.
        newest: the newest block now.
        more: facts for the entry.

    Raises:
        PyMongoError: it could not be recorded.
    """
    details = {"reason": reason.value, "after_block": newest.height if newest else None, **more}
    sealer = Actor(door=Door.BACKGROUND)
    await AuditEntry.store([entry(sealer, Action.AUDIT_GAP, details=details)])
    if reason not in HARMLESS:
        await record_alerts([Alert(Alarm.GAP, details)])


async def record_cut(known: Mark, newest: Header | None) -> None:
    """Record that a block that was seen is gone.

    Raises:
        PyMongoError: it could not be recorded.
    """
    lost = {"known_block": known.height, "known_hash": known.hash.hex()}
    await record(Reason.CUT, newest, **lost, known_entries=known.count)


async def was_recorded(reason: Reason, since: datetime, *, of_block: int = -1) -> bool:
    """Whether such a gap has been recorded since then, of this block or a later one.

    Raises:
        PyMongoError: the database cannot be read.
    """
    details: dict[str, Any] = {"details.reason": reason.value, "at": {"$gte": since}}
    if of_block >= 0:
        details["details.known_block"] = {"$gte": of_block}
    async for _ in list_genuine(Action.AUDIT_GAP, details):
        return True
    return False


async def was_recorded_lately(reason: Reason) -> bool:
    """Whether such a gap has been recorded in the last ten minutes.

    Raises:
        PyMongoError: the database cannot be read.
    """
    return await was_recorded(reason, now() - REPEAT_AFTER)


@dataclass(frozen=True, slots=True)
class Gap:
    """A gap that an entry records."""

    entry_id: ObjectId
    reason: Reason

    @property
    def sentence(self) -> str:
        """The description of the gap, with what to do about it."""
        return (
            f"entry {self.entry_id} tells of a gap ({self.reason.value}): {self.reason.sentence}; "
            "look into it, then: chatvault audit acknowledge"
        )


async def find_open(first: int, accepted: int) -> Gap | None:
    """Return an unacknowledged gap that is in a block from this height on or in none yet, or None.

    Raises:
        PyMongoError: the database cannot be read.
    """
    harmful = [reason.value for reason in Reason if reason not in HARMLESS]
    async for found in list_genuine(Action.AUDIT_GAP, {"details.reason": {"$in": harmful}}):
        height = await _height_of(found["_id"])
        if height is None or (height >= first and height > accepted):
            return Gap(found["_id"], Reason(found["details"]["reason"]))
    return None


async def accepted_through(*, with_recorded: bool = False) -> int:
    """Return the highest block up to which an operator has acknowledged gaps; -1 for none.

    An acknowledgement names a block and its hash. So it is valid for this chain only, not for one
    that begins again below that block.

    Args:
        with_recorded: treat recorded gaps as acknowledged.

    Raises:
        PyMongoError: the database cannot be read.
    """
    accepted = -1
    async for found in list_genuine(Action.AUDIT_ACKNOWLEDGE, {}):
        block, known = found["details"]["block"], bytes.fromhex(found["details"]["hash"])
        if block > accepted and not await is_cut(Mark(block, known, 0), await find_newest()):
            accepted = block
    if with_recorded:
        async for found in list_genuine(Action.AUDIT_GAP, {}):
            height = await _height_of(found["_id"])
            accepted = accepted if height is None else max(accepted, height)
    return accepted


async def count_open(accepted: int) -> tuple[int, int]:
    """Return how many gaps are not acknowledged: in blocks, and not sealed yet.

    Raises:
        PyMongoError: the database cannot be read.
    """
    harmful = [reason.value for reason in Reason if reason not in HARMLESS]
    sealed = unsealed = 0
    async for found in list_genuine(Action.AUDIT_GAP, {"details.reason": {"$in": harmful}}):
        height = await _height_of(found["_id"])
        sealed += height is not None and height > accepted
        unsealed += height is None
    return sealed, unsealed


async def find_newest() -> Header | None:
    """Return the newest header; None if there is none, or one that cannot be read.

    Raises:
        PyMongoError: the database cannot be read.
    """
    try:
        return await Block.find_header()
    except ValueError:
        return None


async def _height_of(entry_id: ObjectId) -> int | None:
    """Return the height of the block that holds an entry."""
    blocks = Block.get_pymongo_collection()
    holding = {"entry_ids": entry_id, "_id": {"$type": ["int", "long"]}}
    found = await blocks.find_one(holding, {"_id": True})
    return None if found is None else int(found["_id"])


async def list_genuine(action: Action, more: dict[str, Any]) -> AsyncIterator[RawBSONDocument]:
    """Yield the entries of an action that our keys stamped, oldest first.

    Raises:
        PyMongoError: the database cannot be read.
    """
    entries = AuditEntry.get_pymongo_collection().with_options(codec_options=AuditEntry.RAW)
    keys = AuditEntry.keys()
    async for stored in entries.find({"action": action.value, **more}).sort("at", 1):
        if keys.is_genuine(bytes(stored.raw)):
            yield stored
