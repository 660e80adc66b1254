"""Reading messages by their places: of many conversations at once, or many of one."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Final

from bson import ObjectId

from chatvault.access import Access
from chatvault.conversations.reading.consistency import number
from chatvault.conversations.reading.picking import (
    PickedConversation,
    find_embedded_at,
    find_in_segments_at,
)
from chatvault.conversations.segments import MAX_LENGTH, is_deleted
from chatvault.conversations.shapes import ConversationDoc, StoredMessage
from chatvault.conversations.store import MessageStore

# The number of places in segments that are read at a time.
AT_ONCE: Final = 2 * MAX_LENGTH
# And of segments: where messages are large, a segment has few.
SEGMENTS_AT_ONCE: Final = 8
Places = Mapping[ObjectId, Sequence[int]]


async def read_at(
    access: Access, store: MessageStore, places: Places, names: Sequence[str]
) -> list[tuple[ConversationDoc, list[StoredMessage]]]:
    """Return conversations with the messages at some of their places, without deleted ones.

    A conversation that is gone is left out. Messages that move at this moment may be, too.

    Args:
        access: to their owner's data.
        store: reads the messages.
        places: of the messages, by conversation.
        names: of the conversations' fields to read.
    """
    if not places:
        return []
    wanted = {*names, "user_id", "generation", "next_seq"}
    found = await find_embedded_at(access, store, places, sorted(wanted))
    older: dict[ObjectId, list[int]] = {}
    for each in found:
        first, tail = each["first_seq"], each["tail_seq"]
        if before := [place - first for place in places[each["_id"]] if first <= place < tail]:
            older[each["generation"]] = before
    moved: dict[ObjectId, list[StoredMessage]] = {}
    for segment in await find_in_segments_at(access, store, older) if older else ():
        pairs = zip(segment["places"], segment["messages"], strict=True)
        run = moved.setdefault(segment["generation"], [])
        run += [StoredMessage(place, message) for place, message in pairs]
    return [(each, _join(each, moved.get(each["generation"], ()))) for each in found]


def _join(conversation: PickedConversation, older: Sequence[StoredMessage]) -> list[StoredMessage]:
    """Return the messages of both kinds, by place."""
    first = conversation["first_seq"]
    pairs = zip(conversation["places"], conversation["messages"], strict=True)
    joined = dict(pairs)
    joined |= {first + each.seq: each.message for each in older if each.message}
    return [
        StoredMessage(place, message)
        for place, message in sorted(joined.items())
        if not is_deleted(message)
    ]


async def walk_range(
    access: Access, store: MessageStore, conversation: ConversationDoc, start: int
) -> AsyncGenerator[tuple[list[StoredMessage], int]]:
    """Yield the messages from a place on, in runs, each with the place after it.

    Deleted ones are left out. It ends early where the messages were replaced meanwhile.
    """
    first, tail = conversation["first_seq"], conversation["tail_seq"]
    place = max(start, first)
    while place < tail:
        end = min(place + AT_ONCE, tail)
        segments = await store.list_segments_within(
            access,
            conversation["generation"],
            place - first,
            end - first,
            most=SEGMENTS_AT_ONCE,
        )
        run: list[StoredMessage] = []
        after = place
        for segment in segments:
            begin = max(first + segment["start"], place)
            if begin > after:
                return
            numbered = [each for each in number(segment["messages"], begin) if each.seq >= after]
            run += [each for each in numbered if each.seq < end]
            after = max(after, min(begin + len(segment["messages"]), end))
        if after <= place:
            return
        yield [each for each in run if not is_deleted(each.message)], after
        place = after
    rest = number(conversation["messages"], tail)[place - tail :]
    yield [each for each in rest if not is_deleted(each.message)], conversation["next_seq"]
