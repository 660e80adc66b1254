"""Start a reply: store the message, check and reserve tokens in one transaction."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from operator import attrgetter
from typing import Any

from bson import ObjectId
from pymongo import UpdateOne
from pymongo.asynchronous.client_session import AsyncClientSession

from chatvault.access import Access, Guest, Need
from chatvault.actor import Actor
from chatvault.agents import service as agents
from chatvault.audit import service as audit
from chatvault.audit.actions import Action
from chatvault.audit.outbox import place
from chatvault.conversations.authors import note_author, sign
from chatvault.conversations.categories import check_category
from chatvault.conversations.commits.change import Change, estimate
from chatvault.conversations.commits.working_copy import WorkingCopy
from chatvault.conversations.creation import NewConversation, idempotent, prepare
from chatvault.conversations.models import Conversation, Status
from chatvault.conversations.parts import FilePart
from chatvault.conversations.reading.wire import message_wire
from chatvault.conversations.schemas import ConversationCreate, stored_agent_id
from chatvault.conversations.segments import size_of
from chatvault.conversations.shapes import ConversationDoc, MessageDoc
from chatvault.errors import Conflict, ConversationArchived, MessageIdTaken
from chatvault.fields import Raw, now
from chatvault.idempotency import IdempotencyKey, Idempotent, answer_repeat, was_carried_out
from chatvault.mongodb import leases
from chatvault.mongodb.renewing import LEASE_SECONDS
from chatvault.replies.deps import ReplyDeps
from chatvault.replies.errors import ReplyInProgress
from chatvault.replies.events import Live
from chatvault.replies.finish import supersede
from chatvault.replies.model_calls import ModelRequest
from chatvault.replies.models import Kind, Mode, Reply, ReplyDoc, ReplyEvents, State
from chatvault.replies.plan import (
    MIN_OUTPUT,
    Place,
    Turn,
    TurnPlan,
    place_of,
    plan,
    refusal,
    tokens_left,
)
from chatvault.replies.schemas import ReplyIn
from chatvault.replies.task import ReplyTask

# Larger than what is stored on a message's commands when they are superseded.
STEP_BYTES = 16 * 1024


class Stale(Conflict):
    """The conversation changed since the reply was planned; plan again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyPlan:
    """A reply that is to start.

    Attributes:
        messages: the model's context, of `tokens` tokens.
        max_tokens: the limit of the answer.
        place: the end of the conversation when the messages were built; None if they come from the
            client.
        metadata: stored with the user's message.
        files: parts that the user's message shows beside its words.
        options: further parameters for the model.
        tools: the tools that the model is offered, in OpenAI's shape.
        waiting: the reply that waits in this conversation, to be resumed or superseded.
        continues: that reply, if it is to be resumed.
        live: that reply's events so far.
        author: the access of a guest who asks; None for the owner.
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
    place: Place | None = None
    metadata: Raw | None = None
    files: Sequence[FilePart] = ()
    options: Raw = field(default_factory=dict)
    tools: list[Raw] = field(default_factory=list)
    waiting: Raw | None = None
    continues: ReplyDoc | None = None
    live: Live | None = None
    author: Access | None = None

    @property
    def message_ids(self) -> frozenset[str]:
        """The ids of the messages that the decision reads."""
        # An id that was made here is nobody's, and looking for it takes a query.
        ids = {self.turn.user_message_id} if self.turn.is_named else set[str]()
        return frozenset(ids | {self.waiting["message_id"]} if self.waiting else ids)


def to_reply_plan(turn_plan: TurnPlan, action: Action, max_tokens: int, **more: Any) -> ReplyPlan:
    """Return the reply plan of a turn plan."""
    return ReplyPlan(
        kind=Kind.REPLY,
        action=action,
        conversation_id=turn_plan.conversation["_id"],
        agent=turn_plan.agent,
        provider=turn_plan.provider,
        model=turn_plan.model,
        temperature=turn_plan.agent["temperature"],
        turn=turn_plan.turn,
        messages=turn_plan.context.messages,
        tokens=turn_plan.context.tokens,
        max_tokens=max_tokens,
        place=turn_plan.place,
        tools=turn_plan.tools,
        waiting=turn_plan.conversation.get("waiting_reply"),
        **more,
    )


@dataclass(frozen=True, slots=True)
class StartedReply:
    """A reply that has started, and its task; None for the task if it was started before."""

    reply_id: ObjectId
    task: ReplyTask | None = None
    events: tuple[tuple[str, Raw], ...] = ()


def start_change(
    actor: Actor, access: Access, reply_plan: ReplyPlan, idempotency_key: IdempotencyKey | None
) -> Change[StartedReply]:
    """Return the change that starts a reply."""
    return Change(
        actor=actor,
        access=access,
        action=reply_plan.action,
        where=("_id", reply_plan.conversation_id),
        decide=lambda working: _decide(working, actor, reply_plan),
        need=Need.ASK,
        message_ids=reply_plan.message_ids,
        needs_tail=reply_plan.waiting is not None,
        # On the message and in its event.
        size=estimate(*[_said(reply_plan)] * 2),
        adds=None if reply_plan.turn.content is None else 1,
        idempotent=idempotency_key
        and idempotent_start(access, idempotency_key, reply_plan.conversation_id),
    )


def idempotent_start(
    access: Access, idempotency_key: IdempotencyKey, conversation_id: ObjectId
) -> Idempotent[StartedReply]:
    """Return how a repeat is answered: with the reply that the first request started."""

    async def find(reply_id: ObjectId, session: AsyncClientSession) -> StartedReply:
        await Conversation.get_for_repeat(access, conversation_id, session)
        return StartedReply(reply_id)

    return Idempotent.by_id(
        idempotency_key,
        "reply_id",
        id_of=attrgetter("reply_id"),
        find=find,
        conversation_id=conversation_id,
    )


def _decide(working: WorkingCopy, actor: Actor, reply_plan: ReplyPlan) -> StartedReply:
    output = output_of(working.fields, reply_plan)
    turn = reply_plan.turn
    if turn.content is not None and turn.is_named and working.find(turn.user_message_id):
        raise MessageIdTaken
    return decide_start(working, actor, reply_plan, output)


def output_of(fields: ConversationDoc, reply_plan: ReplyPlan) -> int:
    """Return how many tokens the answer may have, by the conversation's present state.

    So concurrent requests cannot exceed the limit.

    Raises:
        ConversationArchived, ReplyInProgress: it cannot be answered now.
        Stale: it changed since the reply was planned.
        TokenLimitReached: too few tokens are left.
    """
    if fields["status"] == Status.ARCHIVED:
        raise ConversationArchived
    if reply_plan.place is not None:
        if fields.get("active_reply_id"):
            raise ReplyInProgress
        if (
            place_of(fields) != reply_plan.place
            or fields.get("waiting_reply") != reply_plan.waiting
        ):
            raise Stale
    output = min(reply_plan.max_tokens, tokens_left(fields, reply_plan.agent) - reply_plan.tokens)
    if output < MIN_OUTPUT:
        raise refusal(fields, reply_plan.agent)
    return output


def decide_start(
    working: WorkingCopy, actor: Actor, reply_plan: ReplyPlan, output: int
) -> StartedReply:
    """Decide to start a reply whose answer may have this many tokens.

    Raises:
        RetryAfterMove: older messages have to move first; nothing is decided.
    """
    fields, at = working.fields, now()
    message = _message(reply_plan, at)
    is_waiting = (
        reply_plan.waiting is not None and fields.get("waiting_reply") == reply_plan.waiting
    )
    if reply_plan.waiting is not None and is_waiting and reply_plan.continues is None:
        working.require_room(STEP_BYTES + (size_of(message) if message else 0))
        supersede(working, actor, reply_plan.waiting, at=at)
    reply = _reply(working.access, reply_plan, output)
    first = fields["next_seq"]
    shown = (
        _show_continued(working, reply_plan)
        if reply_plan.continues
        else _store(working, reply_plan, message, at)
    )
    changes: Raw = {"reserved_tokens": fields.get("reserved_tokens", 0) + reply["reserved"]}
    if reply_plan.kind is Kind.REPLY:
        changes |= {"active_reply_id": reply["_id"], "waiting_reply": None}
    working.set(at, **changes)
    payer = actor.payer if isinstance(actor, Guest) else actor
    live = reply_plan.live or _live(payer, working, reply_plan, reply["_id"])
    stored: Raw = {
        "reply_id": reply["_id"],
        "conversation_id": reply_plan.conversation_id,
        "message": shown,
    }
    events = (("commands_settled" if reply_plan.continues else "message_stored", stored),)
    working.beside.append((Reply, _write(reply, reply_plan)))
    working.beside.append((ReplyEvents, live.insertion(list(events))))
    details = {"reply_id": str(reply["_id"]), "reserved": reply["reserved"]}
    working.outbox.record(
        audit.entry(actor, reply_plan.action, reply_plan.conversation_id, details=details),
        None if reply_plan.turn.content is None else place(first),
    )
    summarize = bool(reply_plan.agent["auto_generate_summary"])
    return StartedReply(
        reply["_id"], ReplyTask(payer, reply, _ask(reply_plan, output), live, summarize), events
    )


def _live(payer: Actor, working: WorkingCopy, reply_plan: ReplyPlan, reply_id: ObjectId) -> Live:
    """Return the events of a new reply, the owner's: it may end after the grant of who asked."""
    if reply_plan.author is not None:
        working.beside += note_author(reply_plan.author, reply_plan.conversation_id, now())
    return Live(Access.of(payer), reply_plan.conversation_id, reply_id)


