"""Tells connected users how far their imports and exports are, which the audit log does not."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from bson import ObjectId

from chatvault.access import Access
from chatvault.actor import Actor, Door
from chatvault.exporting.jobs.models import ExportJob, ExportState
from chatvault.fields import Raw
from chatvault.importing.models import ACTIVE, ImportJob
from chatvault.live.events import EXPORT, IMPORT, JobStarted
from chatvault.live.hub import Hub
from chatvault.live.mailbox import Mailbox

LOOK_SECONDS = 1.0
# The most jobs that one process looks at; of more, the first are shown.
MOST = 500


@dataclass(frozen=True, slots=True)
class Watched:
    """A kind of jobs.

    Attributes:
        list_active: returns the jobs of an owner's that have not ended.
        list_progress: returns how far these are.
        frame: tells it, in fields of which `state` is one.
        active: the states of jobs that have not ended.
    """

    list_active: Callable[[Access], Awaitable[list[Raw]]]
    list_progress: Callable[[Access, list[ObjectId]], Awaitable[list[Raw]]]
    frame: Callable[[Raw], Raw]
    active: frozenset[str]


@dataclass(slots=True)
class _Known:
    """A job that is looked at, and the last frame about it."""

    access: Access
    told: Raw | None = None


class JobWatch:
    """Looks every second at the jobs that run, while their users are connected."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, ObjectId], _Known] = {}
        self._is_due = asyncio.Event()

    async def begin(self, access: Access, mailbox: Mailbox) -> None:
        """Report its user's jobs to a new connection, and look at them from now on."""
        for kind, watched in KINDS.items():
            for job in await watched.list_active(access):
                frame = watched.frame(job)
                mailbox.show_progress(f"{kind} {job['_id']}", frame)
                self._add(kind, job["_id"], _Known(access, frame))

    def note(self, started: JobStarted) -> None:
        """Look at a job from now on."""
        access = Access.of(_owner(started.user_id))
        self._add(started.kind, started.job_id, _Known(access))

    def _add(self, kind: str, job_id: ObjectId, known: _Known) -> None:
        if len(self._known) < MOST:
            self._known.setdefault((kind, job_id), known)
            self._is_due.set()

    async def run(self, hub: Hub) -> None:
        """Look until cancelled."""
        while True:
            if not self._known:
                self._is_due.clear()
            await self._is_due.wait()
            await self._look(hub)
            await asyncio.sleep(LOOK_SECONDS)

    async def _look(self, hub: Hub) -> None:
        by_owner: dict[tuple[str, Access], list[ObjectId]] = {}
        for (kind, job_id), known in self._known.items():
            by_owner.setdefault((kind, known.access), []).append(job_id)
        for (kind, access), ids in by_owner.items():
            watched, mailboxes = KINDS[kind], hub.mailboxes_of(access.owner_id)
            jobs = await watched.list_progress(access, ids) if mailboxes else []
            self._tell(kind, jobs, mailboxes)
            for job_id in {*ids} - {job["_id"] for job in jobs if job["state"] in watched.active}:
                del self._known[kind, job_id]

    def _tell(self, kind: str, jobs: list[Raw], mailboxes: list[Mailbox]) -> None:
        for job in jobs:
            known, frame = self._known[kind, job["_id"]], KINDS[kind].frame(job)
            if frame != known.told:
                known.told = frame
                for mailbox in mailboxes:
                    mailbox.show_progress(f"{kind} {job['_id']}", frame)


def _owner(user_id: ObjectId) -> Actor:
    return Actor(door=Door.BACKGROUND, user_id=user_id)


def import_frame(job: Raw) -> Raw:
    """Return the frame that tells how far an import is."""
    names = ("state", "size", "read", "found", "done", "version")
    return {
        "type": "import.progress",
        "import_id": job["_id"],
        **{name: job[name] for name in names},
    }


def export_frame(job: Raw) -> Raw:
    """Return the frame that tells how far an export is."""
    return {
        "type": "export.progress",
        "export_id": job["_id"],
        **{name: job[name] for name in ("state", "total", "done", "code")},
        "parts": len(job["parts"]),
    }


KINDS: Mapping[str, Watched] = {
    IMPORT: Watched(
        ImportJob.list_active, ImportJob.list_progress, import_frame, frozenset(ACTIVE)
    ),
    EXPORT: Watched(
        lambda access: ExportJob.list_active(_owner(access.owner_id)),
        lambda access, ids: ExportJob.list_progress(_owner(access.owner_id), ids),
        export_frame,
        frozenset({ExportState.WAITING, ExportState.RUNNING}),
    ),
}
