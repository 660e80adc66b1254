"""Read messages from a conversation's tail and its segments, in bounded memory.

In a conversation with branches, the one that is shown is read, unless all are requested.
"""

import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar

from bson import ObjectId

from chatvault.access import Access
from chatvault.conversations.reading.consistency import (
    ReadConflict,
    check_unchanged,
    count_stored,
    not_deleted,
    number,
    window,
)
from chatvault.conversations.reading.paths import (
    is_branched,
    walk_path,
    walk_path_back,
    walk_path_past,
)
from chatvault.conversations.segments import size_of
from chatvault.conversations.shapes import ConversationDoc, StoredMessage
from chatvault.conversations.store import MessageStore
from chatvault.errors import Busy
from chatvault.fields import Raw

T = TypeVar("T")
# The messages of a conversation in one answer, in BSON bytes; docs/api.md states it.
WHOLE_BYTES = 4 * 1024 * 1024
ATTEMPTS = 10
# The most segments read at a time while a page fills.
MOST_RUNS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class PageRequest:
    """The messages of a page: by one of `before`, `after`, `since` and `around`, or else by offset.

    Attributes:
        limit: the maximum number of messages.
        offset: how many to skip from the oldest.
        before: only places lower than this, the nearest ones.
        after: only places higher than this.
        since: from the first that is not older than this.
        around: with this place in the middle.
        whole: messages of all branches, each with its `parent_id`; otherwise of the one shown.
    """

    limit: int
    offset: int = 0
    before: int | None = None
    after: int | None = None
    since: datetime | None = None
    around: int | None = None
    whole: bool = False


@dataclass(frozen=True, slots=True)
class MessagePage:
    """Consecutive messages with their places, and the position of the page.

    Attributes:
        offset: how many messages not deleted come before, if the page was requested by offset.
        has_more: whether there are more in the direction of reading.
    """

    messages: list[StoredMessage]
    total: int
    has_more: bool
    version: int
    first_seq: int
    offset: int | None = None


@dataclass(frozen=True, slots=True)
class ConversationView:
    """A conversation's document, and as many of its messages as an answer has.

    Attributes:
        messages: in the API's shape.
        older: the JSON of the messages before these, separated by commas.
        older_count: the number of those.
    """

    conversation: ConversationDoc
    messages: list[Raw]
    older: bytes = b""
    older_count: int = 0

    @property
    def is_truncated(self) -> bool:
        """Whether there are more messages than these."""
        count = self.older_count + len(self.messages)
        return count < self.conversation["total_messages"]


async def read_consistently(
    access: Access,
    store: MessageStore,
    conversation_id: ObjectId,
    read: Callable[[ConversationDoc], Awaitable[T]],
) -> T:
    """Return the result of `read`, repeated if the conversation changed meanwhile.

    Raises:
        NotFound: the actor has no such conversation.
        Busy: it kept changing.
    """
    for _ in range(ATTEMPTS):
        conversation = await store.get_conversation(access, conversation_id)
        try:
            return await read(conversation)
        except ReadConflict:
            continue
    raise Busy(retry_after=1)


async def _walk(
    access: Access,
    store: MessageStore,
    conversation: ConversationDoc,
    start: int,
    *,
    most: int = MOST_RUNS,
    follows: bool = False,
) -> AsyncGenerator[list[StoredMessage]]:
    """Yield the messages from the place `start`: one run, then more and more at a time.

    Args:
        access: to their owner's data.
        store: reads the messages.
        conversation: the conversation's document.
        start: the place to begin with.
        most: the most runs at a time.
        follows: include later edits and removals instead of raising.

    Raises:
        ReadConflict: the conversation changed since its document was read.
    """
    first, tail_seq = conversation["first_seq"], conversation["tail_seq"]
    place = max(start, first)
    generation = conversation["generation"]
    # The first run is the one with the place in it; after it, places are the starts of runs.
    where: Raw = {"$lte": place - first}
    order, limit = -1, 1
    while place < tail_seq:
        found = await store.list_segments_where(access, generation, where, order=order, limit=limit)
        messages: list[StoredMessage] = []
        for segment in found:
            if not follows:
                check_unchanged(segment, conversation)
            messages += number(segment["messages"], first + segment["start"])
        end = min(tail_seq, messages[-1].seq + 1 if messages else 0)
        if end <= place:
            raise ReadConflict
        yield window(messages, place, end)
        place = end
        where = {"$gte": place - first}
        order, limit = 1, min(most, limit * 2)
    yield number(conversation["messages"], tail_seq)[place - tail_seq :]


