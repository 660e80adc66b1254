"""What is done behind the answers, by whichever process comes first, and again after a crash."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta

import structlog
from pymongo.errors import PyMongoError

from chatvault.actor import Actor, Door
from chatvault.agents.models import AgentNotFound, ModelNotConfigured
from chatvault.errors import ChatvaultError, NotFound
from chatvault.fields import now
from chatvault.replies.models import Job, JobKind, Raw

LEASE = timedelta(seconds=90)
FIRST_WAIT = timedelta(seconds=10)
MAX_ATTEMPTS = 5
POLL = 5.0
GONE = (NotFound, AgentNotFound, ModelNotConfigured)
log = structlog.get_logger()
Work = Callable[[Actor, Raw], Awaitable[object]]


class Worker:
    """Does jobs of some kinds, one after another.

    Args:
        works: what is done, by kind.
        due: is set when there is something to do.
    """

    def __init__(self, works: Mapping[JobKind, Work], due: asyncio.Event) -> None:
        self._works = {kind.value: work for kind, work in works.items()}
        self._due = due

    def wake(self) -> None:
        """Look for jobs now."""
        self._due.set()

    async def run(self) -> None:
        """Do what is due, whichever process asked for it, until cancelled."""
        while True:
            try:
                while job := await self._take():
                    await self._do(job)
            except PyMongoError as error:
                log.warning("jobs_not_done_yet", error=type(error).__name__)
            self._due.clear()
            waiting = asyncio.create_task(self._due.wait())
            await asyncio.wait({waiting}, timeout=POLL)
            waiting.cancel()

    async def _take(self) -> Raw | None:
        """A job that is due; it comes due again should this process die."""
        return await Job.get_pymongo_collection().find_one_and_update(
            {"due_at": {"$lte": now()}, "kind": {"$in": list(self._works)}},
            {"$set": {"due_at": now() + LEASE}, "$inc": {"attempts": 1}},
            sort=[("due_at", 1)],
        )

    async def _do(self, job: Raw) -> None:
        actor = Actor(door=Door.BACKGROUND, user_id=job["user_id"])
        mine = {"_id": job["_id"], "user_id": job["user_id"]}
        jobs = Job.get_pymongo_collection()
        try:
            await self._works[job["kind"]](actor, job)
        except GONE:
            pass
        except ChatvaultError as error:
            if job["attempts"] < MAX_ATTEMPTS:
                wait = FIRST_WAIT * 2 ** job["attempts"]
                await jobs.update_one(mine, {"$set": {"due_at": now() + wait}})
                return
            log.warning("job_given_up", kind=job["kind"], code=error.code)
        await jobs.delete_one(mine)
