"""The tree of a conversation's messages, identified by their places in the array.

The messages of a conversation are an array in the order of arrival, and a message's parent is the
message before it, unless a link says otherwise. Parents come before their children, so the places
along a branch rise. A branch is stored as runs of consecutive places.

Places count from the beginning of the generation: a message's place is its `seq` less the
conversation's `first_seq`.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import NamedTuple

# The parent's place of a message that begins a branch without a message before it.
ROOT = -1


class Run(NamedTuple):
    """Consecutive messages of a branch.

    Attributes:
        first: the place of the first one.
        last: the place of the last one.
        living: how many of them are not deleted.
    """

    first: int
    last: int
    living: int


class Link(NamedTuple):
    """The place of a message whose parent is not the message before it, and the parent's place."""

    place: int
    parent: int


class Tree:
    """All links of a conversation, and its deleted messages.

    Args:
        length: the number of messages, deleted ones included.
        links: the links, in any order.
        deleted: the places of deleted messages, in any order.
    """

    def __init__(
        self, length: int, links: Iterable[Link] = (), deleted: Iterable[int] = ()
    ) -> None:
        self.length = length
        self._parents: dict[int, int] = dict(links)
        self._places = sorted(self._parents)
        self._deleted = sorted(set(deleted))

    @property
    def living(self) -> int:
        """The number of messages that are not deleted."""
        return self.length - len(self._deleted)

    def add(self, count: int, links: Iterable[Link] = ()) -> None:
        """Add messages at the end; links are of their places, which are the highest."""
        for place, parent in links:
            self._parents[place] = parent
            self._places.append(place)
        self.length += count

    def delete(self, place: int) -> None:
        """Mark a message as deleted; it keeps its place and its parent."""
        at = bisect_left(self._deleted, place)
        if self._deleted[at : at + 1] != [place]:
            self._deleted.insert(at, place)
            self.__dict__.pop("_before_deleted", None)

    def count_living(self, first: int, last: int) -> int:
        """Count the messages from one place up to another, both included, without deleted ones."""
        gone = bisect_right(self._deleted, last) - bisect_left(self._deleted, first)
        return last - first + 1 - gone

    def path_to(self, leaf: int) -> list[Run]:
        """Return the runs of the branch that ends at a message, oldest first."""
        runs: list[Run] = []
        while leaf > ROOT:
            first, parent = self._run_at(leaf)
            runs.append(Run(first, leaf, self.count_living(first, leaf)))
            leaf = parent
        return runs[::-1]

    def _run_at(self, place: int) -> tuple[int, int]:
        """Return the beginning of the run that a place is in, and the parent of its first one."""
        at = bisect_right(self._places, place)
        if not at:
            return 0, ROOT
        first = self._places[at - 1]
        return first, self._parents[first]

    def parent_of(self, place: int) -> int:
        """Return the place of a message's parent, or ROOT."""
        return self._parents.get(place, place - 1)

    def children(self) -> dict[int, list[int]]:
        """Return the children of the messages that have several or have links, by place."""
        found: dict[int, list[int]] = {}
        for place in self._places:
            found.setdefault(self._parents[place], []).append(place)
        for parent, places in found.items():
            # The message after the parent is its child too, unless a link says otherwise.
            if parent + 1 < self.length and parent + 1 not in self._parents:
                places.insert(0, parent + 1)
        return found

    def forks(self, last_shown: int) -> dict[int, list[int]]:
        """Return the forks of the tree without its deleted messages.

        The children of a deleted message become those of its nearest ancestor that is not deleted.

        Args:
            last_shown: the place of a message after which one alone counts too, or ROOT.

        Returns:
            the messages that follow the same one, the lowest place first, by the place of that one
            or ROOT; only where there are several.
        """
        before = self._before_deleted
        after_deleted = {place + 1 for place in self._deleted}
        found: dict[int, list[int]] = {last_shown: []}
        for place in sorted(after_deleted.union(self._places)):
            if place < self.length and place not in before:
                parent = self.not_deleted(self.parent_of(place))
                found.setdefault(parent, []).append(place)
        for parent, places in found.items():
            follower = parent + 1
            is_linked = follower in self._parents
            if follower < self.length and not is_linked and follower not in before:
                places.insert(0, follower)
        return {
            parent: places
            for parent, places in found.items()
            if len(places) > 1 or (places and parent == last_shown)
        }

    def not_deleted(self, place: int) -> int:
        """Return the place of a message, or of the nearest before it that is not deleted."""
        return self._before_deleted.get(place, place)

    @cached_property
    def _before_deleted(self) -> dict[int, int]:
        """The nearest message before each deleted one that is not deleted, or ROOT, by place."""
        found: dict[int, int] = {}
        # A parent comes before its children, so that its own is known.
        for place in self._deleted:
            parent = self.parent_of(place)
            found[place] = found.get(parent, parent)
        return found

    def newest_leaf(self, place: int) -> int:
        """Return the end of the branch that follows the newest child each time."""
        children = self.children()
        forks = sorted(children)
        while True:
            at = bisect_right(self._places, place)
            run_end = (self._places[at] if at < len(self._places) else self.length) - 1
            # The first message from here on that has more children than the next, if any has.
            at = bisect_left(forks, place)
            if at == len(forks) or forks[at] > run_end:
                return run_end
            place = max(children[forks[at]])

    def newest_living_leaf(self, place: int) -> int:
        """Return the newest message after one that is not deleted, or that one."""
        leaf = self.newest_leaf(place)
        while leaf > place and not self.count_living(leaf, leaf):
            leaf = self.parent_of(leaf)
        return leaf


def fork_of(old: Sequence[Run], new: Sequence[Run]) -> int:
    """Return the last place that two branches have in common, or ROOT."""
    common = ROOT
    for before, after in zip(old, new, strict=False):
        if before.first != after.first:
            break
        common = min(before.last, after.last)
        if before.last != after.last:
            break
    return common


def links_of(parents: Sequence[str | None], ids: Sequence[str]) -> list[Link]:
    """Return the links of messages in order, given the id of each one's parent.

    Raises:
        KeyError: a parent is not among the messages before.
    """
    places: dict[str, int] = {}
    links: list[Link] = []
    for place, (message_id, parent_id) in enumerate(zip(ids, parents, strict=True)):
        parent = ROOT if parent_id is None else places[parent_id]
        if parent != place - 1:
            links.append(Link(place, parent))
        places[message_id] = place
    return links


def links_within(links: Sequence[Link], first: int, end: int) -> Sequence[Link]:
    """Return those of links in order whose place is from `first` up to `end`, not included."""
    return links[bisect_left(links, (first,)) : bisect_left(links, (end,))]


def to_links(stored: Iterable[Sequence[int]]) -> list[Link]:
    """Return links in their stored form."""
    return [Link(*each) for each in stored]


def to_runs(stored: Iterable[Sequence[int]]) -> list[Run]:
    """Return runs in their stored form."""
    return [Run(*each) for each in stored]
