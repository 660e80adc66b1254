"""Reading messages from a conversation's tail and its segments, in bounded memory.

Tail and segments are read one after the other, and messages may move between the two reads. The
runs say where they lie, so a gap is seen, and the reading begins anew.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from bson import ObjectId

from chatvault.actor import Actor
from chatvault.conversations.models import Conversation, Raw
from chatvault.conversations.segments import MAX_LENGTH, Segment, is_living
from chatvault.errors import Busy, NotFound

T = TypeVar("T")
# What one answer shows of a conversation's messages, in BSON bytes; docs/api.md states it.
WHOLE_BYTES = 4 * 1024 * 1024
LIST_BYTES = 8 * 1024 * 1024
ATTEMPTS = 5

Placed = tuple[int, Raw]


class Moved(Exception):  # no failure, a reason to read again
    """The conversation changed between two reads."""


@dataclass(frozen=True, slots=True)
class MessagePage:
    """Some messages in order, with their places, and what lies around them.

    Attributes:
        offset: how many living messages come before, where the page was asked for by offset.
        has_more: whether there are more in the direction of reading.
    """

    messages: list[Placed]
    total: int
    offset: int | None
    has_more: bool
    version: int


@dataclass(frozen=True, slots=True)
class Shown:
    """A conversation's document, and as many of its messages as are shown with it."""

    conversation: Raw
    messages: list[Placed]


async def steadily(
    actor: Actor, conversation_id: ObjectId, read: Callable[[Raw], Awaitable[T]]
) -> T:
    """What `read` makes of the conversation, read again where it changed meanwhile.

    Raises:
        NotFound: the actor has no such conversation.
        Busy: it changed all the time.
    """
    for _ in range(ATTEMPTS):
        conversation = await Conversation.find_raw(actor, conversation_id)
        if conversation is None:
            raise NotFound("Conversation not found")
        try:
            return await read(conversation)
        except Moved:
            continue
    raise Busy(retry_after=1)


def has_segments(conversation: Raw) -> bool:
    """Whether some messages lie outside the document."""
    return bool(conversation["tail_seq"] > conversation["first_seq"])


async def read_range(actor: Actor, conversation: Raw, start: int, end: int) -> list[Placed]:
    """The messages with places from `start` up to `end`, removed ones included.

    Raises:
        Moved: the conversation changed since its document was read.
    """
    first, tail_seq = conversation["first_seq"], conversation["tail_seq"]
    start, end = max(start, first), min(end, conversation["next_seq"])
    placed: list[Placed] = []
    if start < tail_seq:
        found = Segment.get_pymongo_collection().find(
            Segment.owned_by(
                actor,
                generation=conversation["generation"],
                start={"$gt": start - first - MAX_LENGTH, "$lt": end - first},
            )
        )
        async for segment in found.sort("start", 1):
            placed += _place(segment["messages"], first + segment["start"])
    placed += _place(conversation["messages"], tail_seq)
    return _window(placed, start, end)


def _place(messages: list[Raw], base: int) -> list[Placed]:
    return list(enumerate(messages, base))


def _window(placed: list[Placed], start: int, end: int) -> list[Placed]:
    """Those from `start` up to `end`, each once."""
    by_seq = {seq: message for seq, message in placed if start <= seq < end}
    if len(by_seq) != max(0, end - start):
        raise Moved
    return [(seq, by_seq[seq]) for seq in range(start, end)]


def living(placed: list[Placed]) -> list[Placed]:
    """Without those that were removed."""
    return [(seq, message) for seq, message in placed if is_living(message)]


async def read_newest(actor: Actor, conversation: Raw, budget: int) -> list[Placed]:
    """All messages if they fit the budget, in BSON bytes, else the newest that do.

    Raises:
        Moved: the conversation changed since its document was read.
    """
    first, next_seq = conversation["first_seq"], conversation["next_seq"]
    if not has_segments(conversation):
        return living(_place(conversation["messages"], conversation["tail_seq"]))
    if conversation["message_bytes"] <= budget:
        return living(await read_range(actor, conversation, first, next_seq))
    left = budget - conversation["tail_bytes"]
    start = conversation["tail_seq"]
    runs = Segment.get_pymongo_collection().find(
        Segment.owned_by(
            actor, generation=conversation["generation"], start={"$lt": start - first}
        ),
        {"messages": False},
    )
    async for run in runs.sort("start", -1):
        left -= run["bytes"]
        if left < 0:
            break
        start = first + run["start"]
    return living(await read_range(actor, conversation, start, next_seq))


async def show_list(actor: Actor, conversations: list[Raw], budget: int) -> list[Shown]:
    """Conversations, the first ones whole while the budget lasts, the others' newest messages.

    Args:
        actor: whose they are.
        conversations: their documents.
        budget: BSON bytes of messages.
    """
    whole: list[Raw] = []
    for conversation in conversations:
        if conversation["message_bytes"] <= budget and has_segments(conversation):
            budget -= conversation["message_bytes"]
            whole.append(conversation)
    segments = await _read_segments(actor, whole)
    return [
        Shown(each, _assemble(each, segments.get(each["generation"], []))) for each in conversations
    ]


