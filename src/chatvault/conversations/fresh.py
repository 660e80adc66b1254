"""The messages that this process has just appended, for followers who show them a moment later."""

import time
from dataclasses import dataclass
from operator import attrgetter

from bson import ObjectId
from cachetools import TTLCache

from chatvault.conversations.shapes import StoredMessage

# Not for longer: another process may remove them.
KEPT_SECONDS = 1.0
KEPT_BYTES = 4 * 1024 * 1024
# Of an entry, beside its messages.
OVERHEAD = 512
# Of a batch of more messages, a follower names the places only.
MOST_MESSAGES = 50
# Without a follower for so long, nothing is kept.
ASKED_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Appended:
    """The messages that the last batch appended to a conversation, as they are after it.

    Attributes:
        since: the conversation's version before the batch.
        version: the one after it.
        size: about how many bytes of memory it takes.
    """

    since: int
    version: int
    messages: dict[int, StoredMessage]
    size: int


class FreshMessages:
    """Keeps the messages that were appended last, for about a second.

    Each change of a conversation by this process replaces what is kept of it, and a later version
    by another process is not answered from it.
    """

    def __init__(self) -> None:
        self._kept: TTLCache[tuple[ObjectId, ObjectId], Appended] = TTLCache(
            KEPT_BYTES, KEPT_SECONDS, getsizeof=attrgetter("size")
        )
        self._asked_at = -ASKED_SECONDS

    def note(
        self, owner_id: ObjectId, conversation_id: ObjectId, appended: Appended | None
    ) -> None:
        """Keep the messages that a change has appended; forget them if it did anything else."""
        key = owner_id, conversation_id
        is_wanted = time.monotonic() - self._asked_at < ASKED_SECONDS
        if not is_wanted or appended is None or appended.size > KEPT_BYTES:
            self._kept.pop(key, None)
        else:
            self._kept[key] = appended

    def find(
        self, owner_id: ObjectId, conversation_id: ObjectId, version: int | None, places: range
    ) -> list[StoredMessage] | None:
        """Return the messages at these places, which a change to this version appended.

        None if they are not known here.
        """
        self._asked_at = time.monotonic()
        kept = self._kept.get((owner_id, conversation_id))
        if kept is None or version is None or not kept.since < version <= kept.version:
            return None
        if not all(place in kept.messages for place in places):
            return None
        return [kept.messages[place] for place in places]
