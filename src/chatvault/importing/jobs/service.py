"""Imports that run in the background: start, get, list, follow, cancel."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from bson import ObjectId
from pymongo import UpdateOne
from pymongo.asynchronous.client_session import AsyncClientSession

from chatvault.access import Access
from chatvault.actor import Actor
from chatvault.audit import service as audit
from chatvault.audit.actions import Action
from chatvault.audit.models import AuditEntry
from chatvault.errors import Conflict, Throttled
from chatvault.fields import Raw, now
from chatvault.idempotency import IdempotencyKey, Idempotent, act_once
from chatvault.importing.deps import ImportDeps
from chatvault.importing.models import ACTIVE, JOB_TTL, ImportJob, JobState, Upload
from chatvault.importing.schemas import ImportQuery
from chatvault.importing.uploads.files import UploadFiles
from chatvault.importing.uploads.service import UploadElsewhere, UploadInUse
from chatvault.mongodb import leases
from chatvault.mongodb.database import transaction

MAX_ACTIVE: Final = 10
# Seconds between two reads of an import for those who follow it.
POLL: Final = 0.5
# The number, name and data of a server-sent event.
Event = tuple[int, str, dict[str, Any]]


class UploadIncomplete(Conflict):
    """The upload has not arrived as a whole; send the rest of it first."""

    code = "upload_incomplete"


@dataclass(frozen=True, slots=True)
class JobDeps:
    """The dependencies of imports in the background.

    Attributes:
        imports: the dependencies of all imports.
        files: has the uploads' bytes.
        due: set when an import may be waiting to be run.
        closing: set when the service shuts down, so that streams end.
    """

    imports: ImportDeps
    files: UploadFiles
    due: asyncio.Event = field(default_factory=asyncio.Event)
    closing: asyncio.Event = field(default_factory=asyncio.Event)


async def start(
    actor: Actor,
    deps: JobDeps,
    *,
    upload_ids: Sequence[ObjectId],
    wanted: ImportQuery,
    idempotency_key: IdempotencyKey | None = None,
) -> Raw:
    """Start an import of uploads; return it, still without a report.

    Raises:
        NotFound: one of the uploads is not the actor's.
        UploadElsewhere: another machine has the bytes of one.
        UploadIncomplete: one has not arrived completely.
        UploadInUse: another import uses one.
        Throttled: too many imports of the actor's are waiting.
        KeyReused: the key came with another request.
    """
    access = Access.of(actor)

    async def insert(session: AsyncClientSession) -> Raw:
        job = await _prepare(access, deps, upload_ids, wanted)
        jobs = ImportJob.get_pymongo_collection()
        active = ImportJob.owned_by(access, state={"$in": ACTIVE})
        if await jobs.count_documents(active, session=session) >= MAX_ACTIVE:
            raise Throttled(
                f"At most {MAX_ACTIVE} imports may wait; wait until one has ended.", retry_after=30
            )
        await jobs.insert_one(dict(job), session=session)
        # It may have to wait for other imports of the actor's.
        mine = Upload.owned_by(access, _id={"$in": job["uploads"]})
        later = {"$set": {"expires_at": now() + JOB_TTL}}
        await Upload.get_pymongo_collection().update_many(mine, later, session=session)
        details = {"uploads": len(upload_ids), "bytes": job["size"]}
        entry = audit.entry(actor, Action.IMPORT_START, job["_id"], details=details)
        await AuditEntry.store([entry], session)
        return job

    async def find(import_id: ObjectId, _session: AsyncClientSession) -> Raw:
        return await ImportJob.get_raw(access, import_id)

    known = idempotency_key and Idempotent.by_id(
        idempotency_key, "import_id", id_of=_id_of, find=find, target="import_id"
    )
    async with leases.hold(f"imports of {access.owner_id}"):
        job = await transaction(
            lambda session: act_once(actor, Action.IMPORT_START, known, session, insert)
        )
    deps.due.set()
    return job


def _id_of(job: Raw) -> ObjectId:
    found: ObjectId = job["_id"]
    return found


async def _prepare(
    access: Access, deps: JobDeps, upload_ids: Sequence[ObjectId], wanted: ImportQuery
) -> Raw:
    uploads = [await Upload.get_raw(access, each) for each in dict.fromkeys(upload_ids)]
    for upload in uploads:
        size = await asyncio.to_thread(deps.files.size, upload["_id"])
        if size is None:
            raise UploadElsewhere
        if size != upload["length"]:
            raise UploadIncomplete
        if await ImportJob.find_active(access, upload["_id"]) is not None:
            raise UploadInUse
    made = ImportJob(
        user_id=access.owner_id,
        state=JobState.QUEUED,
        options=wanted.model_dump(mode="json", exclude={"upload_id"}),
        uploads=[each["_id"] for each in uploads],
        names=[each["name"] for each in uploads],
        size=sum(each["length"] for each in uploads),
        place=await asyncio.to_thread(deps.files.place),
        created_at=now(),
        lease_until=now(),
    )
    fields = made.model_dump(mode="python", exclude={"id", "revision_id"})
    return {"_id": ObjectId(), **fields, "state": JobState.QUEUED.value}


async def get(actor: Actor, deps: JobDeps, *, import_id: ObjectId) -> Raw:
    """Return an import.

    Raises:
        NotFound: the actor has no such import.
    """
    job = await ImportJob.get_raw(Access.of(actor), import_id)
    await deps.imports.recorder.record(audit.entry(actor, Action.IMPORT_GET, import_id))
    return job


async def list_page(
    actor: Actor, deps: JobDeps, *, limit: int, after: ObjectId | None
) -> tuple[list[Raw], ObjectId | None]:
    """Return the actor's imports, the newest first, and the cursor of the next page."""
    which = {} if after is None else {"_id": {"$lt": after}}
    query = ImportJob.owned_by(Access.of(actor), **which)
    found = ImportJob.get_pymongo_collection().find(query).sort("_id", -1).limit(limit + 1)
    jobs = await found.to_list()
    details = {"imports": min(len(jobs), limit)}
    await deps.imports.recorder.record(audit.entry(actor, Action.IMPORT_LIST, details=details))
    return jobs[:limit], jobs[limit - 1]["_id"] if len(jobs) > limit else None


