"""Imports in the body of a request: read in a thread, a few at a time, once for each key."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from pymongo.asynchronous.client_session import AsyncClientSession

from chatvault.actor import Actor
from chatvault.audit import service as audit
from chatvault.audit.actions import Action
from chatvault.audit.models import AuditEntry
from chatvault.errors import Busy
from chatvault.fields import now
from chatvault.idempotency import (
    IdempotencyKey,
    Idempotent,
    act_once,
    answer_repeat,
    key_lock,
    was_carried_out,
)
from chatvault.importing.conversations import ImportFile
from chatvault.importing.deps import ImportDeps
from chatvault.importing.files.containers import source_of_bytes
from chatvault.importing.reading import ReadOptions, read_files
from chatvault.importing.reports import ImportOutcome, Report, begin_report, require_content
from chatvault.importing.schemas import ImportQuery, import_wire
from chatvault.importing.service import entry_of, preview, store_file
from chatvault.mongodb.database import transaction
from chatvault.mongodb.turns import Turns

# A file needs several times its size in memory.
AT_ONCE = 2
WAIT_SECONDS = 15.0
NAME = "the file"
# The limit of a ZIP; larger ones are imported as uploads or by the command line.
MAX_UNPACKED = 1024**3


class Uploads:
    """Runs imports of requests.

    Args:
        deps: the dependencies of imports.
    """

    def __init__(self, deps: ImportDeps) -> None:
        self._deps = deps
        self._turns = asyncio.Semaphore(AT_ONCE)
        # One at a time for each user, so that no user delays the imports of others.
        self._own = Turns()

    async def take(
        self,
        actor: Actor,
        *,
        data: bytes,
        wanted: ImportQuery,
        idempotency_key: IdempotencyKey | None,
    ) -> dict[str, Any]:
        """Import a file for the actor; return the report as the API shows it.

        Raises:
            ImportRejected: the file cannot be imported.
            KeyReused: the key came with another file, or another query.
            TooLarge: a conversation does not fit.
            Busy: too many imports are running, or an earlier one of the same user's.
            OutcomeUnknown: the connection to MongoDB broke in the middle.
        """
        async with self._own.take(actor.owner_id), self._turn():
            # Reading takes seconds; in a thread it does not block the event loop.
            options = ReadOptions(
                sources=[source_of_bytes(data, name=NAME)],
                now=now(),
                format=wanted.format,
                salvage=wanted.salvage,
                group=wanted.group,
                most=MAX_UNPACKED,
            )
            content = await asyncio.to_thread(read_files, options)
            require_content(content, name=NAME)
            if wanted.dry_run:
                report = await preview(
                    actor,
                    self._deps,
                    content,
                    wanted.on_duplicate,
                    restore_deleted=wanted.restore_deleted,
                )
                details = {"dry_run": True, "conversations": len(content.found)}
                entry = audit.entry(actor, Action.IMPORT_RUN, details=details)
                await self._deps.recorder.record(entry)
            else:
                report = await self._import(actor, content, wanted, idempotency_key)
        return import_wire(content, report, dry_run=wanted.dry_run)

    @contextlib.asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await self._turns.acquire()
        except TimeoutError:
            raise Busy("Others import at this moment; try again shortly", retry_after=5) from None
        try:
            yield
        finally:
            self._turns.release()

    async def _import(
        self,
        actor: Actor,
        content: ImportFile,
        wanted: ImportQuery,
        idempotency_key: IdempotencyKey | None,
    ) -> Report:
        known = idempotency_key and _idempotent(idempotency_key, content)
        async with key_lock(actor, idempotency_key):
            if known is not None and await was_carried_out(actor, idempotency_key):
                return await answer_repeat(actor, Action.IMPORT_RUN, known)
            report = await store_file(
                actor,
                self._deps if wanted.attachments else self._deps.without_files(),
                content=content,
                on_duplicate=wanted.on_duplicate,
                restore_deleted=wanted.restore_deleted,
            )

            async def finish(session: AsyncClientSession) -> Report:
                await AuditEntry.store([entry_of(actor, report)], session)
                return report

            return await transaction(
                lambda session: act_once(actor, Action.IMPORT_RUN, known, session, finish)
            )


async def import_upload(
    actor: Actor,
    uploads: Uploads,
    *,
    data: bytes,
    wanted: ImportQuery,
    idempotency_key: IdempotencyKey | None,
) -> dict[str, Any]:
    """Import a file for the actor; see `Uploads.take`."""
    return await uploads.take(actor, data=data, wanted=wanted, idempotency_key=idempotency_key)


def _idempotent(idempotency_key: IdempotencyKey, content: ImportFile) -> Idempotent[Report]:
    """Return how a repeat is answered: from the same file, with the stored outcomes."""

    def to_record(report: Report) -> dict[str, Any]:
        return {
            "outcomes": [outcome.name for outcome in report.outcomes],
            "preferences": report.preferences,
        }

    async def replay(result: dict[str, Any], _session: AsyncClientSession) -> Report:
        report = begin_report(content)
        outcomes = [ImportOutcome[name] for name in result["outcomes"]]
        report.count(content.found, outcomes)
        report.preferences = result["preferences"]
        return report

    return Idempotent(idempotency_key, to_record=to_record, replay=replay)
