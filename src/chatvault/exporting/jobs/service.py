"""Exports in the background: create, get, list, read parts, delete."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from bson import ObjectId
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import DuplicateKeyError

from chatvault.access import Access
from chatvault.actor import Actor
from chatvault.audit import service as audit
from chatvault.audit.actions import Action
from chatvault.audit.models import AuditEntry
from chatvault.byte_ranges import ByteRange, parse_range
from chatvault.conversations.models import Conversation
from chatvault.errors import Conflict, NotFound
from chatvault.exporting.jobs.models import (
    CHUNK_BYTES,
    KEPT_STATES,
    ExportChunk,
    ExportJob,
    ExportState,
    PartDoc,
)
from chatvault.exporting.jobs.schemas import ExportCreate
from chatvault.exporting.records import Counts
from chatvault.exporting.schemas import ConversationFormat, WithAttachments
from chatvault.exporting.service import check_format, includes_attachments
from chatvault.exporting.turns import ExportDeps
from chatvault.fields import Raw, now
from chatvault.idempotency import IdempotencyKey, Idempotent, act_once, was_carried_out
from chatvault.mongodb.database import transaction

NEVER = ObjectId(b"\x00" * 12)
# The bytes of a removed export are kept until its process has noticed the removal.
NOTICED_AFTER = timedelta(minutes=1)


class ExportInProgress(Conflict):
    """An export of yours is being made already; wait for its end, or remove it."""

    code = "export_in_progress"


@dataclass(frozen=True, slots=True)
class Part:
    """A part of an export.

    Attributes:
        tag: the strong ETag of its bytes.
        bounds: the requested range of bytes.
    """

    actor: Actor
    export_id: ObjectId
    document: PartDoc
    tag: str
    bounds: ByteRange

    async def read(self) -> AsyncGenerator[bytes]:
        """Yield the requested bytes.

        Raises:
            NotFound: it was removed in the middle.
        """
        writing = self.document["writing"]
        start, end = self.bounds.start, self.bounds.end
        while start < end:
            no, skip = divmod(start, CHUNK_BYTES)
            data = await ExportChunk.find_data(self.actor, self.export_id, writing, no)
            if not data or len(data) <= skip:
                raise NotFound("Export not found")
            taken = data[skip : skip + end - start]
            yield taken
            start += len(taken)


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedExport:
    """The export that is wanted.

    Attributes:
        attachments: whether their bytes are in it; None for the format's default.
        ids: the conversations; None for those that match.
        filter: the query for the conversations.
    """

    format: ConversationFormat
    attachments: WithAttachments | None
    ids: Sequence[ObjectId] | None
    filter: Raw


async def create(
    actor: Actor, deps: ExportDeps, *, wanted: ExportCreate, idempotency_key: IdempotencyKey | None
) -> Raw:
    """Store an export for a process to make, and return it; raises as `begin` does."""
    export = WantedExport(
        format=wanted.format,
        attachments=wanted.attachments,
        ids=wanted.ids,
        filter=filter_of(wanted),
    )
    return await begin(actor, deps, wanted=export, idempotency_key=idempotency_key)


async def begin(
    actor: Actor, deps: ExportDeps, *, wanted: WantedExport, idempotency_key: IdempotencyKey | None
) -> Raw:
    """Store an export for a process to make, and return it.

    Raises:
        NotFound: one of the conversations is not the actor's.
        ExportInProgress: another one of the actor's has not ended.
        PdfNotInstalled: the service makes no PDF.
        InvalidInput: the format has no place for attachments.
        Throttled: too many exports in this minute.
        KeyReused: the key came with another request.
    """
    check_format(wanted.format)
    attachments = includes_attachments(
        wanted.format, wanted.attachments, is_archive=True, named_in="body"
    )
    if not await was_carried_out(actor, idempotency_key):
        await deps.admit(actor)
    mine = await Conversation.list_ids(Access.of(actor), **wanted.filter)
    if wanted.ids is not None and set(wanted.ids) - set(mine):
        raise NotFound("Conversation not found")
    total = len(mine) if wanted.ids is None else len(set(wanted.ids))
    job = _new(actor, wanted, until=max(mine, default=NEVER), total=total)
    job["attachments"] = attachments

    async def store(session: AsyncClientSession) -> Raw:
        exports = ExportJob.get_pymongo_collection()
        open_one = ExportJob.owned_by(actor, is_open=True)
        if await exports.find_one(open_one, {"_id": True}, session=session):
            raise ExportInProgress
        try:
            await exports.insert_one(job, session=session)
        except DuplicateKeyError:
            raise ExportInProgress from None
        details = {"format": wanted.format.value, "conversations": total}
        made = audit.entry(actor, Action.EXPORT_CREATE, job["_id"], details=details)
        await AuditEntry.store([made], session)
        return job

    idempotent = idempotency_key and _idempotent(actor, idempotency_key)
    made = await transaction(
        lambda session: act_once(actor, Action.EXPORT_CREATE, idempotent, session, store),
        turn=("export", actor.owner_id),
    )
    deps.due.set()
    return made


def filter_of(wanted: ExportCreate) -> Raw:
    """Return the filter of the requested conversations."""
    found: Raw = {}
    if wanted.filter is not None:
        if wanted.filter.status is not None:
            found["status"] = wanted.filter.status.value
        between = {"$gte": wanted.filter.updated_since, "$lte": wanted.filter.updated_until}
        if updated := {name: value for name, value in between.items() if value is not None}:
            found["updated_at"] = updated
    return found


def _new(actor: Actor, wanted: WantedExport, *, until: ObjectId, total: int) -> Raw:
    at = now()
    return ExportJob.owned_by(
        actor,
        _id=ObjectId(),
        format=wanted.format.value,
        ids=None if wanted.ids is None else sorted(set(wanted.ids)),
        filter=wanted.filter,
        created_at=at,
        until=until,
        cursor=None,
        total=total,
        done=0,
        counts=Counts().to_raw(),
        parts=[],
        state=ExportState.WAITING.value,
        is_open=True,
        due_at=at,
        attempts=0,
        failures=0,
        code=None,
        expires_at=None,
    )


def _idempotent(actor: Actor, idempotency_key: IdempotencyKey) -> Idempotent[Raw]:
    async def find(export_id: ObjectId, session: AsyncClientSession) -> Raw:
        return await ExportJob.get_raw(actor, export_id, session)

    return Idempotent.by_id(
        idempotency_key,
        "export_id",
        id_of=lambda job: job["_id"],
        find=find,
        target="export_id",
    )


async def list_exports(actor: Actor, deps: ExportDeps) -> list[Raw]:
    """Return the actor's newest exports, the newest first."""
    found = await ExportJob.list_raw(actor)
    await deps.recorder.record(audit.entry(actor, Action.EXPORT_LIST))
    return found


