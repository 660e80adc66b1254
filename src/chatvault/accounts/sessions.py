"""Session documents, found by the hash of a secret that only the cookie holds."""

import hashlib
from datetime import datetime
from typing import Any, ClassVar

from beanie import Document, PydanticObjectId
from bson import ObjectId
from pydantic import Field
from pymongo import DESCENDING, IndexModel

from chatvault.actor import Role
from chatvault.content import Content
from chatvault.fields import Id
from chatvault.owned import Personal


def hash_token(token: str) -> bytes:
    """Return the SHA-256 of a cookie's value, which is what the database stores."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


class Session(Personal, Document):
    """One signed-in browser or client.

    Attributes:
        token_hash: SHA-256 of the cookie's value, which itself is stored nowhere.
        role: the user's role at login; a change of role ends the sessions.
        expires_at: is extended with use; MongoDB removes the document some time after it.
        address: the address the login came from.
        oidc_session: the identity provider's session, if it signed them in; empty if it named none.
    """

    id: PydanticObjectId = Field(default_factory=PydanticObjectId, alias="_id")
    user_id: Id
    token_hash: bytes
    role: Role
    created_at: datetime
    last_seen_at: datetime
    expires_at: datetime
    address: str | None = None
    user_agent: str | None = None
    oidc_session: str | None = None

    holds: ClassVar = Content(
        plain=("address", "user_agent", "oidc_session"), exported=True, backed_up=False
    )

    class Settings:
        """Beanie's."""

        name = "sessions"
        indexes: ClassVar = [
            IndexModel("token_hash", unique=True),
            IndexModel([("user_id", 1), ("created_at", DESCENDING)]),
            IndexModel("expires_at", expireAfterSeconds=0),
            IndexModel(
                "oidc_session",
                partialFilterExpression={"oidc_session": {"$type": "string"}},
                name="of_provider",
            ),
        ]

    @classmethod
    async def find_by_hashes(cls, hashes: list[bytes], at: datetime) -> list[dict[str, Any]]:
        """Return the stored sessions with these token hashes that have not expired at that time."""
        query = {"token_hash": {"$in": hashes}, "expires_at": {"$gt": at}}
        wanted = ("token_hash", "user_id", "role", "last_seen_at", "expires_at")
        return await cls.get_pymongo_collection().find(query, wanted).to_list()

    @classmethod
    async def find_active(
        cls, wanted: set[tuple[ObjectId, ObjectId]], at: datetime
    ) -> set[tuple[ObjectId, ObjectId]]:
        """Return those sessions, each as its user and its id, that have not ended at that time."""
        users, ids = ([*{each[part] for each in wanted}] for part in (0, 1))
        query = {"user_id": {"$in": users}, "_id": {"$in": ids}, "expires_at": {"$gt": at}}
        found = cls.get_pymongo_collection().find(query, ["user_id"])
        return wanted & {(each["user_id"], each["_id"]) async for each in found}
