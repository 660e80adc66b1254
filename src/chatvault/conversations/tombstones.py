"""What is left of a deleted conversation: that there was one, and nothing of what it held."""

from collections.abc import Collection
from datetime import datetime
from typing import Any, ClassVar

from beanie import Document
from bson import ObjectId
from pymongo import IndexModel, InsertOne

from chatvault.access import Access
from chatvault.content import Content
from chatvault.conversations.shapes import ConversationDoc
from chatvault.fields import Id, Raw, now
from chatvault.keys import SecretKey

# So many are looked for with one query.
AT_ONCE = 1000


class Tombstone(Document):
    """A conversation that its owner deleted, by which an import leaves it out.

    Attributes:
        conversation_id: the id that it had; no other ever has it.
        source: a keyed hash of where it was imported from; None if it was begun here.
        at: when it was deleted.
    """

    user_id: Id
    conversation_id: Id
    source: str | None = None
    at: datetime

    holds: ClassVar = Content(plain=("source",))

    class Settings:
        """Beanie's."""

        name = "tombstones"
        indexes: ClassVar = [
            IndexModel([("user_id", 1), ("conversation_id", 1)], unique=True, name="deleted_once"),
            IndexModel(
                [("user_id", 1), ("source", 1)],
                partialFilterExpression={"source": {"$type": "string"}},
                name="deleted_source",
            ),
        ]

    @classmethod
    def owned_by(cls, access: Access, **more: Any) -> Raw:
        """Return the filter that every query of an owner's tombstones begins with."""
        return {"user_id": access.owner_id, **more}

    @classmethod
    def insertion_of(
        cls, access: Access, key: SecretKey, fields: ConversationDoc
    ) -> InsertOne[dict[str, Any]]:
        """Return the write that stores the tombstone of a conversation."""
        source = fields.get("source")
        return InsertOne(
            cls.owned_by(
                access,
                _id=ObjectId(),
                conversation_id=fields["_id"],
                source=None if source is None else hash_source(access, key, source),
                at=now(),
            )
        )

    @classmethod
    async def list_sources(cls, access: Access, hashes: Collection[str]) -> set[str]:
        """Return those of the hashed sources whose conversations were deleted."""
        return await cls._find("source", access, list(hashes), {"$type": "string"})

    @classmethod
    async def list_ids(cls, access: Access, ids: Collection[ObjectId]) -> set[ObjectId]:
        """Return those of the ids whose conversations were deleted."""
        return await cls._find("conversation_id", access, list(ids), {})

    @classmethod
    async def _find(cls, name: str, access: Access, values: list[Any], beside: Raw) -> set[Any]:
        found: set[Any] = set()
        for start in range(0, len(values), AT_ONCE):
            some = {"$in": values[start : start + AT_ONCE], **beside}
            query = cls.owned_by(access, **{name: some})
            cursor = cls.get_pymongo_collection().find(query, {"_id": False, name: True})
            found |= {each[name] async for each in cursor}
        return found


def hash_source(access: Access, key: SecretKey, source: str) -> str:
    """Return the keyed hash of a source; it is another one for each owner."""
    return key.hash(f"tombstone of {access.owner_id}: {source}")
