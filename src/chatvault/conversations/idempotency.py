"""Idempotency keys: which answers were given, so that a repeat gets the same one."""

from datetime import datetime, timedelta
from typing import Any, ClassVar, NamedTuple

from beanie import Document
from pymongo import IndexModel

from chatvault.actor import Actor
from chatvault.conversations.models import Raw
from chatvault.errors import InvalidInput
from chatvault.fields import Id

LIFETIME = timedelta(days=1)


class Repeat(NamedTuple):
    """What a request with an Idempotency-Key is known by.

    Attributes:
        route: method and path.
        key: the client's.
        body_hash: a keyed hash of the body.
    """

    route: str
    key: str
    body_hash: str


class KeyReused(InvalidInput):
    """This Idempotency-Key came with another request before."""

    code = "idempotency_key_reused"


class IdempotencyRecord(Document):
    """That a request was carried out: what to answer again, and none of what it said.

    Attributes:
        route: method and path of the request.
        key: the client's.
        body_hash: a keyed hash of the request's body.
        result: ids, counters and version from which the answer is rendered anew.
        expires_at: MongoDB removes the record some time after it.
    """

    user_id: Id
    route: str
    key: str
    body_hash: str
    result: dict[str, Any]
    expires_at: datetime

    class Settings:
        """Beanie's."""

        name = "idempotency_records"
        indexes: ClassVar = [
            IndexModel([("user_id", 1), ("route", 1), ("key", 1)], unique=True, name="key_unique"),
            IndexModel("expires_at", expireAfterSeconds=0),
        ]

    @classmethod
    def owned_by(cls, actor: Actor, **more: Any) -> Raw:
        """The filter that every query about an actor's records begins with."""
        return {"user_id": actor.owner_id, **more}

    @classmethod
    async def exists(cls, actor: Actor, repeat: Repeat) -> bool:
        """Whether a request with this key was carried out; the lane checks that it is the same."""
        mine = cls.owned_by(actor, route=repeat.route, key=repeat.key)
        return await cls.get_pymongo_collection().find_one(mine, {"_id": True}) is not None
