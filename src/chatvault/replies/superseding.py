"""How a reply ends that waits for a person's word and is not to get it."""

from datetime import datetime

from bson import ObjectId
from pymongo import UpdateOne

from chatvault.actor import Actor
from chatvault.audit import service as audit
from chatvault.audit.actions import Action
from chatvault.commands import steps
from chatvault.conversations.commits.change import Change
from chatvault.conversations.commits.working_copy import WorkingCopy
from chatvault.conversations.service import estimate
from chatvault.errors import Conflict
from chatvault.fields import now
from chatvault.idempotency import Idempotent
from chatvault.replies.models import Raw, Reply, State


def supersede(
    working: WorkingCopy,
    actor: Actor,
    waiting: Raw,
    *,
    state: State = State.SUPERSEDED,
    at: datetime,
) -> None:
    """Decide that the waiting reply ends, and that none of its pending commands can run."""
    steps.supersede(working, actor, waiting["message_id"], at=at)
    mine = {"_id": waiting["reply_id"], "user_id": actor.owner_id, "state": State.WAITING.value}
    fields = {"state": state.value, "ended_at": at}
    working.beside.append((Reply, UpdateOne(mine, {"$set": fields})))
    working.set(at, waiting_reply=None)


class WentOn(Conflict):
    """The reply has gone on since it was read; read it again."""


def cancelling(
    actor: Actor, conversation_id: ObjectId, reply: Raw, idempotent: Idempotent[None] | None
) -> Change[None]:
    """The change that cancels a reply.

    One that waits ends with it. One that is being written is marked in the conversation, which its
    writer decides on as well: so it either ends as cancelled, or has ended before. Where it has
    ended, nothing changes. It raises `WentOn` where the reply waits on another message by now.
    """

    def decide(working: WorkingCopy) -> None:
        fields, at = working.fields, now()
        waiting = fields.get("waiting_reply") or {}
        if waiting.get("reply_id") == reply["_id"]:
            if waiting["message_id"] != reply["answer_id"]:
                raise WentOn
            supersede(working, actor, waiting, state=State.CANCELLED, at=at)
        elif reply["state"] in {State.RUNNING, State.WAITING}:
            if fields.get("active_reply_id") == reply["_id"]:
                working.set(at, stopping_reply_id=reply["_id"])
            mine = {"_id": reply["_id"], "user_id": actor.owner_id}
            asked = {"$set": {"cancel_requested": True}}
            working.beside.append((Reply, UpdateOne(mine, asked)))
        working.entries.append(audit.entry(actor, Action.REPLY_CANCEL, conversation_id))

    return Change(
        actor=actor,
        action=Action.REPLY_CANCEL,
        where=("_id", conversation_id),
        decide=decide,
        message_ids=frozenset({reply["answer_id"]}),
        needs_tail=True,
        size=estimate(),
        idempotent=idempotent,
    )
