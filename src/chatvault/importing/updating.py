"""Conversations that have grown since they were imported: finding what is new, and appending it."""

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
from chatvault.conversations.finding import find_messages
from chatvault.conversations.reading import read_consistently
from chatvault.conversations.segments import size_of
from chatvault.conversations.shapes import ConversationDoc, MessageDoc
from chatvault.conversations.store import MessageStore
from chatvault.encoding import to_json
from chatvault.errors import NotFound
from chatvault.importing.neutral import NeutralConversation
from chatvault.importing.reports import ImportOutcome
from chatvault.importing.storing import submit_patiently, to_message_docs
from chatvault.keys import SecretKey

# So many ids are looked for with one query.
AT_ONCE: Final = 1000


@dataclass(frozen=True, slots=True)
class Growth:
    """What a file has of a conversation that is stored.

    Attributes:
        new: the messages that are not stored, in order.
        after: the id of the message that the first of them follows; None for the first of all.
        is_at_end: whether what is stored comes before all of them.
    """

    new: list[MessageDoc]
    after: str | None
    is_at_end: bool


def fingerprint(access: Access, key: SecretKey, conversation: NeutralConversation) -> str:
    """Return a keyed hash of what an import of the conversation stores of its messages."""
    docs = to_message_docs(conversation)
    said = ([each["id"], each.get("role"), each.get("content")] for each in docs)
    owner = str(access.owner_id).encode()
    return key.hash_bytes(b"import for ", owner, *(to_json(each) for each in said))


async def find_growth(
    access: Access,
    store: MessageStore,
    conversation_id: ObjectId,
    messages: Sequence[MessageDoc],
) -> Growth:
    """Return which of the messages are not stored; those that were deleted here are.

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
    new = [each for each in messages if each["id"] not in known]
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
    mark: str,
    dry_run: bool = False,
) -> ImportOutcome:
    """Append what a conversation has gained since it was imported.

    What stands between messages that are stored, and what comes after messages that were added
    here, is left out.

    Args:
        actor: the conversation's owner.
        commits: takes the changes.
        conversation: what was read.
        conversation_id: the stored conversation's id.
        mark: the fingerprint, which is stored where nothing is left out.
        dry_run: change nothing, and tell what would be done.

    Raises:
        Busy: others kept changing the same.
        OutcomeUnknown: MongoDB went away in the middle.
    """
    access = Access.of(actor)
    messages = to_message_docs(conversation)
    try:
        growth = await find_growth(access, commits.store, conversation_id, messages)
        if not growth.new:
            return ImportOutcome.SKIPPED
        if not growth.is_at_end:
            return ImportOutcome.DIVERGED
        if dry_run:
            return ImportOutcome.UPDATED
        outcome, after = ImportOutcome.UPDATED, growth.after
        for run in _runs(growth.new):
            is_last = run[-1] is growth.new[-1]
            change = _append(actor, conversation_id, conversation, run, after, is_last and mark)
            outcome = await submit_patiently(commits, change)
            if outcome is not ImportOutcome.UPDATED:
                break
            after = run[-1]["id"]
    except NotFound:
        return ImportOutcome.DELETED_HERE
    return outcome


def _runs(messages: Sequence[MessageDoc]) -> list[list[MessageDoc]]:
    """Return the messages in runs that one change may carry."""
    runs: list[list[MessageDoc]] = []
    size = 0
    for message in messages:
        more = size_of(message)
        if not runs or len(runs[-1]) >= CARRIED_LENGTH or size + more > CARRIED_BYTES:
            runs.append([])
            size = 0
        runs[-1].append(message)
        size += more
    return runs


def _append(
    actor: Actor,
    conversation_id: ObjectId,
    conversation: NeutralConversation,
    messages: list[MessageDoc],
    after: str | None,
    mark: str | bool,  # noqa: FBT001  # a mark, or none
) -> Change[ImportOutcome]:
    def decide(working: WorkingCopy) -> ImportOutcome:
        working.check_exists()
        if all(working.find(each["id"]) is not None for each in messages):
            return ImportOutcome.UPDATED  # by a process that was killed before it told
        last = working.last_not_deleted()
        if (last and last.message["id"]) != after:
            return ImportOutcome.DIVERGED
        at, first = conversation.updated_at, working.fields["next_seq"]
        working.append([each.copy() for each in messages], at, messages[-1]["timestamp"])
        marked: dict[str, Any] = {"import_fingerprint": mark} if mark else {}
        working.set(at, **marked)
        details = {"messages": len(messages), "replaced": False}
        entry = audit.entry(actor, Action.CONVERSATION_IMPORT, conversation_id, details=details)
        working.outbox.record(entry, range(first, first + len(messages)))
        return ImportOutcome.UPDATED

    return Change(
        actor=actor,
        access=Access.of(actor),
        action=Action.CONVERSATION_IMPORT,
        where=("_id", conversation_id),
        decide=decide,
        message_ids=frozenset(each["id"] for each in messages),
        needs_tail=True,
        needs_last_not_deleted=True,
        size=estimate(*messages),
    )
