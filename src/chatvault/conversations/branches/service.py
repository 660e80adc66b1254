"""Operations on a conversation's branches."""

import asyncio
from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate

from bson import ObjectId

from chatvault.access import Access, Need, resolve
from chatvault.actor import Actor
from chatvault.audit import service as audit
from chatvault.audit.actions import Action
from chatvault.audit.recorder import Recorder
from chatvault.conversations.commits.change import Change
from chatvault.conversations.commits.queue import CommitQueue
from chatvault.conversations.commits.working_copy import WorkingCopy
from chatvault.conversations.message_schemas import ActiveLeafIn
from chatvault.conversations.reading.finding import find_messages
from chatvault.conversations.reading.pages import read_consistently
from chatvault.conversations.reading.paths import is_branched, leaf_of
from chatvault.conversations.reading.tree import read_ids, read_tree
from chatvault.conversations.segments import is_deleted
from chatvault.conversations.shapes import ConversationDoc
from chatvault.conversations.store import MessageStore
from chatvault.conversations.tree import ROOT, Run, Tree
from chatvault.errors import Conflict, NotFound
from chatvault.fields import now

# The limits of listed messages: of one fork, and of a page of forks.
MOST_OF_FORK = 1_000
MOST_OF_PAGE = 20_000


class ReplyUnderWay(Conflict):
    """A reply is running on the branch that is shown, or waits for a decision."""

    code = "reply_under_way"


@dataclass(frozen=True, slots=True)
class ActiveLeaf:
    """The branch that is shown."""

    message_id: str
    total_messages: int
    version: int


@dataclass(frozen=True, slots=True)
class Fork:
    """Messages that follow the same one.

    Attributes:
        parent: the place of that one, or ROOT.
        children: the places of the newest of them, and of the active one, the lowest first.
        active: the one on the branch that is shown.
        total: how many there are.
    """

    parent: int
    children: list[int]
    active: int | None
    total: int


@dataclass(frozen=True, slots=True)
class ForkPage:
    """Forks, the newest places first, and the ids of the messages they name.

    Attributes:
        first_seq: what is added to a place to get a `seq`.
        ids: by place.
        total: how many forks there are in all.
        has_more: whether there are more after these.
    """

    forks: list[Fork]
    first_seq: int
    ids: dict[int, str]
    total: int
    has_more: bool


def check_no_reply(fields: ConversationDoc) -> None:
    """Raise ReplyUnderWay if a reply is running or waits for a decision."""
    if fields.get("active_reply_id") or fields.get("waiting_reply"):
        raise ReplyUnderWay


async def show_branch(
    actor: Actor,
    commits: CommitQueue,
    *,
    conversation_id: ObjectId,
    wanted: ActiveLeafIn,
) -> ActiveLeaf:
    """Show the branch with a message, up to its newest message or only up to this one.

    Raises:
        NotFound: the actor has no such conversation, or it has no such message.
        ReplyUnderWay: an answer is being written, or waits for a decision.
    """
    access = await resolve(actor, conversation_id, Need.WRITE)
    leaf_id = wanted.message_id
    if wanted.to_end:
        leaf_id = await _find_end(access, commits.store, conversation_id, wanted.message_id)

    def decide(working: WorkingCopy) -> ActiveLeaf:
        fields = working.fields
        stored = working.find(leaf_id)
        if stored is None or is_deleted(stored.message):
            raise NotFound("Message not found")
        place, at = stored.seq - fields["first_seq"], now()
        if place != working.path.leaf:
            check_no_reply(fields)
            working.show_branch(place, leaf_id, at)
        entry = audit.entry(
            actor,
            Action.CONVERSATION_SHOW_BRANCH,
            conversation_id,
            details={"leaf_seq": stored.seq},
        )
        working.outbox.record(entry)
        return ActiveLeaf(leaf_id, fields["total_messages"], fields["version"])

    return await commits.submit(
        Change(
            actor=actor,
            access=access,
            action=Action.CONVERSATION_SHOW_BRANCH,
            where=("_id", conversation_id),
            decide=decide,
            message_ids=frozenset({leaf_id}),
            needs_tree=True,
        )
    )


async def _find_end(
    access: Access, store: MessageStore, conversation_id: ObjectId, message_id: str
) -> str:
    """Return the id of the newest message after one.

    Raises:
        NotFound: there is no such conversation or message.
    """

    async def read(conversation: ConversationDoc) -> str:
        found = await find_messages(access, store, conversation, [message_id])
        if not found or is_deleted(found[0].message):
            raise NotFound("Message not found")
        tree = await read_tree(access, conversation)
        place = found[0].seq - conversation["first_seq"]
        leaf = await asyncio.to_thread(tree.newest_living_leaf, place)
        ids = await read_ids(access, store, conversation, {leaf})
        return ids.get(leaf, message_id)

    return await read_consistently(access, store, conversation_id, read)


async def list_forks(
    actor: Actor,
    store: MessageStore,
    recorder: Recorder,
    *,
    conversation_id: ObjectId,
    limit: int,
    before: int | None,
) -> ForkPage:
    """Return where a conversation divides into branches, the newest places first.

    Args:
        actor: the conversation's owner.
        store: reads the messages.
        recorder: stores the audit entry.
        conversation_id: the conversation's id.
        limit: the maximum number of forks; fewer if they have many messages.
        before: only forks after messages of a lower `seq`.

    Raises:
        NotFound: the actor has no such conversation.
    """
    access = await resolve(actor, conversation_id, Need.READ)

    async def read(conversation: ConversationDoc) -> ForkPage:
        first = conversation["first_seq"]
        if not is_branched(conversation):
            return ForkPage([], first, {}, 0, has_more=False)
        tree = await read_tree(access, conversation)
        # Of a large tree this takes a second.
        forks = await asyncio.to_thread(_forks, tree, leaf_of(conversation))
        some = [each for each in forks if before is None or each.parent + first < before]
        shown = some[: min(limit, _fitting(some))]
        places = {place for fork in shown for place in (fork.parent, *fork.children)}
        ids = await read_ids(access, store, conversation, places - {ROOT})
        return ForkPage(shown, first, ids, len(forks), has_more=len(some) > len(shown))

    page = await read_consistently(access, store, conversation_id, read)
    details = {"forks": len(page.forks)}
    await recorder.record(
        audit.entry(actor, Action.CONVERSATION_LIST_FORKS, conversation_id, details=details)
    )
    return page


def _forks(tree: Tree, leaf: int) -> list[Fork]:
    """Return the forks of a tree whose branch up to a leaf is shown, the newest places first."""
    path = tree.path_to(leaf)
    forks = []
    for parent, children in tree.forks(tree.not_deleted(leaf)).items():
        active = next((each for each in reversed(children) if _has(path, each)), None)
        listed = children[-MOST_OF_FORK:]
        if active is not None and active < listed[0]:
            listed.insert(0, active)
        forks.append(Fork(parent, listed, active, total=len(children)))
    return sorted(forks, key=lambda fork: fork.parent, reverse=True)


def _fitting(forks: list[Fork]) -> int:
    """Count the first forks that fit into a page, at least one."""
    sizes = accumulate(len(fork.children) for fork in forks)
    return max(1, bisect_right(list(sizes), MOST_OF_PAGE))


def _has(path: list[Run], place: int) -> bool:
    """Whether a branch has a place."""
    at = bisect_right(path, (place, float("inf"))) - 1
    return at >= 0 and path[at].first <= place <= path[at].last