def _ask(reply_plan: ReplyPlan, output: int) -> ModelRequest:
    return ModelRequest(
        provider=reply_plan.provider,
        model=reply_plan.model,
        messages=reply_plan.messages,
        temperature=reply_plan.temperature,
        max_tokens=output,
        tools=reply_plan.tools,
        options=reply_plan.options,
    )


def _write(reply: ReplyDoc, reply_plan: ReplyPlan) -> UpdateOne:
    leased = leases.written(reply, "lease_until", LEASE_SECONDS)
    mine = {"_id": reply["_id"], "user_id": reply["user_id"]}
    if reply_plan.continues is None:
        return UpdateOne(mine, leased, upsert=True)
    return UpdateOne({**mine, "state": State.WAITING.value}, leased)


def _show_continued(working: WorkingCopy, reply_plan: ReplyPlan) -> Raw | None:
    """Return the message whose commands are settled, with their results, as the API shows it."""
    waiting = reply_plan.waiting
    found = working.find(waiting["message_id"]) if waiting is not None else None
    return None if found is None else message_wire(found)


def _reply(access: Access, reply_plan: ReplyPlan, output: int) -> ReplyDoc:
    at, turn = now(), reply_plan.turn
    reply_id = reply_plan.continues["_id"] if reply_plan.continues else ObjectId()
    rounds = reply_plan.continues.get("rounds", 1) + 1 if reply_plan.continues else 1
    replaced = turn.target_id if turn.mode is Mode.REPLACE else None
    return {
        "_id": reply_id,
        "user_id": access.owner_id,
        "conversation_id": reply_plan.conversation_id,
        "kind": reply_plan.kind.value,
        "state": State.RUNNING.value,
        "code": None,
        "mode": turn.mode.value,
        "agent_id": stored_agent_id(reply_plan.agent["_id"]),
        "provider": reply_plan.provider,
        "model": reply_plan.model,
        "temperature": reply_plan.temperature,
        "user_message_id": turn.user_message_id,
        "answer_id": replaced or f"reply-{reply_id}" + (f"-{rounds}" if rounds > 1 else ""),
        "target_id": turn.target_id,
        "parent_id": turn.parent_id,
        "reserved": reply_plan.tokens + output,
        "input_tokens": reply_plan.tokens,
        "output_tokens": None,
        "started_at": at,
        "ended_at": None,
        "cancel_requested": False,
        "rounds": rounds,
    }


