"""Tokens that were used: one document a request to a model, which is inserted only."""

from datetime import datetime
from typing import Any, ClassVar

from beanie import Document
from bson import ObjectId
from pymongo import IndexModel, InsertOne

from chatvault.actor import Actor
from chatvault.fields import Id, Raw


class Usage(Document):
    """What one request to a model used.

    Attributes:
        purpose: reply, completion, title or summary.
        day: in UTC, as 2024-01-15.
        counted_here: the provider gave no numbers.
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

    class Settings:
        """Beanie's."""

        name = "usage"
        indexes: ClassVar = [
            IndexModel([("user_id", 1), ("day", 1)]),
            # What everybody used in some days.
            IndexModel([("day", 1), ("user_id", 1)]),
        ]

    @classmethod
    def owned_by(cls, actor: Actor, **more: Any) -> Raw:
        """The filter that every query about an actor's usage begins with."""
        return {"user_id": actor.owner_id, **more}

    @classmethod
    def of(cls, actor: Actor, *, tokens: tuple[int, int], at: datetime, **fields: Any) -> Raw:
        """A document of the actor's."""
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
        """The write that stores one."""
        return InsertOne(cls.of(actor, **fields))

    @classmethod
    async def by_day(cls, actor: Actor, since: str) -> list[Raw]:
        """Tokens of each day from `since` on, oldest first."""
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
