"""Resumable uploads: create, append at an offset, get the offset, delete."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import NamedTuple

from bson import ObjectId
from pymongo.asynchronous.client_session import AsyncClientSession

from chatvault.access import Access
from chatvault.actor import Actor
from chatvault.audit import service as audit
from chatvault.audit.actions import Action
from chatvault.audit.models import AuditEntry
from chatvault.audit.recorder import Recorder
from chatvault.errors import Conflict, NotFound, Throttled, TooLarge
from chatvault.fields import Raw, now
from chatvault.idempotency import IdempotencyKey, Idempotent, act_once
from chatvault.importing.conversations import one_line
from chatvault.importing.models import UPLOAD_TTL, ImportJob, Upload
from chatvault.importing.uploads.files import UploadFiles
from chatvault.mongodb import leases
from chatvault.mongodb.database import transaction

GB = 1024**3
MAX_LENGTH = 4 * GB
MAX_UPLOADS = 20
# Bytes are written to the disk in blocks of this size.
BLOCK = 1024 * 1024
# Seconds that a part waits for the previous one, whose connection may have broken.
PATIENCE = 5.0


class WrongOffset(Conflict):
    """The part does not begin where the upload ends; get its offset, and continue there."""

    code = "wrong_offset"


class UploadBusy(Conflict):
    """Another part of this upload is being received; get its offset, and continue there."""

    code = "upload_busy"


class UploadElsewhere(Conflict):
    """Another machine has the bytes of this upload; send it there, or begin a new one."""

    code = "upload_elsewhere"


class UploadInUse(Conflict):
    """An import waits for this upload or works on it; cancel the import first."""

    code = "upload_in_use"


@dataclass(frozen=True, slots=True)
class UploadDeps:
    """The dependencies of uploads.

    Attributes:
        files: stores their bytes.
        recorder: takes the audit entries of operations that change nothing in the database.
        most: the limit of bytes that all uploads of one user may have.
    """

    files: UploadFiles
    recorder: Recorder
    most: int


class UploadState(NamedTuple):
    """An upload and the number of its bytes that have arrived."""

    upload: Raw
    offset: int


async def create(
    actor: Actor,
    deps: UploadDeps,
    *,
    length: int,
    name: str,
    idempotency_key: IdempotencyKey | None = None,
) -> UploadState:
    """Create an upload of that many bytes.

    Raises:
        TooLarge: that is more than an upload may have.
        Throttled: the actor has too many uploads, or they would exceed the limit of bytes.
        NoSpace: the disk is full.
        KeyReused: the key came with another request.
    """
    access = Access.of(actor)
    if length > min(MAX_LENGTH, deps.most):
        most = min(MAX_LENGTH, deps.most) / GB
        raise TooLarge(f"An upload may have at most {most:,.0f} GB.")
    upload: Raw = Upload.owned_by(
        access,
        _id=ObjectId(),
        place=await asyncio.to_thread(deps.files.place),
        name=one_line(name)[:255],
        length=length,
        created_at=now(),
        expires_at=now() + UPLOAD_TTL,
    )

    async def insert(session: AsyncClientSession) -> ObjectId:
        await _check_quota(access, deps, length, session)
        await asyncio.to_thread(deps.files.create, upload["_id"], length)
        await Upload.get_pymongo_collection().insert_one(dict(upload), session=session)
        entry = audit.entry(
            actor, Action.IMPORT_CREATE_UPLOAD, upload["_id"], details={"bytes": length}
        )
        await AuditEntry.store([entry], session)
        upload_id: ObjectId = upload["_id"]
        return upload_id

    async def find(upload_id: ObjectId, _session: AsyncClientSession) -> ObjectId:
        return upload_id

    known = idempotency_key and Idempotent.by_id(
        idempotency_key, "upload_id", id_of=lambda found: found, find=find, target="upload_id"
    )
    # One at a time, so that concurrent uploads together stay within the limit.
    async with leases.hold(f"uploads of {access.owner_id}"):
        upload_id = await transaction(
            lambda session: act_once(actor, Action.IMPORT_CREATE_UPLOAD, known, session, insert),
            attempts=1,
        )
    return await _find(access, deps, upload_id)


async def _check_quota(
    access: Access, deps: UploadDeps, length: int, session: AsyncClientSession
) -> None:
    found = Upload.get_pymongo_collection().find(
        Upload.owned_by(access), {"length": True}, session=session
    )
    lengths = [each["length"] async for each in found]
    if len(lengths) >= MAX_UPLOADS or sum(lengths) + length > deps.most:
        raise Throttled(
            f"Your uploads may be {MAX_UPLOADS} and have {deps.most / GB:,.0f} GB together; "
            "import or remove some of them first.",
            retry_after=60,
        )


async def get(actor: Actor, deps: UploadDeps, *, upload_id: ObjectId) -> UploadState:
    """Return an upload and how much of it has arrived.

    Raises:
        NotFound: the actor has no such upload.
        UploadElsewhere: this machine does not have its bytes.
    """
    state = await _find(Access.of(actor), deps, upload_id)
    await deps.recorder.record(audit.entry(actor, Action.IMPORT_GET_UPLOAD, upload_id))
    return state


async def _find(access: Access, deps: UploadDeps, upload_id: ObjectId) -> UploadState:
    upload = await Upload.get_raw(access, upload_id)
    offset = await asyncio.to_thread(deps.files.size, upload_id)
    if offset is None:
        raise UploadElsewhere
    return UploadState(upload, offset)


async def append(
    actor: Actor,
    deps: UploadDeps,
    *,
    upload_id: ObjectId,
    offset: int,
    length: int | None,
    chunks: AsyncIterator[bytes],
) -> UploadState:
    """Append a part; if the connection breaks, the bytes received so far stay.

    Args:
        actor: whose upload it is.
        deps: the dependencies of uploads.
        upload_id: the upload's id.
        offset: where the part begins.
        length: its number of bytes; None if unknown.
        chunks: its bytes.

    Raises:
        NotFound: the actor has no such upload.
        UploadElsewhere: this machine does not have its bytes.
        UploadBusy: another part is being received.
        UploadInUse: an import uses it.
        WrongOffset: the part does not begin where the upload ends.
        TooLarge: it is longer than the rest of the upload.
        NoSpace: the disk is full.
    """
    access = Access.of(actor)
    await _find(access, deps, upload_id)
    async with _lock_upload(upload_id):
        upload, received = await _find(access, deps, upload_id)
        if await ImportJob.find_active(access, upload_id) is not None:
            raise UploadInUse
        if offset != received:
            raise WrongOffset(
                f"The part begins at {offset:,}, and the upload has {received:,} bytes."
            )
        missing = upload["length"] - received
        if length is not None and length > missing:
            raise _too_long(missing)
        await _receive(deps.files, upload_id, chunks, missing)
    state = await _find(access, deps, upload_id)
    details = {"bytes": state.offset - received}
    entry = audit.entry(actor, Action.IMPORT_APPEND_UPLOAD, upload_id, details=details)
    await deps.recorder.record(entry)
    return state


@contextlib.asynccontextmanager
async def _lock_upload(upload_id: ObjectId) -> AsyncIterator[None]:
    """Lock an upload, over all processes, so that one part is received at a time."""
    async with contextlib.AsyncExitStack() as stack:
        try:
            async with asyncio.timeout(PATIENCE) as waiting:
                await stack.enter_async_context(leases.hold(f"upload {upload_id}"))
        except TimeoutError:
            if waiting.expired():
                raise UploadBusy(retry_after=PATIENCE) from None
            raise
        yield


async def _receive(
    files: UploadFiles, upload_id: ObjectId, chunks: AsyncIterator[bytes], missing: int
) -> None:
    pending = bytearray()
    try:
        async for chunk in chunks:
            missing -= len(chunk)
            if missing < 0:
                raise _too_long(missing + len(chunk))
            pending += chunk
            if len(pending) >= BLOCK:
                block, pending = bytes(pending), bytearray()
                await asyncio.to_thread(files.append, upload_id, block)
    finally:
        # A client whose connection broke continues after the received bytes.
        await asyncio.to_thread(files.append, upload_id, bytes(pending))
        await asyncio.to_thread(files.sync, upload_id)


def _too_long(missing: int) -> TooLarge:
    return TooLarge(f"The part is longer than the {missing:,} bytes that are missing.")


async def delete(actor: Actor, deps: UploadDeps, *, upload_id: ObjectId) -> None:
    """Delete an upload.

    Raises:
        NotFound: the actor has no such upload.
        UploadInUse: an import uses it.
    """
    access = Access.of(actor)
    await Upload.get_raw(access, upload_id)
    if await ImportJob.find_active(access, upload_id) is not None:
        raise UploadInUse

    async def remove(session: AsyncClientSession) -> None:
        mine = Upload.owned_by(access, _id=upload_id)
        if not (
            await Upload.get_pymongo_collection().delete_one(mine, session=session)
        ).deleted_count:
            raise NotFound("Upload not found")
        await AuditEntry.store(
            [audit.entry(actor, Action.IMPORT_DELETE_UPLOAD, upload_id)], session
        )

    await transaction(remove)
    await asyncio.to_thread(deps.files.remove, upload_id)