def _message(reply_plan: ReplyPlan, at: datetime) -> MessageDoc | None:
    """Return the user's message as it is stored, if it is new; else None."""
    if reply_plan.turn.content is None:
        return None
    message: MessageDoc = {
        "id": reply_plan.turn.user_message_id,
        "role": "user",
        "content": reply_plan.turn.content,
        "timestamp": at,
    }
    if reply_plan.files:
        message["parts"] = [{"type": "text", "text": message["content"]}, *reply_plan.files]
    if reply_plan.metadata is not None:
        message["extra"] = {"metadata": reply_plan.metadata}
    return message if reply_plan.author is None else sign(reply_plan.author, [message])[0]


def _said(reply_plan: ReplyPlan) -> Raw:
    """Return what is stored of the user's words, as far as its size goes."""
    turn, files = reply_plan.turn, [*reply_plan.files]
    return {"content": turn.content, "metadata": reply_plan.metadata, "files": files}


def _store(
    working: WorkingCopy, reply_plan: ReplyPlan, message: MessageDoc | None, at: datetime
) -> Raw | None:
    """Append the user's message, if it is new; return it as the API shows it."""
    if message is not None:
        working.append([message], at, at)
    found = working.find(reply_plan.turn.user_message_id)
    return None if found is None else message_wire(found)


