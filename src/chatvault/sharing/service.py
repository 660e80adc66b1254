"""Giving, listing and ending grants; each is a change of its conversation."""

from dataclasses import dataclass
from datetime import datetime

from bson import ObjectId
from pymongo import DeleteOne, UpdateOne

from chatvault.access import Access, Guest, Need, resolve
from chatvault.accounts import service as accounts
from chatvault.accounts.models import User
from chatvault.actor import Actor
from chatvault.audit import service as audit
from chatvault.audit.actions import Action
from chatvault.audit.recorder import Recorder
from chatvault.conversations.commits.change import Change
from chatvault.conversations.commits.queue import CommitQueue
from chatvault.conversations.commits.working_copy import WorkingCopy
from chatvault.conversations.grants import Grant, GrantRole
from chatvault.conversations.trash.queries import check_not_gone
from chatvault.errors import Busy, InvalidInput, NotFound
from chatvault.fields import Raw, now
from chatvault.mongodb.rates import Rate

# The most users with whom one conversation is shared.
MOST_GRANTS = 500


@dataclass(frozen=True, slots=True)
class SharingDeps:
    """The dependencies of grants.

    Attributes:
        commits: the queue that commits changes.
        recorder: stores audit entries of reads.
        rate: limits how often a user looks up others by giving grants.
    """

    commits: CommitQueue
    recorder: Recorder
    rate: Rate


async def set_grant(
    actor: Actor,
    deps: SharingDeps,
    *,
    conversation_id: ObjectId,
    user: str,
    role: GrantRole,
    expires_at: datetime | None,
) -> Raw:
    """Share a conversation with a user, or change what they may do with it; return the grant.

    Raises:
        NotFound: the actor has no such conversation, or there is no such user.
        InsufficientGrant: the conversation is shared with the actor.
        InvalidInput: the user is its owner, the grant would have ended already, or it has too many.
        Throttled: the actor gave too many grants in this minute.
    """
    access = await resolve(actor, conversation_id, Need.MANAGE)
    await check_not_gone(access, conversation_id)
    await deps.rate.admit(str(actor.owner_id))
    grantee_id, at = await _find_grantee(access, user), now()
    if expires_at is not None and expires_at <= at:
        raise InvalidInput("expires_at must be in the future")
    if len(await Grant.list_raw(access, conversation_id)) >= MOST_GRANTS:
        raise InvalidInput(f"A conversation can be shared with at most {MOST_GRANTS} users")
    write = UpdateOne(
        Grant.owned_by(
            access, grantee_id=grantee_id, conversation_id=conversation_id, via_group=None
        ),
        {
            "$set": {"role": role.value, "expires_at": expires_at, "by": access.owner_id},
            "$setOnInsert": {"at": at},
        },
        upsert=True,
    )

    def decide(working: WorkingCopy) -> None:
        working.check_exists()
        working.change_grants(write)
        details = {"grantee_id": str(grantee_id), "role": role.value}
        action = Action.CONVERSATION_SHARE
        working.outbox.record(audit.entry(actor, action, conversation_id, details=details))

    await deps.commits.submit(
        Change(
            actor=actor,
            access=access,
            action=Action.CONVERSATION_SHARE,
            where=("_id", conversation_id),
            decide=decide,
            need=Need.MANAGE,
        )
    )
    return await _show(access, conversation_id, grantee_id)


async def _find_grantee(access: Access, user: str) -> ObjectId:
    """Return the id of a user to share with.

    Raises:
        NotFound: there is no such user.
        InvalidInput: it is the owner.
    """
    found = await accounts.find_by_name_or_id(user)
    if found is None or not found.is_active or found.erasure is not None:
        raise UserNotFound
    if found.id == access.owner_id:
        raise InvalidInput("A conversation cannot be shared with its owner")
    return ObjectId(found.id)


class UserNotFound(NotFound):
    """There is no such user."""

    code = "user_not_found"


async def _show(access: Access, conversation_id: ObjectId, grantee_id: ObjectId) -> Raw:
    for grant in await _list(access, conversation_id):
        if grant["grantee_id"] == grantee_id and grant["via_group"] is None:
            return grant
    raise NotFound("Grant not found")


async def list_grants(actor: Actor, deps: SharingDeps, *, conversation_id: ObjectId) -> list[Raw]:
    """Return the grants of a conversation, the oldest first, those that have expired included.

    Raises:
        NotFound: the actor has no such conversation.
        InsufficientGrant: the conversation is shared with the actor.
    """
    access = await resolve(actor, conversation_id, Need.MANAGE)
    await check_not_gone(access, conversation_id)
    grants = await _list(access, conversation_id)
    details = {"grants": len(grants)}
    action = Action.CONVERSATION_LIST_GRANTS
    await deps.recorder.record(audit.entry(actor, action, conversation_id, details=details))
    return grants


async def _list(access: Access, conversation_id: ObjectId) -> list[Raw]:
    """Return the grants of a conversation with the names of their users."""
    grants = await Grant.list_raw(access, conversation_id)
    ids = [each["grantee_id"] for each in grants]
    users = User.get_pymongo_collection().find({"_id": {"$in": ids}}, {"username": True})
    names = {each["_id"]: each["username"] async for each in users}
    return [{**each, "username": names.get(each["grantee_id"])} for each in grants]


async def end_grant(
    actor: Actor, deps: SharingDeps, *, conversation_id: ObjectId, user: str
) -> None:
    """End a grant; its user can end it, too. Nothing of theirs is stored after this returned.

    Raises:
        NotFound: the actor has no such conversation, or the user has no grant of it.
        InsufficientGrant: the conversation is shared with the actor, and the grant is another's.
    """
    found = await accounts.find_by_name_or_id(user)
    is_own = isinstance(actor, Guest) and found is not None and found.id == actor.user_id
    need = Need.READ if is_own else Need.MANAGE
    access = await resolve(actor, conversation_id, need)
    await check_not_gone(access, conversation_id)
    grantee_id = ObjectId(found.id) if found is not None else None
    which = {"grantee_id": grantee_id, "conversation_id": conversation_id, "via_group": None}
    query = Grant.owned_by(access, **which)
    if await Grant.get_pymongo_collection().find_one(query, {"_id": True}) is None:
        raise NotFound("Grant not found")

    def decide(working: WorkingCopy) -> None:
        working.check_exists()
        working.change_grants(DeleteOne(query))
        details = {"grantee_id": str(grantee_id)}
        action = Action.CONVERSATION_UNSHARE
        working.outbox.record(audit.entry(actor, action, conversation_id, details=details))

    try:
        await deps.commits.submit(
            Change(
                actor=actor,
                access=access,
                action=Action.CONVERSATION_UNSHARE,
                where=("_id", conversation_id),
                decide=decide,
                need=need,
            )
        )
    except Busy:
        # The deletion matches nothing once another request has ended the grant.
        if await Grant.get_pymongo_collection().find_one(query, {"_id": True}) is None:
            raise NotFound("Grant not found") from None
        raise
