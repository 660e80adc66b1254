"""How a reply ends that waits for a person's word and is not to get it."""

from datetime import datetime

from bson import ObjectId
from pymongo import UpdateOne

from chatvault.actor import Actor
from chatvault.audit import service as audit
from chatvault.audit.actions import Action
from chatvault.commands import steps
from chatvault.conversations.change import Change
from chatvault.conversations.draft import Draft
from chatvault.conversations.service import estimate
from chatvault.fields import now
from chatvault.idempotency import Repeatable
from chatvault.replies.models import Raw, Reply, State


def supersede(
    draft: Draft, actor: Actor, waiting: Raw, *, state: State = State.SUPERSEDED, at: datetime
) -> None:
    """Decide that the waiting reply ends, and that none of its pending commands can run."""
    steps.supersede(draft, actor, waiting["message_id"], at=at)
    mine = {"_id": waiting["reply_id"], "user_id": actor.owner_id, "state": State.WAITING.value}
    fields = {"state": state.value, "ended_at": at}
    draft.beside.append((Reply, UpdateOne(mine, {"$set": fields})))
    draft.set(at, waiting_reply=None)


def cancelling(
    actor: Actor, conversation_id: ObjectId, reply: Raw, repeatable: Repeatable[None] | None
) -> Change[None]:
    """The change that cancels a waiting reply; where it waits no more, it changes nothing."""

    def decide(draft: Draft) -> None:
        waiting = draft.head.get("waiting_reply")
        if waiting and waiting["reply_id"] == reply["_id"]:
            supersede(draft, actor, waiting, state=State.CANCELLED, at=now())
        draft.entries.append(audit.entry(actor, Action.REPLY_CANCEL, conversation_id))

    return Change(
        actor=actor,
        action=Action.REPLY_CANCEL,
        where=("_id", conversation_id),
        decide=decide,
        message_ids=frozenset({reply["answer_id"]}),
        needs_tail=True,
        size=estimate([]),
        repeatable=repeatable,
    )
