"""Reading what a legal hold keeps; for auditors and operators. Each page is audited."""

from bson import ObjectId

from chatvault.access import Access
from chatvault.actor import Actor, Door, Role
from chatvault.audit import service as audit
from chatvault.audit.actions import Action
from chatvault.audit.recorder import Recorder
from chatvault.conversations.holds import Hold
from chatvault.conversations.shapes import ConversationDoc
from chatvault.conversations.store import MessageStore
from chatvault.errors import NotFound
from chatvault.fields import Raw
from chatvault.holds.kept import (
    START,
    KeptMessage,
    Place,
    list_kept,
    list_kept_messages,
)


async def _get_hold(actor: Actor, hold_id: ObjectId) -> tuple[Raw, Access]:
    """Return a hold in force, and the access to what it keeps.

    Raises:
        Denied: the actor is no auditor.
        NotFound: there is no such hold in force.
    """
    if actor.door is not Door.CLI:
        actor.require_role(Role.AUDITOR)
    found = await Hold.get_pymongo_collection().find_one({"_id": hold_id, "lifted_at": None})
    if found is None:
        raise NotFound("Hold not found")
    return dict(found), Access.of(Actor(door=Door.BACKGROUND, user_id=found["user_id"]))


async def list_conversations(
    actor: Actor,
    store: MessageStore,
    recorder: Recorder,
    *,
    hold_id: ObjectId,
    after: ObjectId | None,
    limit: int,
) -> list[ConversationDoc]:
    """Return a page of the conversations that a hold keeps, by id; without messages.

    Raises:
        Denied: the actor is no auditor.
        NotFound: there is no such hold in force.
    """
    hold, access = await _get_hold(actor, hold_id)
    found = await list_kept(
        access, store, conversation_id=hold["conversation_id"], after=after, limit=limit
    )
    details = {"user_id": str(access.owner_id), "conversations": len(found)}
    entry = audit.entry(actor, Action.HOLD_LIST_CONVERSATIONS, hold_id, details=details)
    await recorder.record(entry)
    return found


async def list_messages(
    actor: Actor,
    store: MessageStore,
    recorder: Recorder,
    *,
    hold_id: ObjectId,
    conversation_id: ObjectId,
    after: Place | None,
    limit: int,
) -> list[KeptMessage]:
    """Return a page of the messages that a hold keeps of one conversation.

    Raises:
        Denied: the actor is no auditor.
        NotFound: there is no such hold in force, or it does not keep the conversation.
    """
    hold, access = await _get_hold(actor, hold_id)
    if hold["conversation_id"] not in {None, conversation_id}:
        raise NotFound("The hold keeps no such conversation")
    found = await list_kept_messages(
        access, store, conversation_id=conversation_id, after=after or START, limit=limit
    )
    details = {
        "user_id": str(access.owner_id),
        "conversation_id": str(conversation_id),
        "messages": len(found),
    }
    entry = audit.entry(actor, Action.HOLD_LIST_MESSAGES, hold_id, details=details)
    await recorder.record(entry)
    return found
