"""Grants: conversations that their owners share with other users.

A grant says whose owner id an operation puts into its queries. It is looked up only if somebody has
no conversation of their own with an id, so an owner's requests cost no query more.
"""

from collections.abc import Collection
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

from beanie import Document
from bson import ObjectId
from pymongo import DESCENDING, IndexModel
from pymongo.asynchronous.client_session import AsyncClientSession

from chatvault.access import Access, Guest, Need
from chatvault.actor import Actor
from chatvault.content import Content
from chatvault.conversations.models import Conversation
from chatvault.conversations.shapes import ConversationDoc
from chatvault.cursors import Cursor
from chatvault.fields import Id, Raw, now

# Who asks, and for which conversation.
Asked = tuple[ObjectId, ObjectId]


class GrantRole(StrEnum):
    """The role that a grant gives; each includes those before it."""

    VIEWER = "viewer"
    COMMENTER = "commenter"
    EDITOR = "editor"


NEEDS = {
    GrantRole.VIEWER: Need.READ,
    GrantRole.COMMENTER: Need.COMMENT,
    GrantRole.EDITOR: Need.WRITE,
}


class Grant(Document):
    """One conversation, shared with one user.

    Attributes:
        grantee_id: with whom.
        owner_id: whose conversation it is.
        by: who granted it.
        at: when it was granted first.
        expires_at: when it ends by itself; None for never.
        via_group: the group by which the user has it; None for a grant to the user alone.
    """

    grantee_id: Id
    owner_id: Id
    conversation_id: Id
    role: GrantRole
    by: Id
    at: datetime
    expires_at: datetime | None = None
    via_group: Id | None = None

    holds: ClassVar = Content(owner="owner_id", also_of=("grantee_id",))

    class Settings:
        """Beanie's."""

        name = "grants"
        indexes: ClassVar = [
            IndexModel(
                [("grantee_id", 1), ("conversation_id", 1), ("via_group", 1)],
                unique=True,
                name="grant_unique",
            ),
            IndexModel([("grantee_id", 1), ("at", DESCENDING), ("_id", DESCENDING)], name="newest"),
            IndexModel([("owner_id", 1), ("conversation_id", 1)], name="of_conversation"),
        ]

    @classmethod
    def owned_by(cls, access: Access, **more: Any) -> Raw:
        """Return the filter with which queries for the grants of an owner's data begin."""
        return {"owner_id": access.owner_id, **more}

    @classmethod
    def given_to(cls, actor: Actor, **more: Any) -> Raw:
        """Return the filter with which queries for what was granted to an actor begin."""
        return {"grantee_id": actor.owner_id, **more}

    @classmethod
    async def list_raw(cls, access: Access, conversation_id: ObjectId) -> list[Raw]:
        """Return the grants of an owner's conversation, the oldest first."""
        query = cls.owned_by(access, conversation_id=conversation_id)
        found = cls.get_pymongo_collection().find(query).sort([("at", 1), ("_id", 1)])
        return [dict(each) for each in await found.to_list()]

    @classmethod
    async def read_needs(
        cls, asked: Collection[Asked], session: AsyncClientSession
    ) -> dict[tuple[ObjectId, ObjectId, ObjectId], Need]:
        """Return the most that guests may do now, read in a transaction with one query.

        Args:
            asked: guests, and the conversations that they want to change.
            session: of the transaction.

        Returns:
            By guest, owner and conversation; nothing of grants that have ended.
        """
        wanted: dict[ObjectId, list[ObjectId]] = {}
        for grantee_id, conversation_id in asked:
            wanted.setdefault(grantee_id, []).append(conversation_id)
        clauses = [
            {"grantee_id": grantee_id, "conversation_id": {"$in": ids}}
            for grantee_id, ids in wanted.items()
        ]
        found = cls.get_pymongo_collection().find({"$or": clauses}, session=session)
        needs: dict[tuple[ObjectId, ObjectId, ObjectId], Need] = {}
        for each in await found.to_list():
            if is_in_force(each):
                key = (each["grantee_id"], each["owner_id"], each["conversation_id"])
                needs[key] = max(needs.get(key, Need.READ), NEEDS[GrantRole(each["role"])])
        return needs


def is_in_force(grant: Raw) -> bool:
    """Whether a grant has not expired."""
    expires_at = grant.get("expires_at")
    return expires_at is None or expires_at > now()


async def find_guest(actor: Actor, conversation_id: ObjectId) -> Guest | None:
    """Return the actor as the guest of a conversation.

    None if nobody granted it to them, or if it is in the trash.

    Raises:
        NotAuthenticated: nobody is signed in.
    """
    query = Grant.given_to(actor, conversation_id=conversation_id)
    found = filter(is_in_force, await Grant.get_pymongo_collection().find(query).to_list())
    guest = max((_guest_by(actor, each) for each in found), key=_role_of, default=None)
    if guest is None:
        return None
    is_there = await Conversation.list_ids(guest.access, _id=conversation_id)
    return guest if is_there else None


def _guest_by(actor: Actor, grant: Raw) -> Guest:
    """Return the actor as a guest by one grant."""
    access = Access(grant["owner_id"], NEEDS[GrantRole(grant["role"])], actor.owner_id)
    return Guest.of(actor, grant["conversation_id"], access)


def _role_of(guest: Guest) -> Need:
    return guest.access.role


async def list_given(actor: Actor, limit: int, after: Cursor | None) -> list[tuple[Guest, Raw]]:
    """Return the grants that an actor has, the newest first, each with the actor as its guest.

    Those that have expired are left out.

    Args:
        actor: the guest.
        limit: the most grants.
        after: the time and the id of the grant after which to begin; None for the newest.
    """
    kept: list[Raw] = [{"$or": [{"expires_at": None}, {"expires_at": {"$gt": now()}}]}]
    if after is not None:
        at, last_id = after
        kept.append({"$or": [{"at": {"$lt": at}}, {"at": at, "_id": {"$lt": last_id}}]})
    query = Grant.given_to(actor, **{"$and": kept})
    found = Grant.get_pymongo_collection().find(query)
    grants = await found.sort([("at", DESCENDING), ("_id", DESCENDING)]).limit(limit).to_list()
    return [(_guest_by(actor, each), dict(each)) for each in grants]


def without_order(conversation: ConversationDoc) -> ConversationDoc:
    """Return a conversation without the order in which its owner keeps it, which guests don't see.

    Those are its tags, its category, and whether it is pinned.
    """
    return {**conversation, "tags": [], "category_id": None, "pinned_at": None}
