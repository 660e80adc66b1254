"""Do actions on many conversations in the background, and continue them after a crash."""

import time
from collections.abc import Sequence

from bson import ObjectId
from pymongo.asynchronous.client_session import AsyncClientSession

from chatvault.access import Access
from chatvault.actor import Actor, Door, Role
from chatvault.audit import service as audit
from chatvault.audit.actions import Action, Outcome
from chatvault.audit.models import AuditEntry
from chatvault.batches.actions import ACTIONS, INVERTED_BY_OPTIONS, Doing
from chatvault.batches.models import (
    FAILURES_SHOWN,
    KEPT,
    PART,
    BatchAction,
    BatchChanges,
    BatchIds,
    BatchJob,
    BatchState,
)
from chatvault.batches.service import BatchDeps
from chatvault.batches.steps import StepResult, do_step
from chatvault.conversations.bulk.turns import STEP
from chatvault.conversations.categories import Categories, check_category
from chatvault.errors import NotFound
from chatvault.fields import Raw, now
from chatvault.mongodb.database import transaction
from chatvault.mongodb.jobs import Attempt, JobRunner

MAX_FAILURES = 5
# Seconds after which a job lets another one have its turn.
TURN_SECONDS = 2.0
SHOWN = ("done", "changed", "failed", "cancel_requested")


class BatchWorker:
    """Goes through the conversations of one job at a time.

    Args:
        deps: the dependencies of actions on many conversations.
    """

    def __init__(self, deps: BatchDeps) -> None:
        self._deps = deps
        self._runner = JobRunner(BatchJob, deps.due, work=self._work)

    async def run(self) -> None:
        """Work on due jobs, whichever process stored them, until cancelled."""
        await self._runner.run()

    async def _work(self, attempt: Attempt) -> None:
        """Go through the conversations that are left, in steps.

        Raises:
            JobLost: another process took the job over.
            ChatvaultError, PyMongoError: it must be continued later.
        """
        job, actor = attempt.job, _actor_of(attempt.job)
        access = Access.of(actor)
        if job["failures"] > MAX_FAILURES:
            await _end(actor, attempt, BatchState.FAILED, job["code"] or "unavailable")
            return
        try:
            await check_category(access, job["options"].get("category_id"))
        except NotFound as error:
            await _end(actor, attempt, BatchState.FAILED, error.code)
            return
        # What an earlier attempt did without noting it.
        before = await _already_changed(access, job, [*await _next_ids(access, job)])
        await _keep_changes(access, job, before)
        began = time.monotonic()
        while ids := await _next_ids(access, job):
            if job["cancel_requested"]:
                await _note(attempt, len(before), StepResult(), len(before))
                await _end(actor, attempt, BatchState.CANCELLED, None)
                return
            await self._step(attempt, ids, before)
            before = set()
            if time.monotonic() - began > TURN_SECONDS and await attempt.others_wait():
                await attempt.put_off(0.0)
                return
        await _end(actor, attempt, BatchState.DONE, None)

    async def _step(
        self, attempt: Attempt, ids: dict[ObjectId, Raw | None], before: set[ObjectId]
    ) -> None:
        job, bulk = attempt.job, self._deps.bulk
        access = Access.of(_actor_of(job))
        # A new actor, as entries say how long it took.
        doing = Doing(
            _actor_of(job),
            bulk.commits,
            self._deps.trash,
            job["options"],
            each=await _only_known(access, ids),
        )
        left = [each for each in ids if each not in before]
        apply = ACTIONS[BatchAction(job["action"])]
        result = await do_step(doing, apply, bulk.turns, left, job["filter"])
        if result.changes:
            await BatchChanges.store(access, job["_id"], job["done"], result.changes)
        await _note(attempt, len(ids), result, len(before))


def _actor_of(job: Raw) -> Actor:
    """Return the user; the entries of all changes have the job's id as that of the request."""
    role = None if job["role"] is None else Role(job["role"])
    return Actor(
        door=Door.BACKGROUND, user_id=job["user_id"], role=role, request_id=str(job["_id"])
    )


async def _next_ids(access: Access, job: Raw) -> dict[ObjectId, Raw | None]:
    """Return the ids of the next step, each with options of its own."""
    number, start = divmod(job["done"], PART)
    part = await BatchIds.list_part(access, job["_id"], number)
    return dict(part[start : start + STEP])


async def _already_changed(access: Access, job: Raw, ids: Sequence[ObjectId]) -> set[ObjectId]:
    """Return those of the conversations that this job has changed, by their audit entries."""
    query = {
        "user_id": access.owner_id,
        "resource_id": {"$in": [str(each) for each in ids]},
        "request_id": str(job["_id"]),
        "outcome": Outcome.SUCCESS.value,
    }
    found = AuditEntry.get_pymongo_collection().find(query, {"resource_id": True})
    return {ObjectId(each["resource_id"]) async for each in found}


async def _only_known(access: Access, ids: dict[ObjectId, Raw | None]) -> dict[ObjectId, Raw]:
    """Return the options of each; a category that was removed meanwhile is none."""
    each = {key: options for key, options in ids.items() if options is not None}
    if any(options.get("category_id") for options in each.values()):
        known = {category["id"] for category in await Categories.list_raw(access)}
        for key, options in each.items():
            if options["category_id"] not in known:
                each[key] = {**options, "category_id": None}
    return each


async def _keep_changes(access: Access, job: Raw, changed: set[ObjectId]) -> None:
    """Store what an earlier attempt changed without storing that.

    What a conversation was before is unknown then, so a change of its tags or category is left out.
    """
    if not changed or BatchAction(job["action"]) in INVERTED_BY_OPTIONS:
        return
    stored = await BatchChanges.list_ids(access, job["_id"], job["done"])
    if missing := changed - stored:
        changes = [{"id": each} for each in sorted(missing)]
        await BatchChanges.store(access, job["_id"], job["done"], changes)


async def _note(attempt: Attempt, number: int, result: StepResult, before: int) -> None:
    """Store how far the job is.

    Args:
        attempt: the attempt at the job.
        number: the number of conversations that it went through.
        result: what that changed.
        before: how many of them an earlier attempt had changed.
    """
    counts = {f"failed.{code}": count for code, count in result.failed.items()}
    shown = {"$each": result.failures, "$slice": FAILURES_SHOWN}
    attempt.job |= await attempt.update(
        {
            "$inc": {"done": number, "changed": len(result.changes) + before, **counts},
            "$push": {"failures_shown": shown},
            "$set": {"failures": 0},
        },
        shown=SHOWN,
    )


async def _end(actor: Actor, attempt: Attempt, state: BatchState, code: str | None) -> None:
    """Store the end of the job with its audit entry, and remove the ids."""
    job, access = attempt.job, Access.of(actor)
    details = {
        "action": job["action"],
        "conversations": job["total"],
        "changed": job["changed"],
        "failed": sum(job["failed"].values()),
        "state": state.value,
    }
    outcome = Outcome.FAILED if state is BatchState.FAILED else Outcome.SUCCESS
    ended = {"state": state.value, "code": code, "is_open": False, "expires_at": now() + KEPT}

    async def store(session: AsyncClientSession) -> None:
        await attempt.update({"$set": ended}, session)
        await BatchIds.remove(access, job["_id"], session)
        await BatchJob.expire_oldest(access, session)
        entry = audit.entry(
            actor, Action.BATCH_FINISH, job["_id"], outcome=outcome, code=code, details=details
        )
        await AuditEntry.store([entry], session)

    await transaction(store)
