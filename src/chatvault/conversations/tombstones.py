"""Records of deleted conversations, which hold nothing of their content.

A conversation in the trash has one, and loses it if it is restored.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Any, ClassVar

from beanie import Document
from bson import ObjectId
from pymongo import DeleteOne, IndexModel, InsertOne

from chatvault.access import Access
from chatvault.content import Content
from chatvault.conversations.shapes import ConversationDoc
from chatvault.fields import Id, Raw
from chatvault.keys import SecretKey
from chatvault.owned import Owned

# The number of conversations looked up with one query.
AT_ONCE = 1000


class Tombstone(Owned, Document):
    """A record of a conversation that its owner deleted, so that imports leave it out.

    Attributes:
        conversation_id: its id, which is never used again.
        source: a keyed hash of the source of its import; None if it was created here.
        at: the time of the deletion.
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
            IndexModel([("user_id", 1), ("at", 1), ("conversation_id", 1)], name="by_time"),
        ]

    @classmethod
    def insertion_of(
        cls, access: Access, key: SecretKey, fields: ConversationDoc, at: datetime
    ) -> InsertOne[dict[str, Any]]:
        """Return the write that stores the tombstone of a conversation."""
        source = fields.get("source")
        return InsertOne(
            cls.owned_by(
                access,
                _id=ObjectId(),
                conversation_id=fields["_id"],
                source=None if source is None else hash_source(access, key, source),
                at=at,
            )
        )

    @classmethod
    def deletion_of(cls, access: Access, conversation_id: ObjectId) -> DeleteOne:
        """Return the write that removes the tombstone of a conversation that is restored."""
        return DeleteOne(cls.owned_by(access, conversation_id=conversation_id))

    @classmethod
    async def list_sources(cls, access: Access, hashes: Collection[str]) -> set[str]:
        """Return the hashed sources whose conversations were deleted, among these."""
        return await cls._find("source", access, list(hashes), {"$type": "string"})

    @classmethod
    async def list_ids(cls, access: Access, ids: Collection[ObjectId]) -> set[ObjectId]:
        """Return the ids whose conversations were deleted, among these."""
        return await cls._find("conversation_id", access, list(ids), {})

    @classmethod
    async def list_after(cls, access: Access, start: Raw, limit: int) -> list[Raw]:
        """Return tombstones in the order of the deletions, of those that meet a condition."""
        found = cls.get_pymongo_collection().find(cls.owned_by(access, **start))
        return await found.sort([("at", 1), ("conversation_id", 1)]).limit(limit).to_list()

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
    """Return the keyed hash of a source, which differs for each owner."""
    return key.hash(f"tombstone of {access.owner_id}: {source}")
