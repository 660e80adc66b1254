"""Run imports in the background, and take over those of processes that have ended."""

import asyncio
import io
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, cast

import structlog
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import DuplicateKeyError, PyMongoError

from chatvault.access import Access
from chatvault.accounts.models import User
from chatvault.actor import Actor, Door
from chatvault.audit.actions import Outcome
from chatvault.audit.models import AuditEntry
from chatvault.errors import ChatvaultError, Unavailable
from chatvault.fields import Raw, now
from chatvault.importing.files.containers import Source
from chatvault.importing.jobs.reports import is_nothing, report_raw, restore
from chatvault.importing.jobs.service import JobDeps, remove_uploads
from chatvault.importing.models import ACTIVE, UPLOAD_TTL, ImportJob, JobState, Upload
from chatvault.importing.reading import ReadOptions, read_files
from chatvault.importing.reports import Report, begin_report, require_content
from chatvault.importing.schemas import ImportQuery
from chatvault.importing.service import Resumed, entry_of, preview, store_file
from chatvault.mongodb import leases
from chatvault.mongodb.database import transaction
from chatvault.tasks import run_together

LEASE_SECONDS: Final = 30.0
RENEW_EVERY: Final = 1.0
POLL: Final = 5.0
SWEEP_EVERY: Final = 600.0
# After a temporary failure.
PUT_OFF_SECONDS: Final = 10.0
MAX_ATTEMPTS: Final = 5
_QUEUED, _RUNNING = JobState.QUEUED.value, JobState.RUNNING.value
log = structlog.get_logger()


class UploadMissing(ChatvaultError):
    """The uploaded file is gone; upload it again."""

    code = "upload_missing"


class GaveUp(ChatvaultError):
    """The import was interrupted too often; what it imported stays."""

    code = "import_broke_off"


class StoppedError(Exception):
    """The import must stop: it was cancelled, or another process has taken it over."""


@dataclass(slots=True)
class _Progress:
    """The progress of an import; also written by the thread that reads.

    Attributes:
        stop: set when the import must stop.
        is_lost: whether another process has taken it over.
        stored: the progress that was last stored.
    """

    read: int = 0
    found: int | None = None
    done: int = 0
    report: Report | None = None
    stop: bool = False
    is_lost: bool = False
    stored: Raw = field(default_factory=dict)

    def fields(self) -> Raw:
        """Return the fields to store."""
        report = {} if self.report is None else {"report": report_raw(self.report)}
        return {"read": self.read, "found": self.found, "done": self.done, **report}

    def check(self) -> None:
        """Raise StoppedError if the import must stop."""
        if self.stop:
            raise StoppedError


class _Counted(io.BufferedReader):
    """A file that counts the bytes read from it, and stops reading when the import must stop."""

    def __init__(self, raw: Any, progress: _Progress) -> None:
        super().__init__(raw)
        self._progress = progress

    def read(self, size: int | None = -1, /) -> bytes:
        self._progress.check()
        data = super().read(size)
        self._progress.read += len(data)
        return data


