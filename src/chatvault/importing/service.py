"""Importing conversations: each one whole, and only once."""

import asyncio
import contextlib
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from bson import ObjectId

from chatvault.access import Access
from chatvault.actor import Actor
from chatvault.attachments.files import FileStore, recheck_all
from chatvault.audit import service as audit
from chatvault.audit.actions import Action
from chatvault.audit.models import Entry
from chatvault.audit.outbox import all_places
from chatvault.audit.recorder import Recorder
from chatvault.conversations.commits.bulk import write_generation
from chatvault.conversations.commits.change import Change, estimate
from chatvault.conversations.commits.queue import CommitQueue
from chatvault.conversations.commits.working_copy import WorkingCopy
from chatvault.conversations.models import Conversation
from chatvault.conversations.parts import TimeSource
from chatvault.conversations.segments import Generation
from chatvault.conversations.shapes import MessageDoc
from chatvault.errors import Busy
from chatvault.fields import Raw
from chatvault.importing.contents import Attached, Contents
from chatvault.importing.conversations import ImportFile
from chatvault.importing.drafts import MESSAGE_ID
from chatvault.importing.linear import linearize
from chatvault.importing.neutral import NeutralConversation, NeutralMessage
from chatvault.importing.reports import ImportOutcome, OnDuplicate, Report, begin_report
from chatvault.mongodb.database import many_changes
from chatvault.preferences import service as preferences

SOURCE = "localstorage"
# How many are submitted to the commit queue at a time, which batches them; fewer of long ones.
BATCH = 64
BATCH_MESSAGES = 1_000
PATIENCE = 90.0
BROKEN_OFF = "The import broke off; what is imported stays, and the same import brings the rest."


async def import_file(
    actor: Actor,
    commits: CommitQueue,
    recorder: Recorder,
    *,
    content: ImportFile,
    on_duplicate: OnDuplicate = OnDuplicate.SKIP,
    dry_run: bool = False,
    files: FileStore | None = None,
    on_progress: Callable[[int], None] = lambda _: None,
) -> Report:
    """Store what a file holds for the actor; an import that broke off is finished by a repeat.

    Args:
        actor: whose conversations they become.
        commits: takes the changes.
        recorder: takes the entry about the import as a whole.
        content: the file, read and found sound.
        on_duplicate: what to do with what was imported before.
        dry_run: write nothing, and tell what would be done.
        files: stores the bytes of attachments; None leaves them out.
        on_progress: told how many more conversations are done.

    Raises:
        TooLarge: a conversation does not fit.
        OutcomeUnknown: MongoDB went away in the middle.
    """
    if dry_run:
        return await foretell(actor, content, on_duplicate)
    report = await store_file(
        actor,
        commits,
        content=content,
        on_duplicate=on_duplicate,
        files=files,
        on_progress=on_progress,
        in_thread=False,
    )
    await recorder.record(entry_of(actor, report))
    return report


def entry_of(actor: Actor, report: Report) -> Entry:
    """Return the audit entry about an import as a whole."""
    counts: dict[str, Any] = {
        outcome.name.lower(): number for outcome, number in report.fates.items()
    }
    return audit.entry(actor, Action.IMPORT_RUN, details=counts)


async def foretell(actor: Actor, content: ImportFile, on_duplicate: OnDuplicate) -> Report:
    """Tell what an import would do."""
    report = begin_report(content)
    known = await Conversation.list_sources(Access.of(actor))
    repeated = _fate_of_repeated(on_duplicate)
    fates = [repeated if each.source in known else ImportOutcome.IMPORTED for each in content.found]
    report.count(content.found, fates)
    return report


async def store_file(
    actor: Actor,
    commits: CommitQueue,
    *,
    content: ImportFile,
    on_duplicate: OnDuplicate,
    files: FileStore | None = None,
    on_progress: Callable[[int], None] = lambda _: None,
    in_thread: bool = True,
) -> Report:
    """Do what `import_file` does, but for the entry about the import as a whole.

    With `in_thread`, what has to be read again is read in a thread; without, in less memory.
    """
    report = begin_report(content)
    imported = await Conversation.list_sources(Access.of(actor))
    if values := content.preferences:
        # Before the conversations, so that a repeat of an import that broke off is known as one.
        report.preferences = await preferences.take_over(
            actor,
            source=SOURCE,
            values=values,
            is_repeat=any(each.source in imported for each in content.found),
        )
    # Only to spare work: that nothing is imported twice is the unique index's doing.
    known = imported if on_duplicate is OnDuplicate.SKIP else set()
    with many_changes(BROKEN_OFF), contextlib.closing(Contents(files)) as contents:
        done = 0
        async for batch in _batches(content, in_thread=in_thread):
            imports = [
                _skip()
                if each.source in known
                else _import_one(actor, commits, each, on_duplicate, contents)
                for each in batch
            ]
            imported_now = await asyncio.gather(*imports)
            fates = [outcome for outcome, _ in imported_now]
            report.count(content.found[done : done + len(batch)], fates)
            for _, left_out in imported_now:
                report.left_out += left_out
            done += len(batch)
            on_progress(len(batch))
    if report.fates[ImportOutcome.REPLACED]:
        await recheck_all(Access.of(actor))
    return report


async def _batches(
    content: ImportFile, *, in_thread: bool
) -> AsyncIterator[list[NeutralConversation]]:
    """Yield the conversations some at a time."""
    is_read = content.reread is not None
    conversations = iter(content.conversations if content.reread is None else content.reread)
    while batch := (
        await asyncio.to_thread(_take, conversations)
        if is_read and in_thread
        else _take(conversations)
    ):
        yield batch


