"""How a reply begins: the user's message, the guard and the reservation in one transaction."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from bson import ObjectId
from pymongo import UpdateOne
from pymongo.asynchronous.client_session import AsyncClientSession

from chatvault.actor import Actor
from chatvault.audit import service as audit
from chatvault.audit.actions import Action
from chatvault.conversations.commits.change import Change
from chatvault.conversations.commits.working_copy import WorkingCopy
from chatvault.conversations.models import Conversation, Raw, Status
from chatvault.conversations.schemas import stored_agent_id
from chatvault.conversations.segments import size_of
from chatvault.conversations.service import estimate
from chatvault.conversations.wire import message_wire
from chatvault.errors import Conflict, ConversationArchived, MessageIdTaken, NotFound
from chatvault.fields import now
from chatvault.idempotency import IdempotencyKey, Idempotent
from chatvault.mongodb import leases
from chatvault.mongodb.renewing import LEASE_SECONDS
from chatvault.replies.context import MIN_OUTPUT
from chatvault.replies.errors import ReplyInProgress
from chatvault.replies.events import Live
from chatvault.replies.models import Kind, Mode, Reply, ReplyEvents, State
from chatvault.replies.plan import Turn, TurnPlan, place_of, refusal, tokens_left
from chatvault.replies.provider import ModelRequest
from chatvault.replies.run import ReplyTask
from chatvault.replies.superseding import supersede

# More than what is noted on a message's commands when they are superseded.
STEP_BYTES = 16 * 1024


class Stale(Conflict):
    """The conversation changed since the reply was planned; plan again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyPlan:
    """A reply that is to begin.

    Attributes:
        messages: what the model is shown, which has `tokens`.
        max_tokens: of the answer, at most.
        place: the end of the conversation that the messages were made of; None where they come
            from the client.
        metadata: kept with the user's message.
        options: further parameters for the model.
        tools: that the model is offered, in OpenAI's shape.
        waiting: the reply that waits in this conversation; it is continued or superseded.
        continues: that reply, where it is to go on.
        live: that reply's, with all of its events so far.
    """

    kind: Kind
    action: Action
    conversation_id: ObjectId
    agent: Raw
    provider: str
    model: str
    temperature: float | None
    turn: Turn
    messages: list[dict[str, Any]]
    tokens: int
    max_tokens: int
    place: tuple[ObjectId, int] | None = None
    metadata: Raw | None = None
    options: Raw = field(default_factory=dict)
    tools: list[Raw] = field(default_factory=list)
    waiting: Raw | None = None
    continues: Raw | None = None
    live: Live | None = None

    @property
    def message_ids(self) -> frozenset[str]:
        """The messages that the decision asks about."""
        ids = {self.turn.user_message_id}
        return frozenset(ids | {self.waiting["message_id"]} if self.waiting else ids)


def start_of(made: TurnPlan, action: Action, max_tokens: int, **more: Any) -> ReplyPlan:
    """The start of a reply as it was planned."""
    return ReplyPlan(
        kind=Kind.REPLY,
        action=action,
        conversation_id=made.conversation["_id"],
        agent=made.agent,
        provider=made.provider,
        model=made.model,
        temperature=made.agent["temperature"],
        turn=made.turn,
        messages=made.context.messages,
        tokens=made.context.tokens,
        max_tokens=max_tokens,
        place=made.place,
        tools=made.tools,
        waiting=made.conversation.get("waiting_reply"),
        **more,
    )


@dataclass(frozen=True, slots=True)
class StartedReply:
    """A reply that has begun, and the run that writes it; None where it was begun before."""

    reply_id: ObjectId
    run: ReplyTask | None = None
    events: tuple[tuple[str, Raw], ...] = ()


def beginning(
    actor: Actor, start: ReplyPlan, idempotency_key: IdempotencyKey | None
) -> Change[StartedReply]:
    """The change that begins a reply."""
    return Change(
        actor=actor,
        action=start.action,
        where=("_id", start.conversation_id),
        decide=lambda working: _decide(working, actor, start),
        message_ids=start.message_ids,
        needs_tail=start.waiting is not None,
        # On the message and in its event.
        size=estimate(*[{"content": start.turn.content, "metadata": start.metadata}] * 2),
        idempotent=None
        if idempotency_key is None
        else _idempotent(actor, idempotency_key, start.conversation_id),
    )


def replaying(
    actor: Actor,
    conversation_id: ObjectId,
    idempotency_key: IdempotencyKey,
    action: Action = Action.REPLY_CREATE,
) -> Change[StartedReply]:
    """The change that finds out which reply a repeated request began."""

    def decide(_working: WorkingCopy) -> StartedReply:
        raise Stale

    return Change(
        actor=actor,
        action=action,
        where=("_id", conversation_id),
        decide=decide,
        idempotent=_idempotent(actor, idempotency_key, conversation_id),
    )


def _idempotent(
    actor: Actor, idempotency_key: IdempotencyKey, conversation_id: ObjectId
) -> Idempotent[StartedReply]:
    async def replay(result: Raw, session: AsyncClientSession) -> StartedReply:
        if await Conversation.find_for_repeat(actor, conversation_id, session) is None:
            raise NotFound("Conversation not found")
        return StartedReply(result["reply_id"])

    return Idempotent(
        idempotency_key,
        to_record=lambda begun: {"conversation_id": conversation_id, "reply_id": begun.reply_id},
        replay=replay,
    )


def _decide(working: WorkingCopy, actor: Actor, start: ReplyPlan) -> StartedReply:
    output = output_of(working.fields, start)
    known = working.find(start.turn.user_message_id)
    if start.turn.content is not None and known is not None:
        raise MessageIdTaken
    return begin(working, actor, start, output)


