"""Grants to groups: conversations that their owners share with all members of a group.

Access comes by the `Grant` that each member has of it, so that a read stays one query.
"""

from datetime import datetime
from typing import ClassVar

from beanie import Document
from bson import ObjectId
from pymongo import IndexModel

from chatvault.content import Content
from chatvault.conversations.grants import GrantRole
from chatvault.fields import Id, Raw
from chatvault.owned import Owned


class GroupGrant(Owned, Document):
    """One conversation, shared with one group.

    Attributes:
        owner_id: whose conversation it is.
        by: who granted it.
        at: when it was granted first.
        expires_at: when it ends by itself; None for never.
        agents: whether editors may ask agents, at the owner's expense.
        version: rises when it is altered.
        expanded: how often members were given it; written so that its end conflicts.
    """

    group_id: Id
    owner_id: Id
    conversation_id: Id
    role: GrantRole
    by: Id
    at: datetime
    expires_at: datetime | None = None
    agents: bool = False
    version: int = 1
    expanded: int = 0

    owner_field: ClassVar = "owner_id"
    holds: ClassVar = Content(owner="owner_id")

    class Settings:
        """Beanie's."""

        name = "group_grants"
        indexes: ClassVar = [
            IndexModel([("group_id", 1), ("conversation_id", 1)], unique=True, name="grant_unique"),
            IndexModel([("owner_id", 1), ("conversation_id", 1)], name="of_conversation"),
        ]

    @classmethod
    async def list_of(cls, group_id: ObjectId) -> list[Raw]:
        """Return all grants to a group, whoever's conversations they are of."""
        found = cls.get_pymongo_collection().find({"group_id": group_id})
        return [dict(each) for each in await found.to_list()]
