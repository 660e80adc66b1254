"""Undoing an action on many conversations: the inverse action on those that it changed."""

from bson import ObjectId
from pymongo.asynchronous.client_session import AsyncClientSession

from chatvault.access import Access
from chatvault.actor import Actor
from chatvault.audit.actions import Action
from chatvault.batches.actions import INVERSE
from chatvault.batches.beginning import BatchInProgress, begin, job_of
from chatvault.batches.models import BatchAction, BatchChanges, BatchJob
from chatvault.batches.service import BatchDeps
from chatvault.errors import Conflict
from chatvault.fields import Raw
from chatvault.idempotency import (
    IdempotencyKey,
    Idempotent,
    answer_repeat,
    key_lock,
    was_carried_out,
)


class NotUndoable(Conflict):
    """A permanent deletion cannot be undone."""

    code = "not_undoable"


async def undo(
    actor: Actor, deps: BatchDeps, *, batch_id: ObjectId, idempotency_key: IdempotencyKey | None
) -> Raw:
    """Begin a job that takes back what another one changed; return it.

    If there is such a job already, it is returned.

    Raises:
        NotFound: the actor has no such job.
        NotUndoable: its action has no inverse.
        BatchInProgress: it has not ended, or another job of the actor's has not.
        Throttled: too many operations on many conversations in this minute.
        KeyReused: the key came with another request.
    """
    access = Access.of(actor)
    known = idempotency_key and _idempotent(access, idempotency_key)
    async with key_lock(actor, idempotency_key):
        if known and await was_carried_out(actor, idempotency_key):
            return await answer_repeat(actor, Action.BATCH_UNDO, known)
        await deps.bulk.rate.admit(str(access.owner_id))
        job = await BatchJob.get_raw(access, batch_id)
        inverse = INVERSE.get(BatchAction(job["action"]))
        if inverse is None:
            raise NotUndoable
        if job["is_open"]:
            raise BatchInProgress
        if job.get("undone_by") is not None:
            return await BatchJob.get_raw(access, job["undone_by"])
        changes = await BatchChanges.list_changes(access, batch_id)
        ids = [each.pop("id") for each in changes]
        made = job_of(actor, inverse, {}, len(ids), undoes=batch_id)
        return await begin(actor, deps.due, made, ids, known, changes)


def _idempotent(access: Access, idempotency_key: IdempotencyKey) -> Idempotent[Raw]:
    async def find(found: ObjectId, session: AsyncClientSession) -> Raw:
        return await BatchJob.get_raw(access, found, session)

    return Idempotent.by_id(
        idempotency_key, "batch_id", id_of=lambda job: job["_id"], find=find, target="batch_id"
    )