async def _walk_back(
    access: Access,
    store: MessageStore,
    conversation: ConversationDoc,
    end: int,
    *,
    most: int | None = None,
) -> AsyncGenerator[list[StoredMessage]]:
    """Yield the messages before the place `end`, newest first: the tail, one run, then more.

    Args:
        access: to their owner's data.
        store: reads the messages.
        conversation: the conversation's document.
        end: the place to begin before.
        most: if set, the first run completes the tail to this many messages not deleted.

    Raises:
        ReadConflict: the conversation changed since its document was read.
    """
    first, tail_seq = conversation["first_seq"], conversation["tail_seq"]
    tail = number(conversation["messages"], tail_seq)[: max(0, end - tail_seq)][::-1]
    yield tail
    place = min(end, tail_seq)
    ends_there = most is not None and end >= tail_seq > first
    missing = max(1, (most or 0) - len(not_deleted(tail)))
    if ends_there and (run := await _read_end(access, store, conversation, missing)):
        yield run[::-1]
        place = run[0].seq
    limit = 1
    while place > first:
        found = await store.list_segments_where(
            access, conversation["generation"], {"$lt": place - first}, order=-1, limit=limit
        )
        messages: list[StoredMessage] = []
        for segment in found:
            check_unchanged(segment, conversation)
            messages += reversed(number(segment["messages"], first + segment["start"]))
        start = messages[-1].seq if messages else place
        if start >= place:
            raise ReadConflict
        yield window(messages, start, place)[::-1]
        place = start
        limit = min(MOST_RUNS, limit * 2)


async def _read_end(
    access: Access, store: MessageStore, conversation: ConversationDoc, most: int
) -> list[StoredMessage]:
    """Return the newest messages before the tail, deleted ones included; none if they moved.

    Raises:
        ReadConflict: one of them was edited or removed since the document was read.
    """
    first, tail_seq = conversation["first_seq"], conversation["tail_seq"]
    found = await store.list_segment_ends(
        access, conversation["generation"], end=tail_seq - first, most=most
    )
    place, newest_first = tail_seq, list[StoredMessage]()
    for segment in reversed(found):
        base = first + segment["start"] + segment["length"] - len(segment["messages"])
        # A segment that messages of the tail have moved to has more than needed, or nothing else.
        run = number(segment["messages"], base)[: max(0, place - base)]
        if not run or run[-1].seq != place - 1 or len(newest_first) >= most:
            break
        check_unchanged(segment, conversation)
        newest_first += reversed(run)
        place = base
    return newest_first[::-1]


async def read_newest(
    access: Access, store: MessageStore, conversation: ConversationDoc, budget: int
) -> list[StoredMessage]:
    """Return the newest messages that fit the budget, in BSON bytes.

    Raises:
        ReadConflict: the conversation changed since its document was read.
    """
    newest_first = _read_backward(access, store, conversation, conversation["next_seq"])
    return (await _take(newest_first, budget=budget))[0][::-1]


async def _take(
    runs: AsyncGenerator[list[StoredMessage]],
    *,
    budget: int | None,
    limit: int | None = None,
    skip: int = 0,
) -> tuple[list[StoredMessage], bool]:
    """Return the first messages of the runs that are not deleted, and whether there are more.

    Args:
        runs: messages in the order of reading.
        budget: the approximate limit in BSON bytes, with at least one message; None for no limit.
        limit: the maximum number of messages.
        skip: how many messages not deleted to skip.
    """
    taken: list[StoredMessage] = []
    async with contextlib.aclosing(runs) as reading:
        async for run in reading:
            for messages in not_deleted(run):
                if skip:
                    skip -= 1
                    continue
                if len(taken) == limit:
                    return taken, True
                if budget is not None:
                    budget -= size_of(messages.message)
                    if taken and budget < 0:
                        return taken, True
                taken.append(messages)
    return taken, False


def _read_backward(
    access: Access,
    store: MessageStore,
    conversation: ConversationDoc,
    end: int,
    *,
    most: int | None = None,
    whole: bool = False,
) -> AsyncGenerator[list[StoredMessage]]:
    """Yield messages before a place, newest first: those of the branch that is shown, or all."""
    if whole or not is_branched(conversation):
        return _walk_back(access, store, conversation, end, most=most)
    return walk_path_back(access, store, conversation, end, most=most)


