"""Sharing conversations with groups; each grant is a change of its conversation."""

from bson import ObjectId
from pymongo import InsertOne, UpdateOne

from chatvault.access import Access, Need, resolve
from chatvault.actor import Actor
from chatvault.audit import service as audit
from chatvault.audit.actions import Action
from chatvault.conversations.commits.change import Change
from chatvault.conversations.commits.working_copy import WorkingCopy
from chatvault.conversations.group_grants import GroupGrant
from chatvault.conversations.trash.queries import check_not_gone
from chatvault.errors import Busy, NotFound
from chatvault.fields import Raw, now
from chatvault.groups.errors import TooManyGroupGrants
from chatvault.groups.expansion import (
    Decide,
    GroupDeps,
    access_of,
    carry_out,
    details_of_end,
    end_for_group,
    list_holders,
)
from chatvault.groups.finding import names_of
from chatvault.groups.models import GroupTask, Membership, new_task
from chatvault.groups.service import find_membership
from chatvault.sharing.terms import Terms

MOST_OF_CONVERSATION = 20
MOST_OF_GROUP = 1000


async def set_grant(
    actor: Actor,
    deps: GroupDeps,
    *,
    conversation_id: ObjectId,
    group_id: ObjectId,
    terms: Terms,
) -> Raw:
    """Share a conversation with a group that the actor is in, or change what it may do with it.

    Raises:
        NotFound: the actor has no such conversation.
        InsufficientGrant: the conversation is shared with the actor.
        GroupNotFound: the actor is in no such group.
        InvalidInput: the grant would have ended already, or agents are for editors only.
        TooManyGroupGrants: there are as many as there may be.
        Throttled: the actor gave too many grants in this minute.
        Busy: not all members have it yet; that continues in the background.
    """
    access = await resolve(actor, conversation_id, Need.MANAGE)
    await check_not_gone(access, conversation_id)
    await deps.sharing.rate.admit(str(actor.owner_id))
    terms.check()
    mine = await find_membership(actor, group_id)
    await _check_limits(access, conversation_id, group_id)
    task = new_task(actor, mine, conversation_id=conversation_id)
    change = _set_change(actor, access, mine, terms, task)
    try:
        await deps.commits.submit(change)
    except Busy:
        # The actor may have left, or the group ended.
        await find_membership(actor, group_id)
        raise
    await carry_out(deps, task)
    for grant in await _list(actor, access, conversation_id):
        if grant["group_id"] == group_id:
            return grant
    raise NotFound("Grant not found")


def _set_change(actor: Actor, access: Access, mine: Raw, terms: Terms, task: Raw) -> Change[None]:
    conversation_id, group_id = task["conversation_id"], task["group_id"]
    which = {"conversation_id": conversation_id, "group_id": group_id}
    update = {
        "$set": {**terms.fields(), "by": access.owner_id},
        "$setOnInsert": {"at": now(), "expanded": 0},
        "$inc": {"version": 1},
    }
    details = {"group_id": str(group_id), **terms.details()}
    group_owner = access_of(mine["owner_id"])
    still = Membership.owned_by(group_owner, member_id=mine["member_id"], group_id=group_id)

    def decide(working: WorkingCopy) -> None:
        working.check_exists()
        query = GroupGrant.owned_by(access, **which)
        working.beside.append((GroupGrant, UpdateOne(query, update, upsert=True)))
        working.beside.append((Membership, UpdateOne(still, {"$inc": {"grants": 1}})))
        working.beside.append((GroupTask, InsertOne(task)))
        working.touch_grants()
        action = Action.CONVERSATION_SHARE
        working.outbox.record(audit.entry(actor, action, conversation_id, details=details))

    return _change(actor, access, conversation_id, Action.CONVERSATION_SHARE, decide)


def _change(
    actor: Actor, access: Access, conversation_id: ObjectId, action: Action, decide: Decide
) -> Change[None]:
    return Change(
        actor=actor,
        access=access,
        action=action,
        where=("_id", conversation_id),
        decide=decide,
        need=Need.MANAGE,
    )


async def _check_limits(access: Access, conversation_id: ObjectId, group_id: ObjectId) -> None:
    """Raise if one grant more is too many, unless the group has one already.

    Raises:
        TooManyGroupGrants: it is.
    """
    grants = GroupGrant.get_pymongo_collection()
    its = await _find_all(access, conversation_id)
    if any(each["group_id"] == group_id for each in its):
        return
    of_group = await grants.count_documents({"group_id": group_id}, limit=MOST_OF_GROUP)
    if len(its) >= MOST_OF_CONVERSATION or of_group >= MOST_OF_GROUP:
        raise TooManyGroupGrants


async def _find_all(access: Access, conversation_id: ObjectId) -> list[Raw]:
    query = GroupGrant.owned_by(access, conversation_id=conversation_id)
    found = GroupGrant.get_pymongo_collection().find(query).sort([("at", 1), ("_id", 1)])
    return [dict(each) for each in await found.to_list()]


async def list_grants(actor: Actor, deps: GroupDeps, *, conversation_id: ObjectId) -> list[Raw]:
    """Return the grants of a conversation to groups, the oldest first.

    Raises:
        NotFound: the actor has no such conversation.
        InsufficientGrant: the conversation is shared with the actor.
    """
    access = await resolve(actor, conversation_id, Need.MANAGE)
    await check_not_gone(access, conversation_id)
    shown = await _list(actor, access, conversation_id)
    details = {"grants": len(shown)}
    entry = audit.entry(actor, Action.CONVERSATION_LIST_GRANTS, conversation_id, details=details)
    await deps.sharing.recorder.record(entry)
    return shown


async def _list(actor: Actor, access: Access, conversation_id: ObjectId) -> list[Raw]:
    """Return the grants to groups with the names of those that the owner, who asks, is in."""
    grants = await _find_all(access, conversation_id)
    names = await names_of(actor, [each["group_id"] for each in grants])
    return [{**each, "name": names.get(each["group_id"])} for each in grants]


async def end_grant(
    actor: Actor, deps: GroupDeps, *, conversation_id: ObjectId, group_id: ObjectId
) -> None:
    """End a grant to a group, and what its members have by it, at once.

    Raises:
        NotFound: the actor has no such conversation, or the group has no grant of it.
        InsufficientGrant: the conversation is shared with the actor.
    """
    access = await resolve(actor, conversation_id, Need.MANAGE)
    await check_not_gone(access, conversation_id)
    query = GroupGrant.owned_by(access, conversation_id=conversation_id, group_id=group_id)
    given = await GroupGrant.get_pymongo_collection().find_one(query)
    if given is None:
        raise NotFound("Grant not found")
    holders = await list_holders(given)

    def decide(working: WorkingCopy) -> None:
        working.check_exists()
        end_for_group(working, given)
        details = details_of_end(group_id, holders, access.owner_id)
        action = Action.CONVERSATION_UNSHARE
        working.outbox.record(audit.entry(actor, action, conversation_id, details=details))

    action = Action.CONVERSATION_UNSHARE
    try:
        await deps.commits.submit(_change(actor, access, conversation_id, action, decide))
    except Busy:
        # It matches nothing once another request has ended the grant.
        if await GroupGrant.get_pymongo_collection().find_one(query, {"_id": True}) is None:
            raise NotFound("Grant not found") from None
        raise
    deps.sharing.end_live(conversation_id, group_id, None)
