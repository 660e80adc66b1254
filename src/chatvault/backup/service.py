"""Back up everything that is stored, at one moment, into a file; and check such a file."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import bson
from bson import ObjectId
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase

from chatvault.actor import Actor, Door
from chatvault.audit.actions import Action
from chatvault.audit.keys import KeyRing
from chatvault.audit.models import AuditEntry
from chatvault.audit.recorder import Recorder
from chatvault.audit.service import entry
from chatvault.backup import collections
from chatvault.backup.errors import BackupDamaged, NotABackup
from chatvault.backup.files import (
    BackupEnd,
    BackupHeader,
    BackupReader,
    BackupWriter,
    new_file,
)
from chatvault.backup.log_facts import LogFacts
from chatvault.backup.snapshot import open_snapshot, read_documents
from chatvault.errors import Denied
from chatvault.fields import now
from chatvault.sealing.blocks import Block
from chatvault.vault.models import UserKey
from chatvault.version import VERSION

Count = Callable[[int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class BackedUp:
    """A backup that was written.

    Attributes:
        header: what it is of.
        end: what is in its file.
        apart: what is in its second file; None without one.
        size: of the documents, in bytes, before compression.
        others: collections that chatvault does not know, which were left out.
    """

    header: BackupHeader
    end: BackupEnd
    apart: BackupEnd | None = None
    size: int = 0
    others: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Checked:
    """A file of a backup that is whole.

    Attributes:
        header: what it is of.
        end: what is in it.
        key_id: the id of the audit key that sealed it.
        is_ours: whether we have that key, and it did.
        master_keys: the ids of the master keys without which words in the backup cannot be read.
    """

    header: BackupHeader
    end: BackupEnd
    key_id: str
    is_ours: bool
    master_keys: frozenset[str] = frozenset()


def keys_path(path: Path) -> Path:
    """Return the path of a backup's second file."""
    return path.with_name(f"{path.name}.keys")


async def estimate_size() -> int:
    """Return about how many bytes of documents there are.

    Raises:
        PyMongoError: the database cannot be reached.
    """
    return int((await _database().command("dbStats"))["dataSize"])


async def back_up(
    actor: Actor, recorder: Recorder, *, path: Path, with_keys: bool, count: Count
) -> BackedUp:
    """Write everything that is stored at this moment into a new file; for an operator.

    Others may write meanwhile. A file has its name once it is whole. Collections that are kept
    apart go into a second file beside the first, if they have documents.

    Args:
        actor: the operator.
        recorder: records the backup before anything is read.
        path: of the new file.
        with_keys: write what is kept apart into the same file.
        count: called with how many more bytes of documents were written.

    Raises:
        Denied: the actor is no operator.
        BackupNotWritten: a file is there already, or the disk is full.
        SnapshotLost: MongoDB did not keep the moment for long enough.
        PyMongoError: the database cannot be reached.
    """
    require_operator(actor)
    database = _database()
    there = set(await database.list_collection_names())
    backup = str(ObjectId())
    with ExitStack() as files:
        file = files.enter_context(new_file(path))
        await recorder.record(entry(actor, Action.AUDIT_BACKUP, backup))
        async with open_snapshot(database.client) as session:
            copy = partial(_write, database=database, session=session, count=count)
            apart = set() if with_keys else collections.kept_apart()
            filled = await _find_filled(database, session, apart & there)
            header = BackupHeader(
                id=backup,
                made_at=now(),
                version=VERSION,
                mongodb=str((await database.client.server_info())["version"]),
                database=database.name,
                apart=filled,
            )
            second = None
            if filled:
                # Entered last, so that it has its name before the first file has.
                keys_file = files.enter_context(new_file(keys_path(path)))
                second = BackupWriter(keys_file, replace(header, has_keys=True, apart=[]))
                await copy(second, filled)
            first = BackupWriter(file, header)
            wanted = [name for name in collections.contained() if name in there - apart]
            await copy(first, wanted)
    return BackedUp(
        header=header,
        end=first.end,
        apart=second.end if second else None,
        size=first.size + (second.size if second else 0),
        others=tuple(collections.find_unknown(there)),
    )


async def _find_filled(
    database: AsyncDatabase[Any], session: AsyncClientSession, names: Iterable[str]
) -> list[str]:
    """Return which collections have documents."""
    return [
        name
        for name in sorted(names)
        if await database[name].find_one({}, {"_id": True}, session=session) is not None
    ]


async def _write(
    writer: BackupWriter,
    names: Sequence[str],
    *,
    database: AsyncDatabase[Any],
    session: AsyncClientSession,
    count: Count,
) -> None:
    """Write collections, and the end of the file."""
    facts = LogFacts(AuditEntry.keys())
    for name in names:
        writer.begin(name)
        async for batch in read_documents(database[name], session):
            if name == Block.Settings.name:
                facts.see(batch)
            # In a thread, as compressing takes time, in which MongoDB is to be answered.
            await asyncio.to_thread(writer.add, batch)
            count(len(batch))
            # Ctrl-C that came just now ends the work here: the driver would swallow it.
            await asyncio.sleep(0)
    writer.end.audit_keys = sorted(facts.key_ids)
    writer.end.checkpoint = facts.checkpoint()
    await asyncio.to_thread(writer.finish, AuditEntry.keys())


def check(path: Path, count: Count, *, keys: KeyRing | None) -> Checked:
    """Read a file of a backup to its end; compare every byte with the hashes and the counts.

    Args:
        path: of the file.
        count: called with how many more bytes were read.
        keys: our audit keys; None if there are none here.

    Raises:
        NotABackup: the file is none, or one of a newer version.
        BackupDamaged: it was cut or changed, or our audit key did not seal it.
        OSError: it cannot be read.
    """
    with BackupReader.open(path, count) as reader:
        needed: set[str] = set()
        for name, batch in reader.batches():
            if name == UserKey.Settings.name:
                needed |= _master_keys_of(batch)
        is_ours = None if keys is None else reader.is_sealed_by(keys)
        if is_ours is False:
            raise BackupDamaged(
                f"{path} was changed on purpose: its hashes agree, but the audit key "
                f"{reader.key_id} did not seal it"
            )
        unknown = collections.find_unknown(reader.end.counts)
        if unknown:
            raise NotABackup(
                f"{path} was written by chatvault {reader.header.version}, which has "
                f"{', '.join(unknown)}; this is {VERSION}: restore it with that version"
            )
        return Checked(
            reader.header,
            reader.end,
            reader.key_id,
            is_ours=is_ours is True,
            master_keys=frozenset(needed),
        )


def _master_keys_of(batch: Sequence[bytes]) -> set[str]:
    """Return the ids of the master keys with which data keys are wrapped that are still used."""
    stored = map(bson.decode, batch)
    return {
        str(each["key_id"])
        for each in stored
        if each["wrapped"] is not None and not each.get("retired_at")
    }


def require_operator(actor: Actor) -> None:
    """Raise Denied unless this is an operator at the command line."""
    if actor.door is not Door.CLI:
        raise Denied


def _database() -> AsyncDatabase[Any]:
    return AuditEntry.get_pymongo_collection().database
