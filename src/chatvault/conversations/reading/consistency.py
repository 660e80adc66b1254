"""Helpers for consistent reads: detect conflicts, and put messages in order.

Tail and segments are read one after the other, and between the two reads messages may move, be
edited or be removed. Segments store their place and the version of the conversation in which they
were changed, so this is detected, and the read is repeated.
"""

from functools import partial
from itertools import count, repeat

from chatvault.conversations.shapes import ConversationDoc, MessageDoc, SegmentDoc, StoredMessage

# Builds a StoredMessage in half the time of StoredMessage(*each): pages have hundreds.
_NEW = partial(tuple.__new__, StoredMessage)


class ReadConflict(Exception):  # not a failure, but a reason to read again
    """The conversation changed between two reads."""


def has_segments(conversation: ConversationDoc) -> bool:
    """Whether some messages are outside the document."""
    return conversation["tail_seq"] > conversation["first_seq"]


def check_unchanged(segment: SegmentDoc, conversation: ConversationDoc) -> None:
    """Raise ReadConflict if a message in a segment changed since the document was read.

    Edits from before segments stored this version are not detected.
    """
    if segment.get("changed_in", 0) > conversation["version"]:
        raise ReadConflict


def number(messages: list[MessageDoc], base: int) -> list[StoredMessage]:
    """Number consecutive messages, the first of them `base`."""
    return list(map(_NEW, zip(count(base), messages, repeat(None), strict=False)))


def window(messages: list[StoredMessage], start: int, end: int) -> list[StoredMessage]:
    """Return the messages from `start` up to `end`, each once.

    Raises:
        ReadConflict: one is missing.
    """
    end = max(start, end)
    if [each.seq for each in messages] == list(range(start, end)):
        return messages
    by_seq = {each.seq: each for each in messages if start <= each.seq < end}
    if len(by_seq) != end - start:
        raise ReadConflict
    return [by_seq[seq] for seq in range(start, end)]


def not_deleted(messages: list[StoredMessage]) -> list[StoredMessage]:
    """Return the messages without the deleted ones."""
    return [each for each in messages if "deleted" not in each.message]


def count_stored(conversation: ConversationDoc) -> int:
    """Return how many messages of all branches are not deleted."""
    stored = conversation.get("stored_messages")
    return conversation["total_messages"] if stored is None else stored
