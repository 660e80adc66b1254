"""Find and append the new messages of conversations that were imported before."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from bson import ObjectId

from chatvault.access import Access
from chatvault.actor import Actor
from chatvault.audit import service as audit
from chatvault.audit.actions import Action
from chatvault.conversations.commits.bulk import CARRIED_BYTES, CARRIED_LENGTH
from chatvault.conversations.commits.change import Change, estimate
from chatvault.conversations.commits.queue import CommitQueue
from chatvault.conversations.commits.working_copy import WorkingCopy
from chatvault.conversations.reading.finding import find_messages
from chatvault.conversations.reading.pages import read_consistently
from chatvault.conversations.segments import size_of
from chatvault.conversations.shapes import ConversationDoc, MessageDoc
from chatvault.conversations.store import MessageStore
from chatvault.conversations.tree import ROOT, Link
from chatvault.errors import NotFound
from chatvault.importing.contents import Attached, Contents
from chatvault.importing.neutral import NeutralConversation
from chatvault.importing.reports import ImportOutcome
from chatvault.importing.stored_trees import StoredTree
from chatvault.importing.storing import submit_patiently

# The number of ids looked up with one query.
AT_ONCE: Final = 1000


@dataclass(frozen=True, slots=True)
class Growth:
    """The messages of a file that a stored conversation lacks.

    Attributes:
        new: the places of the messages that are not stored, in order.
        after: the id of the message that the first of them follows; None for the first of all.
        is_at_end: whether all stored messages come before them.
    """

    new: list[int]
    after: str | None
    is_at_end: bool


async def find_growth(
    access: Access,
    store: MessageStore,
    conversation_id: ObjectId,
    messages: Sequence[MessageDoc],
) -> Growth:
    """Return the messages that are not stored; messages deleted here count as stored.

    Raises:
        NotFound: the conversation has been deleted.
        Busy: it kept changing.
    """
    ids = [each["id"] for each in messages]

    async def read(conversation: ConversationDoc) -> set[str]:
        known: set[str] = set()
        for start in range(0, len(ids), AT_ONCE):
            some = ids[start : start + AT_ONCE]
            known |= {
                each.message["id"]
                for each in await find_messages(access, store, conversation, some)
            }
        return known

    known = await read_consistently(access, store, conversation_id, read)
    last = max((place for place, each in enumerate(ids) if each in known), default=-1)
    new = [place for place, each in enumerate(ids) if each not in known]
    return Growth(
        new=new,
        after=None if last < 0 else ids[last],
        is_at_end=len(new) == len(messages) - 1 - last,
    )


async def update_conversation(
    actor: Actor,
    commits: CommitQueue,
    conversation: NeutralConversation,
    conversation_id: ObjectId,
    *,
    tree: StoredTree,
    contents: Contents,
    dry_run: bool = False,
) -> ImportOutcome:
    """Append the messages that a conversation has gained since its import.

    With branches, new messages get the parents that they have in the file, and the file's branch
    is shown, unless messages were added here. Without branches, new messages between stored ones,
    and after messages that were added here, are left out.

    Args:
        actor: the conversation's owner.
        commits: takes the changes.
        conversation: the conversation in the file.
        conversation_id: the stored conversation's id.
        tree: its messages; their fingerprint is stored if nothing is left out.
        contents: stores the bytes of attachments.
        dry_run: whether to change nothing and return what would be done.

    Raises:
        Busy: others kept changing the same conversation.
        OutcomeUnknown: the connection to MongoDB broke in the middle.
    """
    access = Access.of(actor)
    is_tree = conversation.active_leaf is not None
    try:
        growth = await find_growth(access, commits.store, conversation_id, tree.messages)
        if not growth.new:
            return ImportOutcome.SKIPPED
        if not (growth.is_at_end or is_tree):
            return ImportOutcome.DIVERGED
        if dry_run:
            return ImportOutcome.UPDATED
        outcome, after = ImportOutcome.UPDATED, growth.after
        attached = await contents.store(access, conversation)
        for run in _runs(tree.messages, growth.new):
            is_last = run[-1] == growth.new[-1]
            grown = _Grown(conversation, tree, run, attached if is_last else None)
            change = _append(actor, conversation_id, grown, None if is_tree else (after,))
            outcome = await submit_patiently(commits, change)
            if outcome is not ImportOutcome.UPDATED:
                break
            after = tree.messages[run[-1]]["id"]
        else:
            contents.note(attached)
    except NotFound:
        return ImportOutcome.DELETED_HERE
    return outcome


@dataclass(frozen=True, slots=True)
class _Grown:
    """The new messages that one change appends.

    Attributes:
        conversation: the conversation in the file.
        tree: all its messages.
        places: the places of those to append.
        attached: the conversation's files, only with the last of the new messages.
    """

    conversation: NeutralConversation
    tree: StoredTree
    places: list[int]
    attached: Attached | None

    @property
    def messages(self) -> list[MessageDoc]:
        """The messages to append, in the order of the file."""
        return [self.tree.messages[place] for place in self.places]

    @property
    def ids(self) -> frozenset[str]:
        """The ids of the messages that the decision reads."""
        own = {each["id"] for each in self.messages}
        parents = {self.tree.parents[place] for place in self.places} - {None}
        leaf = {self.leaf_id} if self.tree.messages else set[str]()
        return frozenset(own | {each for each in parents if each} | leaf)

    @property
    def leaf_id(self) -> str:
        """The id of the last message that the file shows."""
        return self.tree.messages[self.tree.leaf]["id"]


def _runs(messages: Sequence[MessageDoc], places: Sequence[int]) -> list[list[int]]:
    """Split the places of messages into runs that one change can append."""
    runs: list[list[int]] = []
    size = 0
    for place in places:
        more = size_of(messages[place])
        if not runs or len(runs[-1]) >= CARRIED_LENGTH or size + more > CARRIED_BYTES:
            runs.append([])
            size = 0
        runs[-1].append(place)
        size += more
    return runs


def _append(
    actor: Actor,
    conversation_id: ObjectId,
    grown: _Grown,
    after: tuple[str | None] | None,
) -> Change[ImportOutcome]:
    """Return the change that appends messages after this one, or each after its parent."""

    def decide(working: WorkingCopy) -> ImportOutcome:
        working.check_exists()
        if all(working.find(each["id"]) is not None for each in grown.messages):
            return ImportOutcome.UPDATED  # appended by a process that was killed before it answered
        fields = working.fields
        first = fields["next_seq"]
        if after is not None:
            last = working.last_not_deleted()
            if (last and last.message["id"],) != after:
                return ImportOutcome.DIVERGED
            _add(working, grown, None)
        elif fields.get("active_reply_id") or fields.get("waiting_reply"):
            return ImportOutcome.DIVERGED
        else:
            _add_branches(working, grown)
        details: dict[str, Any] = {"messages": len(grown.places), "replaced": False}
        if after is None:
            details["leaf_seq"] = fields["first_seq"] + working.path.leaf
        entry = audit.entry(actor, Action.CONVERSATION_IMPORT, conversation_id, details=details)
        working.outbox.record(entry, range(first, fields["next_seq"]))
        return ImportOutcome.UPDATED

    return Change(
        actor=actor,
        access=Access.of(actor),
        action=Action.CONVERSATION_IMPORT,
        where=("_id", conversation_id),
        decide=decide,
        message_ids=grown.ids,
        needs_tail=True,
        needs_last_not_deleted=after is not None,
        needs_tree=after is None,
        adds=0,
        size=estimate(*grown.messages, *(grown.attached.documents if grown.attached else ())),
    )


def _add(
    working: WorkingCopy,
    grown: _Grown,
    links: list[Link] | None,
    parents: Sequence[str | None] = (),
) -> None:
    at, messages = grown.conversation.updated_at, [each.copy() for each in grown.messages]
    for message in messages:
        message.pop("parent_id", None)
    start = working.fields["next_seq"] - working.fields["first_seq"]
    for link in links or ():
        messages[link.place - start]["parent_id"] = parents[link.place - start]
    working.append(messages, at, messages[-1]["timestamp"], links)
    if grown.attached is not None:
        working.set(at, import_fingerprint=grown.tree.fingerprint)
        working.beside += grown.attached.writes(working.access, working.fields["_id"])


def _add_branches(working: WorkingCopy, grown: _Grown) -> None:
    """Append each message after its parent, and choose the branch to show."""
    fields, tree = working.fields, grown.tree
    first = fields["first_seq"]
    start = fields["next_seq"] - first
    before, file_ids = working.leaf_id, {each["id"] for each in tree.messages}
    added = {tree.messages[place]["id"]: start + at for at, place in enumerate(grown.places)}
    parents = [tree.parents[place] for place in grown.places]
    links: list[Link] = []
    for number, parent_id in enumerate(parents):
        place = ROOT if parent_id is None else added.get(parent_id)
        if place is None and parent_id is not None:
            stored = working.find(parent_id)
            place = ROOT if stored is None else stored.seq - first
        if place is not None and place != start + number - 1:
            links.append(Link(start + number, place))
    shown = working.path.leaf
    _add(working, grown, links, parents)
    if before is None or before in file_ids:
        found = working.find(grown.leaf_id)
        if found is not None and found.seq - first != working.path.leaf:
            working.show_branch(found.seq - first, grown.leaf_id, grown.conversation.updated_at)
    else:
        working.show_branch(shown, before, grown.conversation.updated_at)
