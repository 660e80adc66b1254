"""Build trees of messages from a file's links: existing parents, no cycles, a stable order."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from typing import Final

from chatvault.importing.neutral import NeutralMessage

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """Messages in an order in which each comes after its parent.

    Attributes:
        active_leaf: the last message of the branch that is shown; None if there is no message.
        is_leaf_missing: whether the last message that the source showed is not among them.
        repairs: the number of defects of messages, by description.
    """

    messages: tuple[NeutralMessage, ...]
    active_leaf: str | None
    is_leaf_missing: bool = False
    repairs: Counter[str] = field(default_factory=Counter)


def build_tree(
    messages: Iterable[NeutralMessage],
    *,
    leaf: str | None = None,
    links: Mapping[str, str | None] | None = None,
) -> Tree:
    """Build a tree of messages; of several messages with one id, keep the last.

    Args:
        messages: in the file's order, each with an id and with its parent's, if it has one.
        leaf: the id of the last message that the source showed.
        links: the parents of nodes that are no messages, such as an empty root.

    Returns:
        The tree. At a missing parent or a cycle, another branch begins. If the leaf is no
        message, the newest leaf is used.
    """
    repairs: Counter[str] = Counter()
    by_id: dict[str, NeutralMessage] = {}
    for message in messages:
        if message.source_id is None:
            raise ValueError("a message of a tree has no id")
        if message.source_id in by_id:
            repairs["was there twice; the last one is used"] += 1
        by_id[message.source_id] = message
    between = {} if links is None else links
    for message in by_id.values():
        message.parent_id = _parent(message, by_id, between, repairs)
    _break_cycles(by_id, repairs)
    ordered = _sort(by_id)
    found = _message_at(leaf, by_id, between)
    is_leaf_missing = False
    if found is None and by_id:
        found = _newest_leaf(by_id)
        is_leaf_missing = leaf is not None
    return Tree(
        messages=tuple(ordered),
        active_leaf=found,
        is_leaf_missing=is_leaf_missing,
        repairs=repairs,
    )


def chain(messages: Sequence[NeutralMessage]) -> Sequence[NeutralMessage]:
    """Make each message the parent of the next."""
    for before, message in pairwise(messages):
        message.parent_id = before.source_id
    return messages


def _message_at(
    name: str | None,
    by_id: Mapping[str, NeutralMessage],
    between: Mapping[str, str | None],
) -> str | None:
    """Return the message of a node, or the nearest message above a node that is none."""
    passed = set[str]()
    while name is not None and name not in by_id:
        if name in passed:
            return None
        passed.add(name)
        name = between.get(name)
    return name


def _parent(
    message: NeutralMessage,
    by_id: Mapping[str, NeutralMessage],
    between: Mapping[str, str | None],
    repairs: Counter[str],
) -> str | None:
    if message.parent_id is None:
        return None
    if message.parent_id not in by_id and message.parent_id not in between:
        repairs["follows one that is missing; a branch begins with it"] += 1
        return None
    return _message_at(message.parent_id, by_id, between)


def _break_cycles(by_id: Mapping[str, NeutralMessage], repairs: Counter[str]) -> None:
    """Break cycles of parents: one message of each becomes the first of a branch."""
    sound = set[str]()
    for name in by_id:
        way: dict[str, None] = {}
        at: str | None = name
        while at is not None and at not in sound:
            way[at] = None
            parent = by_id[at].parent_id
            if parent in way:
                repairs["follows itself in a circle; a branch begins with it"] += 1
                by_id[at].parent_id = parent = None
            at = parent
        sound.update(way)


def _sort(by_id: Mapping[str, NeutralMessage]) -> list[NeutralMessage]:
    """Sort parents before children and siblings by time; without a time, keep the file's order."""
    children: dict[str | None, list[tuple[datetime, int, NeutralMessage]]] = {}
    for place, message in enumerate(by_id.values()):
        siblings = children.setdefault(message.parent_id, [])
        before = siblings[-1][0] if siblings else _EPOCH
        siblings.append((message.timestamp or before, place, message))
    for siblings in children.values():
        siblings.sort(key=lambda each: each[:2], reverse=True)
    ordered = []
    pending = children.get(None, [])
    while pending:
        message = pending.pop()[2]
        ordered.append(message)
        pending += children.get(message.source_id, [])
    return ordered


def _newest_leaf(by_id: Mapping[str, NeutralMessage]) -> str:
    """Return the leaf with the latest time; of several, the last in the file."""
    parents = {message.parent_id for message in by_id.values()}
    leaves = [
        (message.timestamp or _EPOCH, place, name)
        for place, (name, message) in enumerate(by_id.items())
        if name not in parents
    ]
    return max(leaves)[2]
