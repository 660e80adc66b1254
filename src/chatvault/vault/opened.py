"""Opened values that are kept in memory, as the same ones are read again and again."""

from typing import Final

from bson import ObjectId

# The limit of what is kept in a process: sealed and opened bytes, with OVERHEAD for each value.
OPENED_BYTES: Final = 16 * 1024 * 1024
OVERHEAD: Final = 300
# Larger values are not kept.
MOST_BYTES: Final = 256 * 1024
Values = dict[bytes, tuple[bytes, bytes]]


class OpenedValues:
    """Keeps opened values by user and place, each beside the sealed bytes that it came from.

    Only the same sealed bytes in the same place find it, so that a value that was changed, by
    whomever, is not found. Those that were not used for long go first.

    Args:
        limit: of what is kept, in bytes.
    """

    def __init__(self, limit: int = OPENED_BYTES) -> None:
        self._half = limit // 2
        self._used = 0
        # Of each user: what was used lately, and what was used before; the older half goes whole.
        self._newer: dict[ObjectId, Values] = {}
        self._older: dict[ObjectId, Values] = {}

    def find(self, user_id: ObjectId, place: bytes, sealed: bytes) -> bytes | None:
        """Return what these bytes in this place were opened to, or None if that is not kept."""
        if (mine := self._newer.get(user_id)) is not None:
            kept = mine.get(place)
            if kept is not None and kept[0] == sealed:
                return kept[1]
        if (mine := self._older.get(user_id)) is not None:
            kept = mine.get(place)
            if kept is not None and kept[0] == sealed:
                self.keep(user_id, place, sealed, kept[1])
                return kept[1]
        return None

    def keep(self, user_id: ObjectId, place: bytes, sealed: bytes, opened: bytes) -> None:
        """Keep an opened value."""
        size = len(sealed) + len(opened) + OVERHEAD
        if size > MOST_BYTES:
            return
        self._used += size
        if self._used > self._half:
            self._older, self._newer, self._used = self._newer, {}, size
        self._newer.setdefault(user_id, {})[place] = sealed, opened

    def drop(self, user_id: ObjectId) -> None:
        """Remove all values of a user."""
        self._newer.pop(user_id, None)
        self._older.pop(user_id, None)

    def clear(self) -> None:
        """Remove everything."""
        self._newer, self._older, self._used = {}, {}, 0

    def __len__(self) -> int:
        """Return the number of values."""
        return sum(map(len, (*self._newer.values(), *self._older.values())))
