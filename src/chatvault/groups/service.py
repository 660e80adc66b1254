"""Making, listing and ending groups, and who is in them."""

from dataclasses import dataclass
from functools import partial
from operator import itemgetter

from bson import ObjectId
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import DuplicateKeyError

from chatvault.access import Access
from chatvault.accounts import service as accounts
from chatvault.accounts.names import find_names
from chatvault.actor import Actor, Door, Role, Scope
from chatvault.audit import service as audit
from chatvault.audit.actions import Action
from chatvault.errors import InvalidInput, NotFound
from chatvault.fields import Raw, now
from chatvault.groups.errors import (
    ClaimInUse,
    ClaimsOff,
    GroupNotFound,
    NotManager,
    TooManyGroups,
)
from chatvault.groups.expansion import GroupDeps, access_of, carry_out, end_all
from chatvault.groups.finding import find_groups
from chatvault.groups.joining import join, record, take_out, touch
from chatvault.groups.models import Group, GroupTask, MemberRole, Membership, new_task
from chatvault.idempotency import IdempotencyKey, Idempotent, act_once
from chatvault.mongodb.database import transaction
from chatvault.sharing.service import UserNotFound

MOST_GROUPS = 100
# The most groups that are listed for one user, those joined last.
MOST_LISTED = 1000
MANAGES = frozenset({MemberRole.MANAGER, MemberRole.OWNER})


@dataclass(frozen=True, slots=True)
class GroupView:
    """A group, as one of its members sees it.

    Attributes:
        group: its document.
        role: the member's.
        members: all members, each with their `username`; empty in a list.
    """

    group: Raw
    role: MemberRole
    members: tuple[Raw, ...] = ()


async def find_membership(
    actor: Actor, group_id: ObjectId, session: AsyncClientSession | None = None
) -> Raw:
    """Return the actor's membership in a group.

    Raises:
        GroupNotFound: the actor is in no such group.
    """
    query = Membership.held_by(actor, group_id=group_id)
    found = await Membership.get_pymongo_collection().find_one(query, session=session)
    if found is None:
        raise GroupNotFound
    return dict(found)


async def create(actor: Actor, *, name: str, idempotency_key: IdempotencyKey | None) -> GroupView:
    """Make a group, of which the actor is the owner and the first member.

    Raises:
        TooManyGroups: the actor owns as many groups as one may.
        KeyReused: the key came with another request.
    """
    access, at = Access.of(actor), now()
    group = {
        **Group.owned_by(access),
        "_id": ObjectId(),
        "name": name,
        "created_at": at,
        "updated_at": at,
        "changes": 0,
    }
    first = {
        **Membership.held_by(actor, group_id=group["_id"]),
        "owner_id": actor.owner_id,
        "role": MemberRole.OWNER.value,
        "by": actor.owner_id,
        "at": at,
        "grants": 0,
    }

    async def insert(session: AsyncClientSession) -> Raw:
        groups = Group.get_pymongo_collection()
        if await groups.count_documents(Group.owned_by(access), session=session) >= MOST_GROUPS:
            raise TooManyGroups
        await groups.insert_one(dict(group), session=session)
        await Membership.get_pymongo_collection().insert_one(dict(first), session=session)
        await record(actor, Action.GROUP_CREATE, group["_id"], session)
        return group

    async def find(group_id: ObjectId, session: AsyncClientSession) -> Raw:
        return await _find_group(await find_membership(actor, group_id, session), session)

    known = idempotency_key and Idempotent.by_id(
        idempotency_key, "group_id", id_of=itemgetter("_id"), find=find, target="group_id"
    )
    made = await transaction(
        lambda session: act_once(actor, Action.GROUP_CREATE, known, session, insert),
        turn=("groups of", actor.owner_id),
    )
    return await _view(await find_membership(actor, made["_id"]))


async def _find_group(membership: Raw, session: AsyncClientSession | None = None) -> Raw:
    query = Group.owned_by(access_of(membership["owner_id"]), _id=membership["group_id"])
    found = await Group.get_pymongo_collection().find_one(query, session=session)
    if found is None:
        raise GroupNotFound
    return dict(found)


async def _view(membership: Raw) -> GroupView:
    group = await _find_group(membership)
    members = await Membership.list_of(group["_id"])
    names = await find_names(each["member_id"] for each in members)
    named = tuple({**each, "username": names.get(each["member_id"])} for each in members)
    return GroupView(group, MemberRole(membership["role"]), named)


