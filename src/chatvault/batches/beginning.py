"""Jobs that go through many conversations: as they are stored, and recorded."""

import asyncio
from collections.abc import Sequence
from typing import TypedDict, Unpack

from bson import ObjectId
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import DuplicateKeyError

from chatvault.access import Access
from chatvault.actor import Actor
from chatvault.audit import service as audit
from chatvault.audit.actions import Action
from chatvault.audit.models import AuditEntry
from chatvault.batches.models import BatchAction, BatchIds, BatchJob, BatchState
from chatvault.errors import Conflict
from chatvault.fields import Raw, now
from chatvault.idempotency import Idempotent, act_once
from chatvault.mongodb.database import transaction


class BatchInProgress(Conflict):
    """Another action of yours is in progress; wait for its end, or cancel it."""

    code = "batch_in_progress"


class _JobFields(TypedDict, total=False):
    """The query that a job's conversations must match, or the job that it takes back."""

    filter: Raw | None
    undoes: ObjectId


def job_of(
    actor: Actor, action: BatchAction, options: Raw, total: int, **more: Unpack[_JobFields]
) -> Raw:
    """Return a job as it is stored."""
    made = BatchJob(
        user_id=actor.owner_id,
        action=action,
        options=options,
        filter=more.get("filter"),
        undoes=more.get("undoes"),
        role=actor.role,
        created_at=now(),
        total=total,
        due_at=now(),
    )
    fields = made.model_dump(mode="python", exclude={"id", "revision_id"})
    named = {"action": action.value, "state": BatchState.WAITING.value}
    return {"_id": ObjectId(), **fields, **named}


async def begin(
    actor: Actor,
    due: asyncio.Event,
    job: Raw,
    ids: Sequence[ObjectId],
    known: Idempotent[Raw] | None,
    each_options: Sequence[Raw] | None = None,
) -> Raw:
    """Store a job, which goes through these conversations; return it.

    Args:
        actor: whose conversations they are.
        due: set when a job may be waiting.
        job: the job.
        ids: of the conversations.
        known: remembers the answer for repeats.
        each_options: the options of each conversation, where they differ.

    Raises:
        BatchInProgress: another job of the actor's has not ended.
    """
    access = Access.of(actor)
    action = Action.BATCH_CREATE if job["undoes"] is None else Action.BATCH_UNDO

    async def store(session: AsyncClientSession) -> Raw:
        jobs = BatchJob.get_pymongo_collection()
        open_one = BatchJob.owned_by(access, is_open=True)
        if await jobs.find_one(open_one, {"_id": True}, session=session):
            raise BatchInProgress
        try:
            await jobs.insert_one(dict(job), session=session)
        except DuplicateKeyError:
            raise BatchInProgress from None
        await BatchIds.store(access, job["_id"], ids, session, each_options)
        if job["undoes"] is not None:
            undone = BatchJob.owned_by(access, _id=job["undoes"], undone_by=None)
            by = {"$set": {"undone_by": job["_id"]}}
            if not (await jobs.update_one(undone, by, session=session)).matched_count:
                # Another request undid it just now.
                raise BatchInProgress
        await record(actor, action, job, session)
        return job

    made = await transaction(
        lambda session: act_once(actor, action, known, session, store),
        turn=("batch", access.owner_id),
    )
    due.set()
    return made


async def record(actor: Actor, action: Action, batch: Raw, session: AsyncClientSession) -> None:
    """Record the beginning of an action, or that it was done."""
    details = {
        "action": batch["action"],
        "conversations": batch["total"],
        "changed": batch["changed"],
        "failed": sum(batch["failed"].values()),
    }
    if batch.get("dry_run"):
        details["dry_run"] = True
    await AuditEntry.store([audit.entry(actor, action, batch["_id"], details=details)], session)
