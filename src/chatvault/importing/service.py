"""Importing conversations: each one whole, and only once."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any

from bson import ObjectId

from chatvault.access import Access
from chatvault.actor import Actor
from chatvault.agents import service as agents
from chatvault.agents.models import AgentNotFound
from chatvault.attachments.files import recheck_all
from chatvault.audit import service as audit
from chatvault.audit.actions import Action
from chatvault.audit.models import Entry
from chatvault.conversations.models import Conversation
from chatvault.importing.contents import Contents
from chatvault.importing.conversations import Found, ImportFile
from chatvault.importing.deps import ImportDeps
from chatvault.importing.known import Known
from chatvault.importing.neutral import NeutralConversation
from chatvault.importing.reports import ImportOutcome, OnDuplicate, Report, begin_report
from chatvault.importing.stored_trees import to_stored_tree
from chatvault.importing.storing import Target, store_conversation
from chatvault.importing.updating import update_conversation
from chatvault.mongodb.database import many_changes
from chatvault.preferences import service as preferences

SOURCE = "localstorage"
# How many are submitted to the commit queue at a time, which batches them; fewer of long ones.
BATCH = 64
BATCH_MESSAGES = 1_000
# So much of an attachment that stands in a file of JSON counts as a message.
INLINE_AS_MESSAGE = 32 * 1024
BROKEN_OFF = "The import broke off; what is imported stays, and the same import brings the rest."


@dataclass(frozen=True, slots=True)
class Resumed:
    """Where an import goes on that may have broken off.

    Attributes:
        report: what was done before; it takes what is done from now on.
        done: how many conversations were dealt with.
        copies_of: the id of the import.
    """

    report: Report
    done: int
    copies_of: ObjectId


async def import_file(
    actor: Actor,
    deps: ImportDeps,
    *,
    content: ImportFile,
    on_duplicate: OnDuplicate = OnDuplicate.SKIP,
    restore_deleted: bool = False,
    dry_run: bool = False,
    on_progress: Callable[[int], None] = lambda _: None,
) -> Report:
    """Store what a file holds for the actor; an import that broke off is finished by a repeat.

    Args:
        actor: whose conversations they become.
        deps: what imports are made with.
        content: the file, read and found sound.
        on_duplicate: what to do with what was imported before.
        restore_deleted: whether to import what was deleted here.
        dry_run: write nothing, and tell what would be done.
        on_progress: told how many more conversations are done.

    Raises:
        TooLarge: a conversation does not fit.
        OutcomeUnknown: MongoDB went away in the middle.
    """
    if dry_run:
        return await foretell(actor, deps, content, on_duplicate, restore_deleted=restore_deleted)
    report = await store_file(
        actor,
        deps,
        content=content,
        on_duplicate=on_duplicate,
        restore_deleted=restore_deleted,
        on_progress=on_progress,
        in_thread=False,
    )
    await deps.recorder.record(entry_of(actor, report))
    return report


def entry_of(actor: Actor, report: Report) -> Entry:
    """Return the audit entry about an import as a whole."""
    counts: dict[str, Any] = {
        outcome.name.lower(): number for outcome, number in report.fates.items()
    }
    return audit.entry(actor, Action.IMPORT_RUN, details=counts)


async def foretell(
    actor: Actor,
    deps: ImportDeps,
    content: ImportFile,
    on_duplicate: OnDuplicate,
    *,
    restore_deleted: bool = False,
) -> Report:
    """Tell what an import would do."""
    report = begin_report(content)
    known = await Known.of(
        Access.of(actor), deps.key, content.found, restore_deleted=restore_deleted
    )
    if on_duplicate is OnDuplicate.UPDATE:
        storing = _Storing(actor, deps, on_duplicate, known=known, contents=Contents(None))
        done = 0
        async for batch in _batches(content, 0, in_thread=True):
            found = content.found[done : done + len(batch)]
            report.count(
                found, [await storing.foretell(*each) for each in zip(batch, found, strict=True)]
            )
            done += len(batch)
        return report
    fates = [_foretell_one(known, each, on_duplicate) for each in content.found]
    report.count(content.found, fates)
    return report


def _foretell_one(known: Known, found: Found, on_duplicate: OnDuplicate) -> ImportOutcome:
    if known.was_deleted(found):
        return ImportOutcome.DELETED_HERE
    return _fate_of_repeated(on_duplicate) if known.holds(found) else ImportOutcome.IMPORTED


async def store_file(
    actor: Actor,
    deps: ImportDeps,
    *,
    content: ImportFile,
    on_duplicate: OnDuplicate,
    restore_deleted: bool = False,
    on_progress: Callable[[int], None] = lambda _: None,
    in_thread: bool = True,
    resumed: Resumed | None = None,
) -> Report:
    """Do what `import_file` does, but for the entry about the import as a whole.

    With `in_thread`, what has to be read again is read in a thread; without, in less memory.
    `resumed` says where an import goes on that broke off.
    """
    report = begin_report(content) if resumed is None else resumed.report
    done = 0 if resumed is None else resumed.done
    known = await Known.of(
        Access.of(actor), deps.key, content.found, restore_deleted=restore_deleted
    )
    if values := content.preferences:
        # Before the conversations, so that a repeat of an import that broke off is known as one.
        report.preferences = await preferences.take_over(
            actor,
            source=SOURCE,
            values=values,
            is_repeat=any(map(known.holds, content.found)),
        )
    copies_of = None if resumed is None else resumed.copies_of
    with many_changes(BROKEN_OFF), contextlib.closing(Contents(deps.files)) as contents:
        storing = _Storing(
            actor, deps, on_duplicate, known=known, contents=contents, copies_of=copies_of
        )
        async for batch in _batches(content, done, in_thread=in_thread):
            found = content.found[done : done + len(batch)]
            fates = await asyncio.gather(*map(storing.store, batch, found))
            report.count(found, fates)
            report.left_out += contents.take_left_out()
            done += len(batch)
            on_progress(len(batch))
    if report.fates[ImportOutcome.REPLACED]:
        await recheck_all(Access.of(actor))
    return report


async def _batches(
    content: ImportFile, done: int, *, in_thread: bool
) -> AsyncIterator[list[NeutralConversation]]:
    """Yield the conversations some at a time, without those that are done."""
    is_read = content.reread is not None
    every = iter(content.conversations if content.reread is None else content.reread)
    conversations = itertools.islice(every, done, None)
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
        messages += len(conversation.messages) + _inline(conversation) // INLINE_AS_MESSAGE
        if len(batch) == BATCH or messages >= BATCH_MESSAGES:
            break
    return batch


def _inline(conversation: NeutralConversation) -> int:
    """Return how many characters of a conversation are the bytes of attachments."""
    return sum(len(each.data or "") for each in conversation.attachments)


def _fate_of_repeated(on_duplicate: OnDuplicate) -> ImportOutcome:
    return {
        OnDuplicate.SKIP: ImportOutcome.SKIPPED,
        OnDuplicate.REPLACE: ImportOutcome.REPLACED,
        OnDuplicate.COPY: ImportOutcome.COPIED,
        OnDuplicate.UPDATE: ImportOutcome.SKIPPED,
    }[on_duplicate]


class _Storing:
    """The storing of one file.

    Args:
        actor: whose conversations they become.
        deps: what imports are made with.
        on_duplicate: what to do with what was imported before.
        known: what is there already.
        contents: stores the bytes of attachments.
        copies_of: the import whose copies these are, so that a repeat makes no others.
    """

    def __init__(
        self,
        actor: Actor,
        deps: ImportDeps,
        on_duplicate: OnDuplicate,
        known: Known,
        contents: Contents,
        copies_of: ObjectId | None = None,
    ) -> None:
        self._actor = actor
        self._access = Access.of(actor)
        self._commits = deps.commits
        self._key = deps.key
        self._on_duplicate = on_duplicate
        self._known = known
        self._contents = contents
        self._copies_of = copies_of
        self._agents: dict[ObjectId, bool] = {}

    async def store(self, conversation: NeutralConversation, found: Found) -> ImportOutcome:
        """Store one conversation, unless it is there and to be left alone."""
        if self._on_duplicate is OnDuplicate.SKIP and self._known.holds(found):
            return ImportOutcome.SKIPPED
        if self._known.was_deleted(found):
            return ImportOutcome.DELETED_HERE
        if self._on_duplicate is OnDuplicate.UPDATE and self._known.holds(found):
            return await self._update(conversation, found)
        await self._check_agent(conversation)
        return await store_conversation(
            self._actor,
            self._commits,
            conversation,
            await to_stored_tree(self._access, self._key, conversation),
            self._on_duplicate,
            contents=self._contents,
            target=Target(
                known_as=self._known.id_of(found),
                is_known=self._known.holds(found),
                copies_of=self._copies_of,
            ),
        )

    async def foretell(self, conversation: NeutralConversation, found: Found) -> ImportOutcome:
        """Tell what an update would do."""
        if self._known.was_deleted(found) or not self._known.holds(found):
            return _foretell_one(self._known, found, self._on_duplicate)
        return await self._update(conversation, found, dry_run=True)

    async def _update(
        self, conversation: NeutralConversation, found: Found, *, dry_run: bool = False
    ) -> ImportOutcome:
        """Let a conversation that is there gain what is new in it."""
        tree = await to_stored_tree(self._access, self._key, conversation)
        stored_id, fingerprint = await Conversation.get_import(
            self._access, found.source, self._known.id_of(found)
        )
        if stored_id is None:
            return ImportOutcome.DELETED_HERE
        if fingerprint == tree.fingerprint:
            return ImportOutcome.SKIPPED
        return await update_conversation(
            self._actor,
            self._commits,
            conversation,
            stored_id,
            tree=tree,
            contents=self._contents,
            dry_run=dry_run,
        )

    async def _check_agent(self, conversation: NeutralConversation) -> None:
        """Let the built-in agent answer where the actor has no such agent."""
        own = conversation.own
        agent_id = None if own is None else own.fields.get("agent_id")
        if own is None or agent_id is None:
            return
        if agent_id not in self._agents:
            try:
                await agents.find(self._actor, agent_id)
            except AgentNotFound:
                self._agents[agent_id] = False
            else:
                self._agents[agent_id] = True
        if not self._agents[agent_id]:
            own.fields["agent_id"] = None
