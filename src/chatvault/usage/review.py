"""Counting the tokens of all users, for administrators."""

import pymongo

from chatvault.accounts.models import User
from chatvault.actor import Actor, Role
from chatvault.audit import service as audit
from chatvault.audit.actions import Action
from chatvault.audit.recorder import Recorder
from chatvault.fields import Raw, first_day
from chatvault.usage.models import Usage
from chatvault.usage.schemas import UsageBy, UsageQuery

# Adding up a year of all users takes longer than other requests may.
COUNT_SECONDS = 60
SUMS: Raw = {
    "input_tokens": {"$sum": "$input_tokens"},
    "output_tokens": {"$sum": "$output_tokens"},
    "total_tokens": {"$sum": "$total_tokens"},
    "requests": {"$sum": 1},
}


async def count_usage(actor: Actor, recorder: Recorder, *, query: UsageQuery) -> list[Raw]:
    """Return a page of usage, by user, most first, or by day, oldest first; itself audited.

    Raises:
        Denied: the actor is no administrator.
    """
    actor.require_role(Role.ADMIN)
    by_user = query.by is UsageBy.USER
    pipeline: list[Raw] = [
        {"$match": query.to_filter(first_day(query.days))},
        {"$group": {"_id": "$user_id" if by_user else "$day", **SUMS}},
        {"$sort": {"total_tokens": -1, "_id": 1} if by_user else {"_id": 1}},
    ]
    if by_user and query.cursor is not None:
        tokens, last_id = query.cursor
        beyond = [
            {"total_tokens": {"$lt": tokens}},
            {"total_tokens": tokens, "_id": {"$gt": last_id}},
        ]
        pipeline.insert(2, {"$match": {"$or": beyond}})
    if by_user:
        pipeline.append({"$limit": query.limit})
    with pymongo.timeout(COUNT_SECONDS):
        groups = await (await Usage.get_pymongo_collection().aggregate(pipeline)).to_list()
    names = await _names(groups) if by_user else {}
    rows = [
        {
            "user_id": group["_id"] if by_user else query.user_id,
            "username": names.get(group["_id"]),
            "day": None if by_user else group["_id"],
            **{name: group[name] for name in SUMS},
        }
        for group in groups
    ]
    await recorder.record(audit.entry(actor, Action.USAGE_COUNT, details={"groups": len(rows)}))
    return rows


async def _names(groups: list[Raw]) -> Raw:
    """Return the names of the users whose accounts still exist."""
    ids = [group["_id"] for group in groups]
    found = User.get_pymongo_collection().find({"_id": {"$in": ids}}, {"username": True})
    return {user["_id"]: user["username"] async for user in found}
