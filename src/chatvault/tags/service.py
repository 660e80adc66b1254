"""Operations on the tags of all of a user's conversations."""

from collections.abc import Sequence

from pymongo.asynchronous.client_session import AsyncClientSession

from chatvault.access import Access
from chatvault.actor import Actor
from chatvault.audit import service as audit
from chatvault.audit.actions import Action
from chatvault.audit.models import AuditEntry
from chatvault.audit.recorder import Recorder
from chatvault.conversations import tag_counts
from chatvault.conversations.bulk.updates import BulkDeps, update_each
from chatvault.conversations.models import Conversation
from chatvault.conversations.shapes import ConversationDoc
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


async def list_tags(actor: Actor, recorder: Recorder, *, limit: int) -> tuple[list[Raw], bool]:
    """Return the actor's most used tags, each with its number of conversations.

    And whether there are more.
    """
    found = await tag_counts.list_tags(Access.of(actor), limit + 1)
    shown = found[:limit]
    await recorder.record(audit.entry(actor, Action.TAG_LIST, details={"tags": len(shown)}))
    return shown, len(found) > limit


async def replace(
    actor: Actor,
    deps: BulkDeps,
    action: Action,
    *,
    tags: Sequence[str],
    to: str,
    idempotency_key: IdempotencyKey | None = None,
) -> int:
    """Put one tag in the place of others in all conversations; return in how many.

    Args:
        actor: whose conversations they are.
        deps: the dependencies of operations on many conversations.
        action: of the audit entry about all of them.
        tags: the tags to replace.
        to: the tag that they become, where a conversation does not have it already.
        idempotency_key: the request's key.

    Raises:
        InvalidInput: the conversations are too many.
        Throttled: too many operations on many conversations in this minute.
        Busy: another one of the actor's took too long.
        KeyReused: the key came with another request.
        OutcomeUnknown: MongoDB went away after some of them.
    """
    known = idempotency_key and _idempotent(idempotency_key)
    async with key_lock(actor, idempotency_key):
        if known and await was_carried_out(actor, idempotency_key):
            return await answer_repeat(actor, action, known)
        await deps.rate.admit(str(actor.owner_id))
        async with deps.turns.operation(actor.owner_id):
            changed = await _retag(actor, deps, {*tags} - {to}, to)

        async def finish(session: AsyncClientSession) -> int:
            entry = audit.entry(actor, action, details={"conversations": changed})
            await AuditEntry.store([entry], session)
            return changed

        return await transaction(lambda session: act_once(actor, action, known, session, finish))


async def _retag(actor: Actor, deps: BulkDeps, old: set[str], to: str) -> int:
    """Put one tag in the place of others in all conversations; return in how many."""

    def change(fields: ConversationDoc) -> Raw:
        stored = fields["tags"]
        if old.isdisjoint(stored):
            return {}
        return {"tags": [*dict.fromkeys(to if each in old else each for each in stored)]}

    tagged = {"$in": sorted(old), "$type": "string"}
    ids = await Conversation.list_ids(Access.of(actor), tags=tagged)
    return await update_each(actor, deps, ids, change)


def _idempotent(idempotency_key: IdempotencyKey) -> Idempotent[int]:
    async def replay(result: Raw, _session: AsyncClientSession) -> int:
        changed: int = result["conversations"]
        return changed

    return Idempotent(
        idempotency_key, to_record=lambda changed: {"conversations": changed}, replay=replay
    )
