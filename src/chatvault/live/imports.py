"""Tells connected users how far their imports are, which the audit log does not."""

import asyncio

from bson import ObjectId

from chatvault.access import Access
from chatvault.actor import Actor, Door
from chatvault.fields import Raw
from chatvault.importing.models import ACTIVE, ImportJob
from chatvault.live.events import ImportStarted
from chatvault.live.hub import Hub
from chatvault.live.mailbox import Mailbox

LOOK_SECONDS = 1.0
# The most imports that one process looks at; of more, the first are shown.
MOST = 500


class ImportWatch:
    """Looks every second at the imports that run, while their users are connected."""

    def __init__(self) -> None:
        self._known: dict[ObjectId, tuple[Access, int]] = {}
        self._is_due = asyncio.Event()

    async def begin(self, access: Access, mailbox: Mailbox) -> None:
        """Report its user's imports to a new connection, and look at them from now on."""
        for job in await ImportJob.list_active(access):
            mailbox.show_progress(str(job["_id"]), progress_frame(job))
            self._add(access, job["_id"], job["version"])

    def note(self, started: ImportStarted) -> None:
        """Look at an import from now on."""
        actor = Actor(door=Door.BACKGROUND, user_id=started.user_id)
        self._add(Access.of(actor), started.import_id, 0)

    def _add(self, access: Access, import_id: ObjectId, version: int) -> None:
        if len(self._known) < MOST:
            self._known.setdefault(import_id, (access, version))
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
        by_owner: dict[Access, list[ObjectId]] = {}
        for import_id, (access, _) in self._known.items():
            by_owner.setdefault(access, []).append(import_id)
        for access, ids in by_owner.items():
            mailboxes = hub.mailboxes_of(access.owner_id)
            jobs = await ImportJob.list_progress(access, ids) if mailboxes else []
            self._tell(access, jobs, mailboxes)
            for import_id in {*ids} - {job["_id"] for job in jobs if job["state"] in ACTIVE}:
                del self._known[import_id]

    def _tell(self, access: Access, jobs: list[Raw], mailboxes: list[Mailbox]) -> None:
        for job in jobs:
            if job["version"] > self._known[job["_id"]][1]:
                self._known[job["_id"]] = (access, job["version"])
                for mailbox in mailboxes:
                    mailbox.show_progress(str(job["_id"]), progress_frame(job))


def progress_frame(job: Raw) -> Raw:
    """Return the frame that tells how far an import is."""
    names = ("state", "size", "read", "found", "done", "version")
    return {
        "type": "import.progress",
        "import_id": job["_id"],
        **{name: job[name] for name in names},
    }