class ImportRunner:
    """Runs the imports whose files this machine has, one at a time.

    Args:
        deps: the dependencies of imports.
    """

    def __init__(self, deps: JobDeps) -> None:
        self._deps = deps
        self._swept_at = 0.0

    async def run(self) -> None:
        """Run imports, whichever process accepted them, until cancelled."""
        while True:
            try:
                await self._sweep()
                while job := await self._take():
                    await self._do(job)
            except PyMongoError as error:
                log.warning("imports_not_done_yet", error=type(error).__name__)
            self._deps.due.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL):
                    await self._deps.due.wait()

    async def _take(self) -> Raw | None:
        """Lease and return the oldest import that is due, of a user without a running one."""
        place = await asyncio.to_thread(self._deps.files.place_if_any)
        jobs = ImportJob.get_pymongo_collection()
        if place is None or not await jobs.find_one({"place": place, "state": {"$in": ACTIVE}}):
            return None
        # Imports of processes that have ended.
        lost = {"state": _RUNNING, **leases.expired("lease_until")}
        await jobs.update_many(lost, {"$set": {"state": _QUEUED}, "$inc": {"version": 1}})
        busy = set(await jobs.distinct("user_id", {"state": _RUNNING}))
        due = {"place": place, "state": _QUEUED, **leases.expired("lease_until")}
        begun = {
            "state": _RUNNING,
            "attempts": {"$add": ["$attempts", 1]},
            "version": {"$add": ["$version", 1]},
            "started_at": {"$ifNull": ["$started_at", "$$NOW"]},
        }
        begin = [*leases.extension("lease_until", LEASE_SECONDS), {"$set": begun}]
        async for each in jobs.find(due, {"user_id": True}).sort("_id", 1):
            if each["user_id"] in busy:
                continue
            mine = {"_id": each["_id"], "user_id": each["user_id"], **due}
            try:
                job: Raw | None = await jobs.find_one_and_update(mine, begin, return_document=True)
            except DuplicateKeyError:  # another process has started one of this user's imports
                busy.add(each["user_id"])
                continue
            if job is not None:
                return job
        return None

    async def _do(self, job: Raw) -> None:
        progress = _Progress(done=job["done"], found=job["found"])
        access = Access.of(Actor(door=Door.BACKGROUND, user_id=job["user_id"]))
        state, error = JobState.COMPLETED, None
        try:
            await run_together(self._attempt(job, progress), self._renew(job, progress))
        except asyncio.CancelledError:
            # The service shuts down: another process, or this one restarted, continues.
            await self._put_off(job, progress, 0)
            raise
        except StoppedError:
            state = JobState.CANCELLED
        except (Unavailable, PyMongoError) as trouble:
            log.warning("import_put_off", error=type(trouble).__name__)
            await self._put_off(job, progress, PUT_OFF_SECONDS)
            return
        except ChatvaultError as refusal:
            state, error = JobState.FAILED, refusal
        finally:
            progress.stop = True  # from a thread that is still reading
        if progress.is_lost:
            log.warning("import_lost", import_id=str(job["_id"]))
            return
        options = job["options"]
        if state is JobState.COMPLETED and progress.report and is_nothing(progress.report):
            state = JobState.NOTHING_IMPORTED
        if await self._end(job, progress, state, error):
            is_needed = options["dry_run"] or state is JobState.FAILED
            if not is_needed:
                await remove_uploads(access, self._deps.files, job)

    async def _attempt(self, job: Raw, progress: _Progress) -> None:
        """Read the files and store their conversations.

        Raises:
            StoppedError: the import was cancelled or taken over.
            ChatvaultError: the files cannot be imported, or not now.
        """
        if job["attempts"] > MAX_ATTEMPTS:
            raise GaveUp
        actor, wanted = await _actor_of(job), ImportQuery.model_validate(job["options"])
        options = ReadOptions(
            sources=[self._source(job, number, progress) for number in range(len(job["uploads"]))],
            now=job["created_at"],
            format=wanted.format,
            salvage=wanted.salvage,
            group=wanted.group,
        )
        content = await asyncio.to_thread(read_files, options)
        require_content(content, name=job["names"][0])
        progress.found = len(content.found)
        report = begin_report(content)
        if wanted.dry_run:
            progress.report = await preview(
                actor,
                self._deps.imports,
                content,
                wanted.on_duplicate,
                restore_deleted=wanted.restore_deleted,
            )
            return
        restore(job["report"], report)
        progress.report = report

        def advance(more: int) -> None:
            progress.done += more
            progress.check()

        deps = self._deps.imports
        await store_file(
            actor,
            deps if wanted.attachments else deps.without_files(),
            content=content,
            on_duplicate=wanted.on_duplicate,
            restore_deleted=wanted.restore_deleted,
            on_progress=advance,
            resumed=Resumed(report, job["done"], job["_id"]),
        )

    def _source(self, job: Raw, number: int, progress: _Progress) -> Source:
        path = self._deps.files.path(job["uploads"][number])

        def reopen() -> io.BufferedIOBase:
            try:
                raw = path.open("rb", buffering=0)
            except FileNotFoundError:
                raise UploadMissing from None
            return cast("io.BufferedIOBase", _Counted(raw, progress))

        size = path.stat().st_size if path.exists() else 0
        return Source(name=job["names"][number], open=reopen, size=size)

    async def _renew(self, job: Raw, progress: _Progress) -> None:
        """Renew the lease and store the progress, until another process takes the import over."""
        lost_at = time.monotonic() + LEASE_SECONDS
        while time.monotonic() < lost_at:
            await asyncio.sleep(RENEW_EVERY)
            began = time.monotonic()
            try:
                found = await self._save_progress(job, progress)
            except PyMongoError:
                continue  # the next attempt may succeed in time
            if found is None:
                break
            lost_at = began + LEASE_SECONDS
            progress.stop |= found["cancel_requested"]
        progress.stop = progress.is_lost = True

    async def _save_progress(self, job: Raw, progress: _Progress) -> Raw | None:
        """Store the progress of an import, and renew its lease.

        Returns:
            The import; None if another process has taken it over.
        """
        update = leases.extension("lease_until", LEASE_SECONDS)
        fields = progress.fields()
        if fields != progress.stored:
            literal = {name: {"$literal": value} for name, value in fields.items()}
            update.append({"$set": {**literal, "version": {"$add": ["$version", 1]}}})
        jobs = ImportJob.get_pymongo_collection()
        mine = {"user_id": job["user_id"], **_leased(job)}
        found: Raw | None = await jobs.find_one_and_update(mine, update, return_document=True)
        progress.stored = fields
        return found

    async def _put_off(self, job: Raw, progress: _Progress, seconds: float) -> None:
        """Have an import continued after some seconds; its progress is stored."""
        mine = {"user_id": job["user_id"], **_leased(job)}
        fields = {name: {"$literal": value} for name, value in progress.fields().items()}
        with suppress(PyMongoError):  # else the lease expires
            await ImportJob.get_pymongo_collection().update_one(
                mine,
                [
                    *leases.extension("lease_until", seconds),
                    # Not counted as an attempt, as the import did not fail.
                    {"$set": {**fields, "state": _QUEUED, "attempts": job["attempts"] - 1}},
                ],
            )

    async def _end(
        self, job: Raw, progress: _Progress, state: JobState, error: ChatvaultError | None
    ) -> bool:
        """Store the end of an import with its audit entry; return whether this process had it."""
        actor = await _actor_of(job)
        ended = {
            **progress.fields(),
            "state": state.value,
            "code": None if error is None else error.code,
            "detail": None if error is None else error.detail,
            "ended_at": now(),
        }
        report = progress.report or Report()
        entry = entry_of(actor, report) | {"resource_id": str(job["_id"])}
        entry["details"] = {**entry["details"], "state": state.value}
        if job["options"]["dry_run"]:
            entry["details"] = {"dry_run": True, "conversations": progress.found or 0}
        if error is not None:
            entry |= {"outcome": Outcome.FAILED.value, "code": error.code}

        mine = {"user_id": job["user_id"], **_leased(job)}

        async def store(session: AsyncClientSession) -> bool:
            stored = await ImportJob.get_pymongo_collection().update_one(
                mine, {"$set": ended, "$inc": {"version": 1}}, session=session
            )
            if stored.matched_count:
                await AuditEntry.store([entry], session)
            return bool(stored.matched_count)

        return await transaction(store)

    async def _sweep(self) -> None:
        """Remove files whose uploads are deleted, and end imports whose machine is gone."""
        if time.monotonic() - self._swept_at < SWEEP_EVERY and self._swept_at:
            return
        self._swept_at = time.monotonic()
        files = self._deps.files
        old = await asyncio.to_thread(files.list_old)
        known = await Upload.get_pymongo_collection().distinct("_id", {"_id": {"$in": old}})
        for upload_id in set(old) - {*known}:
            await asyncio.to_thread(files.remove, upload_id)
        place = await asyncio.to_thread(files.place_if_any)
        gone = {
            "state": _QUEUED,
            "place": {"$ne": place},
            "created_at": {"$lt": now() - UPLOAD_TTL},
        }
        async for job in ImportJob.get_pymongo_collection().find(gone).limit(100):
            progress = _Progress(read=job["read"], found=job["found"], done=job["done"])
            await self._end(job, progress, JobState.FAILED, UploadMissing())


def _leased(job: Raw) -> Raw:
    """Return the filter of an import that is leased to this process."""
    return {name: job[name] for name in ("_id", "attempts", "state")}


async def _actor_of(job: Raw) -> Actor:
    user = await User.get(job["user_id"])
    role = None if user is None else user.role
    return Actor(door=Door.BACKGROUND, user_id=job["user_id"], role=role)
