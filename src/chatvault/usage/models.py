"""Usage: a document for each request to a model, a count for each day, and the bytes stored."""

from datetime import datetime
from typing import Any, ClassVar

from beanie import Document
from bson import ObjectId
from pymongo import IndexModel, InsertOne

from chatvault.actor import Actor
from chatvault.content import Content
from chatvault.fields import Id, Raw
from chatvault.owned import Personal


class Usage(Personal, Document):
    """The tokens of one request to a model.

    Attributes:
        purpose: reply, completion, title or summary.
        day: in UTC, as 2024-01-15.
        counted_here: whether chatvault counted, as the provider gave no numbers.
    """

    user_id: Id
    conversation_id: Id | None
    agent_id: Id | None
    purpose: str
    provider: str
    model: str
    day: str
    at: datetime
    input_tokens: int
    output_tokens: int
    total_tokens: int
    counted_here: bool

    holds: ClassVar = Content(plain=("purpose", "provider", "model", "day"), exported=True)

    class Settings:
        """Beanie's."""

        name = "usage"
        indexes: ClassVar = [
            IndexModel([("user_id", 1), ("day", 1)]),
            # For the usage of all users on some days.
            IndexModel([("day", 1), ("user_id", 1)]),
        ]

    @classmethod
    def of(cls, actor: Actor, *, tokens: tuple[int, int], at: datetime, **fields: Any) -> Raw:
        """Build a usage document of the actor's."""
        return {
            "_id": ObjectId(),
            **cls.owned_by(actor),
            "day": at.strftime("%Y-%m-%d"),
            "at": at,
            "input_tokens": tokens[0],
            "output_tokens": tokens[1],
            "total_tokens": sum(tokens),
            **fields,
        }

    @classmethod
    def insertion_of(cls, actor: Actor, **fields: Any) -> InsertOne[Raw]:
        """Return the write that stores a usage document."""
        return InsertOne(cls.of(actor, **fields))

    @classmethod
    async def tokens_of(cls, actor: Actor, day: str) -> int:
        """Return the tokens that the actor has used on a day."""
        sums: list[Raw] = [
            {"$match": cls.owned_by(actor, day=day)},
            {"$group": {"_id": None, "tokens": {"$sum": "$total_tokens"}}},
        ]
        found = await (await cls.get_pymongo_collection().aggregate(sums)).to_list()
        return int(found[0]["tokens"]) if found else 0

    @classmethod
    async def by_day(cls, actor: Actor, since: str) -> list[Raw]:
        """Return the tokens of each day since `since`, oldest first."""
        return await (
            await cls.get_pymongo_collection().aggregate(
                [
                    {"$match": cls.owned_by(actor, day={"$gte": since})},
                    {
                        "$group": {
                            "_id": "$day",
                            "tokens": {"$sum": "$total_tokens"},
                            "requests": {"$sum": 1},
                        }
                    },
                    {"$sort": {"_id": 1}},
                    {"$project": {"_id": False, "day": "$_id", "tokens": True, "requests": True}},
                ]
            )
        ).to_list()


class UsageDay(Document):
    """The messages and bytes that a user has added on a day.

    Attributes:
        day: in UTC, as 2024-01-15.
        messages: those that they wrote, asked for or imported, in anybody's conversations.
        bytes: by which their own conversations have grown.
    """

    user_id: Id
    day: str
    messages: int = 0
    bytes: int = 0

    holds: ClassVar = Content(plain=("day",))

    class Settings:
        """Beanie's."""

        name = "usage_days"
        indexes: ClassVar = [
            IndexModel([("user_id", 1), ("day", 1)], unique=True),
            # For the usage of all users on some days.
            IndexModel([("day", 1), ("user_id", 1)]),
        ]


class StoredTotal(Document):
    """The bytes of all messages of a user; made when somebody first asks for them.

    Attributes:
        counted_at: when they were last counted in full.
    """

    user_id: Id
    bytes: int
    counted_at: datetime

    holds: ClassVar = Content(backed_up=False)

    class Settings:
        """Beanie's."""

        name = "stored_totals"
        indexes: ClassVar = [
            IndexModel("user_id", unique=True),
            # For those that are to be counted again.
            IndexModel("counted_at"),
        ]
