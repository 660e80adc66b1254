"""Store one conversation of an import, completely and only once."""

import asyncio
import hashlib
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from bson import ObjectId

from chatvault.access import Access
from chatvault.actor import Actor
from chatvault.audit import service as audit
from chatvault.audit.actions import Action
from chatvault.audit.outbox import all_places
from chatvault.categories import service as categories
from chatvault.conversations.commits.bulk import write_generation
from chatvault.conversations.commits.change import Change, estimate
from chatvault.conversations.commits.queue import CommitQueue
from chatvault.conversations.commits.working_copy import WorkingCopy
from chatvault.conversations.holds import NO_HOLDS, Holds
from chatvault.conversations.models import Conversation
from chatvault.conversations.segments import Generation
from chatvault.conversations.shapes import ConversationDoc, MessageDoc
from chatvault.conversations.tree import ROOT, links_within
from chatvault.errors import Busy
from chatvault.fields import Raw
from chatvault.importing.contents import Attached, Contents
from chatvault.importing.neutral import NeutralConversation
from chatvault.importing.reports import ImportOutcome, OnDuplicate
from chatvault.importing.stored_trees import StoredTree

PATIENCE = 90.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The target of an imported conversation.

    Attributes:
        known_as: the id of the actor's conversation that it is an export of, if any.
        is_known: whether it existed when the import began.
        copies_of: the import that may make a copy of it, but only one.
    """

    known_as: ObjectId | None = None
    is_known: bool = False
    copies_of: ObjectId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Prepared:
    """A conversation whose messages are ready to be stored, or already are in segments."""

    conversation: NeutralConversation
    tree: StoredTree
    generation: Generation | None
    tail: list[MessageDoc]
    attached: Attached
    category_id: ObjectId | None

    @property
    def last_message_at(self) -> datetime | None:
        """The time of the last message to show."""
        messages, leaf = self.tree.messages, self.tree.leaf
        return messages[leaf].get("timestamp") if leaf != ROOT else None


async def store_conversation(
    actor: Actor,
    commits: CommitQueue,
    conversation: NeutralConversation,
    tree: StoredTree,
    on_duplicate: OnDuplicate,
    *,
    contents: Contents,
    target: Target,
) -> ImportOutcome:
    """Store a conversation, unless it exists.

    Args:
        actor: the owner of the new conversation.
        commits: takes the change.
        conversation: the conversation in the file.
        tree: the messages of the conversation.
        on_duplicate: what to do if it exists.
        contents: stores the bytes of attachments.
        target: where to store it.

    Raises:
        TooLarge: it is too large.
        Busy: others kept changing the same conversation.
        OutcomeUnknown: the connection to MongoDB broke in the middle.
    """
    access = Access.of(actor)
    generation, tail = await write_generation(access, commits.store, tree.messages, tree.links)
    own = conversation.own
    prepared = _Prepared(
        conversation=conversation,
        tree=tree,
        generation=generation,
        tail=tail,
        attached=await contents.store(access, conversation),
        category_id=await categories.find_or_make(actor, own.category if own else ()),
    )
    known_as, copies_of = target.known_as, target.copies_of
    where = ("source", conversation.source) if known_as is None else ("_id", known_as)
    # What replaces messages keeps them, where a hold may be of their conversation.
    holds = await Holds.of(access) if on_duplicate is OnDuplicate.REPLACE else NO_HOLDS
    keeps = holds != NO_HOLDS
    change = _change(actor, prepared, where, on_duplicate, is_known=target.is_known, keeps=keeps)
    outcome = await submit_patiently(commits, change)
    if outcome is ImportOutcome.SKIPPED and on_duplicate is OnDuplicate.COPY:
        # A copy has no source: only the first import is identified by it.
        copy_id = ObjectId() if copies_of is None else _id_of_copy(copies_of, conversation.source)
        where, is_new = ("_id", copy_id), copies_of is None
        await submit_patiently(
            commits, _change(actor, prepared, where, on_duplicate, is_new=is_new)
        )
        outcome = ImportOutcome.COPIED
    if outcome is not ImportOutcome.SKIPPED:
        contents.note(prepared.attached)
    return outcome


def _id_of_copy(import_id: ObjectId, source: str) -> ObjectId:
    """Return the id of the only copy that an import makes; it begins with the import's time."""
    named = hashlib.sha256(import_id.binary + source.encode()).digest()
    return ObjectId(import_id.binary[:4] + named[:8])


