"""Read the branch of a conversation that is shown, in bounded memory.

The branch is runs of consecutive places in the array of messages. Runs near each other are read
with one query, and messages between them are left out.
"""

from collections.abc import AsyncGenerator, Iterable, Sequence

from chatvault.access import Access
from chatvault.conversations.reading.consistency import (
    ReadConflict,
    check_unchanged,
    not_deleted,
    number,
    window,
)
from chatvault.conversations.reading.older_runs import list_counts, walk_back, walk_from
from chatvault.conversations.shapes import ConversationDoc, PathRunsDoc, StoredMessage
from chatvault.conversations.store import MessageStore
from chatvault.conversations.tree import Run, to_runs

# Messages that a query reads: of a page at first, then more at a time.
FIRST_MESSAGES = 64
MOST_MESSAGES = 256
# Runs that are further apart than this are read with several queries.
MOST_GAP = 128
Window = list[Run]


def is_branched(conversation: ConversationDoc) -> bool:
    """Whether some message's parent is not the message before it."""
    return bool(conversation.get("path"))


def newest_runs(conversation: ConversationDoc) -> list[Run]:
    """Return the runs of the branch in the conversation's document, oldest first."""
    length = conversation["next_seq"] - conversation["first_seq"]
    path = conversation.get("path")
    if not path:
        return [Run(0, length - 1, conversation["total_messages"])] if length else []
    closed = to_runs(path["runs"])
    living = path["older_living"] + sum(run.living for run in closed)
    first, last = path["first"], path.get("leaf", length - 1)
    if first > last:
        return closed
    return [*closed, Run(first, last, conversation["total_messages"] - living)]


async def walk_path(
    access: Access,
    store: MessageStore,
    conversation: ConversationDoc,
    start: int,
    *,
    follows: bool = False,
) -> AsyncGenerator[list[StoredMessage]]:
    """Yield the messages of the branch from a `seq` on, oldest first.

    Args:
        access: to their owner's data.
        store: reads the messages.
        conversation: the conversation's document.
        start: the `seq` to begin with.
        follows: include later edits and removals instead of raising.

    Raises:
        ReadConflict: the conversation changed since its document was read.
    """
    place = start - conversation["first_seq"]
    size = FIRST_MESSAGES
    async for runs in _runs_from(access, store, conversation, place):
        cut = [run._replace(first=max(run.first, place)) for run in runs if run.last >= place]
        for some in _windows(cut, size):
            yield await _read(access, store, conversation, some, follows=follows)
            size = MOST_MESSAGES


async def walk_path_back(
    access: Access,
    store: MessageStore,
    conversation: ConversationDoc,
    end: int,
    *,
    most: int | None = None,
) -> AsyncGenerator[list[StoredMessage]]:
    """Yield the messages of the branch before a `seq`, newest first.

    Args:
        access: to their owner's data.
        store: reads the messages.
        conversation: the conversation's document.
        end: the `seq` to begin before.
        most: the number of messages needed, if known.

    Raises:
        ReadConflict: the conversation changed since its document was read.
    """
    place = end - conversation["first_seq"]
    size = FIRST_MESSAGES if most is None else min(most, MOST_MESSAGES)
    async for runs in _runs_before(access, store, conversation, place):
        cut = [run._replace(last=min(run.last, place - 1)) for run in runs if run.first < place]
        for some in _windows_back(cut, size):
            yield (await _read(access, store, conversation, some))[::-1]


async def walk_path_past(
    access: Access, store: MessageStore, conversation: ConversationDoc, offset: int
) -> AsyncGenerator[list[StoredMessage]]:
    """Yield the messages of the branch that are not deleted, oldest first, but the first `offset`.

    Raises:
        ReadConflict: the conversation changed since its document was read.
    """
    skipped, place = await _skip_documents(access, store, conversation, offset)
    left, size = offset - skipped, FIRST_MESSAGES
    async for runs in _runs_from(access, store, conversation, place):
        cut, left = _without_first(runs, left)
        for some in _windows(cut, size):
            messages = not_deleted(await _read(access, store, conversation, some))
            yield messages[left:]
            left = max(0, left - len(messages))
            size = MOST_MESSAGES


def _without_first(runs: list[Run], count: int) -> tuple[list[Run], int]:
    """Return the runs after the first messages, and how many of those are left to skip.

    Some are left if the run that they end in has deleted messages.
    """
    for position, run in enumerate(runs):
        if run.living > count:
            is_whole = run.living == run.last - run.first + 1
            first = run._replace(first=run.first + count) if is_whole else run
            return [first, *runs[position + 1 :]], 0 if is_whole else count
        count -= run.living
    return [], count


