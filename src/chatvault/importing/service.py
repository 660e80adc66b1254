"""Import conversations, each completely and only once."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any

from bson import ObjectId

from chatvault.access import Access
from chatvault.accounts.models import User
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
# The number of conversations submitted to the commit queue at a time; fewer if they are long.
BATCH = 64
BATCH_MESSAGES = 1_000
# So much of an attachment that stands in a file of JSON counts as a message.
INLINE_AS_MESSAGE = 32 * 1024
BROKEN_OFF = "The import broke off; what is imported stays, and the same import brings the rest."


@dataclass(frozen=True, slots=True)
class Resumed:
    """The point from which an interrupted import continues.

    Attributes:
        report: the report so far, which is updated.
        done: the number of conversations that were processed.
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
    """Store a file's conversations for the actor; a repeat completes an interrupted import.

    Args:
        actor: the owner of the new conversations.
        deps: the dependencies of imports.
        content: the content of the file.
        on_duplicate: what to do with conversations that were imported before.
        restore_deleted: whether to import conversations that were deleted here.
        dry_run: whether to write nothing and return what would be done.
        on_progress: called with the number of further conversations that are done.

    Raises:
        BeingErased: the actor's account is.
        TooLarge: a conversation is too large.
        OutcomeUnknown: the connection to MongoDB broke in the middle.
    """
    if dry_run:
        return await preview(actor, deps, content, on_duplicate, restore_deleted=restore_deleted)
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
        outcome.name.lower(): number for outcome, number in report.by_outcome.items()
    }
    return audit.entry(actor, Action.IMPORT_RUN, details=counts)


async def preview(
    actor: Actor,
    deps: ImportDeps,
    content: ImportFile,
    on_duplicate: OnDuplicate,
    *,
    restore_deleted: bool = False,
) -> Report:
    """Return the report that an import would have."""
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
                found, [await storing.preview(*each) for each in zip(batch, found, strict=True)]
            )
            done += len(batch)
        return report
    outcomes = [_expected_outcome(known, each, on_duplicate) for each in content.found]
    report.count(content.found, outcomes)
    return report


def _expected_outcome(known: Known, found: Found, on_duplicate: OnDuplicate) -> ImportOutcome:
    if known.was_deleted(found):
        return ImportOutcome.DELETED_HERE
    return _outcome_of_repeat(on_duplicate) if known.holds(found) else ImportOutcome.IMPORTED


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
    """Do what `import_file` does, except for the audit entry about the import as a whole.

    With `in_thread`, files are read again in a thread; without it, in less memory.
    `resumed` is the point from which an interrupted import continues.
    """
    report = begin_report(content) if resumed is None else resumed.report
    done = 0 if resumed is None else resumed.done
    known = await Known.of(
        Access.of(actor), deps.key, content.found, restore_deleted=restore_deleted
    )
    if values := content.preferences:
        # Before the conversations, so that a repeat of an interrupted import is recognised.
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
            await _stop_if_cancelled()
            await User.require_kept(actor.owner_id)
            found = content.found[done : done + len(batch)]
            outcomes = await asyncio.gather(*map(storing.store, batch, found))
            report.count(found, outcomes)
            report.left_out += contents.take_left_out()
            done += len(batch)
            on_progress(len(batch))
    if report.by_outcome[ImportOutcome.REPLACED]:
        await recheck_all(Access.of(actor))
    return report


async def _stop_if_cancelled() -> None:
    """Raise if the task was cancelled, such as by Ctrl-C.

    The driver loses a cancellation that comes as one of its operations begins; the task still
    counts it.

    Raises:
        CancelledError: it was.
    """
    await asyncio.sleep(0)
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def _batches(
    content: ImportFile, done: int, *, in_thread: bool
) -> AsyncIterator[list[NeutralConversation]]:
    """Yield the conversations in batches, without those that are done."""
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


def _outcome_of_repeat(on_duplicate: OnDuplicate) -> ImportOutcome:
    return {
        OnDuplicate.SKIP: ImportOutcome.SKIPPED,
        OnDuplicate.REPLACE: ImportOutcome.REPLACED,
        OnDuplicate.COPY: ImportOutcome.COPIED,
        OnDuplicate.UPDATE: ImportOutcome.SKIPPED,
    }[on_duplicate]


class _Storing:
    """Stores the conversations of one file.

    Args:
        actor: the owner of the new conversations.
        deps: the dependencies of imports.
        on_duplicate: what to do with conversations that were imported before.
        known: the conversations that the actor already has or has deleted.
        contents: stores the bytes of attachments.
        copies_of: the import that makes copies, so that a repeat makes no others.
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
        """Store one conversation, unless it exists and must not be changed."""
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

    async def preview(self, conversation: NeutralConversation, found: Found) -> ImportOutcome:
        """Return the outcome that an update would have."""
        if self._known.was_deleted(found) or not self._known.holds(found):
            return _expected_outcome(self._known, found, self._on_duplicate)
        return await self._update(conversation, found, dry_run=True)

    async def _update(
        self, conversation: NeutralConversation, found: Found, *, dry_run: bool = False
    ) -> ImportOutcome:
        """Append new messages to a conversation that exists."""
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
        """Replace an agent that the actor does not have by the built-in one."""
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
