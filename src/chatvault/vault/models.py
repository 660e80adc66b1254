"""The document of a user's wrapped data key."""

from datetime import datetime
from typing import ClassVar

from beanie import Document
from pymongo import IndexModel

from chatvault.content import Content
from chatvault.fields import Id


class UserKey(Document):
    """One data key of a user, wrapped with a master key.

    Attributes:
        epoch: counts the user's keys from 1; the newest one seals.
        key_id: the id of the master key.
        wrapped: the data key, wrapped; None once it was destroyed.
        retired_at: when all content was stored readably again; the key can still open old copies.
        destroyed_at: when it was destroyed, so that nothing sealed with it can be read any more.
    """

    user_id: Id
    epoch: int
    key_id: str
    wrapped: bytes | None
    created_at: datetime
    retired_at: datetime | None = None
    destroyed_at: datetime | None = None

    holds: ClassVar = Content(plain=("key_id",), kept_apart=True)

    class Settings:
        """Beanie's."""

        name = "user_keys"
        indexes: ClassVar = [
            IndexModel([("user_id", 1), ("epoch", 1)], unique=True, name="epoch_unique"),
            IndexModel("key_id", name="by_master_key"),
        ]