@dataclass(frozen=True, slots=True)
class OpenedConversation:
    """A conversation that has started, and its first reply; None if it was started before."""

    conversation_id: ObjectId
    started: StartedReply | None = None


async def start_conversation(
    actor: Actor,
    deps: ReplyDeps,
    *,
    wanted: ConversationCreate,
    content: str,
    idempotency_key: IdempotencyKey | None,
) -> ObjectId:
    """Start a conversation whose agent answers this message at once; return its id.

    A refused request leaves no conversation, and its key is not remembered.

    Raises:
        InvalidInput: the message is too long.
        AgentNotFound: the actor may use no such agent.
        CategoryNotFound: the actor has no such category.
        ModelNotConfigured: there is no model.
        Throttled: too many replies in this minute.
        TokenLimitReached: the messages take more tokens than the agent lets a conversation use.
        KeyReused: the key came with another request.
        NotFound: this is a repeat, and the conversation was deleted.
    """
    if idempotency_key is not None and await was_carried_out(actor, idempotency_key):
        known = idempotent(Access.of(actor), idempotency_key)
        return await answer_repeat(actor, Action.CONVERSATION_CREATE, known)
    deps.check_content(content, "initial_message")
    agent = await agents.find(actor, wanted.agent_id)
    deps.catalog.find(agent["provider"])
    await check_category(Access.of(actor), wanted.category_id)
    await deps.take_turn(actor)
    new = await prepare(actor, deps.store, wanted)
    change = await _opening_change(actor, deps, new, content, idempotency_key)
    opened = await deps.commits.submit(change)
    if opened.started is not None and opened.started.task is not None:
        opened.started.task.live.publish(list(opened.started.events))
        deps.runner.launch(opened.started.task)
    return opened.conversation_id


async def _opening_change(
    actor: Actor,
    deps: ReplyDeps,
    new: NewConversation,
    content: str,
    idempotency_key: IdempotencyKey | None,
) -> Change[OpenedConversation]:
    """Return the change that starts a conversation and its first reply."""
    conversation, wanted = new.stored(), ReplyIn(content=content)
    turn_plan = await plan(actor, new.access, deps, conversation=conversation, wanted=wanted)
    reply_plan = to_reply_plan(turn_plan, Action.REPLY_CREATE, deps.max_tokens)
    # Nobody else can change a conversation that does not exist yet.
    output = output_of(conversation, reply_plan)

    def decide(working: WorkingCopy) -> OpenedConversation:
        return OpenedConversation(
            new.insert(working), decide_start(working, actor, reply_plan, output)
        )

    return Change(
        actor=actor,
        access=new.access,
        action=Action.CONVERSATION_CREATE,
        where=("_id", new.id),
        decide=decide,
        is_new=True,
        size=estimate(new.document, *new.messages.tail, *[{"content": content}] * 2),
        adds=new.messages.length + 1,
        idempotent=idempotency_key and _idempotent_opening(new.access, idempotency_key),
    )


def _idempotent_opening(
    access: Access, idempotency_key: IdempotencyKey
) -> Idempotent[OpenedConversation]:
    known = idempotent(access, idempotency_key)

    async def replay(result: Raw, session: AsyncClientSession) -> OpenedConversation:
        return OpenedConversation(await known.replay(result, session))

    return Idempotent(
        idempotency_key,
        to_record=lambda opened: known.to_record(opened.conversation_id),
        replay=replay,
    )
