"""Make exports in the background, in any process, and continue them after a crash."""

import asyncio
import contextlib
from datetime import timedelta

import structlog
from bson import ObjectId
from pymongo.errors import PyMongoError

from chatvault.access import Access
from chatvault.actor import Actor, Door
from chatvault.conversations.models import Conversation
from chatvault.errors import Busy, ChatvaultError
from chatvault.exporting.jobs.models import KEPT, ExportChunk, ExportJob, ExportState
from chatvault.exporting.jobs.writing import write_part
from chatvault.exporting.records import About, Counts
from chatvault.exporting.turns import ExportDeps
from chatvault.fields import Raw, now
from chatvault.mongodb import leases
from chatvault.tasks import run_together
from chatvault.version import VERSION

LEASE_SECONDS = 30.0
RENEW_EVERY = 5.0
WAIT_SECONDS = 10.0
MAX_FAILURES = 5
POLL = 5.0
log = structlog.get_logger()


class ExportLost(Busy):
    """Another process has taken this export over, or it was removed."""


class ExportWorker:
    """Makes one export at a time, and removes expired ones.

    Args:
        deps: the dependencies of exports; `due` is set when an export may be waiting.
    """

    def __init__(self, deps: ExportDeps) -> None:
        self._deps = deps

    async def run(self) -> None:
        """Make due exports, whichever process stored them, until cancelled."""
        while True:
            self._deps.due.clear()
            try:
                await remove_expired()
                while job := await self._take():
                    await self._do(job)
                    await remove_expired()
            except PyMongoError as error:
                log.warning("exports_not_made_yet", error=type(error).__name__)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(POLL):
                    await self._deps.due.wait()

    async def _take(self) -> Raw | None:
        """Return a due export, leased to this process."""
        taken = {
            "attempts": {"$add": ["$attempts", 1]},
            "failures": {"$add": ["$failures", 1]},
            "state": ExportState.RUNNING.value,
        }
        return await ExportJob.get_pymongo_collection().find_one_and_update(
            {"is_open": True, **leases.expired("due_at")},
            [*leases.extension("due_at", LEASE_SECONDS), {"$set": taken}],
            sort=[("due_at", 1)],
            return_document=True,
        )

    async def _do(self, job: Raw) -> None:
        actor = Actor(door=Door.BACKGROUND, user_id=job["user_id"])
        attempt = _Attempt(actor, self._deps, job)
        try:
            await run_together(attempt.make(), attempt.renew())
        except ExportLost:
            log.info("export_lost", export_id=str(job["_id"]))
        except (ChatvaultError, PyMongoError) as error:
            code = error.code if isinstance(error, ChatvaultError) else "unavailable"
            log.warning("export_put_off", error=type(error).__name__, failures=job["failures"])
            await attempt.put_off(code)


class _Attempt:
    """One process's attempt at an export, which is valid until another process takes it."""

    def __init__(self, actor: Actor, deps: ExportDeps, job: Raw) -> None:
        self._actor = actor
        self._deps = deps
        self._job = job

    async def make(self) -> None:
        """Write the parts that are missing.

        Raises:
            ExportLost: another process took it over, or it was removed.
            ChatvaultError, PyMongoError: it must be retried.
        """
        job = self._job
        if job["failures"] > MAX_FAILURES:
            await self._end(ExportState.FAILED, job["code"] or "unavailable")
            return
        written = [part["writing"] for part in job["parts"]]
        # Parts that an earlier attempt did not finish.
        await ExportChunk.remove(self._actor, job["_id"], keep=written)
        left = await self._ids()
        about = About(exported_at=now(), program=f"chatvault {VERSION}")
        while left or not job["parts"]:
            counts = Counts()
            part = await write_part(self._actor, self._deps, job, left, about, counts)
            seen = counts.conversations + counts.deleted
            done, left = left[:seen], left[seen:]
            job["parts"].append(part)
            sums = {f"counts.{name}": number for name, number in counts.to_raw().items()}
            await self._update(
                {
                    "$push": {"parts": part},
                    "$set": {"cursor": done[-1] if done else job["cursor"], "failures": 0},
                    "$inc": {"done": seen, **sums},
                }
            )
            if left and await self._others_wait():
                await self._update(self._due_in(0.0))
                return
        await self._end(ExportState.DONE, None)

    async def renew(self) -> None:
        """Renew the lease until another process has it, or the export is removed."""
        while True:
            await asyncio.sleep(RENEW_EVERY)
            try:
                await self._update(leases.extension("due_at", LEASE_SECONDS))
            except PyMongoError:
                # The next attempt may succeed in time.
                continue

    async def put_off(self, code: str) -> None:
        """Schedule a retry; after too many, the export fails with this code."""
        later = self._due_in(WAIT_SECONDS, code=code)
        await ExportJob.get_pymongo_collection().update_one(
            ExportJob.owned_by(self._actor, **self._held()), later
        )

    async def _ids(self) -> list[ObjectId]:
        """Return the ids of the remaining conversations, in order."""
        job = self._job
        chosen = job["ids"]
        if chosen is None:
            found = await Conversation.list_ids(Access.of(self._actor), **job["filter"])
            chosen = sorted(each for each in found if each <= job["until"])
        return [each for each in chosen if job["cursor"] is None or each > job["cursor"]]

    def _held(self) -> Raw:
        """Return the filter of the export while this attempt is the newest."""
        return {"_id": self._job["_id"], "attempts": self._job["attempts"], "is_open": True}

    async def _update(self, update: Raw | list[Raw]) -> None:
        changed = await ExportJob.get_pymongo_collection().update_one(
            ExportJob.owned_by(self._actor, **self._held()), update
        )
        if not changed.matched_count:
            raise ExportLost

    @staticmethod
    def _due_in(seconds: float, code: str | None = None) -> list[Raw]:
        """Return the update after which any process may continue."""
        waiting = {"state": ExportState.WAITING.value, "code": code}
        return [*leases.extension("due_at", seconds), {"$set": waiting}]

    async def _others_wait(self) -> bool:
        """Whether another export is due, which takes its turn between two parts."""
        due = {"is_open": True, "_id": {"$ne": self._job["_id"]}, **leases.expired("due_at")}
        return await ExportJob.get_pymongo_collection().find_one(due, {"_id": True}) is not None

    async def _end(self, state: ExportState, code: str | None) -> None:
        """Store its end, and expire the oldest of the user's finished exports."""
        ended = {"state": state.value, "code": code, "is_open": False}
        await self._update({"$set": {**ended, "expires_at": now() + KEPT}})
        await ExportJob.expire_oldest(self._actor)


async def remove_expired(grace: timedelta = timedelta()) -> None:
    """Remove expired and removed exports with their parts.

    Args:
        grace: the time after their end.
    """
    exports = ExportJob.get_pymongo_collection()
    due = exports.find({"is_open": False, "expires_at": {"$lte": now() - grace}}, {"user_id": True})
    async for job in due:
        actor = Actor(door=Door.BACKGROUND, user_id=job["user_id"])
        await ExportChunk.remove(actor, job["_id"], keep=[])
        await exports.delete_one(ExportJob.owned_by(actor, _id=job["_id"]))