def _read_forward(
    access: Access,
    store: MessageStore,
    conversation: ConversationDoc,
    start: int,
    *,
    whole: bool = False,
) -> AsyncGenerator[list[StoredMessage]]:
    """Yield messages from a place on: those of the branch that is shown, or all."""
    if whole or not is_branched(conversation):
        return _walk(access, store, conversation, start)
    return walk_path(access, store, conversation, start)


async def read_before(
    access: Access,
    store: MessageStore,
    conversation: ConversationDoc,
    before: int,
    limit: int,
    *,
    whole: bool = False,
) -> MessagePage:
    """Return the newest `limit` messages not deleted whose place is lower than `before`.

    With `whole`, here and below, those of all branches.

    Raises:
        ReadConflict: the conversation changed since its document was read.
    """
    runs = _read_backward(access, store, conversation, before, most=limit + 1, whole=whole)
    return await _page(runs, conversation, limit, newest_first=True, whole=whole)


async def read_after(
    access: Access,
    store: MessageStore,
    conversation: ConversationDoc,
    after: int,
    limit: int,
    *,
    whole: bool = False,
) -> MessagePage:
    """Return the oldest `limit` messages not deleted whose place is higher than `after`.

    Raises:
        ReadConflict: the conversation changed since its document was read.
    """
    runs = _read_forward(access, store, conversation, after + 1, whole=whole)
    return await _page(runs, conversation, limit, whole=whole)


async def read_offset(
    access: Access,
    store: MessageStore,
    conversation: ConversationDoc,
    offset: int,
    limit: int,
    *,
    whole: bool = False,
) -> MessagePage:
    """Return `limit` messages after the first `offset`; deleted ones do not count.

    Raises:
        ReadConflict: the conversation changed since its document was read.
    """
    if whole or not is_branched(conversation):
        skipped, start = await _find_offset(access, store, conversation, offset)
        runs = _read_forward(access, store, conversation, start, whole=whole)
        page = await _page(runs, conversation, limit, skip=offset - skipped, whole=whole)
    else:
        runs = walk_path_past(access, store, conversation, offset)
        page = await _page(runs, conversation, limit)
    return replace(page, offset=offset)


async def _find_offset(
    access: Access, store: MessageStore, conversation: ConversationDoc, offset: int
) -> tuple[int, int]:
    """Return a place at or before the offset, and the number of not deleted messages before it.

    Raises:
        ReadConflict: a message was removed since the document was read.
    """
    first = conversation["first_seq"]
    tail_start = conversation["tail_seq"] - first
    if conversation["next_seq"] - first == count_stored(conversation):
        return offset, first + offset
    skipped = 0
    runs = store.walk_segment_fields(access, conversation["generation"], before=tail_start)
    async for run in runs:
        check_unchanged(run, conversation)
        # A segment that messages of the tail have moved to is counted only up to the tail.
        grew = run["start"] + run["length"] > tail_start
        if grew or skipped + run["living"] > offset:
            return skipped, first + run["start"]
        skipped += run["living"]
    return skipped, conversation["tail_seq"]


async def _page(
    runs: AsyncGenerator[list[StoredMessage]],
    conversation: ConversationDoc,
    limit: int,
    *,
    skip: int = 0,
    newest_first: bool = False,
    whole: bool = False,
) -> MessagePage:
    # Measuring a message costs more than reading it.
    budget = None if conversation["message_bytes"] <= WHOLE_BYTES else WHOLE_BYTES
    taken, has_more = await _take(runs, budget=budget, limit=limit, skip=skip)
    return MessagePage(
        messages=taken[::-1] if newest_first else taken,
        total=count_stored(conversation) if whole else conversation["total_messages"],
        has_more=has_more,
        version=conversation["version"],
        first_seq=conversation["first_seq"],
    )


async def stream(
    access: Access, store: MessageStore, conversation: ConversationDoc, *, whole: bool = False
) -> AsyncGenerator[list[StoredMessage]]:
    """Yield all messages not deleted, in runs, as of when the conversation was read.

    They are those of the branch that is shown, or with `whole` those of all branches.

    Raises:
        Busy: they were replaced so long ago that their segments are being deleted.
    """
    first = conversation["first_seq"]
    if whole or not is_branched(conversation):
        runs = _walk(access, store, conversation, first, most=1, follows=True)
    else:
        runs = walk_path(access, store, conversation, first, follows=True)
    try:
        async with contextlib.aclosing(runs) as reading:
            async for run in reading:
                yield not_deleted(run)
    except ReadConflict:
        raise Busy(retry_after=1) from None