async def open_events(
    actor: Actor, deps: JobDeps, *, import_id: ObjectId, after: int
) -> AsyncGenerator[tuple[int, Raw]]:
    """Return the events of an import after a number, until it has ended.

    Raises:
        NotFound: the actor has no such import.
    """
    access = Access.of(actor)
    await ImportJob.get_raw(access, import_id)
    await deps.imports.recorder.record(audit.entry(actor, Action.IMPORT_FOLLOW, import_id))
    return _follow(access, deps, import_id, after)


async def _follow(
    access: Access, deps: JobDeps, import_id: ObjectId, after: int
) -> AsyncGenerator[tuple[int, Raw]]:
    while not deps.closing.is_set():
        job = await ImportJob.get_raw(access, import_id)
        if job["version"] > after:
            after = job["version"]
            yield after, job
        if job["state"] not in ACTIVE:
            return
        await asyncio.sleep(POLL)


async def cancel(
    actor: Actor,
    deps: JobDeps,
    *,
    import_id: ObjectId,
    idempotency_key: IdempotencyKey | None = None,
) -> Raw:
    """Cancel an import; what it has imported stays. One that has ended is not changed.

    Raises:
        NotFound: the actor has no such import.
        KeyReused: the key came with another request.
    """
    access = Access.of(actor)

    async def ask(session: AsyncClientSession) -> Raw:
        await ImportJob.get_raw(access, import_id)
        jobs = ImportJob.get_pymongo_collection()
        mine = ImportJob.owned_by(access, _id=import_id)
        ended = {"state": JobState.CANCELLED.value, "ended_at": now()}
        writes = [
            UpdateOne(
                {**mine, "state": JobState.QUEUED.value},
                {"$set": {**ended, "cancel_requested": True}, "$inc": {"version": 1}},
            ),
            UpdateOne(
                {**mine, "state": JobState.RUNNING.value, "cancel_requested": False},
                {"$set": {"cancel_requested": True}, "$inc": {"version": 1}},
            ),
        ]
        await jobs.bulk_write(writes, session=session)
        await AuditEntry.store([audit.entry(actor, Action.IMPORT_CANCEL, import_id)], session)
        return await ImportJob.get_raw(access, import_id, session)

    async def find(found: ObjectId, _session: AsyncClientSession) -> Raw:
        return await ImportJob.get_raw(access, found)

    known = idempotency_key and Idempotent.by_id(
        idempotency_key, "import_id", id_of=_id_of, find=find, target="import_id"
    )
    job = await transaction(
        lambda session: act_once(actor, Action.IMPORT_CANCEL, known, session, ask)
    )
    if job["state"] == JobState.CANCELLED.value:
        await remove_uploads(access, deps.files, job)
    return job


async def remove_uploads(access: Access, files: UploadFiles, job: Raw) -> None:
    """Remove the uploads of an import that needs them no longer."""
    for upload_id in job["uploads"]:
        await asyncio.to_thread(files.remove, upload_id)
    which = Upload.owned_by(access, _id={"$in": job["uploads"]})
    await Upload.get_pymongo_collection().delete_many(which)
