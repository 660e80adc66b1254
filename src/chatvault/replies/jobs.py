"""Background jobs of replies, done by any process, and again after a crash."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping

import structlog
from pymongo.errors import PyMongoError

from chatvault.actor import Actor, Door
from chatvault.agents.models import AgentNotFound, ModelNotConfigured
from chatvault.errors import ChatvaultError, NotFound
from chatvault.fields import Raw
from chatvault.mongodb import leases
from chatvault.replies.models import Job, JobKind
from chatvault.tasks import run_together

LEASE_SECONDS = 90.0
RENEW_EVERY = 5.0
FIRST_WAIT = 10.0  # seconds; doubles with each attempt
MAX_ATTEMPTS = 5
POLL = 5.0
GONE = (NotFound, AgentNotFound, ModelNotConfigured)
log = structlog.get_logger()
Work = Callable[[Actor, Raw], Awaitable[object]]


class Worker:
    """Does jobs of some kinds, one at a time.

    A job is leased while it is done: it is due again if this process ends. The number of its
    attempts shows which process has the lease.

    Args:
        works: the function of each kind of job.
        due: set when there is a job.
        ends: the function, by kind, for a job that has failed too often.
    """

    def __init__(
        self,
        works: Mapping[JobKind, Work],
        due: asyncio.Event,
        *,
        ends: Mapping[JobKind, Work] | None = None,
    ) -> None:
        self._works = {kind.value: work for kind, work in works.items()}
        self._ends = {kind.value: work for kind, work in (ends or {}).items()}
        self._due = due

    def wake(self) -> None:
        """Look for jobs now."""
        self._due.set()

    async def run(self) -> None:
        """Do due jobs, whichever process stored them, until cancelled."""
        while True:
            try:
                while job := await self._take():
                    await self._do(job)
            except PyMongoError as error:
                log.warning("jobs_not_done_yet", error=type(error).__name__)
            self._due.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(POLL):
                    await self._due.wait()

    async def _take(self) -> Raw | None:
        """Return a due job, leased to this process."""
        end = leases.extension("due_at", LEASE_SECONDS)
        return await Job.get_pymongo_collection().find_one_and_update(
            {"kind": {"$in": list(self._works)}, **leases.expired("due_at")},
            [*end, {"$set": {"attempts": {"$add": ["$attempts", 1]}}}],
            sort=[("due_at", 1)],
            return_document=True,
        )

    async def _do(self, job: Raw) -> None:
        mine = {"_id": job["_id"], "user_id": job["user_id"], "attempts": job["attempts"]}
        jobs = Job.get_pymongo_collection()
        try:
            await run_together(self._attempt(job), self._renew(job))
        except (ChatvaultError, PyMongoError) as error:
            wait = FIRST_WAIT * 2 ** min(job["attempts"] - 1, MAX_ATTEMPTS)
            log.warning("job_put_off", kind=job["kind"], error=type(error).__name__)
            await jobs.update_one(mine, leases.extension("due_at", wait))
            return
        await jobs.delete_one(mine)

    async def _attempt(self, job: Raw) -> None:
        """Do a job, or call its `ends` function if it has failed too often.

        Raises:
            ChatvaultError, PyMongoError: the job is to be tried again.
        """
        actor = Actor(door=Door.BACKGROUND, user_id=job["user_id"])
        code = "unknown"
        if job["attempts"] <= MAX_ATTEMPTS:
            try:
                await self._works[job["kind"]](actor, job)
            except GONE:
                return
            except ChatvaultError as error:
                if job["attempts"] < MAX_ATTEMPTS:
                    raise
                code = error.code
            else:
                return
        log.warning("job_given_up", kind=job["kind"], code=code)
        if job["kind"] in self._ends:
            await self._ends[job["kind"]](actor, job)

    async def _renew(self, job: Raw) -> None:
        """Renew the lease of a job; return once another process has it."""
        mine = {"_id": job["_id"], "user_id": job["user_id"], "attempts": job["attempts"]}
        while True:
            await asyncio.sleep(RENEW_EVERY)
            try:
                renewed = await Job.get_pymongo_collection().update_one(
                    mine, leases.extension("due_at", LEASE_SECONDS)
                )
            except PyMongoError:
                # The next attempt may succeed in time.
                continue
            if not renewed.matched_count:
                log.warning("job_lost", kind=job["kind"])
                return
