"""The index that serves a list, where MongoDB would try them all or choose a worse one.

MongoDB compares plans by a short trial, and keeps the winner for all lists of the same form: what
is best for a tag of half the conversations passes over nearly all for a rare one.
"""

import math
from collections.abc import Iterator
from dataclasses import replace

from bson import ObjectId

from chatvault.access import Access
from chatvault.conversations.lists.filters import Filter, Sort
from chatvault.conversations.models import Conversation, Status
from chatvault.conversations.newest import conversations
from chatvault.conversations.tag_counts import find_counts

# Conversations that are read and sorted sooner than found among all of the list's order.
FEW = 500
# The same of a tag, whose number is known without counting.
FEW_TAGGED = 1_000
# The same in the order of the last message, which no index has.
FEW_BY_LAST_MESSAGE = 2_500


def is_covered(wanted: Filter) -> bool:
    """Whether the index of changes has all fields that a list asks for."""
    return bool(wanted.category_ids) and replace(wanted, category_ids=None).is_plain


def may_be_few(wanted: Filter) -> bool:
    """Whether an index of few conversations may serve a list."""
    return next(_narrow(wanted), None) is not None


async def choose_index(access: Access, wanted: Filter, sort: Sort) -> tuple[Filter, str | None]:
    """Return a list's conditions in the best order, and its index; None where MongoDB chooses."""
    if wanted.in_trash:
        return wanted, Conversation.IN_TRASH
    has_index = sort is not Sort.LAST_MESSAGE
    few = FEW if has_index else FEW_BY_LAST_MESSAGE
    if (narrow := await _find_narrow(access, wanted, few)) is not None:
        return wanted, narrow
    if wanted.tags or wanted.any_tags:
        wanted, number = await _rarest_first(access, wanted)
        if number < (FEW_TAGGED if has_index else FEW_BY_LAST_MESSAGE):
            return wanted, Conversation.BY_TAG
    by_change = sort is Sort.UPDATED and (wanted.is_plain or is_covered(wanted))
    return wanted, Conversation.BY_CHANGE if by_change else None


async def _find_narrow(access: Access, wanted: Filter, few: int) -> str | None:
    """Return an index by which a list has few conversations; counting them stops there."""
    for name, which in _narrow(wanted):
        query = Conversation.owned_by(access, **which.to_raw())
        if await conversations().count_documents(query, limit=few, hint=name) < few:
            return name
    return None


def _narrow(wanted: Filter) -> Iterator[tuple[str, Filter]]:
    """Yield the indexes of what may be few, and the conditions on them."""
    if wanted.category_ids:
        which = Filter(status=wanted.status, category_ids=wanted.category_ids)
        yield Conversation.BY_CATEGORY, which
    if wanted.agent_id is not None and isinstance(wanted.agent_id[0], ObjectId):
        yield Conversation.BY_AGENT, Filter(status=wanted.status, agent_id=wanted.agent_id)
    if wanted.status is Status.ARCHIVED:
        yield Conversation.ARCHIVED, Filter(status=wanted.status)


async def _rarest_first(access: Access, wanted: Filter) -> tuple[Filter, float]:
    """Return the conditions with the rarest tag first, and how many conversations have it.

    MongoDB looks up the first tag, and compares the others. Where at least one of several tags is
    asked for, it looks up those, unless others are asked for, too.
    """
    counts = await find_counts(access, [*wanted.tags, *wanted.any_tags])
    if counts is None:
        return wanted, math.inf
    tags = sorted(wanted.tags, key=lambda each: counts[each])
    number = counts[tags[0]] if tags else sum(counts[each] for each in wanted.any_tags)
    return replace(wanted, tags=tuple(tags)), number
