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
from chatvault.owned import Owned

# The most grants of one user of which live events and searches know.
MOST_HELD = 10_000
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


class Grant(Owned, Document):
    """One conversation, shared with one user.

    Attributes:
        grantee_id: with whom.
        owner_id: whose conversation it is.
        by: who granted it.
        at: when it was granted first.
        expires_at: when it ends by itself; None for never.
        via_group: the group by which the user has it; None for a grant to the user alone.
        agents: whether an editor may ask agents, at the owner's expense.
    """

    grantee_id: Id
    owner_id: Id
    conversation_id: Id
    role: GrantRole
    by: Id
    at: datetime
    expires_at: datetime | None = None
    via_group: Id | None = None
    agents: bool = False

    owner_field: ClassVar = "owner_id"
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
    def given_to(cls, actor: Actor, **more: Any) -> Raw:
        """Return the filter with which queries for what was granted to an actor begin."""
        return {"grantee_id": actor.owner_id, **more}

    @classmethod
    async def list_raw(cls, access: Access, conversation_id: ObjectId | None = None) -> list[Raw]:
        """Return the grants of an owner's conversation, or of all, the oldest first."""
        which = {} if conversation_id is None else {"conversation_id": conversation_id}
        query = cls.owned_by(access, **which)
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
                needs[key] = max(needs.get(key, Need.READ), need_of(each))
        return needs


def need_of(grant: Raw) -> Need:
    """Return the most that a grant allows."""
    role = GrantRole(grant["role"])
    return Need.ASK if role is GrantRole.EDITOR and grant.get("agents") else NEEDS[role]


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
    guest = max((to_guest(actor, each) for each in found), key=_role_of, default=None)
    if guest is None:
        return None
    is_there = await Conversation.list_ids(guest.access, _id=conversation_id)
    return guest if is_there else None


def to_guest(actor: Actor, grant: Raw) -> Guest:
    """Return the actor as a guest by one grant."""
    return Guest.of(actor, grant["conversation_id"], access_by(actor.owner_id, grant))


def access_by(grantee_id: ObjectId, grant: Raw) -> Access:
    """Return a user's access by one grant, of which the owner and the role are needed."""
    return Access(grant["owner_id"], need_of(grant), grantee_id)


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
    return [(to_guest(actor, each), dict(each)) for each in grants]


async def pick_strongest(actor: Actor, given: list[tuple[Guest, Raw]]) -> list[tuple[Guest, Raw]]:
    """Return the grants of a page without those of conversations that stand further up the list.

    A conversation may be shared with a user alone, and by groups: it stands where its newest grant
    is, with the role of the strongest.
    """
    ids = [grant["conversation_id"] for _, grant in given]
    query = Grant.given_to(actor, conversation_id={"$in": ids})
    of: dict[ObjectId, list[Raw]] = {}
    for each in filter(is_in_force, await Grant.get_pymongo_collection().find(query).to_list()):
        of.setdefault(each["conversation_id"], []).append(each)
    picked = []
    for guest, grant in given:
        every = of.get(grant["conversation_id"], [])
        if any((each["at"], each["_id"]) > (grant["at"], grant["_id"]) for each in every):
            continue
        strongest = max([grant, *every], key=need_of)
        shown = {name: strongest.get(name) for name in ("role", "expires_at")}
        picked.append((to_guest(actor, strongest) if every else guest, {**grant, **shown}))
    return picked


async def list_held(actor: Actor) -> list[Raw]:
    """Return the newest grants that an actor has, up to `MOST_HELD`, the expired ones included."""
    found = Grant.get_pymongo_collection().find(Grant.given_to(actor))
    newest = found.sort([("at", DESCENDING), ("_id", DESCENDING)])
    return [dict(each) for each in await newest.limit(MOST_HELD).to_list()]


def without_order(conversation: ConversationDoc) -> ConversationDoc:
    """Return a conversation without the order in which its owner keeps it, which guests don't see.

    Those are its tags, its category, and whether it is pinned.
    """
    return {**conversation, "tags": [], "category_id": None, "pinned_at": None}