async def submit_patiently(commits: CommitQueue, change: Change[ImportOutcome]) -> ImportOutcome:
    """Submit a change; wait for other transactions, as MongoDB keeps those of a killed process."""
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
    *,
    is_new: bool = False,
    is_known: bool = False,
    keeps: bool = False,
) -> Change[ImportOutcome]:
    conversation = prepared.conversation
    document = to_conversation_doc(actor, conversation)
    cast("Raw", document).update([where])

    def decide(working: WorkingCopy) -> ImportOutcome:
        if working.in_trash:
            return ImportOutcome.DELETED_HERE
        if working.exists and on_duplicate is not OnDuplicate.REPLACE:
            return ImportOutcome.SKIPPED
        if not working.exists and is_known:
            # Deleted since the import began.
            return ImportOutcome.DELETED_HERE
        outcome = ImportOutcome.REPLACED if working.exists else ImportOutcome.IMPORTED
        if not working.exists:
            working.insert(document.copy())
        _put(actor, prepared, working, is_replaced=outcome is ImportOutcome.REPLACED)
        return outcome

    return Change(
        actor=actor,
        access=Access.of(actor),
        action=Action.CONVERSATION_IMPORT,
        where=where,
        decide=decide,
        is_new=is_new,
        needs_tail=keeps,
        keeps=keeps,
        size=estimate(document, *prepared.tail, *prepared.attached.documents),
        adds=0,
        written=0 if prepared.generation is None else prepared.generation.bytes,
    )


def _put(actor: Actor, prepared: _Prepared, working: WorkingCopy, *, is_replaced: bool) -> None:
    """Decide the conversation's new content, and add the audit entry."""
    conversation = prepared.conversation
    at = conversation.updated_at
    fields: Raw = {
        "title": conversation.title,
        "metadata": conversation.metadata,
        "import_fingerprint": prepared.tree.fingerprint,
    }
    if conversation.own is not None:
        fields |= conversation.own.fields
    if prepared.category_id is not None:
        fields["category_id"] = prepared.category_id
    last_message_at = fields.pop("last_message_at", prepared.last_message_at)
    if is_replaced or prepared.generation:
        working.replace_messages(prepared.generation, at)
    tree, length = prepared.tree, len(prepared.tree.messages)
    tail = [each.copy() for each in prepared.tail]
    embedded = links_within(tree.links, length - len(tail), length)
    working.append(tail, at, last_message_at, embedded)
    if length - 1 != tree.leaf:
        working.show_branch(tree.leaf, tree.messages[tree.leaf]["id"], at)
    if fields.get("summary") is not None:
        # A summary may repeat text of any message, and is removed with the first removed one.
        fields["summary_seq"] = working.fields["next_seq"]
    working.beside += prepared.attached.writes(working.access, working.fields["_id"])
    working.set(at, **fields)
    details: dict[str, Any] = {"messages": length, "replaced": is_replaced}
    if tree.links:
        details["leaf_seq"] = working.fields["first_seq"] + tree.leaf
    working.outbox.record(
        audit.entry(actor, Action.CONVERSATION_IMPORT, working.fields["_id"], details=details),
        all_places(working.fields),
        replaced=is_replaced,
    )


def to_conversation_doc(actor: Actor, conversation: NeutralConversation) -> ConversationDoc:
    """Return a new conversation of the actor's, without messages and source."""
    return Conversation.begin(
        Access.of(actor),
        title=conversation.title,
        tags=[],
        metadata=conversation.metadata,
        at=conversation.created_at,
    )
