"""Actions on many conversations: do or begin, get, list, cancel."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from bson import ObjectId
from pymongo.asynchronous.client_session import AsyncClientSession

from chatvault.access import Access
from chatvault.actor import Actor, Scope
from chatvault.audit import service as audit
from chatvault.audit.actions import Action
from chatvault.audit.models import AuditEntry
from chatvault.batches.actions import ACTIONS, Doing
from chatvault.batches.beginning import begin, job_of, record
from chatvault.batches.models import FAILURES_SHOWN, BatchAction, BatchJob, BatchState
from chatvault.batches.schemas import BatchCreate
from chatvault.batches.steps import StepResult, do_step
from chatvault.conversations.bulk.turns import STEP
from chatvault.conversations.bulk.updates import INTERRUPTED, BulkDeps, check_number
from chatvault.conversations.categories import check_category
from chatvault.conversations.lists.filters import Filter
from chatvault.conversations.lists.service import ListsAttached, complete
from chatvault.conversations.models import Conversation
from chatvault.conversations.trash.service import TrashDeps
from chatvault.errors import NotFound
from chatvault.exporting.jobs import service as exports
from chatvault.exporting.jobs.models import ExportJob
from chatvault.exporting.turns import ExportDeps
from chatvault.fields import Raw, now
from chatvault.idempotency import (
    IdempotencyKey,
    Idempotent,
    act_once,
    answer_repeat,
    key_lock,
    was_carried_out,
)
from chatvault.mongodb.database import many_changes, transaction

# The most conversations, named by their ids, that are changed while the request waits.
AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class BatchDeps:
    """The dependencies of actions on many conversations.

    Attributes:
        bulk: takes the changes, and limits them.
        trash: puts conversations into the trash, and takes them out.
        exports: makes exports.
        list_attached: returns the ids of all conversations that have attachments.
        due: set when a job may be waiting.
    """

    bulk: BulkDeps
    trash: TrashDeps
    exports: ExportDeps
    list_attached: ListsAttached
    due: asyncio.Event = field(default_factory=asyncio.Event)


async def create(
    actor: Actor, deps: BatchDeps, *, wanted: BatchCreate, idempotency_key: IdempotencyKey | None
) -> Raw:
    """Do an action with a few conversations, or begin it for many; return how far it is.

    Raises:
        InvalidInput: the fields do not fit each other, or the conversations are too many.
        InsufficientScope: it is an export, and the API key may not make any.
        CategoryNotFound: the actor has no such category.
        BatchInProgress: another job of the actor's has not ended.
        ExportInProgress: another export of the actor's has not ended.
        PdfNotInstalled: the service makes no PDF.
        Throttled: too many operations on many conversations in this minute.
        Busy: another operation of the actor's took too long.
        KeyReused: the key came with another request.
        OutcomeUnknown: MongoDB went away after some of the changes.
    """
    wanted.check()
    if wanted.action is BatchAction.EXPORT:
        actor.require_scope(Scope.EXPORT)
    known = idempotency_key and _idempotent(actor, idempotency_key)
    async with key_lock(actor, idempotency_key):
        if known and await was_carried_out(actor, idempotency_key):
            return await answer_repeat(actor, Action.BATCH_CREATE, known)
        await deps.bulk.rate.admit(str(actor.owner_id))
        await check_category(Access.of(actor), wanted.category_id)
        if wanted.action is BatchAction.EXPORT and not wanted.dry_run:
            return await _export(actor, deps, wanted, idempotency_key)
        ids, which = await _choose(Access.of(actor), deps, wanted)
        if wanted.dry_run:
            made = await _count(actor, wanted, ids)
        elif which is None and len(ids) <= AT_ONCE:
            made = await _do_now(actor, deps, wanted, ids)
        else:
            job = job_of(actor, wanted.action, wanted.options(), len(ids), filter=which)
            return await begin(actor, deps.due, job, ids, known)
        return await _store(actor, made, known)


async def _choose(
    access: Access, deps: BatchDeps, wanted: BatchCreate
) -> tuple[list[ObjectId], Raw | None]:
    """Return the ids of the conversations, and the query that they must still match later."""
    if wanted.ids is not None:
        return list(dict.fromkeys(wanted.ids)), None
    which = await _filter_of(access, deps, wanted)
    ids = await Conversation.list_ids(access, **which.to_raw())
    check_number(len(ids))
    query = which.to_raw()
    # As long as a list of ids may be; they have or have no attachments, and that rarely changes.
    query.pop("_id", None)
    return sorted(ids), query


async def _filter_of(access: Access, deps: BatchDeps, wanted: BatchCreate) -> Filter:
    if wanted.filter is None:
        return Filter()
    return await complete(access, deps.list_attached, wanted.filter.to_selection())


async def _do_now(
    actor: Actor, deps: BatchDeps, wanted: BatchCreate, ids: Sequence[ObjectId]
) -> Raw:
    """Change a few conversations while the request waits; return how that ended."""
    bulk = deps.bulk
    doing = Doing(actor, bulk.commits, deps.trash, wanted.options())
    result = StepResult()
    async with bulk.turns.operation(actor.owner_id):
        with many_changes(INTERRUPTED):
            for start in range(0, len(ids), STEP):
                step = ids[start : start + STEP]
                result.add(await do_step(doing, ACTIONS[wanted.action], bulk.turns, step, None))
    return _at_once(
        wanted,
        total=len(ids),
        done=len(ids),
        changed=len(result.changes),
        failed=dict(result.failed),
        failures_shown=result.failures,
        changed_ids=[each["id"] for each in result.changes],
    )


async def _count(actor: Actor, wanted: BatchCreate, ids: Sequence[ObjectId]) -> Raw:
    """Return how many conversations an action would concern."""
    if wanted.ids is None:
        return _at_once(wanted, total=len(ids))
    mine = await Conversation.list_versions(Access.of(actor), ids, {})
    code = NotFound.code
    missing = [{"id": each, "code": code} for each in ids if each not in mine]
    return _at_once(
        wanted,
        total=len(ids),
        failed={code: len(missing)} if missing else {},
        failures_shown=missing[:FAILURES_SHOWN],
    )


def _at_once(wanted: BatchCreate, **counts: object) -> Raw:
    """Return an action that has ended with its request, in the form of a job."""
    return {
        "_id": None,
        "action": wanted.action.value,
        "state": BatchState.DONE.value,
        "dry_run": wanted.dry_run,
        "created_at": now(),
        "done": 0,
        "changed": 0,
        "failed": {},
        "failures_shown": [],
        "changed_ids": [],
        "cancel_requested": False,
        "code": None,
        "expires_at": None,
        **counts,
    }


async def _store(actor: Actor, made: Raw, known: Idempotent[Raw] | None) -> Raw:
    """Record what was done at once, and remember the answer for repeats."""

    async def finish(session: AsyncClientSession) -> Raw:
        await record(actor, Action.BATCH_CREATE, made, session)
        return made

    return await transaction(
        lambda session: act_once(actor, Action.BATCH_CREATE, known, session, finish)
    )


async def _export(
    actor: Actor, deps: BatchDeps, wanted: BatchCreate, idempotency_key: IdempotencyKey | None
) -> Raw:
    """Begin an export of the conversations."""
    which = await _filter_of(Access.of(actor), deps, wanted)
    made = await exports.begin(
        actor,
        deps.exports,
        wanted=exports.WantedExport(
            format=wanted.format,
            attachments=wanted.attachments,
            ids=wanted.ids,
            filter=which.to_raw(),
        ),
        idempotency_key=idempotency_key,
    )
    return _of_export(made)


def _of_export(job: Raw) -> Raw:
    """Return the action that began an export."""
    wanted = BatchCreate(action=BatchAction.EXPORT)
    made = _at_once(wanted, total=job["total"], created_at=job["created_at"])
    return {**made, "export_id": job["_id"]}


def _idempotent(actor: Actor, idempotency_key: IdempotencyKey) -> Idempotent[Raw]:
    access = Access.of(actor)

    def to_record(batch: Raw) -> Raw:
        return {"done": batch} if batch["_id"] is None else {"batch_id": batch["_id"]}

    async def replay(result: Raw, session: AsyncClientSession) -> Raw:
        if "export_id" in result:
            return _of_export(await ExportJob.get_raw(actor, result["export_id"], session))
        if "done" in result:
            done: Raw = result["done"]
            return done
        return await BatchJob.get_raw(access, result["batch_id"], session)

    return Idempotent(idempotency_key, to_record=to_record, replay=replay, target="batch_id")


async def get(actor: Actor, deps: BatchDeps, *, batch_id: ObjectId) -> Raw:
    """Return a job of the actor's.

    Raises:
        NotFound: there is none.
    """
    found = await BatchJob.get_raw(Access.of(actor), batch_id)
    await deps.bulk.recorder.record(audit.entry(actor, Action.BATCH_GET, batch_id))
    return found


async def list_batches(actor: Actor, deps: BatchDeps) -> list[Raw]:
    """Return the actor's newest jobs, the newest first."""
    found = await BatchJob.list_raw(Access.of(actor))
    details = {"batches": len(found)}
    await deps.bulk.recorder.record(audit.entry(actor, Action.BATCH_LIST, details=details))
    return found


