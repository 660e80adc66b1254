"""Operations on replies: create, follow, cancel, and show the context."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator

from bson import ObjectId
from pymongo.asynchronous.client_session import AsyncClientSession

from chatvault.access import Access, Need, resolve
from chatvault.actor import Actor
from chatvault.agents import service as agents
from chatvault.agents.models import ModelNotConfigured
from chatvault.audit import service as audit
from chatvault.audit.actions import Action
from chatvault.conversations.reading.consistency import ReadConflict, not_deleted
from chatvault.conversations.reading.finding import find_messages
from chatvault.conversations.reading.pages import read_consistently
from chatvault.conversations.reading.wire import message_wire
from chatvault.conversations.shapes import ConversationDoc, StoredMessage
from chatvault.conversations.store import MessageStore
from chatvault.conversations.trash.queries import check_not_gone
from chatvault.errors import Busy, ChatvaultError, NotFound
from chatvault.fields import Raw
from chatvault.idempotency import IdempotencyKey, Idempotent, answer_repeat, was_carried_out
from chatvault.replies.chunks import failure_in
from chatvault.replies.deps import ReplyDeps
from chatvault.replies.errors import ReplyInProgress, Stopping, TokenLimitReached, failure_of
from chatvault.replies.events import Event, FinalEvent, message_ids_of
from chatvault.replies.events import read as read_events
from chatvault.replies.finish import ReplyChanged, cancel_change
from chatvault.replies.models import Reply, ReplyDoc, State
from chatvault.replies.plan import (
    MIN_OUTPUT,
    OUTPUT_PART,
    Context,
    Wanted,
    build_context,
    offered,
    plan,
    refusal,
    tokens_left,
)
from chatvault.replies.schemas import ReplyIn
from chatvault.replies.start import (
    ReplyPlan,
    Stale,
    idempotent_start,
    start_change,
    to_reply_plan,
)
from chatvault.replies.titles import Background

ATTEMPTS = 5
CANCEL_WAIT = 5.0


async def create(
    actor: Actor,
    deps: ReplyDeps,
    *,
    conversation_id: ObjectId,
    wanted: ReplyIn,
    idempotency_key: IdempotencyKey | None = None,
) -> ObjectId:
    """Store the user's message and start a reply; return its id.

    Raises:
        NotFound: the actor has no such conversation, or no such agent.
        Throttled: too many replies in this minute.
        ModelNotConfigured: there is no model.
        ConversationArchived, ReplyInProgress: it cannot be answered now.
        TokenLimitReached: the conversation's tokens are used up.
        NothingToAnswer, MessageIdTaken: the request does not match the conversation's messages.
    """
    deps.check_content(wanted.content)
    if idempotency_key is not None and await was_carried_out(actor, idempotency_key):
        return await _replay(actor, conversation_id, idempotency_key)
    await deps.take_turn(actor)
    try:
        return await _begin(actor, deps, conversation_id, wanted, idempotency_key)
    except ChatvaultError:
        # Another process may have carried out the same request meanwhile.
        if idempotency_key is None or not await was_carried_out(actor, idempotency_key):
            raise
        return await _replay(actor, conversation_id, idempotency_key)


async def stream_answer(
    actor: Actor,
    deps: ReplyDeps,
    *,
    conversation_id: ObjectId,
    wanted: ReplyIn,
    idempotency_key: IdempotencyKey | None,
) -> AsyncGenerator[Event, None]:
    """Start a reply as `create` does; yield its events."""
    reply_id = await create(
        actor,
        deps,
        conversation_id=conversation_id,
        wanted=wanted,
        idempotency_key=idempotency_key,
    )
    access = await resolve(actor, conversation_id, Need.READ)
    return follow(access, deps, conversation_id=conversation_id, reply_id=reply_id)


async def await_answer(
    actor: Actor,
    deps: ReplyDeps,
    *,
    conversation_id: ObjectId,
    wanted: ReplyIn,
    idempotency_key: IdempotencyKey | None,
) -> Raw:
    """Start a reply as `create` does; return the exchange once it has ended."""
    reply_id = await create(
        actor,
        deps,
        conversation_id=conversation_id,
        wanted=wanted,
        idempotency_key=idempotency_key,
    )
    return await wait(actor, deps, conversation_id=conversation_id, reply_id=reply_id)


async def summarize(
    actor: Actor,
    deps: ReplyDeps,
    background: Background,
    *,
    conversation_id: ObjectId,
    idempotency_key: IdempotencyKey | None,
) -> str | None:
    """Summarise a conversation; return the summary, or None if it is too short for one.

    Raises:
        Throttled: models were asked too many times in this minute.
        ChatvaultError: as for `Background.summarize`.
    """
    await deps.admit(actor, idempotency_key)
    return await background.summarize(
        actor, conversation_id=conversation_id, idempotency_key=idempotency_key
    )


async def _replay(
    actor: Actor, conversation_id: ObjectId, idempotency_key: IdempotencyKey
) -> ObjectId:
    access = await resolve(actor, conversation_id, Need.ASK)
    known = idempotent_start(access, idempotency_key, conversation_id)
    return (await answer_repeat(actor, Action.REPLY_CREATE, known)).reply_id


async def _begin(
    actor: Actor,
    deps: ReplyDeps,
    conversation_id: ObjectId,
    wanted: ReplyIn,
    idempotency_key: IdempotencyKey | None,
) -> ObjectId:
    access = await resolve(actor, conversation_id, Need.ASK)
    for attempt in range(ATTEMPTS):
        try:
            reply_plan = await _plan(actor, access, deps, conversation_id, wanted)
            change = start_change(actor, access, reply_plan, idempotency_key)
            started = await deps.commits.submit(change)
        except (ReadConflict, Stale):
            continue
        except ReplyInProgress:
            # Its process may have ended.
            if attempt or not await deps.runner.reap(conversation_id):
                raise
            continue
        if started.task is not None:
            started.task.live.publish(list(started.events))
            deps.runner.launch(started.task)
        return started.reply_id
    raise Busy(retry_after=1)


async def _plan(
    actor: Actor, access: Access, deps: ReplyDeps, conversation_id: ObjectId, wanted: ReplyIn
) -> ReplyPlan:
    conversation = await deps.store.get_conversation(access, conversation_id)
    turn_plan = await plan(actor, access, deps, conversation=conversation, wanted=wanted)
    return to_reply_plan(
        turn_plan,
        Action.REPLY_CREATE,
        deps.max_tokens,
        metadata=wanted.metadata,
        files=wanted.files or (),
        author=access if access.grantee_id is not None else None,
    )


def follow(
    access: Access,
    deps: ReplyDeps,
    *,
    conversation_id: ObjectId,
    reply_id: ObjectId,
    after: int = 0,
) -> AsyncGenerator[Event, None]:
    """Yield the events of a reply above a number, to its end. Writes no audit entry."""

    async def find_end() -> FinalEvent | None:
        reply = await Reply.find_raw(access, conversation_id, reply_id)
        if reply is None:
            raise NotFound("Reply not found")
        if reply["state"] == State.RUNNING:
            await deps.runner.reap(conversation_id)
        if reply["state"] in {State.RUNNING, State.WAITING}:
            return None
        return await _end_of(access, deps.store, reply)

    return deps.event_log.follow(access, reply_id, after, find_end)


async def find_active(
    access: Access, deps: ReplyDeps, conversation_id: ObjectId
) -> ObjectId | None:
    """Return the reply that is being written in a conversation, if any. Writes no audit entry."""
    conversation = await deps.store.find_conversation(access, conversation_id)
    return None if conversation is None else conversation.get("active_reply_id")


async def _end_of(access: Access, store: MessageStore, reply: ReplyDoc) -> FinalEvent:
    """Return how a reply has ended, and whether a message in its events was removed since."""
    told = message_ids_of(await read_events(access, reply["_id"]))

    async def find(conversation: ConversationDoc) -> tuple[ConversationDoc, list[StoredMessage]]:
        ids = sorted(told | {reply["answer_id"]})
        return conversation, not_deleted(await find_messages(access, store, conversation, ids))

    conversation, found = await read_consistently(access, store, reply["conversation_id"], find)
    left = {each.message["id"]: each for each in found}
    answer = left.get(reply["answer_id"])
    used = reply["input_tokens"] + (reply["output_tokens"] or 0)
    ended: Raw = {
        "reply_id": reply["_id"],
        "conversation_id": reply["conversation_id"],
        "state": reply["state"],
        "message": message_wire(answer) if answer else None,
        "total_tokens_used": used,
        "conversation_total_tokens": conversation.get("total_tokens_used", 0),
    }
    if reply["code"] is None:
        return FinalEvent("completed", ended, told <= left.keys())
    failure = failure_of(reply["code"])
    ended |= {"code": failure.code, "detail": failure.detail}
    return FinalEvent("error", ended, told <= left.keys())


async def open_events(
    actor: Actor,
    deps: ReplyDeps,
    *,
    conversation_id: ObjectId,
    reply_id: ObjectId,
    after: int,
) -> AsyncGenerator[Event, None]:
    """Yield the events of a reply above a number: the stored ones at once, then new ones.

    Raises:
        NotFound: the actor has no such reply.
    """
    access = await resolve(actor, conversation_id, Need.READ)
    await check_not_gone(access, conversation_id, "Reply")
    await _find(access, conversation_id, reply_id)
    await deps.recorder.record(audit.entry(actor, Action.REPLY_FOLLOW, conversation_id))
    return follow(access, deps, conversation_id=conversation_id, reply_id=reply_id, after=after)


async def wait(
    actor: Actor, deps: ReplyDeps, *, conversation_id: ObjectId, reply_id: ObjectId
) -> Raw:
    """Return the exchange, once the reply has ended. Writes no audit entry.

    Raises:
        Unavailable: the model failed, with a code for how; or this process is stopping.
    """
    access = await resolve(actor, conversation_id, Need.READ)
    asked: Raw | None = None
    async for event in follow(access, deps, conversation_id=conversation_id, reply_id=reply_id):
        if event.type == "message_stored":
            asked = event.data["message"]
        elif event.type == "error":
            raise failure_in(event.data)
        elif event.type in {"completed", "waiting"}:
            ended = dict(event.data)
            answer = ended.pop("message")
            return {**ended, "user_message": asked, "assistant_message": answer}
    raise Stopping


async def get(
    actor: Actor, deps: ReplyDeps, *, conversation_id: ObjectId, reply_id: ObjectId
) -> ReplyDoc:
    """Return a reply's document.

    Raises:
        NotFound: the actor has no such reply.
    """
    access = await resolve(actor, conversation_id, Need.READ)
    await check_not_gone(access, conversation_id, "Reply")
    reply = await _find(access, conversation_id, reply_id)
    await deps.recorder.record(audit.entry(actor, Action.REPLY_GET, conversation_id))
    return reply


async def cancel(
    actor: Actor,
    deps: ReplyDeps,
    *,
    conversation_id: ObjectId,
    reply_id: ObjectId,
    idempotency_key: IdempotencyKey | None = None,
) -> ReplyDoc:
    """Cancel a reply, keeping the text so far; one that has ended is not changed.

    Raises:
        NotFound: the actor has no such reply.
        KeyReused: the key came with another request.
        Busy: it kept changing.
    """

    async def find(_: ObjectId, _session: AsyncClientSession) -> None:
        """Return None: the reply's state is read below."""

    known = idempotency_key and Idempotent.by_id(
        idempotency_key, "conversation_id", id_of=lambda _: conversation_id, find=find
    )
    access = await resolve(actor, conversation_id, Need.ASK)
    for _ in range(ATTEMPTS):
        reply = await _find(access, conversation_id, reply_id)
        try:
            await deps.commits.submit(cancel_change(actor, access, reply, known))
        except ReplyChanged:
            continue
        break
    else:
        raise Busy(retry_after=1)
    deps.runner.cancel(reply_id)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(CANCEL_WAIT):
            async for _ in follow(access, deps, conversation_id=conversation_id, reply_id=reply_id):
                pass
    return await _find(access, conversation_id, reply_id)


