"""API key documents, found by the hash of a secret that only the client holds."""

from datetime import datetime, timedelta
from typing import ClassVar

from beanie import Document, PydanticObjectId
from bson import ObjectId
from pydantic import Field
from pymongo import DESCENDING, IndexModel, UpdateOne

from chatvault.accounts.models import User
from chatvault.actor import Actor, Scope
from chatvault.content import Content
from chatvault.fields import Id, Raw
from chatvault.owned import Personal

# An expired key stays in its owner's list for so long.
SHOWN_AFTER_EXPIRY = timedelta(days=30)
# The time of the last use is written at most so often.
USE_WRITTEN_EVERY = timedelta(minutes=1)


class ApiKey(Personal, Document):
    """One API key; revoking it removes the document.

    Attributes:
        key_hash: SHA-256 of the key, which itself is stored nowhere.
        prefix: the key's first characters, by which its owner recognises it.
        name: what its owner calls it.
        last_used_at: is written at most once a minute.
        created_from: the address that the key was made from.
    """

    id: PydanticObjectId = Field(default_factory=PydanticObjectId, alias="_id")
    user_id: Id
    key_hash: bytes
    prefix: str
    name: str
    scopes: list[Scope]
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None = None
    created_from: str | None = None

    holds: ClassVar = Content(words=("name",), plain=("prefix", "created_from"), exported=True)

    class Settings:
        """Beanie's."""

        name = "api_keys"
        indexes: ClassVar = [
            IndexModel("key_hash", unique=True),
            IndexModel([("user_id", 1), ("created_at", DESCENDING)]),
            IndexModel("expires_at", expireAfterSeconds=int(SHOWN_AFTER_EXPIRY.total_seconds())),
        ]

    @classmethod
    async def find_by_hashes(cls, hashes: list[bytes], at: datetime) -> list[Raw]:
        """Return the keys with these hashes that may be used at that time, with `user.role`."""
        return await cls._find_usable({"key_hash": {"$in": hashes}}, at)

    @classmethod
    async def find_usable_ids(cls, ids: list[ObjectId], at: datetime) -> set[ObjectId]:
        """Return those of these ids whose keys may be used at that time."""
        return {found["_id"] for found in await cls._find_usable({"_id": {"$in": ids}}, at)}

    @classmethod
    async def _find_usable(cls, which: Raw, at: datetime) -> list[Raw]:
        """Return keys that have not expired, of accounts that are open, each with `user.role`."""
        users = {
            "from": User.get_collection_name(),
            "localField": "user_id",
            "foreignField": "_id",
            "pipeline": [{"$match": {"is_active": True}}, {"$project": {"role": True}}],
            "as": "user",
        }
        wanted = ("key_hash", "user_id", "scopes", "last_used_at", "user.role")
        pipeline: list[Raw] = [
            {"$match": {**which, "expires_at": {"$gt": at}}},
            {"$lookup": users},
            {"$unwind": "$user"},
            {"$project": dict.fromkeys(wanted, True)},
        ]
        found = await cls.get_pymongo_collection().aggregate(pipeline)
        return await found.to_list()

    @classmethod
    def use(cls, actor: Actor, at: datetime) -> UpdateOne:
        """Return the statement that notes the actor's use of their key, unless another did."""
        unless_noted = {"last_used_at": {"$not": {"$gt": at - USE_WRITTEN_EVERY}}}
        mine = cls.owned_by(actor, _id=actor.key_id, **unless_noted)
        return UpdateOne(mine, {"$set": {"last_used_at": at}})