async def cancel(
    actor: Actor,
    deps: BatchDeps,
    *,
    batch_id: ObjectId,
    idempotency_key: IdempotencyKey | None = None,
) -> Raw:
    """Let a job end after its current step; what it has changed stays so.

    One that has ended is not changed.

    Raises:
        NotFound: the actor has no such job.
        KeyReused: the key came with another request.
    """
    access = Access.of(actor)

    async def ask(session: AsyncClientSession) -> Raw:
        jobs = BatchJob.get_pymongo_collection()
        open_one = BatchJob.owned_by(access, _id=batch_id, is_open=True)
        waiting = {**open_one, "state": BatchState.WAITING.value}
        await jobs.update_one(open_one, {"$set": {"cancel_requested": True}}, session=session)
        await jobs.update_one(waiting, {"$min": {"due_at": now()}}, session=session)
        found = await BatchJob.get_raw(access, batch_id, session)
        await AuditEntry.store([audit.entry(actor, Action.BATCH_CANCEL, batch_id)], session)
        return found

    async def find(found: ObjectId, session: AsyncClientSession) -> Raw:
        return await BatchJob.get_raw(access, found, session)

    known = idempotency_key and Idempotent.by_id(
        idempotency_key, "batch_id", id_of=lambda job: job["_id"], find=find, target="batch_id"
    )
    job = await transaction(
        lambda session: act_once(actor, Action.BATCH_CANCEL, known, session, ask)
    )
    deps.due.set()
    return job
