"""Quota documents: the limits of a role, of a user, or of an API key."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Self

from beanie import Document
from bson import ObjectId
from pymongo import IndexModel

from chatvault.actor import Role
from chatvault.content import Content
from chatvault.fields import Id
from chatvault.limits import LimitName

KEY_MARK = "key:"


@dataclass(frozen=True, slots=True)
class Subject:
    """The subject of limits: a role, a user or an API key; one of the fields is set."""

    role: Role | None = None
    user_id: ObjectId | None = None
    key_id: ObjectId | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the subject that a path names: a role, a user's id, or `key:` and a key's id.

        Raises:
            ValueError: it names none.
        """
        if text in {role.value for role in Role}:
            return cls(role=Role(text))
        if not ObjectId.is_valid(text.removeprefix(KEY_MARK)):
            raise ValueError("A subject is a role, a user's id, or key: and the id of an API key")
        found = ObjectId(text.removeprefix(KEY_MARK))
        return cls(key_id=found) if text.startswith(KEY_MARK) else cls(user_id=found)

    @property
    def name(self) -> str:
        """The text that `parse` reads."""
        if self.key_id is not None:
            return f"{KEY_MARK}{self.key_id}"
        return str(self.user_id or self.role)


class Quota(Document):
    """The limits of one subject; a limit that is absent is not set.

    Attributes:
        user_id: the user, or the owner of the API key; None for a role.
        expires_at: when the API key does.
    """

    id: str  # type: ignore[assignment]  # the subject's name
    user_id: Id | None = None
    limits: dict[LimitName, int]
    updated_at: datetime
    expires_at: datetime | None = None

    holds: ClassVar = Content(plain=("id", "limits"))

    class Settings:
        """Beanie's."""

        name = "quotas"
        indexes: ClassVar = [
            IndexModel("user_id"),
            IndexModel("updated_at"),
            IndexModel("expires_at", expireAfterSeconds=0),
        ]
