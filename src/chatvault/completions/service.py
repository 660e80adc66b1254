"""Chat completions as OpenAI has them, recorded in a conversation if the client names one."""

from collections.abc import AsyncGenerator

from bson import ObjectId

from chatvault.actor import Actor
from chatvault.audit import service as audit
from chatvault.audit.actions import Action
from chatvault.completions.recording import Completion, begin, record
from chatvault.completions.repeats import answer_once
from chatvault.errors import InvalidInput
from chatvault.idempotency import IdempotencyKey
from chatvault.replies.chunks import ChunkAccumulator, usage_of
from chatvault.replies.deps import ReplyDeps
from chatvault.replies.model_calls import Chunk, ModelRequest
from chatvault.replies.provider import ModelClients
from chatvault.replies.schemas import CompletionIn
from chatvault.usage.models import Usage


async def complete(
    actor: Actor,
    deps: ReplyDeps,
    models: ModelClients,
    *,
    wanted: CompletionIn,
    conversation_id: ObjectId | None,
    idempotency_key: IdempotencyKey | None = None,
) -> Completion:
    """Return the answer as chunks; when the last is yielded, everything is stored.

    An exchange that no conversation records is kept as a new one if that is wanted.

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
    if conversation_id is not None:
        return await record(actor, deps, wanted, conversation_id, idempotency_key)
    if wanted.store:
        return await begin(actor, deps, wanted, idempotency_key)
    ask = ModelRequest(
        provider=provider,
        model=found.model,
        messages=wanted.messages,
        temperature=wanted.temperature,
        max_tokens=min(wanted.limit or deps.max_tokens, deps.max_tokens),
        options=wanted.options(),
    )
    if idempotency_key is not None:
        chunks = answer_once(
            actor,
            models,
            deps.tokenizer,
            ask=ask,
            idempotency_key=idempotency_key,
            streams=wanted.stream,
        )
        return Completion(chunks)
    await deps.recorder.record(audit.entry(actor, Action.CHAT_COMPLETE))
    return Completion(_plain(actor, deps, models, ask))


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
            models.tokens.count(usage["purpose"], (usage["input_tokens"], usage["output_tokens"]))
    yield said.account((usage["input_tokens"], usage["output_tokens"]))