async def _find(access: Access, conversation_id: ObjectId, reply_id: ObjectId) -> ReplyDoc:
    reply = await Reply.find_raw(access, conversation_id, reply_id)
    if reply is None:
        raise NotFound("Reply not found")
    return reply


async def get_context(
    actor: Actor,
    deps: ReplyDeps,
    *,
    conversation_id: ObjectId,
    content: str | None,
    agent_id: ObjectId | None,
) -> Raw:
    """Return exactly what would be sent to the model now, without sending it.

    Raises:
        NotFound: the actor has no such conversation.
        AgentNotFound: the actor may use no such agent.
        TokenLimitReached: the conversation's tokens are used up.
    """
    access = await resolve(actor, conversation_id, Need.MANAGE)
    conversation = await deps.store.get_conversation(access, conversation_id)
    agent = await agents.find(actor, agent_id or conversation.get("agent_id"))
    try:
        provider, found = deps.catalog.find(agent["provider"])
        model = agent["model"] or found.model
    except ModelNotConfigured:
        # Its context can be shown all the same.
        provider, model = None, agent["model"] or ""
    left = tokens_left(conversation, agent)
    output = min(deps.max_tokens, max(left // OUTPUT_PART, MIN_OUTPUT))
    tools = await offered(actor, deps, conversation, agent)
    wanted = Wanted(content=content, budget=left - output, tools=tools)

    async def build(current: ConversationDoc) -> Context:
        return await build_context(access, deps, current, agent, model, wanted)

    try:
        turn_plan = await read_consistently(access, deps.store, conversation_id, build)
    except TokenLimitReached:
        raise refusal(conversation, agent) from None
    await deps.recorder.record(audit.entry(actor, Action.CONVERSATION_CONTEXT, conversation_id))
    return {
        "agent_id": agent["_id"],
        "provider": provider,
        "model": model,
        "temperature": agent["temperature"],
        "messages": turn_plan.messages,
        "tools": tools,
        "tokens": turn_plan.tokens,
        "message_ids": turn_plan.message_ids,
        "left_out": turn_plan.left_out,
        "summary_used": turn_plan.summary_used,
        "max_conversation_tokens": agent["max_conversation_tokens"],
        "total_tokens_used": conversation.get("total_tokens_used", 0),
        "reserved_tokens": conversation.get("reserved_tokens", 0),
        "max_output_tokens": min(deps.max_tokens, left - turn_plan.tokens),
    }
