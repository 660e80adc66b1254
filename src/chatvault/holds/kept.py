"""Read all that is stored of conversations under a legal hold, also what nobody else is shown."""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from bson import ObjectId

from chatvault.access import Access
from chatvault.conversations.reading.wire import message_wire
from chatvault.conversations.segments import PendingDeletion
from chatvault.conversations.shapes import ConversationDoc, MessageDoc, StoredMessage
from chatvault.conversations.store import MessageStore
from chatvault.conversations.trash.queries import list_with_trash
from chatvault.errors import NotFound
from chatvault.fields import Raw


class Kind(StrEnum):
    """The kinds of kept messages, in the order in which they are read."""

    # It is in the conversation now, on whichever branch.
    CURRENT = "current"
    # As it was before an edit, or before it was removed.
    EARLIER = "earlier"
    # It was replaced with all messages of the conversation.
    REPLACED = "replaced"


class Place(NamedTuple):
    """The place of a kept message: its kind, and what orders it among these."""

    kind: Kind
    key: tuple[Any, ...]


class KeptMessage(NamedTuple):
    """A message that is stored, the time of its edit or removal, and its place."""

    place: Place
    replaced_at: datetime | None
    message: Raw


START = Place(Kind.CURRENT, (-1,))


async def list_kept(
    access: Access,
    store: MessageStore,
    *,
    conversation_id: ObjectId | None,
    after: ObjectId | None,
    limit: int,
) -> list[ConversationDoc]:
    """Return conversations without messages by id, also those in the trash.

    Args:
        access: to their owner's data.
        store: reads them.
        conversation_id: of the only one; None for all.
        after: the last one of the page before.
        limit: the most of a page.
    """
    ids = await list_with_trash(access, conversation_id, after, limit)
    return await store.find_with_trash(access, ids)


async def list_kept_messages(
    access: Access, store: MessageStore, *, conversation_id: ObjectId, after: Place, limit: int
) -> list[KeptMessage]:
    """Return messages of a conversation after a place, in the order of their kinds.

    Raises:
        NotFound: the owner has no such conversation, in the trash or elsewhere.
    """
    found = await store.find_with_trash(access, [conversation_id], with_messages=True)
    if not found:
        raise NotFound("Conversation not found")
    page: list[KeptMessage] = []
    if after.kind is Kind.CURRENT:
        page += await _list_current(access, store, found[0], after.key[0] + 1, limit)
    if after.kind is not Kind.REPLACED and len(page) < limit:
        key = after.key if after.kind is Kind.EARLIER else None
        page += await _list_earlier(access, store, conversation_id, key, limit - len(page))
    if len(page) < limit:
        key = after.key if after.kind is Kind.REPLACED else None
        page += await _list_replaced(access, store, conversation_id, key, limit - len(page))
    return page


async def _list_current(
    access: Access, store: MessageStore, conversation: ConversationDoc, first: int, limit: int
) -> list[KeptMessage]:
    base = conversation["first_seq"]
    tail = conversation["tail_seq"] - base
    found: list[tuple[int, MessageDoc]] = []
    while first < tail and len(found) < limit:
        run = await _list_run(access, store, conversation["generation"], first, limit, tail)
        if not run:
            break
        found += _living(run)
        first = run[-1][0] + 1
    found += _living(each for each in enumerate(conversation["messages"], tail) if each[0] >= first)
    return [
        KeptMessage(
            Place(Kind.CURRENT, (place,)), None, message_wire(StoredMessage(base + place, message))
        )
        for place, message in found[:limit]
    ]


async def _list_run(
    access: Access, store: MessageStore, generation: ObjectId, first: int, limit: int, end: int
) -> list[tuple[int, MessageDoc]]:
    """Return the next messages in segments with their places, deleted ones included."""
    segments = await store.list_segments_within(
        access, generation, first, min(first + limit, end), most=0
    )
    return [
        each
        for segment in segments
        for each in enumerate(segment["messages"], max(first, segment["start"]))
    ]


def _living(messages: Iterable[tuple[int, MessageDoc]]) -> list[tuple[int, MessageDoc]]:
    return [each for each in messages if "deleted" not in each[1]]


async def _list_earlier(
    access: Access,
    store: MessageStore,
    conversation_id: ObjectId,
    key: tuple[Any, ...] | None,
    limit: int,
) -> list[KeptMessage]:
    revisions = await store.list_kept_revisions(access, conversation_id, key, limit)
    return [
        KeptMessage(
            Place(Kind.EARLIER, (each["message_id"], each["seq"], each["version"])),
            each["replaced_at"],
            message_wire(StoredMessage(each["seq"], each["message"])),
        )
        for each in revisions
    ]


async def _list_replaced(
    access: Access,
    store: MessageStore,
    conversation_id: ObjectId,
    key: tuple[Any, ...] | None,
    limit: int,
) -> list[KeptMessage]:
    """Return messages of earlier generations, which garbage collection leaves under the hold."""
    # The index has the times; what a hold keeps has none.
    mine = PendingDeletion.owned_by(access, conversation_id=conversation_id, due_at=None)
    found = await PendingDeletion.get_pymongo_collection().find(mine).to_list()
    generations = {each["generation"] for each in found} - {None}
    last, first = (ObjectId(key[0]), key[1] + 1) if key is not None else (None, 0)
    page: list[KeptMessage] = []
    for generation in sorted(generations):
        if last is not None and generation < last:
            continue
        place = first if generation == last else 0
        while len(page) < limit:
            run = await _list_run(access, store, generation, place, limit, place + limit)
            if not run:
                break
            place = run[-1][0] + 1
            page += [
                KeptMessage(
                    Place(Kind.REPLACED, (str(generation), at)),
                    None,
                    {**message_wire(StoredMessage(at, message)), "seq": None},
                )
                for at, message in _living(run)
            ]
    return page[:limit]