async def list_groups(actor: Actor, deps: GroupDeps) -> list[GroupView]:
    """Return the groups that the actor is in, those joined last first."""
    mine = Membership.get_pymongo_collection().find(Membership.held_by(actor))
    memberships = await mine.sort([("at", -1), ("_id", -1)]).limit(MOST_LISTED).to_list()
    groups = await find_groups(memberships)
    shown = [
        GroupView(groups[each["group_id"]], MemberRole(each["role"]))
        for each in memberships
        if each["group_id"] in groups
    ]
    details = {"groups": len(shown)}
    await deps.sharing.recorder.record(audit.entry(actor, Action.GROUP_LIST, details=details))
    return shown


async def get(actor: Actor, deps: GroupDeps, *, group_id: ObjectId) -> GroupView:
    """Return a group with its members, for one of them.

    Raises:
        GroupNotFound: the actor is in no such group.
    """
    view = await _view(await find_membership(actor, group_id))
    await deps.sharing.recorder.record(audit.entry(actor, Action.GROUP_GET, group_id))
    return view


async def update(actor: Actor, deps: GroupDeps, *, group_id: ObjectId, fields: Raw) -> GroupView:
    """Give a group another name, or bind it to a group at the identity provider.

    Args:
        actor: who manages it; its owner, if its claim is changed.
        deps: the dependencies.
        group_id: the group.
        fields: the new `name` and `claim`, or one of them.

    Raises:
        GroupNotFound: the actor is in no such group.
        NotManager: the actor does not manage it, or does not own it.
        Denied: the actor is no administrator, and binds it.
        InsufficientScope: the same, with a key.
        ClaimsOff: there is no identity provider.
        ClaimInUse: another group is bound to that.
    """

    async def change(session: AsyncClientSession) -> None:
        mine = await find_membership(actor, group_id, session)
        if "claim" in fields:
            _check_binds(actor, deps, mine, fields["claim"])
        elif mine["role"] not in MANAGES:
            raise NotManager
        query = Group.owned_by(access_of(mine["owner_id"]), _id=group_id)
        changes = {"$set": {**fields, "updated_at": now()}}
        await Group.get_pymongo_collection().update_one(query, changes, session=session)
        await record(actor, Action.GROUP_UPDATE, group_id, session, fields=sorted(fields))

    try:
        await transaction(change, turn=("group", group_id))
    except DuplicateKeyError:
        raise ClaimInUse from None
    return await _view(await find_membership(actor, group_id))


def _check_binds(actor: Actor, deps: GroupDeps, mine: Raw, claim: str | None) -> None:
    """Raise unless the actor may bind a group; its owner may end that in any case."""
    if mine["role"] != MemberRole.OWNER:
        raise NotManager
    if claim is not None:
        actor.require_role(Role.ADMIN)
        actor.require_scope(Scope.ADMIN)
        if not deps.takes_claims:
            raise ClaimsOff


async def remove(actor: Actor, deps: GroupDeps, *, group_id: ObjectId) -> None:
    """Remove a group, and end what was shared with it.

    Raises:
        GroupNotFound: the actor is in no such group.
        NotManager: it is another's.
        Busy: not all of what was shared could be ended yet; that continues in the background.
    """

    async def change(session: AsyncClientSession) -> Raw:
        mine = await find_membership(actor, group_id, session)
        if mine["role"] != MemberRole.OWNER:
            raise NotManager
        return await _remove(actor, mine, session)

    await carry_out(deps, await transaction(change, turn=("group", group_id)))


async def _remove(actor: Actor, mine: Raw, session: AsyncClientSession) -> Raw:
    """Remove a group and who is in it; return the task that ends what was shared with it."""
    group_id = mine["group_id"]
    query = Group.owned_by(access_of(mine["owner_id"]), _id=group_id)
    await Group.get_pymongo_collection().delete_one(query, session=session)
    which = Membership.owned_by(access_of(mine["owner_id"]), group_id=group_id)
    await Membership.get_pymongo_collection().delete_many(which, session=session)
    task = new_task(actor, mine)
    await GroupTask.get_pymongo_collection().insert_one(dict(task), session=session)
    await record(actor, Action.GROUP_DELETE, group_id, session)
    return task


