"""Opened values that are kept in memory, as the same ones are read again and again."""

from collections.abc import Mapping, Sequence
from typing import Final

from bson import ObjectId

# The limit of what is kept in a process: sealed and opened bytes, with OVERHEAD for each value.
OPENED_BYTES: Final = 16 * 1024 * 1024
OVERHEAD: Final = 300
# What has more bytes, or more values, is not kept together.
MOST_BYTES: Final = 512 * 1024
MOST_VALUES: Final = 64
Name = str | int


class OpenedGroup:
    """Opened values of one document by name, each beside the sealed bytes that it came from."""

    __slots__ = ("opened", "sealed")

    def __init__(self) -> None:
        self.sealed: dict[Name, bytes] = {}
        self.opened: dict[Name, bytes] = {}

    def all_of(self, names: Sequence[Name], sealed: list[bytes]) -> list[bytes] | None:
        """Return what these bytes were opened to, or None unless all of them are kept."""
        # No call is made for each value.
        if [*map(self.sealed.get, names)] != sealed:
            return None
        return [*map(self.opened.__getitem__, names)]

    def find(self, name: Name, sealed: bytes) -> bytes | None:
        """Return what these bytes were opened to, or None if that is not kept."""
        return self.opened[name] if self.sealed.get(name) == sealed else None

    def size(self) -> int:
        """Return how much memory it takes, nearly."""
        kept = sum(map(len, self.sealed.values())) + sum(map(len, self.opened.values()))
        return kept + OVERHEAD * len(self.sealed)


Groups = dict[bytes, OpenedGroup]


class OpenedValues:
    """Keeps opened values by user and place, in groups that are read together.

    Only the same sealed bytes in the same place find them, so that a value that was changed, by
    whomever, is not found. Those that were not used for long go first.

    Args:
        limit: of what is kept, in bytes.
    """

    def __init__(self, limit: int = OPENED_BYTES) -> None:
        self._half = limit // 2
        self._used = 0
        # Of each user: what was used lately, and what was used before; the older half goes whole.
        # By the bytes of the user's id, which are compared faster than the id.
        self._newer: dict[bytes, Groups] = {}
        self._older: dict[bytes, Groups] = {}

    def find(self, user_id: ObjectId, place: bytes) -> OpenedGroup | None:
        """Return the values that are kept of a place, or None."""
        user = user_id.binary
        if (mine := self._newer.get(user)) is not None and (group := mine.get(place)) is not None:
            return group
        if (mine := self._older.get(user)) is not None and (group := mine.pop(place, None)):
            self._hold(user, place, group)
            return group
        return None

    def keep(
        self, user_id: ObjectId, place: bytes, values: Mapping[Name, tuple[bytes, bytes]]
    ) -> None:
        """Keep values, each with its sealed and its opened bytes, beside those of the place."""
        group = self.find(user_id, place) or OpenedGroup()
        self._let_go(user_id.binary, place)
        if len(group.sealed.keys() | values.keys()) > MOST_VALUES:
            group = OpenedGroup()
        for name, (sealed, opened) in values.items():
            group.sealed[name], group.opened[name] = sealed, opened
        self._hold(user_id.binary, place, group)

    def _let_go(self, user: bytes, place: bytes) -> None:
        if group := self._newer.get(user, {}).pop(place, None):
            self._used -= group.size()

    def _hold(self, user: bytes, place: bytes, group: OpenedGroup) -> None:
        size = group.size()
        if size > MOST_BYTES:
            return
        self._used += size
        if self._used > self._half:
            self._older, self._newer, self._used = self._newer, {}, size
        self._newer.setdefault(user, {})[place] = group

    def drop(self, user_id: ObjectId) -> None:
        """Remove all values of a user."""
        self._newer.pop(user_id.binary, None)
        self._older.pop(user_id.binary, None)

    def clear(self) -> None:
        """Remove everything."""
        self._newer, self._older, self._used = {}, {}, 0

    def __len__(self) -> int:
        """Return the number of values."""
        users = (*self._newer.values(), *self._older.values())
        return sum(len(group.sealed) for mine in users for group in mine.values())
