"""Completions that a conversation records: one that the client names, or a new one."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from typing import Any

from bson import ObjectId
from pymongo.asynchronous.client_session import AsyncClientSession

from chatvault.access import Access, Need, resolve
from chatvault.actor import Actor
from chatvault.agents import service as agents
from chatvault.audit.actions import Action
from chatvault.categories import service as categories
from chatvault.completions.messages import text_of, title_of, to_messages
from chatvault.conversations.commits.change import Change, estimate
from chatvault.conversations.commits.working_copy import WorkingCopy
from chatvault.conversations.creation import NewConversation, prepare
from chatvault.conversations.models import Conversation, MessageRole
from chatvault.conversations.schemas import ConversationCreate
from chatvault.conversations.shapes import ConversationDoc
from chatvault.errors import NotFound
from chatvault.fields import Raw
from chatvault.idempotency import IdempotencyKey, Idempotent, answer_repeat, was_carried_out
from chatvault.replies.chunks import HEAD, failure_in, replay_chunks, signed, usage_in
from chatvault.replies.deps import ReplyDeps
from chatvault.replies.model_calls import Chunk
from chatvault.replies.models import Kind, Reply
from chatvault.replies.plan import Turn
from chatvault.replies.schemas import CompletionIn
from chatvault.replies.service import follow
from chatvault.replies.start import (
    OpenedConversation,
    ReplyPlan,
    StartedReply,
    decide_start,
    idempotent_start,
    output_of,
    start_change,
)
from chatvault.replies.task import ReplyTask

# The category of exchanges that begin a conversation.
CATEGORY = "Agents"


@dataclass(frozen=True, slots=True)
class Completion:
    """An answer, and the conversation that records it, if one does."""

    chunks: AsyncGenerator[Chunk, None]
    conversation_id: ObjectId | None = None


async def record(
    actor: Actor,
    deps: ReplyDeps,
    wanted: CompletionIn,
    conversation_id: ObjectId,
    idempotency_key: IdempotencyKey | None,
) -> Completion:
    """Record the exchange in a conversation; its tokens are reserved before the model is called.

    Raises:
        NotFound: the actor has no such conversation.
        ConversationArchived, TokenLimitReached: it accepts no more messages.
        InvalidInput: the message is too long.
    """
    access = await resolve(actor, conversation_id, Need.WRITE)
    if idempotency_key is not None and await was_carried_out(actor, idempotency_key):
        known = idempotent_start(access, idempotency_key, conversation_id)
        started = await answer_repeat(actor, Action.CHAT_COMPLETE, known)
        return await _answer(access, deps, conversation_id, started, idempotency_key)
    conversation = await deps.store.get_conversation(access, conversation_id)
    content = _asked(wanted)
    deps.check_content(content, "messages")
    turn = Turn(content=content, user_message_id=str(uuid.uuid4()))
    reply_plan = await _plan(actor, deps, wanted, conversation, turn)
    started = await deps.commits.submit(start_change(actor, access, reply_plan, idempotency_key))
    return await _answer(access, deps, conversation_id, started, idempotency_key)


def _asked(wanted: CompletionIn) -> str | None:
    """Return the text of the last message without its pictures, if it is the user's."""
    last = wanted.messages[-1]
    return text_of(last) if last.get("role") == MessageRole.USER else None


async def begin(
    actor: Actor, deps: ReplyDeps, wanted: CompletionIn, idempotency_key: IdempotencyKey | None
) -> Completion:
    """Keep the exchange as a conversation of its own, in the category for agents.

    Raises:
        TokenLimitReached: it takes more tokens than a conversation may use.
        InvalidInput: a message cannot be stored.
    """
    access = Access.of(actor)
    if idempotency_key is not None and await was_carried_out(actor, idempotency_key):
        known = _idempotent(access, idempotency_key)
        opened = await answer_repeat(actor, Action.CHAT_COMPLETE, known)
        return await _opened(access, deps, opened, idempotency_key)
    deps.check_content(_asked(wanted), "messages")
    messages = to_messages(wanted.messages)
    new = await prepare(
        actor,
        deps.store,
        ConversationCreate(
            title=title_of(wanted.messages),
            messages=messages,
            metadata=wanted.metadata or {},
            category_id=await categories.find_or_make(actor, (CATEGORY,)),
        ),
    )
    turn = Turn(content=None, user_message_id=str(messages[-1].id))
    reply_plan = await _plan(actor, deps, wanted, new.stored(), turn)
    change = _opening_change(actor, new, reply_plan, idempotency_key)
    return await _opened(access, deps, await deps.commits.submit(change), idempotency_key)


