"""Remove the documents of a user from every collection, as the collections declare it."""

import time
from collections.abc import Mapping
from typing import Final

from bson import ObjectId
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase

from chatvault.accounts.models import User
from chatvault.content import Content
from chatvault.erasure.models import Erasure
from chatvault.fields import Raw
from chatvault.importing.models import Upload
from chatvault.mongodb.database import transact

# The time for which a process removes before it renews its lease.
SLICE_SECONDS: Final = 20.0
# The number of documents that one transaction removes; some have half a megabyte.
BATCH: Final = 100
_LAST: Final = User.Settings.name


class Removal:
    """Removes what collections hold of a user.

    Args:
        database: with the collections.
        holds: the declaration of each collection.
    """

    def __init__(self, database: AsyncDatabase[Raw], holds: Mapping[str, Content]) -> None:
        self._database = database
        self._holds = holds

    def collections_of(self, user_id: ObjectId) -> dict[str, Raw]:
        """Return the filter of what is to be removed by collection, without the account itself."""
        filters = {name: holds.erased_with(user_id) for name, holds in self._holds.items()}
        return {name: each for name, each in filters.items() if each is not None and name != _LAST}

    async def remove_all(self, erasure: Raw) -> int:
        """Remove everything but the account, or as much as there is time for; return how much.

        It is complete once it returns 0. It can be interrupted at any point and repeated: each step
        is one transaction, which counts what it removes.

        Returns:
            The number of removed documents.
        """
        removed, until = 0, time.monotonic() + SLICE_SECONDS
        for name, which in self.collections_of(erasure["user_id"]).items():
            if self._holds[name].is_owner_within:
                # Counters and leases: written at any time, with nothing to count.
                await self._database[name].delete_many(which)
                continue
            while count := await self._remove_some(erasure, name, which):
                removed += count
                if time.monotonic() > until:
                    return removed
        return removed

    async def _remove_some(self, erasure: Raw, name: str, which: Raw) -> int:
        collection = self._database[name]
        wanted = ["place"] if name == Upload.Settings.name else ["_id"]
        if await collection.find_one(which, ["_id"]) is None:
            return 0

        async def remove(session: AsyncClientSession) -> int:
            found = await collection.find(which, wanted, session=session).limit(BATCH).to_list()
            ids = [each["_id"] for each in found]
            await collection.delete_many({**which, "_id": {"$in": ids}}, session=session)
            files = [_file(each) for each in found if "place" in each]
            update: Raw = {"$inc": {f"counts.{name}": len(ids)}}
            if files:
                update["$push"] = {"uploads": {"$each": files}}
            await Erasure.get_pymongo_collection().update_one(
                {"_id": erasure["_id"], "user_id": erasure["user_id"]}, update, session=session
            )
            return len(ids)

        return await transact(remove)


def _file(upload: Raw) -> Raw:
    """Return the note that a machine has the file of an upload, and is to remove it."""
    return {"place": upload["place"], "upload_id": upload["_id"], "is_removed": False}
