"""Usage documents: one for each request to a model, only ever inserted."""

from datetime import datetime
from typing import Any, ClassVar

from beanie import Document
from bson import ObjectId
from pymongo import IndexModel, InsertOne

from chatvault.actor import Actor
from chatvault.content import Content
from chatvault.fields import Id, Raw


class Usage(Document):
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
    def owned_by(cls, actor: Actor, **more: Any) -> Raw:
        """Return the filter that every query of an actor's usage begins with."""
        return {"user_id": actor.owner_id, **more}

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