async def get(actor: Actor, deps: ExportDeps, *, export_id: ObjectId) -> Raw:
    """Return an export of the actor's.

    Raises:
        NotFound: there is none.
    """
    found = await ExportJob.get_raw(actor, export_id)
    await deps.recorder.record(audit.entry(actor, Action.EXPORT_GET, export_id))
    return found


async def get_part(
    actor: Actor,
    deps: ExportDeps,
    *,
    export_id: ObjectId,
    number: int,
    wanted: str,
    if_range: str,
) -> Part:
    """Return a part of an export of the actor's.

    Args:
        actor: the export's owner.
        deps: the dependencies of exports.
        export_id: the export's id.
        number: the number of the part, from 1 on.
        wanted: the value of `Range`.
        if_range: the tag that the range is meant for; empty for any.

    Raises:
        NotFound: there is none, or none yet.
        RangeNotSatisfiable: the part ends before the range.
    """
    parts: list[Any] = (await ExportJob.get_raw(actor, export_id))["parts"]
    if number > len(parts):
        raise NotFound("Part not found")
    document = parts[number - 1]
    tag = f'"{document["hash"]}"'
    bounds = parse_range(wanted if if_range in {"", tag} else "", document["bytes"])
    entry = audit.entry(actor, Action.EXPORT_GET_PART, export_id, details={"part": number})
    await deps.recorder.record(entry)
    return Part(actor, export_id, document, tag, bounds)


async def delete(actor: Actor, deps: ExportDeps, *, export_id: ObjectId) -> None:
    """Remove an export of the actor's; stop it if it is being made.

    Its bytes are removed by the export worker.

    Raises:
        NotFound: there is none.
    """

    async def remove(session: AsyncClientSession) -> None:
        mine = ExportJob.owned_by(actor, _id=export_id, state=KEPT_STATES)
        gone = {
            "state": ExportState.REMOVED.value,
            "is_open": False,
            "expires_at": now() + NOTICED_AFTER,
        }
        changed = await ExportJob.get_pymongo_collection().update_one(
            mine, {"$set": gone}, session=session
        )
        if not changed.matched_count:
            raise NotFound("Export not found")
        await AuditEntry.store([audit.entry(actor, Action.EXPORT_DELETE, export_id)], session)

    await transaction(remove, turn=("export", actor.owner_id))
    deps.due.set()
