"""Track the branch that is shown while the changes of a batch are decided."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from bson import ObjectId
from pymongo import DeleteMany, InsertOne

from chatvault.access import Access
from chatvault.conversations.commits.errors import NeedsTree
from chatvault.conversations.paths import RUNS_KEPT, RUNS_MOVED, PathRuns
from chatvault.conversations.shapes import ConversationDoc, MessageDoc, PathDoc
from chatvault.conversations.tree import ROOT, Link, Run, Tree, fork_of, to_links, to_runs
from chatvault.fields import Raw

PathWrite = InsertOne[Any] | DeleteMany


class PathChange(NamedTuple):
    """A change of the branch that is shown.

    Attributes:
        fields: the conversation's changed fields.
        fork: the last place that the branch has in common with the previous one.
    """

    fields: Raw
    fork: int


@dataclass(frozen=True, slots=True)
class _Path:
    """The active branch: its closed runs, and the open one, which an append continues.

    Attributes:
        older: how many runs are in documents of their own.
        older_living: how many messages of those are not deleted.
        closed: the newest runs but the open one.
        open: the last run; None if the branch has no message.
    """

    older: int
    older_living: int
    closed: tuple[Run, ...]
    open: Run | None

    @property
    def living(self) -> int:
        """The number of messages of the branch that are not deleted."""
        runs = (*self.closed, self.open) if self.open else self.closed
        return self.older_living + sum(run.living for run in runs)

    @property
    def leaf(self) -> int:
        """The place of the last message, or ROOT."""
        return self.open.last if self.open else ROOT

    def extended(self, runs: Iterable[Run]) -> "_Path":
        """Return the branch with further runs; the first may continue the open one."""
        closed, last = [*self.closed], self.open
        for run in runs:
            if last is not None and run.first == last.last + 1:
                last = Run(last.first, run.last, last.living + run.living)
            else:
                closed += [last] if last else []
                last = run
        return replace(self, closed=tuple(closed), open=last)


class ActivePath:
    """Tracks which branch of a conversation is shown, and its length, while messages change.

    Args:
        access: to the owner's data.
        fields: the conversation's fields as read.
        tail: the embedded messages, if they were read.
        tree: all links, if they were read.
        version: the first version with the changes, which no reader has seen yet.
        writes: takes the documents with older runs to write and to delete.
    """

    def __init__(
        self,
        access: Access,
        fields: ConversationDoc,
        tail: list[MessageDoc] | None,
        tree: Tree | None,
        *,
        version: int,
        writes: list[Any],
    ) -> None:
        self._writes = writes
        self._access = access
        self._generation = fields["generation"]
        self._version = version
        self._length = fields["next_seq"] - fields["first_seq"]
        self._tail_place = fields["tail_seq"] - fields["first_seq"]
        self._stored = fields.get("stored_messages") or fields["total_messages"]
        self._deleted_in_tail = None if tail is None else _deleted_places(tail, self._tail_place)
        self._tree = tree
        stored = fields.get("path")
        self.is_branched = stored is not None
        self._leaf_id = stored.get("leaf_id") if stored else None
        self._links = to_links(stored["links"]) if stored else []
        self._path = _read(stored, self._length, fields["total_messages"])

    @property
    def leaf(self) -> int:
        """The place of the last message of the branch, or ROOT."""
        return self._path.leaf

    @property
    def aside(self) -> tuple[int, str] | None:
        """The place and the id of the leaf, if other messages were stored after it."""
        if self._leaf_id is None:
            return None
        return self._path.leaf, self._leaf_id

    def append(self, links: Sequence[Link], count: int) -> PathChange:
        """Return the changed fields for messages at the end; the last of them becomes the leaf.

        Args:
            links: the links of those whose parent is not the message before.
            count: how many messages.

        Raises:
            NeedsTree: the branch cannot be computed without all links.
        """
        start = self._length
        if not links and self._leaf_id is None:
            self._path = self._path.extended([Run(start, start + count - 1, count)])
            self._grow(count, links)
            return PathChange(self._counts(), start - 1)
        runs = Tree(start + count, links).path_to(start + count - 1)
        added = [run for run in runs if run.first >= start]
        base = runs[: len(runs) - len(added)]
        fork = base[-1].last if base else ROOT
        if fork >= start:
            # The first run continues the message before the new ones.
            added.insert(0, Run(start, fork, fork - start + 1))
            fork = start - 1
        path = self._path if fork == self._path.leaf else self._cut(fork)
        self._grow(count, links)
        self._leaf_id = None
        return self._set(path.extended(added), fork)

    def show(self, leaf: int, leaf_id: str) -> PathChange:
        """Return the changed fields for another leaf.

        Raises:
            NeedsTree: the links were not read.
        """
        tree = self._known_tree()
        old, new = tree.path_to(self._path.leaf), tree.path_to(leaf)
        self._leaf_id = None if leaf == self._length - 1 else leaf_id
        return self._set(self._rewritten(new), fork_of(old, new))

    def require_tree_to_delete(self, place: int) -> None:
        """Raise NeedsTree if this message cannot be deleted without the tree."""
        if self._is_older(place):
            self._known_tree()

    def delete(self, place: int) -> PathChange:
        """Return the changed fields for a message that is deleted; its place remains.

        Raises:
            NeedsTree: it is in an older part of the conversation, and the links were not read.
        """
        path = self._path
        if self._is_older(place):
            tree = self._known_tree()
            tree.delete(place)
            path = self._rewritten(tree.path_to(path.leaf))
        else:
            closed = tuple(_without(run, place) for run in path.closed)
            opened = None if path.open is None else _without(path.open, place)
            path = replace(path, closed=closed, open=opened)
            if self._tree is not None:
                self._tree.delete(place)
        self._stored -= 1
        if self._deleted_in_tail is not None and place >= self._tail_place:
            self._deleted_in_tail.add(place)
        if not self.is_branched:
            self._path = path
            return PathChange(self._counts(), path.leaf)
        return self._set(path, path.leaf)

    def move(self, places: int) -> tuple[list[Link], Raw]:
        """Return the links of the oldest embedded messages, which move, and the changed fields."""
        self._tail_place += places
        if not self.is_branched:
            return [], {}
        moved = [link for link in self._links if link.place < self._tail_place]
        self._links = [link for link in self._links if link.place >= self._tail_place]
        return moved, {"path": self._stored_path()} if moved else {}

    def _is_older(self, place: int) -> bool:
        oldest = (*self._path.closed, self._path.open)[0]
        return bool(self._path.older) and (oldest is None or place < oldest.first)

    def _grow(self, count: int, links: Sequence[Link]) -> None:
        self._length += count
        self._stored += count
        self._links += links
        if self._tree is not None:
            self._tree.add(count, links)

    def _known_tree(self) -> Tree:
        if self._tree is None:
            raise NeedsTree
        return self._tree

    def _cut(self, leaf: int) -> _Path:
        """Return the branch that ends at an earlier message, or at one of another branch."""
        path = self._path
        if leaf == ROOT:
            return self._rewritten([])
        runs = (*path.closed, path.open) if path.open else path.closed
        for number, run in enumerate(runs):
            if run.first <= leaf <= run.last:
                gone = self._count(leaf + 1, run.last)
                last = Run(run.first, leaf, run.living - gone)
                return replace(path, closed=runs[:number], open=last)
        return self._rewritten(self._known_tree().path_to(leaf))

    def _count(self, first: int, last: int) -> int:
        """Count the messages from one place up to another without deleted ones."""
        if self._stored == self._length:
            return last - first + 1
        if self._tree is not None:
            return self._tree.count_living(first, last)
        if self._deleted_in_tail is None or first < self._tail_place:
            raise NeedsTree
        return last - first + 1 - sum(first <= place <= last for place in self._deleted_in_tail)

    def _rewritten(self, runs: Sequence[Run]) -> _Path:
        """Return a branch whose older runs are written as new documents."""
        if self._path.older:
            mine = PathRuns.owned_by(self._access, generation=self._generation)
            self._writes.append(DeleteMany(mine))
        closed, last = tuple(runs[:-1]), runs[-1] if runs else None
        return self._spilled(_Path(0, 0, closed, last), keep=RUNS_KEPT)

    def _spilled(self, path: _Path, keep: int) -> _Path:
        """Return the branch with a limited number of closed runs; write the others to documents."""
        moved = path.closed[: max(0, len(path.closed) - keep)]
        for start in range(0, len(moved), RUNS_MOVED):
            runs = moved[start : start + RUNS_MOVED]
            self._writes.append(
                InsertOne(
                    PathRuns.owned_by(
                        self._access,
                        _id=ObjectId(),
                        generation=self._generation,
                        start=path.older + start,
                        first=runs[0].first,
                        last=runs[-1].last,
                        living=sum(run.living for run in runs),
                        runs=[list(run) for run in runs],
                        changed_in=self._version,
                    )
                )
            )
        return _Path(
            path.older + len(moved),
            path.older_living + sum(run.living for run in moved),
            path.closed[len(moved) :],
            path.open,
        )

    def _set(self, path: _Path, fork: int) -> PathChange:
        if len(path.closed) > RUNS_KEPT + RUNS_MOVED:
            path = self._spilled(path, keep=RUNS_KEPT)
        self._path = path
        self.is_branched = True
        return PathChange({"path": self._stored_path(), **self._counts()}, fork)

    def _counts(self) -> Raw:
        counts = {"total_messages": self._path.living}
        return counts | {"stored_messages": self._stored} if self.is_branched else counts

    def _stored_path(self) -> PathDoc:
        path = self._path
        stored: PathDoc = {
            "older": path.older,
            "older_living": path.older_living,
            "runs": [list(run) for run in path.closed],
            "first": path.open.first if path.open else self._length,
            "links": [list(link) for link in self._links],
        }
        if self._leaf_id is not None:
            stored |= {"leaf": path.leaf, "leaf_id": self._leaf_id}
        return stored


def _read(stored: PathDoc | None, length: int, living: int) -> _Path:
    if stored is None:
        return _Path(0, 0, (), Run(0, length - 1, living) if length else None)
    closed = tuple(to_runs(stored["runs"]))
    living -= stored["older_living"] + sum(run.living for run in closed)
    first, last = stored["first"], stored.get("leaf", length - 1)
    opened = Run(first, last, living) if first <= last else None
    return _Path(stored["older"], stored["older_living"], closed, opened)


def _deleted_places(tail: list[MessageDoc], start: int) -> set[int]:
    return {place for place, message in enumerate(tail, start) if "deleted" in message}


def _without(run: Run, place: int) -> Run:
    return run._replace(living=run.living - 1) if run.first <= place <= run.last else run