async def set_member(
    actor: Actor, deps: GroupDeps, *, group_id: ObjectId, user: str, role: MemberRole
) -> Raw:
    """Add somebody to a group, or change their role; return the membership.

    Raises:
        GroupNotFound: the actor is in no such group.
        NotManager: the actor does not manage it; or is not its owner, and a manager is made.
        UserNotFound: there is no such user.
        InvalidInput: it is the group's owner.
        TooManyMembers: it has as many members as a group may.
        Throttled: the actor added too many people in this minute.
    """
    _check_manages(await find_membership(actor, group_id), role)
    await deps.sharing.rate.admit(str(actor.owner_id))
    found = await accounts.find_by_name_or_id(user)
    if found is None or not found.is_active or found.erasure is not None:
        raise UserNotFound
    member_id = ObjectId(found.id)

    async def change(session: AsyncClientSession) -> Raw | None:
        mine = await find_membership(actor, group_id, session)
        before = await Membership.find_of(member_id, group_id, session)
        _check_manages(mine, role if before is None else max(role, before["role"], key=_rank))
        if member_id == mine["owner_id"]:
            raise _is_owner()
        if before is None:
            return await join(actor, mine, member_id, session, role=role)
        await touch(mine, session)
        # Who came by a claim stays without it now.
        given = {"by": actor.owner_id, "by_claim": False} if before.get("by_claim") else {}
        which = Membership.owned_by(
            access_of(mine["owner_id"]), member_id=member_id, group_id=group_id
        )
        changes = {"$set": {"role": role.value, **given}}
        await Membership.get_pymongo_collection().update_one(which, changes, session=session)
        about = {"member_id": str(member_id), "role": role.value}
        await record(actor, Action.GROUP_SET_MEMBER, group_id, session, **about)
        return None

    task = await transaction(change, turn=("group", group_id))
    if task is not None:
        await carry_out(deps, task)
    stored = await Membership.find_of(member_id, group_id)
    if stored is None:
        raise UserNotFound
    return {**stored, "username": found.username}


def _rank(role: str) -> int:
    return [*MemberRole].index(MemberRole(role))


def _check_manages(mine: Raw, role: str) -> None:
    """Raise unless the actor may add, change or remove members with this role."""
    needed = {MemberRole.OWNER} if role != MemberRole.MEMBER else MANAGES
    if mine["role"] not in needed:
        raise NotManager


def _is_owner() -> InvalidInput:
    problem = "must be another than the group's owner"
    return InvalidInput.in_field("path", "user", problem=problem, kind="user")


async def remove_member(actor: Actor, deps: GroupDeps, *, group_id: ObjectId, user: str) -> None:
    """Remove somebody from a group, or leave it.

    What they had by it has ended then, and what they shared with it.

    Raises:
        GroupNotFound: the actor is in no such group.
        NotFound: the user is not in it.
        NotManager: the actor does not manage it; or is not its owner, and the user manages it.
        InvalidInput: it is the group's owner.
        Busy: not all of that could be ended yet; it continues in the background.
    """
    found = await accounts.find_by_name_or_id(user)
    member_id = None if found is None else ObjectId(found.id)

    async def change(session: AsyncClientSession) -> Raw:
        mine = await find_membership(actor, group_id, session)
        theirs = member_id and await Membership.find_of(member_id, group_id, session)
        if not theirs:
            if mine["role"] not in MANAGES:
                raise NotManager
            raise NotFound("Member not found")
        if theirs["role"] == MemberRole.OWNER:
            raise _is_owner()
        if member_id != actor.owner_id:
            _check_manages(mine, theirs["role"])
        return await take_out(actor, mine, theirs["member_id"], session)

    await carry_out(deps, await transaction(change, turn=("group", group_id)))


async def end_groups_of(deps: GroupDeps, user_id: ObjectId) -> int:
    """Take everybody out of a user's groups, and end what is shared with these, for an erasure.

    The groups are removed with the rest of what the user has, so it can be repeated until then.

    Returns:
        The number of conversations.

    Raises:
        Busy: a conversation kept changing.
    """
    owner = Actor(door=Door.BACKGROUND, user_id=user_id)
    access = Access.of(owner)
    groups = Group.get_pymongo_collection().find(Group.owned_by(access), ["_id"])
    ended = 0
    for each in await groups.to_list():
        await transaction(partial(_empty, owner, each["_id"]), turn=("group", each["_id"]))
        ended += await end_all(deps, each["_id"], user_id)
    return ended


async def _empty(owner: Actor, group_id: ObjectId, session: AsyncClientSession) -> None:
    """Take everybody out of a group, so that nobody shares anything with it any more."""
    which = Membership.owned_by(Access.of(owner), group_id=group_id)
    memberships = Membership.get_pymongo_collection()
    if (await memberships.delete_many(which, session=session)).deleted_count:
        await record(owner, Action.GROUP_DELETE, group_id, session)
