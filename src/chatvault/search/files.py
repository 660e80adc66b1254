"""Indexes in MongoDB: files that never change, in parts, and the list of those that count.

New files are stored outside any transaction, each noted before as pending deletion. A small
transaction then compares the version and exchanges the list. Whoever was overtaken fails there, and
what it stored is deleted later.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Final, cast

from bson import ObjectId
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import DuplicateKeyError

from chatvault.access import Access
from chatvault.actor import Actor, Door
from chatvault.fields import Raw, now
from chatvault.mongodb.database import transaction
from chatvault.search.index import FORMAT
from chatvault.search.models import FileDoc, SearchFile, SearchIndex, SearchPending
from chatvault.vault.fields import ContentUnreadable

PART_BYTES: Final = 4 * 1024 * 1024
# What an index does not have yet, or no longer, is deleted after so long.
GRACE: Final = timedelta(hours=1)
# Nobody searched for so long: the next search builds the index again.
UNUSED: Final = timedelta(days=30)
# Words that were removed are in no file of an index after so long.
PURGE: Final = timedelta(days=1)
_BATCH: Final = 50


class IndexTrouble(Exception):
    """An index cannot be brought up to date now; the next search tries again."""


class Overtaken(IndexTrouble):
    """Another process has changed the index."""


class Unreadable(IndexTrouble):
    """A stored index is not complete, or was changed."""


class IndexFiles:
    """Stores and reads the files of indexes."""

    async def find(self, access: Access) -> Raw | None:
        """Return what is stored of a user's index; None if there is none of this format."""
        found = await SearchIndex.get_pymongo_collection().find_one(SearchIndex.owned_by(access))
        return found if found and found["format"] == FORMAT else None

    async def read(self, access: Access, file: FileDoc, target: Path) -> None:
        """Write a stored file to a path.

        Raises:
            Unreadable: parts of it are missing, or were changed.
        """
        size, no = 0, 0
        parts = SearchFile.get_pymongo_collection()
        with target.open("wb") as out:
            found = parts.find(SearchFile.owned_by(access, file=file["file"]), batch_size=1)
            try:
                async for part in found.sort("no", 1):
                    if part["no"] != no:
                        break
                    await asyncio.to_thread(out.write, part["data"])
                    size, no = size + len(part["data"]), no + 1
            except ContentUnreadable as error:
                raise Unreadable from error
        if size != file["bytes"]:
            raise Unreadable

    async def store(self, access: Access, path: Path) -> FileDoc:
        """Store a file that no index has yet."""
        file = ObjectId()
        await SearchPending.get_pymongo_collection().insert_one(_pending(access, file))
        size, no = 0, 0
        with path.open("rb") as source:
            while data := await asyncio.to_thread(source.read, PART_BYTES):
                part = SearchFile.owned_by(access, file=file, no=no, data=data)
                await SearchFile.get_pymongo_collection().insert_one(part)
                size, no = size + len(data), no + 1
        return {"name": path.name, "file": file, "bytes": size}

    async def publish(
        self,
        access: Access,
        before: Raw | None,
        files: Sequence[FileDoc],
        messages: int,
    ) -> Raw:
        """Make these the files of a user's index; return what is stored of it then.

        Raises:
            Overtaken: another process has changed it since it was read.
        """
        old = {each["file"] for each in (before or {}).get("files", ())}
        new = {each["file"] for each in files}
        index: Raw = {
            **SearchIndex.owned_by(access),
            "version": (before or {"version": 0})["version"] + 1,
            "format": FORMAT,
            "files": list(files),
            "messages": messages,
            "bytes": sum(each["bytes"] for each in files),
            "used_at": now(),
        }

        async def exchange(session: AsyncClientSession) -> None:
            await _exchange(session, access, before, index)
            await _retire(session, access, taken=new - old, dropped=old - new)

        await transaction(exchange)
        return index


