"""The preferences document, one for each user."""

from datetime import datetime
from typing import Any, ClassVar, Self

from beanie import Document
from bson import ObjectId
from pydantic import Field
from pymongo import IndexModel
from pymongo.asynchronous.client_session import AsyncClientSession

from chatvault.actor import Actor
from chatvault.content import Content
from chatvault.fields import Id


class Preferences(Document):
    """One user's preferences; only those that were set, so that defaults may change.

    Attributes:
        user_id: the owner, unique.
        imported: the values that imports last set, by source, to detect later changes.
    """

    user_id: Id
    preferences: dict[str, Any] = Field(default_factory=dict)
    imported: dict[str, dict[str, Any]] = Field(default_factory=dict)
    updated_at: datetime

    holds: ClassVar = Content(words=("preferences", "imported"), bound_to=(), exported=True)

    class Settings:
        """Beanie's."""

        name = "preferences"
        indexes: ClassVar = [IndexModel("user_id", unique=True)]

    @classmethod
    def owned_by(cls, actor: Actor) -> dict[str, Any]:
        """Return the filter of every query of an actor's preferences."""
        return {"user_id": actor.owner_id}

    @classmethod
    async def find_of(cls, actor: Actor, session: AsyncClientSession | None = None) -> Self | None:
        """Return the actor's preferences, or None if none were ever set."""
        return await cls.find_one(cls.owned_by(actor), session=session)

    @classmethod
    async def store_of(
        cls,
        actor: Actor,
        values: dict[str, Any],
        at: datetime,
        session: AsyncClientSession,
        imported: dict[str, dict[str, Any]] | None = None,
    ) -> ObjectId | None:
        """Store the actor's preferences, and the values that sources gave, if they changed."""
        given = {} if imported is None else {"imported": imported}
        stored = await cls.get_pymongo_collection().update_one(
            cls.owned_by(actor),
            {"$set": {"preferences": values, "updated_at": at, **given}},
            upsert=True,
            session=session,
        )
        upserted: ObjectId | None = stored.upserted_id
        return upserted