def _take(conversations: Iterator[NeutralConversation]) -> list[NeutralConversation]:
    batch: list[NeutralConversation] = []
    messages = 0
    for conversation in conversations:
        batch.append(conversation)
        messages += len(conversation.messages)
        if len(batch) == BATCH or messages >= BATCH_MESSAGES:
            break
    return batch


def _fate_of_repeated(on_duplicate: OnDuplicate) -> ImportOutcome:
    return {
        OnDuplicate.SKIP: ImportOutcome.SKIPPED,
        OnDuplicate.REPLACE: ImportOutcome.REPLACED,
        OnDuplicate.COPY: ImportOutcome.COPIED,
    }[on_duplicate]


async def _skip() -> tuple[ImportOutcome, Counter[str]]:
    return ImportOutcome.SKIPPED, Counter()


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A conversation whose messages are ready to be stored, or lie in segments already."""

    conversation: NeutralConversation
    generation: Generation | None
    tail: list[MessageDoc]
    length: int
    last_message_at: datetime | None
    attached: Attached


async def _import_one(
    actor: Actor,
    commits: CommitQueue,
    conversation: NeutralConversation,
    on_duplicate: OnDuplicate,
    contents: Contents,
) -> tuple[ImportOutcome, Counter[str]]:
    """Import a conversation; return what became of it, and how much of its files is left out."""
    attached = await contents.store(Access.of(actor), conversation)
    messages = _to_stored(conversation)
    generation, tail = await write_generation(Access.of(actor), commits.store, messages)
    last = messages[-1]["timestamp"] if messages else None
    prepared = _Prepared(
        conversation, generation, tail, len(messages), last_message_at=last, attached=attached
    )
    source = ("source", conversation.source)
    outcome = await _submit(commits, _change(actor, prepared, source, on_duplicate))
    if outcome is ImportOutcome.SKIPPED and on_duplicate is OnDuplicate.COPY:
        # A copy is a conversation of its own: only the first import is known by its source.
        await _submit(commits, _change(actor, prepared, ("_id", ObjectId()), on_duplicate))
        outcome = ImportOutcome.COPIED
    return outcome, Counter() if outcome is ImportOutcome.SKIPPED else attached.left_out


async def _submit(commits: CommitQueue, change: Change[ImportOutcome]) -> ImportOutcome:
    """Wait for others: of a process that was killed, MongoDB keeps a transaction for a minute."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            return await commits.submit(change)
        except Busy:
            if time.monotonic() > until:
                raise
            await asyncio.sleep(1)


def _change(
    actor: Actor,
    prepared: _Prepared,
    where: tuple[str, Any],
    on_duplicate: OnDuplicate,
) -> Change[ImportOutcome]:
    conversation = prepared.conversation
    at = conversation.updated_at
    document = Conversation.begin(
        Access.of(actor),
        title=conversation.title,
        tags=[],
        metadata=conversation.metadata,
        at=conversation.created_at,
    )
    cast("Raw", document).update([where])

    def decide(working: WorkingCopy) -> ImportOutcome:
        outcome = ImportOutcome.REPLACED if working.exists else ImportOutcome.IMPORTED
        if working.exists and on_duplicate is not OnDuplicate.REPLACE:
            return ImportOutcome.SKIPPED
        if not working.exists:
            working.insert(document.copy())
        if outcome is ImportOutcome.REPLACED or prepared.generation:
            working.replace_messages(prepared.generation, at)
        tail = [each.copy() for each in prepared.tail]
        working.append(tail, at, prepared.last_message_at)
        working.set(at, title=conversation.title, metadata=conversation.metadata)
        working.beside += prepared.attached.writes(working.access, working.fields["_id"])
        details = {"messages": prepared.length, "replaced": outcome is ImportOutcome.REPLACED}
        working.outbox.record(
            audit.entry(actor, Action.CONVERSATION_IMPORT, working.fields["_id"], details=details),
            all_places(working.fields),
            replaced=outcome is ImportOutcome.REPLACED,
        )
        return outcome

    return Change(
        actor=actor,
        access=Access.of(actor),
        action=Action.CONVERSATION_IMPORT,
        where=where,
        decide=decide,
        is_new=where[0] == "_id",
        size=estimate(document, *prepared.tail, *prepared.attached.documents),
    )


def _time_source_of(message: NeutralMessage) -> TimeSource | None:
    if message.timestamp is None:
        return "neighbour"
    return None if message.time_source == "exact" else message.time_source


def _to_stored(conversation: NeutralConversation) -> list[MessageDoc]:
    """Return the messages as embedded, each with an id that is the same at every import."""
    stored: list[MessageDoc] = []
    taken: set[str] = set()
    at: datetime = conversation.created_at
    for place, message in enumerate(linearize(conversation)[0]):
        own = message.source_id or ""
        if not MESSAGE_ID.fullmatch(own) or own in taken:
            name = f"{conversation.source}:{place}:{own}"
            own = str(uuid.uuid5(uuid.NAMESPACE_URL, name))
        taken.add(own)
        at = message.timestamp or at
        fields = {
            "id": own,
            "role": message.role,
            "content": message.content,
            "timestamp": at,
            "model": message.model,
            "metrics": message.metrics,
            "cancelled": message.cancelled,
            "extra": message.extra or None,
            "parts": list(message.parts) or None,
            "hidden": message.hidden or None,
            "time_source": _time_source_of(message),
        }
        message_doc = {name: value for name, value in fields.items() if value is not None}
        stored.append(cast("MessageDoc", message_doc))
    return stored
