"""A completion that no conversation records, answered once for its Idempotency-Key.

The answer is kept as long as the key, as the events of a reply are.
"""

from collections.abc import AsyncGenerator

from bson import ObjectId
from pymongo.asynchronous.client_session import AsyncClientSession

from chatvault.access import Access
from chatvault.actor import Actor
from chatvault.audit import service as audit
from chatvault.audit.actions import Action, Outcome
from chatvault.audit.models import AuditEntry, Entry
from chatvault.errors import ChatvaultError, NotFound
from chatvault.fields import Raw
from chatvault.idempotency import (
    IdempotencyKey,
    Idempotent,
    act_once,
    answer_repeat,
    key_lock,
    was_carried_out,
)
from chatvault.mongodb.database import transaction
from chatvault.replies import events
from chatvault.replies.chunks import ChunkAccumulator, replay_chunks, signed, usage_of
from chatvault.replies.errors import ReplyInterrupted
from chatvault.replies.events import Event, Live
from chatvault.replies.model_calls import Chunk, ModelRequest
from chatvault.replies.models import ReplyEvents
from chatvault.replies.provider import ModelClients
from chatvault.tokens import Tokenizer
from chatvault.usage.models import Usage


async def answer_once(
    actor: Actor,
    models: ModelClients,
    tokenizer: Tokenizer,
    *,
    ask: ModelRequest,
    idempotency_key: IdempotencyKey,
    streams: bool,
) -> AsyncGenerator[Chunk, None]:
    """Yield the model's chunks, or in a repeat those that were stored the first time.

    Args:
        actor: who asks.
        models: the clients of the models.
        tokenizer: counts tokens where a provider does not.
        ask: the request.
        idempotency_key: its key.
        streams: whether chunks are sent as they come, so that this function must record a failure
            in the middle.

    Raises:
        ModelFailed: the model failed; nothing is remembered.
        KeyReused: the key came with another request.
    """
    async with key_lock(actor, idempotency_key):
        if await was_carried_out(actor, idempotency_key):
            async for chunk in _replay(actor, idempotency_key):
                yield chunk
            return
        answer_id, said = ObjectId(), ChunkAccumulator()
        failed: str | None = ReplyInterrupted.code
        try:
            async for chunk in models.stream(ask):
                said.take(chunk)
                if not chunk.is_usage_only:
                    yield signed(answer_id, chunk)
            failed = None
        except ChatvaultError as error:
            failed = error.code
            raise
        finally:
            if said.last:
                usage = await usage_of(actor, tokenizer, ask, said)
                tokens = usage["input_tokens"], usage["output_tokens"]
                models.tokens.count(usage["purpose"], tokens)
                account = said.account(tokens)
                if failed is None:
                    await _keep(actor, idempotency_key, answer_id, said, usage, account)
                else:
                    await _break_off(actor, said, usage, failed if streams else None)
        yield signed(answer_id, account)


async def _replay(actor: Actor, idempotency_key: IdempotencyKey) -> AsyncGenerator[Chunk, None]:
    known = _idempotent(actor, idempotency_key)
    answer_id = await answer_repeat(actor, Action.CHAT_COMPLETE, known)
    stored = await events.read(Access.of(actor), answer_id)
    if not stored:
        raise NotFound("The answer was given, and is kept no more")

    async def replayed() -> AsyncGenerator[Event, None]:
        for event in stored:
            yield event

    model = stored[-1].data["message"]["model"]
    async for chunk in replay_chunks(answer_id, model, replayed()):
        yield chunk


def _idempotent(actor: Actor, idempotency_key: IdempotencyKey) -> Idempotent[ObjectId]:
    async def find(answer_id: ObjectId, session: AsyncClientSession) -> ObjectId:
        kept = ReplyEvents.owned_by(Access.of(actor), reply_id=answer_id)
        if await ReplyEvents.get_pymongo_collection().find_one(kept, session=session) is None:
            raise NotFound("The answer was given, and is kept no more")
        return answer_id

    return Idempotent.by_id(idempotency_key, "answer_id", id_of=lambda found: found, find=find)


async def _keep(
    actor: Actor,
    idempotency_key: IdempotencyKey,
    answer_id: ObjectId,
    said: ChunkAccumulator,
    usage: Raw,
    account: Chunk,
) -> None:
    tokens = usage["input_tokens"], usage["output_tokens"]
    kept = Live(Access.of(actor), None, answer_id).document(
        said.events(tokens, account.raw["usage"])
    )
    entry = audit.entry(actor, Action.CHAT_COMPLETE)

    async def store(session: AsyncClientSession) -> ObjectId:
        await ReplyEvents.get_pymongo_collection().insert_one(dict(kept), session=session)
        await _record(usage, entry, session)
        return answer_id

    known = _idempotent(actor, idempotency_key)
    await transaction(lambda session: act_once(actor, Action.CHAT_COMPLETE, known, session, store))


async def _break_off(actor: Actor, said: ChunkAccumulator, usage: Raw, code: str | None) -> None:
    """Store the tokens used; if there is an error code, record the failure too."""
    entry = None
    if code is not None:
        entry = audit.entry(actor, Action.CHAT_COMPLETE, outcome=Outcome.FAILED, code=code)
    spent = usage if said.usage or said.text else None
    await transaction(lambda session: _record(spent, entry, session))


async def _record(usage: Raw | None, entry: Entry | None, session: AsyncClientSession) -> None:
    if usage is not None:
        await Usage.get_pymongo_collection().insert_one(dict(usage), session=session)
    if entry is not None:
        await AuditEntry.store([entry], session)
