"""Listing conversations: by conditions, in an order, page by page."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace

from bson import ObjectId

from chatvault.access import Access
from chatvault.actor import Actor
from chatvault.audit import service as audit
from chatvault.audit.actions import Action
from chatvault.audit.recorder import Recorder
from chatvault.conversations.categories import list_family
from chatvault.conversations.holds import NO_HOLDS, Holds
from chatvault.conversations.lists.changed import Changed, Since, list_changed
from chatvault.conversations.lists.filters import Filter, Position, Selection, Sort
from chatvault.conversations.lists.indexes import may_be_few
from chatvault.conversations.lists.ordered import count_matching, list_ordered
from chatvault.conversations.lists.shared import SharedPage, read_shared
from chatvault.conversations.reading.listing import LIST_BYTES, show_list
from chatvault.conversations.reading.pages import ConversationView
from chatvault.conversations.shapes import ConversationDoc
from chatvault.conversations.store import MessageStore

# Returns the ids of all conversations of an owner's that have attachments.
ListsAttached = Callable[[Access], Awaitable[Sequence[ObjectId]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ListRequest:
    """The conversations that are wanted on a page.

    Attributes:
        selection: the conditions.
        start: an offset, the position where the page before ended, or the time from which on
            changes are listed, whatever the conditions and the order.
        shared: whether they are those that others share with the actor, whatever the conditions
            and the order.
        counted: whether all pages' conversations are counted.
    """

    selection: Selection = field(default_factory=Selection)
    sort: Sort = Sort.UPDATED
    limit: int
    start: int | Position | Since = 0
    with_messages: bool = True
    counted: bool = True
    shared: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """Some conversations, and how many there are in all.

    Attributes:
        documents: their documents without messages.
        whole: the conversations with messages, if those were requested.
        total: None where they were not to be counted.
        has_more: whether there may be more after these.
        deleted: what was deleted, each with the number of conversations that come before it.
        following: where the next page of changes begins.
        holds: the holds that keep conversations of a page of the trash.
        shared: what others share with the actor, if that was requested.
    """

    documents: list[ConversationDoc]
    whole: list[ConversationView]
    total: int | None
    has_more: bool
    deleted: list[tuple[int, Changed]] = field(default_factory=list)
    following: Since | None = None
    holds: Holds = NO_HOLDS
    shared: SharedPage | None = None


async def list_page(
    actor: Actor,
    store: MessageStore,
    recorder: Recorder,
    list_attached: ListsAttached,
    *,
    wanted: ListRequest,
) -> Page:
    """Return a page of the actor's conversations, from an offset or after a position.

    Conversations have all their messages within the list's byte budget, then only the newest.
    """
    if wanted.shared:
        after = wanted.start.time_and_id if isinstance(wanted.start, Position) else None
        found = await read_shared(actor, store, recorder, wanted.limit, after)
        entry = audit.entry(actor, Action.CONVERSATION_LIST, details={"shared": True})
        await recorder.record(entry)
        return Page([], [], None, has_more=False, shared=found)
    access = Access.of(actor)
    if isinstance(wanted.start, Since):
        page = await _list_changes(access, store, wanted.start, wanted.limit)
    else:
        page = await _list(access, store, list_attached, wanted, wanted.start)
    if wanted.with_messages:
        whole = await show_list(access, store, page.documents, LIST_BYTES)
        page = replace(page, whole=whole)
    details = {"conversations": len(page.documents)}
    await recorder.record(audit.entry(actor, Action.CONVERSATION_LIST, details=details))
    return page


async def _list(
    access: Access,
    store: MessageStore,
    list_attached: ListsAttached,
    wanted: ListRequest,
    start: int | Position,
) -> Page:
    which = await complete(access, list_attached, wanted.selection)
    offset, after = (start, None) if isinstance(start, int) else (0, start)
    limit, total = wanted.limit, None
    if which.is_plain and not may_be_few(which) and wanted.sort is Sort.UPDATED:
        documents, total = await store.list_conversations(
            access,
            which=which.to_raw(),
            limit=limit,
            offset=offset,
            after=None if after is None else after.time_and_id,
            counted=wanted.counted,
        )
    else:
        documents = await list_ordered(
            access, store, which, wanted.sort, limit=limit, offset=offset, after=after
        )
        total = await count_matching(access, which) if wanted.counted else None
    counted = total if wanted.counted else None
    holds = await Holds.of(access) if which.in_trash else NO_HOLDS
    return Page(documents, [], counted, has_more=len(documents) == limit, holds=holds)


async def _list_changes(access: Access, store: MessageStore, since: Since, limit: int) -> Page:
    changed, following = await list_changed(access, store, since, limit)
    documents: list[ConversationDoc] = []
    deleted: list[tuple[int, Changed]] = []
    for each in changed:
        if each.document is None:
            deleted.append((len(documents), each))
        else:
            documents.append(each.document)
    has_more = following is not None
    return Page(documents, [], None, has_more, deleted=deleted, following=following)


async def complete(access: Access, list_attached: ListsAttached, selection: Selection) -> Filter:
    """Return the conditions, with what other documents say of categories and attachments."""
    which = selection.which
    if selection.category == "none":
        which = replace(which, category_ids=())
    elif selection.category is not None:
        which = replace(which, category_ids=await list_family(access, selection.category))
    if selection.has_attachments is not None:
        attached = await list_attached(access), selection.has_attachments
        which = replace(which, attached=attached)
    return which
