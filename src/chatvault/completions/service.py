"""Chat completions as OpenAI has them, recorded in a conversation if the client names one."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

from bson import ObjectId

from chatvault.access import Access, Need, resolve
from chatvault.actor import Actor
from chatvault.agents import service as agents
from chatvault.audit import service as audit
from chatvault.audit.actions import Action
from chatvault.completions.repeats import answer_once
from chatvault.errors import InvalidInput, NotFound
from chatvault.fields import Raw
from chatvault.idempotency import IdempotencyKey, answer_repeat, was_carried_out
from chatvault.replies.chunks import (
    HEAD,
    ChunkAccumulator,
    failure_in,
    replay_chunks,
    signed,
    usage_in,
    usage_of,
)
from chatvault.replies.deps import ReplyDeps
from chatvault.replies.models import Kind, Reply
from chatvault.replies.plan import Turn
from chatvault.replies.provider import Chunk, ModelClients, ModelRequest
from chatvault.replies.schemas import CompletionIn
from chatvault.replies.service import follow
from chatvault.replies.start import ReplyPlan, idempotent_start, start_change
from chatvault.replies.task import ReplyTask
from chatvault.usage.models import Usage


async def complete(
    actor: Actor,
    deps: ReplyDeps,
    models: ModelClients,
    *,
    wanted: CompletionIn,
    conversation_id: ObjectId | None,
    idempotency_key: IdempotencyKey | None = None,
) -> AsyncGenerator[Chunk, None]:
    """Yield the answer's chunks; when the last is yielded, everything is stored.

    Args:
        actor: who asks.
        deps: what replies are made with.
        models: the clients of the models.
        wanted: the request.
        conversation_id: the conversation that records the exchange, if one does.
        idempotency_key: the request's key, if it has one.

    Raises:
        KeyReused: the key came with another request.
        ModelNotConfigured: there is no model.
        InvalidInput: there is nothing to answer.
        Throttled: too many in this minute.
        NotFound: the actor has no such conversation.
        ConversationArchived, TokenLimitReached: it accepts no more messages.
    """
    provider, found = deps.catalog.find(None)
    if not wanted.messages:
        raise InvalidInput("messages: there is none to answer")
    await deps.admit(actor, idempotency_key)
    limit = min(wanted.limit or deps.max_tokens, deps.max_tokens)
    if conversation_id is not None:
        if (
            chunks := await _find_recorded(actor, deps, conversation_id, idempotency_key)
        ) is not None:
            return chunks
        return await _recorded(actor, deps, wanted, conversation_id, limit, idempotency_key)
    ask = ModelRequest(
        provider=provider,
        model=found.model,
        messages=wanted.messages,
        temperature=wanted.temperature,
        max_tokens=limit,
        options=wanted.options(),
    )
    if idempotency_key is not None:
        return answer_once(
            actor,
            models,
            deps.tokenizer,
            ask=ask,
            idempotency_key=idempotency_key,
            streams=wanted.stream,
        )
    await deps.recorder.record(audit.entry(actor, Action.CHAT_COMPLETE))
    return _plain(actor, deps, models, ask)


async def _plain(
    actor: Actor, deps: ReplyDeps, models: ModelClients, ask: ModelRequest
) -> AsyncGenerator[Chunk, None]:
    said = ChunkAccumulator()
    is_whole = False
    try:
        async for chunk in models.stream(ask):
            said.take(chunk)
            if not chunk.is_usage_only:
                yield chunk
        is_whole = True
    finally:
        if is_whole or said.usage is not None or said.text:
            usage = await usage_of(actor, deps.tokenizer, ask, said)
            await Usage.get_pymongo_collection().insert_one(usage)
    yield said.account((usage["input_tokens"], usage["output_tokens"]))


async def _find_recorded(
    actor: Actor, deps: ReplyDeps, conversation_id: ObjectId, idempotency_key: IdempotencyKey | None
) -> AsyncGenerator[Chunk, None] | None:
    """Yield the recorded answer to a request that was carried out before; None if it was not."""
    if idempotency_key is None or not await was_carried_out(actor, idempotency_key):
        return None
    access = await resolve(actor, conversation_id, Need.WRITE)
    known = idempotent_start(access, idempotency_key, conversation_id)
    started = await answer_repeat(actor, Action.CHAT_COMPLETE, known)
    return await _followed(access, deps, conversation_id, started.reply_id)


async def _followed(
    access: Access, deps: ReplyDeps, conversation_id: ObjectId, reply_id: ObjectId
) -> AsyncGenerator[Chunk, None]:
    reply = await Reply.find_raw(access, conversation_id, reply_id)
    if reply is None:
        raise NotFound("Reply not found")
    events = follow(access, deps, conversation_id=conversation_id, reply_id=reply_id)
    return replay_chunks(reply_id, reply["model"], events)


async def _recorded(
    actor: Actor,
    deps: ReplyDeps,
    wanted: CompletionIn,
    conversation_id: ObjectId,
    limit: int,
    idempotency_key: IdempotencyKey | None,
) -> AsyncGenerator[Chunk, None]:
    """Record the exchange; its tokens are reserved before the model is called."""
    access = await resolve(actor, conversation_id, Need.WRITE)
    conversation = await deps.store.get_conversation(access, conversation_id)
    agent = await agents.find(actor, conversation.get("agent_id"))
    provider, found = deps.catalog.find(None)
    tokens = await asyncio.to_thread(
        deps.tokenizer.count_context, wanted.messages, found.model, wanted.tools
    )
    content = _text_of(wanted.messages[-1])
    deps.check_content(content, "messages")
    reply_plan = ReplyPlan(
        kind=Kind.COMPLETION,
        action=Action.CHAT_COMPLETE,
        conversation_id=conversation_id,
        agent=agent,
        provider=provider,
        model=found.model,
        temperature=wanted.temperature,
        turn=Turn(content=content, user_message_id=str(uuid.uuid4())),
        messages=wanted.messages,
        tokens=tokens,
        max_tokens=limit,
        options=wanted.options(),
        waiting=conversation.get("waiting_reply"),
    )
    started = await deps.commits.submit(start_change(actor, access, reply_plan, idempotency_key))
    task = started.task
    if task is None:
        return await _followed(access, deps, conversation_id, started.reply_id)
    task.chunks = asyncio.Queue()
    task.live.publish(list(started.events))
    deps.runner.launch(task)

    chunks = _recorded_pieces(task, task.chunks)
    return chunks if idempotency_key is None else _all_signed(started.reply_id, chunks)


async def _recorded_pieces(
    task: ReplyTask, coming: "asyncio.Queue[Chunk | None]"
) -> AsyncGenerator[Chunk, None]:
    """Yield the chunks of an answer that a conversation records.

    The usage comes last, as stored.
    """
    fields: Raw = {}
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


def _text_of(message: dict[str, Any]) -> str | None:
    """Return the user's text, if the message is the user's; pictures are not recorded."""
    if message.get("role") != "user":
        return None
    content = message.get("content")
    if isinstance(content, str):
        return content
    listed = content if isinstance(content, list) else []
    parts: list[Raw] = [part for part in listed if isinstance(part, dict)]
    return "\n".join(part["text"] for part in parts if isinstance(part.get("text"), str))
