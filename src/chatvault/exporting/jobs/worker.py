"""Make exports in the background, in any process, and continue them after a crash."""

from datetime import timedelta

from bson import ObjectId

from chatvault.access import Access
from chatvault.actor import Actor, Door
from chatvault.conversations.models import Conversation
from chatvault.exporting.jobs.models import KEPT, ExportChunk, ExportJob, ExportState
from chatvault.exporting.jobs.writing import write_part
from chatvault.exporting.records import About, Counts
from chatvault.exporting.turns import ExportDeps
from chatvault.fields import Raw, now
from chatvault.mongodb.jobs import Attempt, JobRunner
from chatvault.version import VERSION

MAX_FAILURES = 5


class ExportWorker:
    """Makes one export at a time, and removes expired ones.

    Args:
        deps: the dependencies of exports; `due` is set when an export may be waiting.
    """

    def __init__(self, deps: ExportDeps) -> None:
        self._deps = deps
        self._runner = JobRunner(ExportJob, deps.due, work=self._make, tidy=remove_expired)

    async def run(self) -> None:
        """Make due exports, whichever process stored them, until cancelled."""
        await self._runner.run()

    async def _make(self, attempt: Attempt) -> None:
        """Write the parts that are missing.

        Raises:
            JobLost: another process took it over, or it was removed.
            ChatvaultError, PyMongoError: it must be retried.
        """
        job = attempt.job
        actor = Actor(door=Door.BACKGROUND, user_id=job["user_id"])
        if job["failures"] > MAX_FAILURES:
            await _end(actor, attempt, ExportState.FAILED, job["code"] or "unavailable")
            return
        written = [part["writing"] for part in job["parts"]]
        # Parts that an earlier attempt did not finish.
        await ExportChunk.remove(actor, job["_id"], keep=written)
        left = await _ids(actor, job)
        about = About(exported_at=now(), program=f"chatvault {VERSION}")
        while left or not job["parts"]:
            counts = Counts()
            part = await write_part(actor, self._deps, job, left, about, counts)
            seen = counts.conversations + counts.deleted
            done, left = left[:seen], left[seen:]
            job["parts"].append(part)
            sums = {f"counts.{name}": number for name, number in counts.to_raw().items()}
            await attempt.update(
                {
                    "$push": {"parts": part},
                    "$set": {"cursor": done[-1] if done else job["cursor"], "failures": 0},
                    "$inc": {"done": seen, **sums},
                }
            )
            if left and await attempt.others_wait():
                await attempt.put_off(0.0)
                return
        await _end(actor, attempt, ExportState.DONE, None)


async def _ids(actor: Actor, job: Raw) -> list[ObjectId]:
    """Return the ids of the remaining conversations, in order."""
    chosen = job["ids"]
    if chosen is None:
        found = await Conversation.list_ids(Access.of(actor), **job["filter"])
        chosen = sorted(each for each in found if each <= job["until"])
    return [each for each in chosen if job["cursor"] is None or each > job["cursor"]]


async def _end(actor: Actor, attempt: Attempt, state: ExportState, code: str | None) -> None:
    """Store its end, and expire the oldest of the user's finished exports."""
    ended = {"state": state.value, "code": code, "is_open": False}
    await attempt.update({"$set": {**ended, "expires_at": now() + KEPT}})
    await ExportJob.expire_oldest(actor)


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