async def _exchange(
    session: AsyncClientSession, access: Access, before: Raw | None, index: Raw
) -> None:
    indexes = SearchIndex.get_pymongo_collection()
    if before is None:
        # One of another format is replaced.
        other = SearchIndex.owned_by(access, format={"$ne": FORMAT})
        try:
            await indexes.update_one(other, {"$set": index}, upsert=True, session=session)
        except DuplicateKeyError:
            raise Overtaken from None
        return
    same = SearchIndex.owned_by(access, version=before["version"])
    if not (await indexes.update_one(same, {"$set": index}, session=session)).matched_count:
        raise Overtaken


async def _retire(
    session: AsyncClientSession, access: Access, *, taken: set[ObjectId], dropped: set[ObjectId]
) -> None:
    pending = SearchPending.get_pymongo_collection()
    mine = SearchPending.owned_by(access, file={"$in": list(taken)}, swept=False)
    deleted = await pending.delete_many(mine, session=session)
    if deleted.deleted_count != len(taken):
        # The garbage collection was quicker.
        raise Overtaken
    if dropped:
        notes = [_pending(access, each) for each in dropped]
        await pending.insert_many(notes, session=session)


def _pending(access: Access, file: ObjectId) -> Raw:
    return SearchPending.owned_by(access, file=file, due_at=now() + GRACE, swept=False)


async def note_use(access: Access) -> None:
    """Keep a user's index for as long as an index is kept without a search."""
    lately = SearchIndex.owned_by(access, used_at={"$lt": now() - timedelta(days=1)})
    await SearchIndex.get_pymongo_collection().update_one(lately, {"$set": {"used_at": now()}})


async def purge_later(access: Access) -> None:
    """Have a user's index removed, as words were removed that its files still have."""
    mine = SearchIndex.owned_by(access, purge_at=None)
    change = {"$set": {"purge_at": now() + PURGE}}
    await SearchIndex.get_pymongo_collection().update_one(mine, change)


async def release(owner_id: ObjectId) -> None:
    """Have the index of a user removed, of whose conversations one is gone."""
    await purge_later(Access.of(Actor(door=Door.BACKGROUND, user_id=owner_id)))


def also(
    other: Callable[[ObjectId, ObjectId], Awaitable[None]],
) -> Callable[[ObjectId, ObjectId], Awaitable[None]]:
    """Return what releases a conversation of a user in another domain, and here."""

    async def both(owner_id: ObjectId, conversation_id: ObjectId) -> None:
        await other(owner_id, conversation_id)
        await release(owner_id)

    return both


async def remove(access: Access, index: Mapping[str, object]) -> bool:
    """Remove a user's index, if it is still this version; return whether it was."""
    indexes = SearchIndex.get_pymongo_collection()

    async def give_up(session: AsyncClientSession) -> bool:
        same = SearchIndex.owned_by(access, version=index["version"])
        found = await indexes.find_one_and_delete(same, session=session)
        if found is None:
            return False
        files = cast("list[FileDoc]", found["files"])
        await _retire(session, access, taken=set(), dropped={each["file"] for each in files})
        return True

    return await transaction(give_up)


async def collect() -> int:
    """Remove indexes that are due, and files that no index has; return how many files."""
    indexes, removed = SearchIndex.get_pymongo_collection(), 0
    for due in ({"used_at": {"$lt": now() - UNUSED}}, {"purge_at": {"$lte": now()}}):
        async for index in indexes.find(due, {"user_id": True, "version": True}):
            await remove(_access(index), index)
    pending = SearchPending.get_pymongo_collection()
    while notes := await pending.find({"due_at": {"$lte": now()}}).limit(_BATCH).to_list():
        for note in notes:
            removed += await _delete(note)
    return removed


async def _delete(note: Raw) -> bool:
    """Delete a file, unless an index took it; return whether it was deleted."""
    access = _access(note)
    same = SearchPending.owned_by(access, _id=note["_id"])
    # From here on no index takes it.
    pending = SearchPending.get_pymongo_collection()
    if not (await pending.update_one(same, {"$set": {"swept": True}})).matched_count:
        return False
    parts = SearchFile.owned_by(access, file=note["file"])
    await SearchFile.get_pymongo_collection().delete_many(parts)
    await pending.delete_one(same)
    return True


def _access(document: Raw) -> Access:
    return Access.of(Actor(door=Door.BACKGROUND, user_id=document["user_id"]))
