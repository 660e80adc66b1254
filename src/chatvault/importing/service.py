"""Importing conversations: each one whole, and only once."""

import asyncio
import re
import time
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, cast

from bson import ObjectId

from chatvault.access import Access
from chatvault.actor import Actor
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
from chatvault.conversations.segments import Generation
from chatvault.conversations.shapes import MessageDoc
from chatvault.errors import Busy
from chatvault.fields import Raw
from chatvault.importing.conversations import (
    ImportedConversation,
    ImportFile,
    Skipped,
)
from chatvault.mongodb.database import many_changes
from chatvault.preferences import service as preferences

SOURCE = "localstorage"
# How many are submitted to the commit queue at a time, which batches them.
BATCH = 64
PATIENCE = 90.0
BROKEN_OFF = "The import broke off; what is imported stays, and the same import brings the rest."
MESSAGE_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


class OnDuplicate(StrEnum):
    """What to do with a conversation that was imported before."""

    SKIP = "skip"
    REPLACE = "replace"
    COPY = "copy"


class ImportOutcome(StrEnum):
    """What became of a conversation."""

    IMPORTED = "imported"
    SKIPPED = "already there"
    REPLACED = "replaced"
    COPIED = "copied"


@dataclass(slots=True)
class Report:
    """What an import did, or would do.

    Attributes:
        outcomes: what became of each conversation, in the file's order.
        fates: how many conversations met which fate.
        messages: how many messages were stored.
        skipped: what the file holds and is not imported.
        mended: what had to be mended, by place.
        preferences: whether any preferences were taken over; foretold, whether there are any.
        truncated: the file ends in the middle.
    """

    outcomes: list[ImportOutcome] = field(default_factory=list)
    fates: Counter[ImportOutcome] = field(default_factory=Counter)
    messages: int = 0
    skipped: list[Skipped] = field(default_factory=list)
    repaired: list[str] = field(default_factory=list)
    preferences: bool = False
    truncated: bool = False

    def count(
        self, conversations: Sequence[ImportedConversation], outcomes: Sequence[ImportOutcome]
    ) -> None:
        """Count what became of some more conversations."""
        self.outcomes += outcomes
        for conversation, outcome in zip(conversations, outcomes, strict=True):
            self.fates[outcome] += 1
            if outcome is not ImportOutcome.SKIPPED:
                self.messages += len(conversation.messages)


async def import_file(
    actor: Actor,
    commits: CommitQueue,
    recorder: Recorder,
    *,
    content: ImportFile,
    on_duplicate: OnDuplicate = OnDuplicate.SKIP,
    dry_run: bool = False,
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
        on_progress: told how many more conversations are done.

    Raises:
        TooLarge: a conversation does not fit.
        OutcomeUnknown: MongoDB went away in the middle.
    """
    if dry_run:
        return await foretell(actor, content, on_duplicate)
    report = await store_file(
        actor, commits, content=content, on_duplicate=on_duplicate, on_progress=on_progress
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
    fates = [
        repeated if _source(conversation) in known else ImportOutcome.IMPORTED
        for conversation in content.conversations
    ]
    report.count(content.conversations, fates)
    return report


def begin_report(content: ImportFile) -> Report:
    """Return what is known of an import before it begins."""
    return Report(
        skipped=list(content.skipped),
        repaired=[
            f"conversation {place}: {note}"
            for place, conversation in enumerate(content.conversations, 1)
            for note in conversation.notes
        ],
        preferences=content.preferences is not None,
        truncated=content.truncated,
    )


async def store_file(
    actor: Actor,
    commits: CommitQueue,
    *,
    content: ImportFile,
    on_duplicate: OnDuplicate,
    on_progress: Callable[[int], None] = lambda _: None,
) -> Report:
    """Do what `import_file` does, but for the entry about the import as a whole."""
    report = begin_report(content)
    imported = await Conversation.list_sources(Access.of(actor))
    if values := content.preferences:
        # Before the conversations, so that a repeat of an import that broke off is known as one.
        report.preferences = await preferences.take_over(
            actor,
            source=SOURCE,
            values=values,
            is_repeat=any(_source(each) in imported for each in content.conversations),
        )
    # Only to spare work: that nothing is imported twice is the unique index's doing.
    known = imported if on_duplicate is OnDuplicate.SKIP else set()
    with many_changes(BROKEN_OFF):
        for start in range(0, len(content.conversations), BATCH):
            batch = content.conversations[start : start + BATCH]
            imports = [
                _skip()
                if _source(each) in known
                else _import_one(actor, commits, each, on_duplicate)
                for each in batch
            ]
            fates = await asyncio.gather(*imports)
            report.count(batch, fates)
            on_progress(len(batch))
    return report


def _fate_of_repeated(on_duplicate: OnDuplicate) -> ImportOutcome:
    return {
        OnDuplicate.SKIP: ImportOutcome.SKIPPED,
        OnDuplicate.REPLACE: ImportOutcome.REPLACED,
        OnDuplicate.COPY: ImportOutcome.COPIED,
    }[on_duplicate]


def _source(conversation: ImportedConversation) -> str:
    return f"{SOURCE}:{conversation.source_id}"


async def _skip() -> ImportOutcome:
    return ImportOutcome.SKIPPED


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A conversation whose messages are ready to be stored, or lie in segments already."""

    conversation: ImportedConversation
    generation: Generation | None
    tail: list[MessageDoc]
    length: int


async def _import_one(
    actor: Actor,
    commits: CommitQueue,
    conversation: ImportedConversation,
    on_duplicate: OnDuplicate,
) -> ImportOutcome:
    messages = _to_stored(conversation)
    generation, tail = await write_generation(Access.of(actor), commits.store, messages)
    prepared = _Prepared(conversation, generation, tail, len(messages))
    source = ("source", _source(conversation))
    outcome = await _submit(commits, _change(actor, prepared, source, on_duplicate))
    if outcome is ImportOutcome.SKIPPED and on_duplicate is OnDuplicate.COPY:
        # A copy is a conversation of its own: only the first import is known by its source.
        await _submit(commits, _change(actor, prepared, ("_id", ObjectId()), on_duplicate))
        return ImportOutcome.COPIED
    return outcome


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
    last = conversation.messages[-1].timestamp if conversation.messages else None
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
            working.replace_messages(prepared.generation, conversation.updated_at)
        working.append([each.copy() for each in prepared.tail], conversation.updated_at, last)
        working.set(
            conversation.updated_at, title=conversation.title, metadata=conversation.metadata
        )
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
        size=estimate(document, *prepared.tail),
    )


def _to_stored(conversation: ImportedConversation) -> list[MessageDoc]:
    """Return the messages as embedded, each with an id that is the same at every import."""
    stored: list[MessageDoc] = []
    taken: set[str] = set()
    at: datetime = conversation.created_at
    for place, message in enumerate(conversation.messages):
        own = message.source_id or ""
        if not MESSAGE_ID.fullmatch(own) or own in taken:
            name = f"{_source(conversation)}:{place}:{own}"
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
        }
        message_doc = {name: value for name, value in fields.items() if value is not None}
        stored.append(cast("MessageDoc", message_doc))
    return stored
