"""Store the bytes of attachments: once for a user, within limits, while they are used."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import structlog
from bson import ObjectId
from bson.binary import Binary
from pymongo.errors import DuplicateKeyError, PyMongoError

from chatvault.access import Access
from chatvault.actor import Actor, Door
from chatvault.attachments.models import Attachment, AttachmentFile, AttachmentPart
from chatvault.errors import Conflict, NotFound, TooLarge
from chatvault.fields import Raw, now
from chatvault.keys import SecretKey
from chatvault.settings import Settings

PART: Final = 255 * 1024
# The number of parts that are written or read in one round trip.
_AT_ONCE: Final = 8
# The time for which a new or reused file is kept until an attachment refers to it.
GRACE: Final = timedelta(hours=1)
# The time within which a deletion of attachments is complete.
SETTLE: Final = timedelta(minutes=5)
_BATCH: Final = 50
PAUSE_SECONDS: Final = 60.0
MB: Final = 1024 * 1024
log = structlog.get_logger()


class AttachmentLimitReached(Conflict):
    """Your attachments would be larger than they may be together."""

    code = "attachment_limit_reached"


@dataclass(frozen=True, slots=True)
class FileStore:
    """Stores the bytes of attachments.

    Equal bytes of one user are stored once. A MAC with a key of this installation identifies them,
    so that nobody who reads the database can tell whether a file of known content is in it.

    Attributes:
        key: the key of the MACs.
        max_size: the limit of one file, in bytes.
        max_total: the limit of all files of a user, in bytes.
    """

    key: SecretKey
    max_size: int
    max_total: int

    async def keep(self, access: Access, data: bytes) -> ObjectId:
        """Store the bytes unless they are stored; return their file, for immediate use.

        Raises:
            TooLarge: they exceed the limit of one file.
            AttachmentLimitReached: the user's files would exceed their limit.
        """
        if len(data) > self.max_size:
            raise TooLarge(f"A file may have at most {self.max_size // MB} MB.")
        of_user = b"attachment\0", access.owner_id.binary
        mac = await asyncio.to_thread(self.key.hash_bytes, *of_user, data)
        if (known := await self._find(access, mac)) is not None:
            return known
        if await self.sum_of(access) + len(data) > self.max_total:
            raise self._refusal()
        file_id = await _write(access, data)
        files = AttachmentFile.get_pymongo_collection()
        try:
            await files.update_one(
                AttachmentFile.owned_by(access, _id=file_id), {"$set": {"mac": mac}}
            )
        except DuplicateKeyError:
            await _give_up(access, file_id)
            # Another request has stored the same bytes meanwhile.
            return await self._find(access, mac) or await self.keep(access, data)
        # Checked again, as concurrent requests now count each other.
        if await self.sum_of(access) > self.max_total:
            await _give_up(access, file_id)
            raise self._refusal()
        return file_id

    def _refusal(self) -> AttachmentLimitReached:
        return AttachmentLimitReached(
            f"Your attachments may have {self.max_total // MB:,} MB together; delete "
            "conversations with large ones first."
        )

    async def _find(self, access: Access, mac: str) -> ObjectId | None:
        """Return the file with these bytes, and keep it for at least an hour."""
        found = await AttachmentFile.get_pymongo_collection().find_one_and_update(
            AttachmentFile.owned_by(access, mac=mac),
            {"$set": {"check_at": now() + GRACE}},
            projection={"_id": True},
        )
        return None if found is None else found["_id"]

    async def sum_of(self, access: Access) -> int:
        """Return the total size of the user's files, in bytes."""
        found = await AttachmentFile.get_pymongo_collection().aggregate(
            [
                {"$match": AttachmentFile.owned_by(access, mac={"$type": "string"})},
                {"$group": {"_id": None, "size": {"$sum": "$size"}}},
            ]
        )
        sums = await found.to_list()
        return int(sums[0]["size"]) if sums else 0

    async def read(
        self, access: Access, file_id: ObjectId, start: int, end: int
    ) -> AsyncGenerator[bytes]:
        """Yield the bytes from `start` up to `end`, with a few parts in memory at a time.

        Raises:
            NotFound: they were removed.
        """
        no, last = start // PART, (end - 1) // PART
        parts = AttachmentPart.get_pymongo_collection()
        while no <= last:
            until = min(last, no + _AT_ONCE - 1)
            query = AttachmentPart.owned_by(access, file=file_id, no={"$gte": no, "$lte": until})
            found = await parts.find(query).sort("no", 1).to_list()
            if len(found) != until - no + 1:
                raise NotFound("Attachment not found")
            for part in found:
                at = part["no"] * PART
                yield bytes(part["data"])[max(0, start - at) : end - at]
            no = until + 1