async def _skip_documents(
    access: Access, store: MessageStore, conversation: ConversationDoc, offset: int
) -> tuple[int, int]:
    """Return how many messages documents of older runs have up to an offset, and the next place.

    Raises:
        ReadConflict: the conversation changed since its document was read.
    """
    path = conversation.get("path")
    if not (offset and path and path["older"]):
        return 0, 0
    if offset >= path["older_living"]:
        newest = newest_runs(conversation)
        place = newest[0].first if newest else conversation["next_seq"]
        return path["older_living"], place
    skipped = 0
    for each in await list_counts(access, store, conversation):
        _check(each, conversation, is_next=True)
        if skipped + each["living"] > offset:
            return skipped, each["first"]
        skipped += each["living"]
    raise ReadConflict


async def _runs_from(
    access: Access, store: MessageStore, conversation: ConversationDoc, place: int
) -> AsyncGenerator[list[Run]]:
    """Yield the runs of the branch from the one with a place on; may begin with earlier runs."""
    newest, path = newest_runs(conversation), conversation.get("path")
    if path and path["older"] and (not newest or place < newest[0].first):
        reached: int | None = None
        async for group in walk_from(access, store, conversation, place):
            for each in group:
                _check(each, conversation, is_next=reached is None or each["start"] == reached)
                reached = each["start"] + len(each["runs"])
            yield [run for each in group for run in to_runs(each["runs"])]
        if reached != path["older"]:
            raise ReadConflict
    yield newest


async def _runs_before(
    access: Access, store: MessageStore, conversation: ConversationDoc, place: int
) -> AsyncGenerator[list[Run]]:
    """Yield the runs of the branch that begin before a place, the newest group first."""
    newest, path = newest_runs(conversation), conversation.get("path")
    yield newest
    if not (path and path["older"]):
        return
    before = min(place, newest[0].first) if newest else place
    is_all = before < place or not newest
    reached: int | None = path["older"] if is_all else None
    async for group in walk_back(access, store, conversation, before):
        for each in reversed(group):
            end = each["start"] + len(each["runs"])
            _check(each, conversation, is_next=reached is None or end == reached)
            reached = each["start"]
        yield [run for each in group for run in to_runs(each["runs"])]
    if reached:
        raise ReadConflict


def _check(runs: PathRunsDoc, conversation: ConversationDoc, *, is_next: bool) -> None:
    """Raise ReadConflict if another branch was written since the document was read."""
    if not is_next or runs["changed_in"] > conversation["version"]:
        raise ReadConflict


def _windows(runs: Iterable[Run], size: int) -> Iterable[Window]:
    """Group runs, cut where needed, so that one query reads each group."""
    some: Window = []
    room = size
    for run in runs:
        first = run.first
        while first <= run.last:
            if some and (not room or first - some[-1].last > MOST_GAP):
                yield some
                some, room = [], size
            last = min(run.last, first + room - 1)
            some.append(Run(first, last, 0))
            room -= last - first + 1
            first = last + 1
    if some:
        yield some


def _windows_back(runs: Sequence[Run], size: int) -> Iterable[Window]:
    """Group runs from the last one on; each group is oldest first."""
    mirrored = [Run(-run.last, -run.first, 0) for run in reversed(runs)]
    for some in _windows(mirrored, size):
        yield [Run(-run.last, -run.first, 0) for run in reversed(some)]


async def _read(
    access: Access,
    store: MessageStore,
    conversation: ConversationDoc,
    runs: Window,
    *,
    follows: bool = False,
) -> list[StoredMessage]:
    """Return the messages of runs that are near each other, in order."""
    first, generation = conversation["first_seq"], conversation["generation"]
    start, end = runs[0].first, runs[-1].last + 1
    tail_place = conversation["tail_seq"] - first
    messages: list[StoredMessage] = []
    if start < tail_place:
        found = await store.list_segments_within(access, generation, start, min(end, tail_place))
        for segment in found:
            if not follows:
                check_unchanged(segment, conversation)
            messages += number(segment["messages"], first + max(start, segment["start"]))
    if end > tail_place:
        begin = max(start, tail_place)
        tail = conversation["messages"][begin - tail_place : end - tail_place]
        messages = window(messages, first + start, first + begin)
        messages += number(tail, first + begin)
    messages = window(messages, first + start, first + end)
    if len(runs) == 1:
        return messages
    return [
        message for run in runs for message in messages[run.first - start : run.last + 1 - start]
    ]


def leaf_of(conversation: ConversationDoc) -> int:
    """Return the place of the last message of the branch that is shown; -1 if there is none."""
    path, last = conversation.get("path"), conversation["next_seq"] - conversation["first_seq"] - 1
    return path.get("leaf", last) if path else last


def leaf_id_of(conversation: ConversationDoc) -> str | None:
    """Return the id of the last message of the branch; None if there is none."""
    path = conversation.get("path")
    if path and (leaf_id := path.get("leaf_id")):
        return leaf_id
    messages = conversation.get("messages")
    return messages[-1]["id"] if messages else None