async def _read_segments(actor: Actor, conversations: list[Raw]) -> dict[ObjectId, list[Raw]]:
    by_generation: dict[ObjectId, list[Raw]] = {
        conversation["generation"]: [] for conversation in conversations
    }
    if by_generation:
        mine = Segment.owned_by(actor, generation={"$in": list(by_generation)})
        async for segment in Segment.get_pymongo_collection().find(mine):
            by_generation[segment["generation"]].append(segment)
    return by_generation


def _assemble(conversation: Raw, segments: list[Raw]) -> list[Placed]:
    """All that was read of a conversation, or its tail where the segments moved meanwhile."""
    first = conversation["first_seq"]
    tail = _place(conversation["messages"], conversation["tail_seq"])
    placed = [
        each
        for segment in segments
        for each in _place(segment["messages"], first + segment["start"])
    ]
    if not placed:
        return living(tail)
    try:
        return living(_window(placed + tail, first, conversation["next_seq"]))
    except Moved:
        return living(tail)


async def find_message(actor: Actor, conversation: Raw, message_id: str) -> Placed | None:
    """The message with this id and its place, removed or not.

    Raises:
        Moved: the conversation changed since its document was read.
    """
    for placed in _place(conversation["messages"], conversation["tail_seq"]):
        if placed[1]["id"] == message_id:
            return placed
    segment = await Segment.get_pymongo_collection().find_one(
        Segment.owned_by(
            actor, generation=conversation["generation"], **{"messages.id": message_id}
        )
    )
    if segment is None:
        return None
    base = conversation["first_seq"] + segment["start"]
    placed_there = _place(segment["messages"], base)
    return next(placed for placed in placed_there if placed[1]["id"] == message_id)


async def read_before(actor: Actor, conversation: Raw, before: int, limit: int) -> MessagePage:
    """The newest `limit` living messages whose place is lower than `before`.

    Raises:
        Moved: the conversation changed since its document was read.
    """
    first = conversation["first_seq"]
    end = min(before, conversation["next_seq"])
    found: list[Placed] = []
    while len(found) <= limit and end > first:
        start = max(first, end - (limit + 1 - len(found)))
        found = living(await read_range(actor, conversation, start, end)) + found
        end = start
    return _page(conversation, found[-limit:], has_more=len(found) > limit)


async def read_after(actor: Actor, conversation: Raw, after: int, limit: int) -> MessagePage:
    """The oldest `limit` living messages whose place is higher than `after`.

    Raises:
        Moved: the conversation changed since its document was read.
    """
    next_seq = conversation["next_seq"]
    start = max(after + 1, conversation["first_seq"])
    found: list[Placed] = []
    while len(found) <= limit and start < next_seq:
        end = min(next_seq, start + limit + 1 - len(found))
        found += living(await read_range(actor, conversation, start, end))
        start = end
    return _page(conversation, found[:limit], has_more=len(found) > limit)


async def read_offset(actor: Actor, conversation: Raw, offset: int, limit: int) -> MessagePage:
    """`limit` living messages after the first `offset` of them.

    Raises:
        Moved: the conversation changed since its document was read.
    """
    skipped, start = await _find_offset(actor, conversation, offset)
    page = await read_after(actor, conversation, start - 1, limit + offset - skipped)
    messages = page.messages[offset - skipped :]
    return MessagePage(messages, page.total, offset, page.has_more, page.version)


async def _find_offset(actor: Actor, conversation: Raw, offset: int) -> tuple[int, int]:
    """A place at or before the one asked for, and how many living messages come before it."""
    first = conversation["first_seq"]
    if conversation["next_seq"] - first == conversation["total_messages"]:
        return offset, first + offset
    skipped = 0
    runs = Segment.get_pymongo_collection().find(
        Segment.owned_by(actor, generation=conversation["generation"]),
        {"_id": False, "start": True, "length": True, "living": True},
    )
    async for run in runs.sort("start", 1):
        if skipped + run["living"] > offset:
            return skipped, first + run["start"]
        skipped += run["living"]
    return skipped, conversation["tail_seq"]


def _page(conversation: Raw, messages: list[Placed], *, has_more: bool) -> MessagePage:
    return MessagePage(
        messages, conversation["total_messages"], None, has_more, conversation["version"]
    )


async def stream(actor: Actor, conversation: Raw) -> AsyncIterator[list[Placed]]:
    """All living messages, run by run, as they were when the conversation was read.

    Raises:
        Moved: they were replaced meanwhile, and what is left of them is being swept.
    """
    start, next_seq = conversation["first_seq"], conversation["next_seq"]
    while start < next_seq:
        end = min(start + MAX_LENGTH, next_seq)
        if start < conversation["tail_seq"]:
            end = min(end, conversation["tail_seq"])
        yield living(await read_range(actor, conversation, start, end))
        start = end
