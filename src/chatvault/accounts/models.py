"""User documents."""

from datetime import datetime
from typing import ClassVar

from beanie import Document, PydanticObjectId
from bson import ObjectId
from pydantic import Field
from pymongo import IndexModel

from chatvault.actor import Role
from chatvault.content import Content
from chatvault.errors import BeingErased
from chatvault.fields import Id


class User(Document):
    """One person's account.

    Attributes:
        username_key: the folded username, unique.
        lookalike_keys: forms that names which look alike share, each unique; None in accounts older
            than this comparison.
        email_key: the folded email address, unique.
        password_hash: bcrypt's; empty in an account for programs, in one whose password is not set
            yet, and in one of somebody who signs in with an identity provider only.
        role: set by the command line, by administrators, and by an identity provider.
        is_service: whether it is for programs, which use API keys.
        erasure: the erasure that is removing the account; None without one.
        held_at: when a legal hold was placed last. Placing one writes it, so that of a hold and an
            erasure at the same time one fails.
        relied_on: how often another administrator gave up the role because this one has it.
        oidc_issuer: the identity provider that they sign in with; None without one.
        oidc_subject: their id there.
    """

    id: PydanticObjectId = Field(default_factory=PydanticObjectId, alias="_id")
    username: str
    username_key: str
    lookalike_keys: list[str] | None = None
    email: str
    email_key: str
    full_name: str | None = None
    password_hash: str
    role: Role = Role.USER
    is_active: bool = True
    is_service: bool = False
    created_at: datetime
    last_login: datetime | None = None
    erasure: Id | None = None
    held_at: datetime | None = None
    relied_on: int = 0
    oidc_issuer: str | None = None
    oidc_subject: str | None = None

    holds: ClassVar = Content(
        plain=(
            "username", "username_key", "lookalike_keys", "email", "email_key", "full_name",
            "password_hash", "oidc_issuer", "oidc_subject",
        ),
        owner="_id",
        exported=True,
    )  # fmt: skip

    @property
    def has_password(self) -> bool:
        """Whether the user can sign in with a password."""
        return bool(self.password_hash)

    @property
    def has_identity(self) -> bool:
        """Whether the user can sign in with the identity provider."""
        return self.oidc_subject is not None

    @classmethod
    async def require_kept(cls, user_id: ObjectId) -> None:
        """Raise if the account is being erased, or was.

        Raises:
            BeingErased: it is.
        """
        kept = {"_id": user_id, "erasure": None}
        if await cls.get_pymongo_collection().find_one(kept, {"_id": True}) is None:
            raise BeingErased

    class Settings:
        """Beanie's."""

        name = "users"
        indexes: ClassVar = [
            IndexModel("username_key", unique=True, name="username_unique"),
            IndexModel("email_key", unique=True, name="email_unique"),
            IndexModel(
                "lookalike_keys",
                unique=True,
                name="lookalike_unique",
                partialFilterExpression={"lookalike_keys": {"$type": "string"}},
            ),
            IndexModel(
                [("oidc_issuer", 1), ("oidc_subject", 1)],
                unique=True,
                name="identity_unique",
                partialFilterExpression={"oidc_subject": {"$type": "string"}},
            ),
        ]
