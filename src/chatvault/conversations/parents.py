"""Resolve the parents that new messages name."""

from collections.abc import Callable, Iterable, Sequence

from chatvault.conversations.schemas import MessageIn
from chatvault.conversations.shapes import MessageDoc
from chatvault.conversations.tree import ROOT, Link
from chatvault.errors import InvalidInput


class UnknownParent(InvalidInput):
    """The parent is no earlier message of this conversation."""

    code = "unknown_parent"


def names_parent(wanted: Iterable[MessageIn]) -> bool:
    """Whether any of the messages names its parent."""
    return any("parent_id" in each.model_fields_set for each in wanted)


def parent_ids(wanted: Iterable[MessageIn]) -> frozenset[str]:
    """Return the ids of the parents that these messages name."""
    return frozenset(each.parent_id for each in wanted if each.parent_id is not None)


def link_parents(
    wanted: Sequence[MessageIn],
    messages: Sequence[MessageDoc],
    start: int = 0,
    find: Callable[[str], int | None] = lambda _: None,
    aside: tuple[int, str] | None = None,
) -> list[Link]:
    """Return the links of new messages; set `parent_id` where the parent is not the message before.

    Args:
        wanted: the messages as requested.
        messages: the same as they will be stored; changed here.
        start: the place of the first message.
        find: returns the place of a message that is stored already, by its id, or None.
        aside: the last message of the branch that is shown, if others are stored after it.

    Raises:
        UnknownParent: a parent is not an earlier message.
    """
    links: list[Link] = []
    if not names_parent(wanted):
        return links
    places: dict[str, int] = {}
    for number, (given, message) in enumerate(zip(wanted, messages, strict=True)):
        place = start + number
        if "parent_id" in given.model_fields_set:
            parent = ROOT
            if given.parent_id is not None:
                found = places.get(given.parent_id)
                found = find(given.parent_id) if found is None else found
                if found is None:
                    raise _unknown(number, is_one=not wanted[1:])
                parent = found
            if parent != place - 1:
                links.append(Link(place, parent))
                message["parent_id"] = given.parent_id
        elif not number and aside is not None:
            links.append(Link(place, aside[0]))
            message["parent_id"] = aside[1]
        places[message["id"]] = place
    return links


def _unknown(number: int, *, is_one: bool) -> UnknownParent:
    place = ("body", "parent_id") if is_one else ("body", "messages", number, "parent_id")
    reason = "is no earlier message of this conversation"
    return UnknownParent.in_field(*place, problem=reason, kind="unknown_parent")