def open_store(settings: Settings, key: SecretKey) -> FileStore:
    """Return the store of this installation."""
    return FileStore(key, settings.attachment_megabytes * MB, settings.attachments_megabytes * MB)


async def _write(access: Access, data: bytes) -> ObjectId:
    """Store the bytes as a file that no request finds yet; after a crash it is collected."""
    file_id = ObjectId()
    await AttachmentFile.get_pymongo_collection().insert_one(
        AttachmentFile.owned_by(access, _id=file_id, size=len(data), check_at=now() + GRACE)
    )
    starts = range(0, len(data), PART)
    for first in range(0, len(starts), _AT_ONCE):
        await AttachmentPart.get_pymongo_collection().insert_many(
            [
                AttachmentPart.owned_by(
                    access,
                    file=file_id,
                    no=start // PART,
                    data=Binary(data[start : start + PART]),
                )
                for start in starts[first : first + _AT_ONCE]
            ]
        )
    return file_id


async def _give_up(access: Access, file_id: ObjectId) -> None:
    await AttachmentFile.get_pymongo_collection().update_one(
        AttachmentFile.owned_by(access, _id=file_id),
        {"$unset": {"mac": ""}, "$set": {"check_at": now()}},
    )


async def hold(access: Access, file_ids: Sequence[ObjectId]) -> set[ObjectId]:
    """Keep files for an hour at least, for attachments to be stored; return those that are here."""
    if not file_ids:
        return set()
    some = AttachmentFile.owned_by(access, _id={"$in": [*file_ids]}, mac={"$type": "string"})
    files = AttachmentFile.get_pymongo_collection()
    await files.update_many(some, {"$max": {"check_at": now() + GRACE}})
    return {each["_id"] async for each in files.find(some, {"_id": True})}


async def release(owner_id: ObjectId, conversation_id: ObjectId) -> None:
    """Delete the attachments of a deleted conversation; their files are checked later.

    It can be interrupted at any point and repeated.
    """
    access = Access.of(Actor(door=Door.BACKGROUND, user_id=owner_id))
    attachments = Attachment.get_pymongo_collection()
    mine = Attachment.owned_by(access, conversation_id=conversation_id)
    while found := await attachments.find(mine, {"file": True}).limit(_BATCH).to_list():
        await recheck(access, [each["file"] for each in found if each.get("file")])
        ids = [each["_id"] for each in found]
        await attachments.delete_many({**mine, "_id": {"$in": ids}})


async def recheck(access: Access, file_ids: Sequence[ObjectId]) -> None:
    """Schedule the check of files whose attachments are deleted within minutes."""
    if file_ids:
        await AttachmentFile.get_pymongo_collection().update_many(
            AttachmentFile.owned_by(access, _id={"$in": list(file_ids)}), _check_later()
        )


async def recheck_all(access: Access) -> None:
    """Schedule the check of all files of a user, after attachments were replaced."""
    await AttachmentFile.get_pymongo_collection().update_many(
        AttachmentFile.owned_by(access), _check_later()
    )


def _check_later() -> Raw:
    # A concurrent collection keeps a time that it did not read.
    return {"$max": {"check_at": now() + SETTLE}}


async def collect() -> int:
    """Remove the files that no attachment uses; return their number."""
    removed = 0
    files = AttachmentFile.get_pymongo_collection()
    while due := await files.find({"check_at": {"$lte": now()}}).limit(_BATCH).to_list():
        for each in due:
            removed += await _check(each)
    return removed


async def _check(file: Raw) -> bool:
    """Remove a file unless an attachment uses it; return whether it was removed."""
    access = Access.of(Actor(door=Door.BACKGROUND, user_id=file["user_id"]))
    files = AttachmentFile.get_pymongo_collection()
    # Only if unchanged: a request that reused it has changed the time.
    same = AttachmentFile.owned_by(access, _id=file["_id"], check_at=file["check_at"])
    uses = Attachment.owned_by(access, file=file["_id"])
    if await Attachment.get_pymongo_collection().find_one(uses, {"_id": True}) is not None:
        await files.update_one(same, {"$unset": {"check_at": ""}})
        return False
    # From here on, no request finds the file.
    if not (await files.update_one(same, {"$unset": {"mac": ""}})).matched_count:
        return False
    parts = AttachmentPart.owned_by(access, file=file["_id"])
    await AttachmentPart.get_pymongo_collection().delete_many(parts)
    await files.delete_one(same)
    return True


async def run() -> None:
    """Remove files periodically, until cancelled."""
    while True:
        try:
            removed = await collect()
        except PyMongoError as error:
            log.warning("attachments_not_collected_yet", error=type(error).__name__)
        else:
            if removed:
                log.info("attachments_collected", files=removed)
        await asyncio.sleep(PAUSE_SECONDS)
