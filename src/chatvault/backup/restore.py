"""Restore a backup into an empty database, so that it can be repeated if it breaks off."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pymongo
from bson.raw_bson import RawBSONDocument
from pymongo.asynchronous.database import AsyncDatabase

from chatvault import documents
from chatvault.actor import Actor
from chatvault.audit.mark import Mark
from chatvault.audit.models import AuditEntry
from chatvault.backup import collections
from chatvault.backup.errors import BackupDamaged, NotRestorable
from chatvault.backup.files import BackupReader
from chatvault.backup.service import Checked, Count, require_operator
from chatvault.fields import Raw, now
from chatvault.importing.models import ACTIVE, ImportJob, JobState
from chatvault.mongodb import restoring
from chatvault.mongodb.leases import Lease
from chatvault.sealing.blocks import Block, Header
from chatvault.sealing.restores import record_restore
from chatvault.sealing.sealer import Sealer
from chatvault.sealing.verifications import Verification
from chatvault.sealing.verify import NotVerified, Verified, verify

# The audit log and what describes it.
LOG: Final = frozenset(kind.Settings.name for kind in (AuditEntry, Block, Verification))
_BATCH_SECONDS: Final = 120.0
# The longest time for one step: the indexes of a collection, or the removal of its documents.
_STEP_SECONDS: Final = 6 * 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The database that a backup is restored to.

    Attributes:
        database: an empty one.
        bind: binds the documents to it, and makes the indexes.
        known: the newest block that was noted outside MongoDB before; None without a note.
        note: notes another block in its place.
    """

    database: AsyncDatabase[Any]
    bind: Callable[[], Awaitable[None]]
    known: Mark | None
    note: Callable[[Mark], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """A backup that was restored.

    Attributes:
        documents: how many.
        collections: how many.
        verified: what the verification of the audit log found; None without a log.
        finding: why the log does not verify, as it did not in the backup; None if it does.
    """

    documents: int
    collections: int
    verified: Verified | None
    finding: str | None = None


async def restore(
    actor: Actor,
    target: Target,
    *,
    files: list[tuple[Path, Checked]],
    with_log: bool,
    count: Count,
) -> Restored:
    """Write the documents of a backup into an empty database; for an operator.

    Until the last step the database is marked as half restored. Repeating this removes what an
    attempt that broke off has written.

    Args:
        actor: the operator.
        target: where to.
        files: the checked files of the backup.
        with_log: restore the audit log, too; else a new one begins.
        count: called with how many more bytes of the files were read.

    Raises:
        Denied: the actor is no operator.
        NotRestorable: the database is not empty, or a service uses it.
        BackupDamaged: a file was changed since it was checked.
        PyMongoError: the database cannot be reached.
    """
    require_operator(actor)
    database = target.database
    if await restoring.find_unfinished(database) is None:
        await _refuse_filled(database)
    await _refuse_used(database)
    checked = files[0][1]
    await restoring.begin(database, backup=checked.header.id)
    await _empty(database)
    left_out = frozenset() if with_log else LOG
    wanted: dict[str, int] = {}
    for path, each in files:
        await _write(database, path, left_out=left_out, count=count)
        wanted |= {name: n for name, n in each.end.counts.items() if name not in left_out}
    await _compare_counts(database, wanted)
    with pymongo.timeout(_STEP_SECONDS):
        await target.bind()
    told: Raw = {
        "made_at": checked.header.made_at,
        "documents": sum(wanted.values()),
        "imports_ended": await _end_imports(database),
    }
    verified, finding = await _verify(checked) if with_log else (None, None)
    if finding is not None:
        told["finding"] = finding
    backup, known = checked.header.id, target.known
    await record_restore(actor, backup=backup, known=known, with_log=with_log, details=told)
    if finding is None:
        await Sealer().follow(until_idle=True, is_restored=True)
    await restoring.end(database)
    await target.note(AuditEntry.high_water().newest)
    return Restored(
        documents=sum(wanted.values()),
        collections=len(wanted),
        verified=verified,
        finding=finding,
    )


async def _end_imports(database: AsyncDatabase[Any]) -> int:
    """End the imports that waited or ran, as their uploads are not in the backup."""
    ended = {
        "state": JobState.FAILED.value,
        "code": "upload_missing",
        "detail": "A backup was restored, which has no uploads; upload it again.",
        "ended_at": now(),
    }
    result = await database[ImportJob.Settings.name].update_many(
        {"state": {"$in": ACTIVE}}, {"$set": ended, "$inc": {"version": 1}}
    )
    return int(result.modified_count)


async def _refuse_filled(database: AsyncDatabase[Any]) -> None:
    """Raise unless no collection that a backup contains has a document."""
    for name in collections.contained():
        if await database[name].find_one({}, {"_id": True}) is not None:
            raise NotRestorable(
                f"The database {database.name} is not empty: {name} has documents. Restore into "
                "an empty one: set CHATVAULT_MONGODB_DATABASE to a new name, or "
                "CHATVAULT_DATA_DIR to a new directory; nothing was changed"
            )


async def _refuse_used(database: AsyncDatabase[Any]) -> None:
    """Raise if a service uses the database, as it renews leases there."""
    held = {"$expr": {"$gt": ["$until", "$$NOW"]}}
    if await database[Lease.Settings.name].find_one(held) is not None:
        raise NotRestorable(
            f"A service uses the database {database.name}: stop it, and try again ten seconds "
            "later; nothing was changed"
        )


async def _empty(database: AsyncDatabase[Any]) -> None:
    """Delete what an attempt that broke off wrote, and sessions, leases and counters.

    Collections stay, as they may be sharded.
    """
    there = set(await database.list_collection_names())
    with pymongo.timeout(_STEP_SECONDS):
        for name in documents.HOLDS:
            if name in there and name != restoring.COLLECTION:
                await database[name].delete_many({})


async def _write(
    database: AsyncDatabase[Any], path: Path, *, left_out: frozenset[str], count: Count
) -> None:
    with BackupReader.open(path, count) as reader:
        batches = reader.batches()
        # In a thread, as it decompresses.
        while (batch := await asyncio.to_thread(next, batches, None)) is not None:
            name, found = batch
            if found and name not in left_out:
                with pymongo.timeout(_BATCH_SECONDS):
                    raw = [RawBSONDocument(each) for each in found]
                    await database[name].insert_many(raw, ordered=False)


async def _compare_counts(database: AsyncDatabase[Any], wanted: dict[str, int]) -> None:
    with pymongo.timeout(_STEP_SECONDS):
        for name, count in wanted.items():
            found = await database[name].count_documents({})
            if found != count:
                raise BackupDamaged(
                    f"{name} has {found} documents after the restore, and {count} in the backup: "
                    "something else writes into this database; stop it and repeat this"
                )


async def _verify(checked: Checked) -> tuple[Verified | None, str | None]:
    """Verify the log, and that it ends with the block of the backup; return why it does not."""
    told = checked.end.checkpoint
    checkpoint = Header.parse(told["header"], told["signature"]) if told else None
    with pymongo.timeout(_STEP_SECONDS):
        try:
            return await verify(checkpoint=checkpoint, pass_recorded=True), None
        except NotVerified as error:
            return None, error.detail
