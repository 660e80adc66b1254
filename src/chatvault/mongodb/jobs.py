"""Jobs in the background: one process works on one at a time, and another continues after a crash.

A job's document has `user_id`, `state`, `is_open` (whether it has not ended), `due_at` (when a
process may take it; the one that works on it keeps postponing this), `attempts` (how often it was
taken; only the newest attempt may change it), `failures` (attempts without progress) and `code`.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from beanie import Document
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import PyMongoError

from chatvault.errors import Busy, ChatvaultError
from chatvault.mongodb import leases
from chatvault.tasks import run_together

LEASE_SECONDS = 30.0
RENEW_EVERY = 5.0
WAIT_SECONDS = 10.0
POLL = 5.0
WAITING, RUNNING = "waiting", "running"
log = structlog.get_logger()
Raw = dict[str, Any]


class JobLost(Busy):
    """Another process has taken this job over, or it was removed."""


class Attempt:
    """One process's attempt at a job, which is valid until another process takes it.

    Args:
        kind: the documents of jobs like it.
        job: the job as it was taken.

    Attributes:
        job: the job as this process knows it.
    """

    def __init__(self, kind: type[Document], job: Raw) -> None:
        self.job = job
        self._kind = kind

    async def update(
        self,
        update: Raw | list[Raw],
        session: AsyncClientSession | None = None,
        *,
        shown: tuple[str, ...] = ("state",),
    ) -> Raw:
        """Change the job while this attempt is the newest; return some of its fields.

        Args:
            update: MongoDB's update.
            session: of the transaction that the change belongs to.
            shown: the names of the fields.

        Raises:
            JobLost: another process took it, or it was removed.
        """
        jobs = self._kind.get_pymongo_collection()
        changed: Raw | None = await jobs.find_one_and_update(
            {"user_id": self.job["user_id"], **self._held()},
            update,
            dict.fromkeys(shown, True),
            session=session,
            return_document=True,
        )
        if changed is None:
            raise JobLost
        return changed

    async def renew(self) -> None:
        """Renew the lease until another process has it, or the job is removed."""
        while True:
            await asyncio.sleep(RENEW_EVERY)
            try:
                await self.update(leases.extension("due_at", LEASE_SECONDS))
            except PyMongoError:
                # The next attempt may succeed in time.
                continue

    async def put_off(self, seconds: float, code: str | None = None) -> None:
        """Let any process continue after some seconds; nothing if this attempt is not the newest.

        Args:
            seconds: until then.
            code: that of the error, if there was one.
        """
        waiting = {"state": WAITING, "code": code}
        later = [*leases.extension("due_at", seconds), {"$set": waiting}]
        await self._kind.get_pymongo_collection().update_one(
            {"user_id": self.job["user_id"], **self._held()}, later
        )

    async def others_wait(self) -> bool:
        """Whether another job is due, which takes its turn now."""
        due = {"is_open": True, "_id": {"$ne": self.job["_id"]}, **leases.expired("due_at")}
        jobs = self._kind.get_pymongo_collection()
        return await jobs.find_one(due, {"_id": True}) is not None

    def _held(self) -> Raw:
        """Return the filter of the job while this attempt is the newest."""
        return {"_id": self.job["_id"], "attempts": self.job["attempts"], "is_open": True}


class JobRunner:
    """Works on due jobs of a kind, one at a time, whichever process stored them.

    Args:
        kind: their documents.
        due: set when a job may be waiting.
        work: works on a job until it has ended or was put off.
        tidy: called between jobs, if there is anything to do then.
    """

    def __init__(
        self,
        kind: type[Document],
        due: asyncio.Event,
        *,
        work: Callable[[Attempt], Awaitable[None]],
        tidy: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._kind = kind
        self._due = due
        self._work = work
        self._tidy = tidy

    async def run(self) -> None:
        """Work on due jobs until cancelled."""
        while True:
            self._due.clear()
            try:
                await self._tidy_up()
                while job := await self._take():
                    await self._do(Attempt(self._kind, job))
                    await self._tidy_up()
            except PyMongoError as error:
                log.warning("jobs_not_done_yet", kind=self._name, error=type(error).__name__)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(POLL):
                    await self._due.wait()

    async def _tidy_up(self) -> None:
        if self._tidy is not None:
            await self._tidy()

    @property
    def _name(self) -> str:
        return self._kind.get_pymongo_collection().name

    async def _take(self) -> Raw | None:
        """Return a due job, leased to this process."""
        taken = {
            "attempts": {"$add": ["$attempts", 1]},
            "failures": {"$add": ["$failures", 1]},
            "state": RUNNING,
        }
        return await self._kind.get_pymongo_collection().find_one_and_update(
            {"is_open": True, **leases.expired("due_at")},
            [*leases.extension("due_at", LEASE_SECONDS), {"$set": taken}],
            sort=[("due_at", 1)],
            return_document=True,
        )

    async def _do(self, attempt: Attempt) -> None:
        job_id = str(attempt.job["_id"])
        try:
            await run_together(self._carry(attempt), attempt.renew())
        except JobLost:
            log.info("job_lost", kind=self._name, job_id=job_id)
        except (ChatvaultError, PyMongoError) as error:
            code = error.code if isinstance(error, ChatvaultError) else "unavailable"
            failures = attempt.job["failures"]
            log.warning(
                "job_put_off", kind=self._name, error=type(error).__name__, failures=failures
            )
            await attempt.put_off(WAIT_SECONDS, code)

    async def _carry(self, attempt: Attempt) -> None:
        await self._work(attempt)