async def _plan(
    actor: Actor, deps: ReplyDeps, wanted: CompletionIn, conversation: ConversationDoc, turn: Turn
) -> ReplyPlan:
    agent = await agents.find(actor, conversation.get("agent_id"))
    provider, found = deps.catalog.find(None)
    tokens = await asyncio.to_thread(
        deps.tokenizer.count_context, wanted.messages, found.model, wanted.tools
    )
    return ReplyPlan(
        kind=Kind.COMPLETION,
        action=Action.CHAT_COMPLETE,
        conversation_id=conversation["_id"],
        agent=agent,
        provider=provider,
        model=found.model,
        temperature=wanted.temperature,
        turn=turn,
        messages=wanted.messages,
        tokens=tokens,
        max_tokens=min(wanted.limit or deps.max_tokens, deps.max_tokens),
        options=wanted.options(),
        waiting=conversation.get("waiting_reply"),
    )


def _opening_change(
    actor: Actor,
    new: NewConversation,
    reply_plan: ReplyPlan,
    idempotency_key: IdempotencyKey | None,
) -> Change[OpenedConversation]:
    """Return the change that stores the exchange's messages and starts its answer."""
    # Nobody else can change a conversation that does not exist yet.
    output = output_of(new.stored(), reply_plan)

    def decide(working: WorkingCopy) -> OpenedConversation:
        return OpenedConversation(
            new.insert(working), decide_start(working, actor, reply_plan, output)
        )

    return Change(
        actor=actor,
        access=new.access,
        action=Action.CHAT_COMPLETE,
        where=("_id", new.id),
        decide=decide,
        is_new=True,
        size=estimate(new.document, *new.messages.tail),
        adds=new.messages.length,
        idempotent=idempotency_key and _idempotent(new.access, idempotency_key),
    )


def _idempotent(access: Access, idempotency_key: IdempotencyKey) -> Idempotent[OpenedConversation]:
    """Return how a repeat is answered: with the conversation and the reply that began first."""

    def to_record(opened: OpenedConversation) -> Raw:
        started = opened.started
        return {
            "conversation_id": opened.conversation_id,
            "reply_id": None if started is None else started.reply_id,
        }

    async def replay(result: Raw, session: AsyncClientSession) -> OpenedConversation:
        conversation_id: ObjectId = result["conversation_id"]
        await Conversation.get_for_repeat(access, conversation_id, session)
        return OpenedConversation(conversation_id, StartedReply(result["reply_id"]))

    return Idempotent(idempotency_key, to_record=to_record, replay=replay)


async def _opened(
    access: Access,
    deps: ReplyDeps,
    opened: OpenedConversation,
    idempotency_key: IdempotencyKey | None,
) -> Completion:
    if opened.started is None:
        raise NotFound("Reply not found")
    return await _answer(access, deps, opened.conversation_id, opened.started, idempotency_key)


async def _answer(
    access: Access,
    deps: ReplyDeps,
    conversation_id: ObjectId,
    started: StartedReply,
    idempotency_key: IdempotencyKey | None,
) -> Completion:
    """Return the answer of a reply that has started; launch it unless it runs already."""
    task = started.task
    if task is None:
        chunks = await _followed(access, deps, conversation_id, started.reply_id)
        return Completion(chunks, conversation_id)
    task.chunks = asyncio.Queue()
    task.live.publish(list(started.events))
    deps.runner.launch(task)
    chunks = _chunks_of(task, task.chunks)
    if idempotency_key is not None:
        chunks = _all_signed(started.reply_id, chunks)
    return Completion(chunks, conversation_id)


async def _followed(
    access: Access, deps: ReplyDeps, conversation_id: ObjectId, reply_id: ObjectId
) -> AsyncGenerator[Chunk, None]:
    reply = await Reply.find_raw(access, conversation_id, reply_id)
    if reply is None:
        raise NotFound("Reply not found")
    events = follow(access, deps, conversation_id=conversation_id, reply_id=reply_id)
    return replay_chunks(reply_id, reply["model"], events)


async def _chunks_of(
    task: ReplyTask, coming: "asyncio.Queue[Chunk | None]"
) -> AsyncGenerator[Chunk, None]:
    """Yield the chunks of an answer that a conversation records.

    The usage comes last, as stored.
    """
    fields: dict[str, Any] = {}
    while (chunk := await coming.get()) is not None:
        if not chunk.is_usage_only:
            fields = {name: chunk.raw[name] for name in HEAD if name in chunk.raw}
            yield chunk
    last = task.live.events[-1]
    if last.type == "error":
        raise failure_in(last.data)
    for event in task.live.events:
        if event.type == "usage":
            usage = usage_in(task.ask.model, event.data)
            yield replace(usage, raw={**usage.raw, **fields})


async def _all_signed(
    reply_id: ObjectId, chunks: AsyncGenerator[Chunk, None]
) -> AsyncGenerator[Chunk, None]:
    async with contextlib.aclosing(chunks):
        async for chunk in chunks:
            yield signed(reply_id, chunk)
