"""Showing the audit log to reviewers, and to users the entries about themselves."""

from collections.abc import AsyncGenerator, AsyncIterator
from datetime import datetime
from typing import Any

import pymongo

from chatvault.actor import Actor, Door, Role
from chatvault.audit.actions import Action
from chatvault.audit.models import AuditEntry, Entry
from chatvault.audit.recorder import Recorder
from chatvault.audit.service import entry
from chatvault.fields import Raw
from chatvault.review.schemas import (
    AuditExportQuery,
    AuditQuery,
    AuditStatsQuery,
    GroupBy,
    MyAuditQuery,
    Order,
)

# Counting millions of entries takes longer than other requests may.
STATS_SECONDS = 60
EXPORT_BATCH = 1000


def _require_reviewer(actor: Actor) -> None:
    if actor.door is not Door.CLI:
        actor.require_role(Role.AUDITOR, Role.ADMIN)


async def list_entries(actor: Actor, recorder: Recorder, *, query: AuditQuery) -> list[Entry]:
    """Return a page of entries that match all filters; recorded in the log itself.

    Args:
        actor: an auditor, an admin, or the operator at the command line.
        recorder: stores the audit entry about this.
        query: the filters, the order, and where the page before ended.

    Raises:
        Denied: the actor is neither auditor nor admin.
    """
    _require_reviewer(actor)
    found = AuditEntry.get_pymongo_collection().find(query.to_query())
    order = [("at", query.direction), ("_id", query.direction)]
    page = await found.sort(order).limit(query.limit).to_list()
    await recorder.record(entry(actor, Action.AUDIT_LIST, details={"entries": len(page)}))
    return page


async def list_mine(actor: Actor, recorder: Recorder, *, query: MyAuditQuery) -> list[Entry]:
    """Return a page of what the actor did and of what was done to their account, newest first.

    It has what guests did with the actor's conversations, too.
    """
    page_of = AuditQuery(limit=query.limit)
    page_of.cursor = query.cursor
    mine = {"$and": [_about(actor), page_of.to_query()]}
    found = AuditEntry.get_pymongo_collection().find(mine)
    page = await found.sort([("at", -1), ("_id", -1)]).limit(query.limit).to_list()
    await recorder.record(entry(actor, Action.AUDIT_LIST_MINE, details={"entries": len(page)}))
    return [_as_owner_sees(actor, each) for each in page]


def _about(actor: Actor) -> Raw:
    """Return what is true of entries about what the actor did and what was done to them."""
    about_me = [{"resource_id": str(actor.owner_id)}, {"owner_id": actor.owner_id}]
    return {"$or": [{"user_id": actor.owner_id}, *about_me]}


def _as_owner_sees(actor: Actor, stored: Entry) -> Entry:
    """Return an entry; from where and with what a guest came is not told to the owner."""
    if "owner_id" not in stored or stored["user_id"] == actor.owner_id:
        return stored
    return {**stored, **dict.fromkeys(("address", "user_agent", "session_id", "api_key_id"))}


async def walk_mine(actor: Actor, *, until: datetime) -> AsyncGenerator[list[Entry]]:
    """Yield the same as `list_mine`, all up to a time and oldest first, as part of an export."""
    async for page in _walk(AuditQuery(until=until, order=Order.OLDEST), _about(actor)):
        yield [_as_owner_sees(actor, each) for each in page]


async def count_entries(
    actor: Actor, recorder: Recorder, *, query: AuditStatsQuery
) -> list[dict[str, Any]]:
    """Return how many entries there are by action, outcome or user, most first, or over time.

    Raises:
        Denied: the actor is neither auditor nor admin.
    """
    _require_reviewer(actor)
    over_time = query.by in {GroupBy.HOUR, GroupBy.DAY}
    key: Any = f"${'user_id' if query.by is GroupBy.USER else query.by.value}"
    if over_time:
        key = {"$dateTrunc": {"date": "$at", "unit": query.by.value}}
    pipeline = [
        {"$match": query.to_query()},
        {
            "$group": {
                "_id": key,
                "count": {"$sum": 1},
                "denied": {"$sum": {"$cond": [{"$eq": ["$outcome", "denied"]}, 1, 0]}},
                "failed": {"$sum": {"$cond": [{"$eq": ["$outcome", "failed"]}, 1, 0]}},
            }
        },
        {"$sort": {"_id": 1} if over_time else {"count": -1, "_id": 1}},
        {"$project": {"_id": False, "key": "$_id", "count": True, "denied": True, "failed": True}},
    ]
    with pymongo.timeout(STATS_SECONDS):
        found = await AuditEntry.get_pymongo_collection().aggregate(pipeline)
        counts = await found.to_list()
    await recorder.record(entry(actor, Action.AUDIT_COUNT, details={"groups": len(counts)}))
    return counts


async def export_entries(
    actor: Actor, recorder: Recorder, *, query: AuditExportQuery
) -> AsyncIterator[list[Entry]]:
    """Yield all matching entries, oldest first, in batches; recorded before the first is sent.

    Raises:
        Denied: the actor is neither auditor nor admin.
    """
    _require_reviewer(actor)
    await recorder.record(entry(actor, Action.AUDIT_EXPORT))
    return _batches(query)


def _batches(query: AuditExportQuery) -> AsyncGenerator[list[Entry]]:
    given = {
        name: getattr(query, name)
        for name in AuditExportQuery.model_fields
        if name != "format" and getattr(query, name) is not None
    }
    return _walk(AuditQuery(**given, order=Order.OLDEST), {})


async def _walk(page_of: AuditQuery, which: Raw) -> AsyncGenerator[list[Entry]]:
    """Yield the entries that match both, oldest first, page by page."""
    while True:
        query = {"$and": [which, page_of.to_query()]} if which else page_of.to_query()
        found = AuditEntry.get_pymongo_collection().find(query)
        page = await found.sort([("at", 1), ("_id", 1)]).limit(EXPORT_BATCH).to_list()
        if page:
            yield page
        if len(page) < EXPORT_BATCH:
            return
        page_of.cursor = (page[-1]["at"], page[-1]["_id"])
