"""Giving, listing and ending grants; each is a change of its conversation."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from bson import ObjectId
from pymongo import DeleteOne, UpdateOne

from chatvault.access import Access, Guest, Need, resolve
from chatvault.accounts import service as accounts
from chatvault.accounts.names import find_names
from chatvault.actor import Actor
from chatvault.audit import service as audit
from chatvault.audit.actions import Action
from chatvault.audit.recorder import Recorder
from chatvault.conversations.commits.change import Change
from chatvault.conversations.commits.queue import CommitQueue
from chatvault.conversations.commits.working_copy import WorkingCopy
from chatvault.conversations.grants import Grant
from chatvault.conversations.trash.queries import check_not_gone
from chatvault.errors import Busy, Conflict, InvalidInput, NotFound
from chatvault.fields import Raw, now
from chatvault.mongodb.rates import Rate
from chatvault.sharing.terms import Terms

EndLive = Callable[[ObjectId, ObjectId | None, Collection[ObjectId] | None], None]
# The most users with whom one conversation is shared.
MOST_GRANTS = 500
# The most conversations that one user shares with one other user alone.
MOST_TO_ONE = 200


@dataclass(frozen=True, slots=True)
class SharingDeps:
    """The dependencies of grants.

    Attributes:
        commits: the queue that commits changes.
        recorder: stores audit entries of reads.
        rate: limits how often a user looks up others by giving grants.
        end_live: ends what this process shows of a conversation by live events, at once: by the
            conversation, the group by which it was shared, and with whom (None for all of these).
    """

    commits: CommitQueue
    recorder: Recorder
    rate: Rate
    end_live: EndLive


async def set_grant(
    actor: Actor,
    deps: SharingDeps,
    *,
    conversation_id: ObjectId,
    user: str,
    terms: Terms,
) -> Raw:
    """Share a conversation with a user, or change what they may do with it; return the grant.

    Raises:
        NotFound: the actor has no such conversation, or there is no such user.
        InsufficientGrant: the conversation is shared with the actor.
        InvalidInput: the user is its owner, or the grant would have ended already.
        TooManyGrants: the conversation is shared with as many others as may be.
        TooManyToUser: the owner shares as many conversations with this user as may be.
        Throttled: the actor gave too many grants in this minute.
    """
    access = await resolve(actor, conversation_id, Need.MANAGE)
    await check_not_gone(access, conversation_id)
    await deps.rate.admit(str(actor.owner_id))
    grantee_id = await _find_grantee(access, user)
    terms.check()
    others = [each["grantee_id"] for each in await _list_alone(access, conversation_id)]
    if len(others) >= MOST_GRANTS and grantee_id not in others:
        raise TooManyGrants
    if grantee_id not in others:
        await _check_amount(access, grantee_id)
    write = UpdateOne(
        Grant.owned_by(
            access, grantee_id=grantee_id, conversation_id=conversation_id, via_group=None
        ),
        {"$set": {**terms.fields(), "by": access.owner_id}, "$setOnInsert": {"at": now()}},
        upsert=True,
    )

    def decide(working: WorkingCopy) -> None:
        working.check_exists()
        working.change_grants(write)
        details = {"grantee_id": str(grantee_id), **terms.details()}
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


async def _check_amount(access: Access, grantee_id: ObjectId) -> None:
    """Check that the owner may share one conversation more with a user.

    It is checked before the grant is stored: grants at the same time may exceed it by some.

    Raises:
        TooManyToUser: there are as many as may be.
    """
    query = Grant.owned_by(access, grantee_id=grantee_id, via_group=None)
    grants = Grant.get_pymongo_collection()
    if await grants.count_documents(query, limit=MOST_TO_ONE) >= MOST_TO_ONE:
        raise TooManyToUser


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
        problem = "must be another than the conversation's owner"
        raise InvalidInput.in_field("path", "user", problem=problem, kind="user")
    return ObjectId(found.id)


class TooManyGrants(Conflict):
    """The conversation is shared with 500 users; end one of the grants first."""

    code = "too_many_grants"


class TooManyToUser(Conflict):
    """You share 200 conversations with this user already; share more with a group of both."""

    code = "too_many_to_user"


class UserNotFound(NotFound):
    """There is no such user."""

    code = "user_not_found"


async def _show(access: Access, conversation_id: ObjectId, grantee_id: ObjectId) -> Raw:
    for grant in await _list(access, conversation_id):
        if grant["grantee_id"] == grantee_id:
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


async def _list_alone(access: Access, conversation_id: ObjectId) -> list[Raw]:
    """Return the grants of a conversation to users alone, without those that come by groups."""
    grants = await Grant.list_raw(access, conversation_id)
    return [each for each in grants if each.get("via_group") is None]


async def _list(access: Access, conversation_id: ObjectId) -> list[Raw]:
    """Return the grants of a conversation with the names of their users."""
    grants = await _list_alone(access, conversation_id)
    names = await find_names(each["grantee_id"] for each in grants)
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
    deps.end_live(conversation_id, None, [query["grantee_id"]])
