"""The documents of groups: the group, who is in it, and the work that a change leaves."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, ClassVar

from beanie import Document
from bson import ObjectId
from pymongo import IndexModel
from pymongo.asynchronous.client_session import AsyncClientSession

from chatvault.actor import Actor
from chatvault.content import Content
from chatvault.fields import Id, Raw, now
from chatvault.mongodb.jobs import LEASE_SECONDS, RUNNING
from chatvault.owned import Owned


class MemberRole(StrEnum):
    """The role of somebody in a group; each includes those before it."""

    MEMBER = "member"
    MANAGER = "manager"
    OWNER = "owner"


class Group(Owned, Document):
    """A group of users.

    Attributes:
        owner_id: who made it; it goes with them.
        changes: how often somebody joined or left, so that these conflict with its end.
        claim: the group at the identity provider whose members join at sign-in; None for none.
    """

    owner_id: Id
    name: str
    created_at: datetime
    updated_at: datetime
    changes: int = 0
    claim: str | None = None

    owner_field: ClassVar = "owner_id"
    holds: ClassVar = Content(owner="owner_id", words=("name",), plain=("claim",))

    class Settings:
        """Beanie's."""

        name = "groups"
        indexes: ClassVar = [
            IndexModel("owner_id", name="of_owner"),
            IndexModel(
                "claim",
                unique=True,
                partialFilterExpression={"claim": {"$type": "string"}},
                name="claim_unique",
            ),
        ]


class Membership(Owned, Document):
    """One user in one group.

    Attributes:
        owner_id: the group's.
        by: who added them.
        grants: how often they were given what is shared with the group; written so that their
            leaving conflicts.
        by_claim: whether they are in it by what the identity provider says, and by that alone.
    """

    member_id: Id
    group_id: Id
    owner_id: Id
    role: MemberRole
    by: Id
    at: datetime
    grants: int = 0
    by_claim: bool = False

    owner_field: ClassVar = "owner_id"
    holds: ClassVar = Content(owner="owner_id", also_of=("member_id",))

    class Settings:
        """Beanie's."""

        name = "memberships"
        indexes: ClassVar = [
            IndexModel([("member_id", 1), ("group_id", 1)], unique=True, name="member_unique"),
            IndexModel([("group_id", 1), ("at", 1)], name="of_group"),
            IndexModel("owner_id", name="of_owner"),
        ]

    @classmethod
    def held_by(cls, actor: Actor, **more: Any) -> Raw:
        """Return the filter with which queries for an actor's own memberships begin."""
        return {"member_id": actor.owner_id, **more}

    @classmethod
    async def find_of(
        cls, member_id: ObjectId, group_id: ObjectId, session: AsyncClientSession | None = None
    ) -> Raw | None:
        """Return somebody's membership in a group."""
        which = {"member_id": member_id, "group_id": group_id}
        return await cls.get_pymongo_collection().find_one(which, session=session)

    @classmethod
    async def list_of(cls, group_id: ObjectId) -> list[Raw]:
        """Return the memberships in a group, the oldest first."""
        found = cls.get_pymongo_collection().find({"group_id": group_id})
        return [dict(each) for each in await found.sort([("at", 1), ("_id", 1)]).to_list()]


class GroupTask(Owned, Document):
    """The work that a change of a group leaves, until it is done; see `expansion`.

    Attributes:
        user_id: the group's owner.
        member_id: who joined or left; None if it is about all members.
        conversation_id: what was shared; None if it is about all conversations. Both are None
            after the end of the group.
        by: who changed the group.
        is_open: always true, as it is removed when it is done.
        due_at: when a process may take it; its current process keeps postponing this.
        attempts: how often a process took it; only the newest attempt may change it.
        failures: the same.
        code: the code of the error of the last attempt.
    """

    user_id: Id
    group_id: Id
    member_id: Id | None
    conversation_id: Id | None
    by: Id
    state: str
    is_open: bool = True
    due_at: datetime
    attempts: int = 1
    failures: int = 0
    code: str | None = None

    holds: ClassVar = Content(plain=("state", "code"), also_of=("member_id",))

    class Settings:
        """Beanie's."""

        name = "group_tasks"
        indexes: ClassVar = [
            IndexModel([("is_open", 1), ("due_at", 1)], name="due"),
            IndexModel("user_id", name="of_owner"),
            IndexModel("group_id", name="of_group"),
        ]


class ClaimTask(Owned, Document):
    """The claims of a user's last sign-in, until their groups are in line with them.

    There is one for each user, which a later sign-in replaces; see `claims`.

    Attributes:
        claims: the values that groups here are bound to; the provider may have told more.
        is_open: always true, as it is removed when it is done.
        due_at: when a process may take it; its current process keeps postponing this.
        attempts: how often a process took it or a sign-in replaced it; only the newest attempt may
            change anything.
        failures: attempts since that sign-in.
        steps: how often a group was brought in line, so that a later sign-in conflicts.
        code: the code of the error of the last attempt.
    """

    user_id: Id
    claims: list[str]
    state: str
    is_open: bool = True
    due_at: datetime
    attempts: int = 0
    failures: int = 0
    steps: int = 0
    code: str | None = None

    holds: ClassVar = Content(plain=("claims", "state", "code"))

    class Settings:
        """Beanie's."""

        name = "claim_tasks"
        indexes: ClassVar = [
            IndexModel([("is_open", 1), ("due_at", 1)], name="due"),
            IndexModel("user_id", unique=True, name="user_unique"),
        ]


def new_task(
    actor: Actor,
    group: Raw,
    *,
    member_id: ObjectId | None = None,
    conversation_id: ObjectId | None = None,
) -> Raw:
    """Return a task that this process begins with at once.

    Args:
        actor: who changed the group.
        group: the group, or a membership in it.
        member_id: who joined or left.
        conversation_id: what was shared.
    """
    return {
        "_id": ObjectId(),
        "user_id": group["owner_id"],
        "group_id": group.get("group_id") or group["_id"],
        "member_id": member_id,
        "conversation_id": conversation_id,
        "by": actor.owner_id,
        "state": RUNNING,
        "is_open": True,
        "due_at": now() + timedelta(seconds=LEASE_SECONDS),
        "attempts": 1,
        "failures": 0,
        "code": None,
    }
