"""Adding users to groups and taking them out, by whichever way they come and go."""

from bson import ObjectId
from pymongo.asynchronous.client_session import AsyncClientSession

from chatvault.actor import Actor
from chatvault.audit import service as audit
from chatvault.audit.actions import Action
from chatvault.audit.models import AuditEntry
from chatvault.fields import Raw, now
from chatvault.groups.errors import GroupNotFound, TooManyMembers
from chatvault.groups.expansion import access_of
from chatvault.groups.models import Group, GroupTask, MemberRole, Membership, new_task

MOST_MEMBERS = 200


async def join(
    actor: Actor,
    where: Raw,
    member_id: ObjectId,
    session: AsyncClientSession,
    *,
    role: MemberRole,
    by_claim: bool = False,
) -> Raw:
    """Add somebody to a group; return the task that gives them what is shared with it.

    Args:
        actor: who adds them.
        where: `group_id` and `owner_id` of the group, such as a membership in it.
        member_id: who is not in it yet.
        session: of the transaction.
        role: theirs.
        by_claim: whether the identity provider says so.

    Raises:
        GroupNotFound: it was removed.
        TooManyMembers: it has as many members as a group may.
    """
    await touch(where, session)
    group_id, memberships = where["group_id"], Membership.get_pymongo_collection()
    count = await memberships.count_documents({"group_id": group_id}, session=session)
    if count >= MOST_MEMBERS:
        raise TooManyMembers
    added = {
        **Membership.owned_by(access_of(where["owner_id"]), member_id=member_id, group_id=group_id),
        "role": role.value,
        "by": actor.owner_id,
        "at": now(),
        "grants": 0,
        "by_claim": by_claim,
    }
    await memberships.insert_one(added, session=session)
    about = {"member_id": str(member_id), "role": role.value, **_by_claim(by_claim)}
    await record(actor, Action.GROUP_SET_MEMBER, group_id, session, **about)
    return await _leave_task(actor, where, member_id, session)


async def take_out(
    actor: Actor,
    where: Raw,
    member_id: ObjectId,
    session: AsyncClientSession,
    *,
    by_claim: bool = False,
) -> Raw:
    """Remove somebody from a group; return the task that ends what they had by it.

    Args:
        actor: who removes them.
        where: as for `join`.
        member_id: who is in it.
        session: of the transaction.
        by_claim: whether it is as the identity provider does not say so any more.

    Raises:
        GroupNotFound: it was removed.
    """
    await touch(where, session)
    group_id = where["group_id"]
    which = Membership.owned_by(
        access_of(where["owner_id"]), member_id=member_id, group_id=group_id
    )
    await Membership.get_pymongo_collection().delete_one(which, session=session)
    about = {"member_id": str(member_id), **_by_claim(by_claim)}
    await record(actor, Action.GROUP_REMOVE_MEMBER, group_id, session, **about)
    return await _leave_task(actor, where, member_id, session)


def _by_claim(by_claim: bool) -> Raw:  # noqa: FBT001  # it says the same in both
    return {"oidc": True} if by_claim else {}


async def _leave_task(
    actor: Actor, where: Raw, member_id: ObjectId, session: AsyncClientSession
) -> Raw:
    task = new_task(actor, where, member_id=member_id)
    await GroupTask.get_pymongo_collection().insert_one(dict(task), session=session)
    return task


async def touch(where: Raw, session: AsyncClientSession) -> None:
    """Write the group, so that its end conflicts, and others who join.

    Raises:
        GroupNotFound: it was removed.
    """
    query = Group.owned_by(access_of(where["owner_id"]), _id=where["group_id"])
    touched = await Group.get_pymongo_collection().update_one(
        query, {"$inc": {"changes": 1}}, session=session
    )
    if not touched.matched_count:
        raise GroupNotFound


async def record(
    actor: Actor,
    action: Action,
    group_id: ObjectId,
    session: AsyncClientSession,
    **details: object,
) -> None:
    """Store the audit entry of a change of a group."""
    entry = audit.entry(actor, action, group_id, details=dict(details) or None)
    await AuditEntry.store([entry], session)
