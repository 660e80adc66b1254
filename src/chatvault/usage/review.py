"""Counting the usage of all users, for administrators."""

import pymongo
from bson import ObjectId

from chatvault.accounts.names import find_names
from chatvault.accounts.service import find_by_name_or_id
from chatvault.actor import Actor, Door, Role
from chatvault.audit import service as audit
from chatvault.audit.actions import Action
from chatvault.audit.recorder import Recorder
from chatvault.errors import NotFound
from chatvault.fields import Raw
from chatvault.usage.counts import COUNT_SECONDS, SUMS, adding_up
from chatvault.usage.models import Usage
from chatvault.usage.schemas import UsageBy, UsageQuery

# The groups, and their order.
KEYS = {
    UsageBy.USER: "$user_id",
    UsageBy.DAY: "$day",
    UsageBy.USER_AND_DAY: {"day": "$day", "user_id": "$user_id"},
}
ORDERS = {
    UsageBy.USER: {"total_tokens": -1, "_id": 1},
    UsageBy.DAY: {"_id": 1},
    UsageBy.USER_AND_DAY: {"_id": 1},
}


async def count_usage(actor: Actor, recorder: Recorder, *, query: UsageQuery) -> list[Raw]:
    """Return a page of usage; itself audited.

    By user those with the most tokens come first, by day and by user and day the oldest.

    Raises:
        Denied: the actor is no administrator.
        NotFound: there is no such user.
    """
    if actor.door is not Door.CLI:
        actor.require_role(Role.ADMIN)
    user_id = await _find_user(query)
    which: Raw = {"day": query.to_days()}
    if user_id is not None:
        which["user_id"] = user_id
    pipeline = adding_up(which, KEYS[query.by])
    if query.cursor is not None and query.by is not UsageBy.DAY:
        pipeline.append({"$match": _beyond(query)})
    pipeline.append({"$sort": ORDERS[query.by]})
    if query.by is not UsageBy.DAY:
        pipeline.append({"$limit": query.limit})
    with pymongo.timeout(COUNT_SECONDS):
        groups = await (await Usage.get_pymongo_collection().aggregate(pipeline)).to_list()
    rows = [_to_row(query.by, user_id, group) for group in groups]
    if query.by is not UsageBy.DAY:
        await _name(rows)
    await recorder.record(audit.entry(actor, Action.USAGE_COUNT, details={"groups": len(rows)}))
    return rows


async def _find_user(query: UsageQuery) -> ObjectId | None:
    """Return the user whom the query names; None for all.

    Raises:
        NotFound: there is no such user.
    """
    if query.user is None:
        return query.user_id
    user = await find_by_name_or_id(query.user)
    if user is None:
        raise NotFound("There is no such user")
    return user.id


def _beyond(query: UsageQuery) -> Raw:
    """Return the filter of the groups that come after the page before."""
    last, last_id = query.cursor
    if query.by is UsageBy.USER_AND_DAY:
        return {"_id": {"$gt": {"day": str(last), "user_id": last_id}}}
    beyond = [{"total_tokens": {"$lt": last}}, {"total_tokens": last, "_id": {"$gt": last_id}}]
    return {"$or": beyond}


def _to_row(by: UsageBy, user_id: ObjectId | None, group: Raw) -> Raw:
    key = group["_id"]
    whose = {
        UsageBy.USER: lambda: {"user_id": key, "day": None},
        UsageBy.DAY: lambda: {"user_id": user_id, "day": key},
        UsageBy.USER_AND_DAY: lambda: {"user_id": key["user_id"], "day": key["day"]},
    }[by]()
    return {**whose, "username": None, **{name: group[name] for name in SUMS}}


async def _name(rows: list[Raw]) -> None:
    """Add the names of the users whose accounts still exist."""
    names = await find_names(row["user_id"] for row in rows)
    for row in rows:
        row["username"] = names.get(row["user_id"])
