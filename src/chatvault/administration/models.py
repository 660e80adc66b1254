"""One-time tokens, which let somebody without a password set one."""

import hashlib
import secrets
from datetime import datetime, timedelta
from enum import StrEnum
from typing import ClassVar

from beanie import Document
from bson import ObjectId
from pymongo import IndexModel

from chatvault.content import Content
from chatvault.fields import Id, Raw, now

LIFETIME = timedelta(days=1)
TOKENS = "one_time_tokens"


class Purpose(StrEnum):
    """The purpose of a token."""

    PASSWORD = "password"  # noqa: S105  # a purpose
    FIRST_ADMIN = "first_admin"


class OneTimeToken(Document):
    """A token that can be used once; using it removes the document.

    Attributes:
        user_id: whose password it sets; None for the token of the first administrator.
        token_hash: SHA-256 of the token, which itself is stored nowhere.
    """

    user_id: Id | None
    purpose: Purpose
    token_hash: bytes
    expires_at: datetime

    holds: ClassVar = Content(backed_up=False)

    class Settings:
        """Beanie's."""

        name = TOKENS
        indexes: ClassVar = [
            IndexModel("token_hash", unique=True),
            # A new token replaces the one before.
            IndexModel([("user_id", 1), ("purpose", 1)], unique=True, name="one_of_a_kind"),
            IndexModel("expires_at", expireAfterSeconds=0),
        ]


def new_token(purpose: Purpose, user_id: ObjectId | None = None) -> tuple[Raw, str]:
    """Return a document with its token, for a user or for the first administrator."""
    token = secrets.token_urlsafe(32)
    made: Raw = {
        "user_id": user_id,
        "purpose": purpose.value,
        "token_hash": hash_token(token),
        "expires_at": now() + LIFETIME,
    }
    return made, token


def hash_token(token: str) -> bytes:
    """Return the SHA-256 of a token."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