def output_of(fields: Raw, start: ReplyPlan) -> int:
    """How many tokens the answer may have, decided on the conversation of this moment.

    So however many ask at once, none overruns the limit.

    Raises:
        ConversationArchived, ReplyInProgress: it cannot be answered now.
        Stale: it changed since the reply was planned.
        TokenLimitReached: too few tokens are left.
    """
    if fields["status"] == Status.ARCHIVED:
        raise ConversationArchived
    if start.place is not None:
        if fields.get("active_reply_id"):
            raise ReplyInProgress
        if place_of(fields) != start.place or fields.get("waiting_reply") != start.waiting:
            raise Stale
    output = min(start.max_tokens, tokens_left(fields, start.agent) - start.tokens)
    if output < MIN_OUTPUT:
        raise refusal(fields, start.agent)
    return output


def begin(working: WorkingCopy, actor: Actor, start: ReplyPlan, output: int) -> StartedReply:
    """Decide that a reply begins whose answer may have so many tokens.

    Raises:
        RetryAfterMove: older messages have to move first; nothing was decided.
    """
    fields, at = working.fields, now()
    message = _message(start, at)
    is_waiting = start.waiting is not None and fields.get("waiting_reply") == start.waiting
    if start.waiting is not None and is_waiting and start.continues is None:
        working.require_room(STEP_BYTES + (size_of(message) if message else 0))
        supersede(working, actor, start.waiting, at=at)
    reply = _reply(actor, start, output)
    shown = (
        _show_continued(working, start) if start.continues else _store(working, start, message, at)
    )
    changes: Raw = {"reserved_tokens": fields.get("reserved_tokens", 0) + reply["reserved"]}
    if start.kind is Kind.REPLY:
        changes |= {"active_reply_id": reply["_id"], "waiting_reply": None}
    working.set(at, **changes)
    live = start.live or Live(actor, start.conversation_id, reply["_id"])
    stored: Raw = {
        "reply_id": reply["_id"],
        "conversation_id": start.conversation_id,
        "message": shown,
    }
    events = (("commands_settled" if start.continues else "message_stored", stored),)
    working.beside.append((Reply, _write(reply, start)))
    working.beside.append((ReplyEvents, live.insertion(list(events))))
    details = {"reply_id": str(reply["_id"]), "reserved": reply["reserved"]}
    working.entries.append(audit.entry(actor, start.action, start.conversation_id, details=details))
    summarize = bool(start.agent["auto_generate_summary"])
    return StartedReply(
        reply["_id"], ReplyTask(actor, reply, _ask(start, output), live, summarize), events
    )


def _ask(start: ReplyPlan, output: int) -> ModelRequest:
    return ModelRequest(
        provider=start.provider,
        model=start.model,
        messages=start.messages,
        temperature=start.temperature,
        max_tokens=output,
        tools=start.tools,
        options=start.options,
    )


def _write(reply: Raw, start: ReplyPlan) -> UpdateOne:
    leased = leases.written(reply, "lease_until", LEASE_SECONDS)
    mine = {"_id": reply["_id"], "user_id": reply["user_id"]}
    if start.continues is None:
        return UpdateOne(mine, leased, upsert=True)
    return UpdateOne({**mine, "state": State.WAITING.value}, leased)


def _show_continued(working: WorkingCopy, start: ReplyPlan) -> Raw | None:
    """The message whose commands are settled, with their results."""
    assert start.waiting is not None  # noqa: S101  # what continues was waiting
    found = working.find(start.waiting["message_id"])
    return None if found is None else message_wire((found.seq, found.message))


def _reply(actor: Actor, start: ReplyPlan, output: int) -> Raw:
    at, turn = now(), start.turn
    reply_id = start.continues["_id"] if start.continues else ObjectId()
    rounds = start.continues.get("rounds", 1) + 1 if start.continues else 1
    replaced = turn.target_id if turn.mode is Mode.REPLACE else None
    return {
        "_id": reply_id,
        "user_id": actor.owner_id,
        "conversation_id": start.conversation_id,
        "kind": start.kind.value,
        "state": State.RUNNING.value,
        "code": None,
        "mode": turn.mode.value,
        "agent_id": stored_agent_id(start.agent["_id"]),
        "provider": start.provider,
        "model": start.model,
        "temperature": start.temperature,
        "user_message_id": turn.user_message_id,
        "answer_id": replaced or f"reply-{reply_id}" + (f"-{rounds}" if rounds > 1 else ""),
        "target_id": turn.target_id,
        "reserved": start.tokens + output,
        "input_tokens": start.tokens,
        "output_tokens": None,
        "started_at": at,
        "ended_at": None,
        "cancel_requested": False,
        "rounds": rounds,
    }


def _message(start: ReplyPlan, at: datetime) -> Raw | None:
    """The user's message as it is stored, where it is a new one."""
    if start.turn.content is None:
        return None
    message: Raw = {
        "id": start.turn.user_message_id,
        "role": "user",
        "content": start.turn.content,
        "timestamp": at,
    }
    if start.metadata is not None:
        message["extra"] = {"metadata": start.metadata}
    return message


def _store(working: WorkingCopy, start: ReplyPlan, message: Raw | None, at: datetime) -> Raw | None:
    """Append the user's message, where it is a new one, and show it."""
    if message is not None:
        working.append([message], at, at)
    found = working.find(start.turn.user_message_id)
    return None if found is None else message_wire((found.seq, found.message))
