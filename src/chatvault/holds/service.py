"""Placing, lifting and listing legal holds; for auditors, admins and operators."""

from bson import ObjectId
from pymongo import ReturnDocument
from pymongo.asynchronous.client_session import AsyncClientSession

from chatvault.access import Access
from chatvault.accounts.models import User
from chatvault.accounts.names import find_names
from chatvault.actor import Actor, Door, Role
from chatvault.audit import service as audit
from chatvault.audit.actions import Action
from chatvault.audit.models import AuditEntry
from chatvault.audit.recorder import Recorder
from chatvault.conversations.holds import IN_FORCE, Hold
from chatvault.conversations.trash.queries import is_stored
from chatvault.errors import BeingErased, NotFound
from chatvault.fields import Raw, now
from chatvault.holds.schemas import HoldIn, HoldsQuery
from chatvault.idempotency import IdempotencyKey, Idempotent, act_once
from chatvault.mongodb.database import transaction


def _require_auditor(actor: Actor) -> None:
    if actor.door is not Door.CLI:
        actor.require_role(Role.AUDITOR, Role.ADMIN)


async def place(
    actor: Actor, *, wanted: HoldIn, idempotency_key: IdempotencyKey | None = None
) -> Raw:
    """Place a hold of all conversations of a user, or of one; return it.

    Args:
        actor: an auditor, an admin, or the operator at the command line.
        wanted: whose conversations, and why.
        idempotency_key: the request's key.

    Raises:
        Denied: the actor is neither auditor nor admin.
        NotFound: there is no such user, or they have no such conversation.
        BeingErased: the user's account is being erased.
        KeyReused: the key came with another request.
    """
    _require_auditor(actor)
    hold: Raw = {
        "_id": ObjectId(),
        **wanted.model_dump(),
        "placed_by": actor.user_id,
        "placed_at": now(),
        "lifted_at": None,
        **IN_FORCE,
    }

    async def insert(session: AsyncClientSession) -> Raw:
        await _keep(wanted, session)
        await Hold.get_pymongo_collection().insert_one(dict(hold), session=session)
        await _record(actor, Action.HOLD_PLACE, hold, session)
        return hold

    known = idempotency_key and _idempotent(idempotency_key)
    return await transaction(
        lambda session: act_once(actor, Action.HOLD_PLACE, known, session, insert)
    )


async def _keep(wanted: HoldIn, session: AsyncClientSession) -> None:
    """Check that there is what is to be held, and have erasures of the user conflict with this."""
    users, which = User.get_pymongo_collection(), {"_id": wanted.user_id}
    if await users.find_one(which, {"_id": True}, session=session) is None:
        raise NotFound("There is no such user")
    held = {"$set": {"held_at": now()}}
    kept = await users.update_one({**which, "erasure": None}, held, session=session)
    if not kept.matched_count:
        raise BeingErased
    if wanted.conversation_id is not None:
        owner = Access.of(Actor(door=Door.BACKGROUND, user_id=wanted.user_id))
        if not await is_stored(owner, wanted.conversation_id, session):
            raise NotFound("The user has no such conversation")


def _idempotent(idempotency_key: IdempotencyKey) -> Idempotent[Raw]:
    async def find(hold_id: ObjectId, session: AsyncClientSession) -> Raw:
        found = await Hold.get_pymongo_collection().find_one({"_id": hold_id}, session=session)
        if found is None:
            raise NotFound("Hold not found")
        return dict(found)

    return Idempotent.by_id(
        idempotency_key, "hold_id", id_of=lambda hold: hold["_id"], find=find, target="hold_id"
    )


async def lift(actor: Actor, *, hold_id: ObjectId) -> Raw:
    """Lift a hold; what was kept only because of it is deleted in the background. Return it.

    Raises:
        Denied: the actor is neither auditor nor admin.
        NotFound: there is no such hold in force.
    """
    _require_auditor(actor)

    async def update(session: AsyncClientSession) -> Raw:
        found = await Hold.get_pymongo_collection().find_one_and_update(
            {"_id": hold_id, "lifted_at": None},
            {"$set": {"lifted_at": now()}},
            return_document=ReturnDocument.AFTER,
            session=session,
        )
        if found is None:
            raise NotFound("Hold not found")
        await _record(actor, Action.HOLD_LIFT, found, session)
        return dict(found)

    return await transaction(update)


async def _record(actor: Actor, action: Action, hold: Raw, session: AsyncClientSession) -> None:
    """Store the audit entry, which names whose conversations are kept, but not why."""
    told = hold["conversation_id"]
    details = {
        "user_id": str(hold["user_id"]),
        "conversation_id": None if told is None else str(told),
    }
    entry = audit.entry(actor, action, hold["_id"], details=details)
    await AuditEntry.store([entry], session)


async def list_holds(actor: Actor, recorder: Recorder, *, query: HoldsQuery) -> list[Raw]:
    """Return holds with the names of their users, those placed last first; itself audited.

    Raises:
        Denied: the actor is neither auditor nor admin.
    """
    _require_auditor(actor)
    found = Hold.get_pymongo_collection().find(query.to_raw())
    holds = await found.sort([("placed_at", -1), ("_id", -1)]).limit(query.limit).to_list()
    entry = audit.entry(actor, Action.HOLD_LIST, details={"holds": len(holds)})
    await recorder.record(entry)
    names = await find_names(each["user_id"] for each in holds)
    return [{**each, "username": names.get(each["user_id"])} for each in holds]
