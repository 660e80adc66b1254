"""Policies of retention: of a user's own choice, or of an operator's for a role."""

from datetime import datetime
from typing import ClassVar

from beanie import Document
from pymongo import IndexModel

from chatvault.actor import Role
from chatvault.content import Content
from chatvault.fields import Id
from chatvault.owned import Personal


class RetentionPolicy(Personal, Document):
    """After how many days without a change conversations go to the trash.

    Attributes:
        user_id: whose policy it is; None for that of a role.
        role: the role whose users it concerns; None for that of a user.
        days: the days.
    """

    user_id: Id | None = None
    role: Role | None = None
    days: int
    updated_at: datetime

    holds: ClassVar = Content()

    class Settings:
        """Beanie's."""

        name = "retention_policies"
        indexes: ClassVar = [
            IndexModel(
                [("user_id", 1)],
                unique=True,
                partialFilterExpression={"user_id": {"$type": "objectId"}},
                name="one_of_user",
            ),
            IndexModel(
                [("role", 1)],
                unique=True,
                partialFilterExpression={"role": {"$type": "string"}},
                name="one_of_role",
            ),
        ]
