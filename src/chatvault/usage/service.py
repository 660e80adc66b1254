"""Statistics of one user."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from chatvault.access import Access
from chatvault.actor import Actor
from chatvault.agents.models import DEFAULT_AGENT_ID, AgentNotFound
from chatvault.agents.service import find as find_agent
from chatvault.audit import service as audit
from chatvault.audit.actions import Action
from chatvault.audit.recorder import Recorder
from chatvault.conversations.models import Conversation, Status
from chatvault.fields import Raw, first_day
from chatvault.limits import LimitState
from chatvault.usage.counts import SUMS, adding_up
from chatvault.usage.metering import count_stored, read_totals
from chatvault.usage.models import Usage
from chatvault.usage.schemas import DaysQuery, limit_wire

# Tells the limits that hold for an actor; the number is the bytes that they store.
ReadLimits = Callable[[Actor, int], Awaitable[list[LimitState]]]


async def stats(actor: Actor, recorder: Recorder, *, days: int) -> Raw:
    """Return totals of the actor's conversations, and their tokens of the last days."""
    groups, by_day = await asyncio.gather(_groups(actor), Usage.by_day(actor, first_day(days)))
    total = sum(group["conversations"] for group in groups)
    messages = sum(group["messages"] for group in groups)
    shown: Raw = {
        "total_conversations": total,
        "active_conversations": _count(groups, Status.ACTIVE),
        "archived_conversations": _count(groups, Status.ARCHIVED),
        "total_messages": messages,
        "total_tokens_used": sum(group["tokens"] for group in groups),
        "average_messages_per_conversation": round(messages / total, 2) if total else 0.0,
        "most_active_agent": await _most_active(actor, groups),
        "tokens_per_day": by_day,
    }
    await recorder.record(audit.entry(actor, Action.CONVERSATION_STATS))
    return shown


async def list_mine(
    actor: Actor, recorder: Recorder, read_limits: ReadLimits, *, query: DaysQuery
) -> Raw:
    """Return the actor's usage by day, oldest first, bytes stored, and limits; itself audited."""
    days = await list_days(actor, query.to_days())
    stored = (await read_totals([actor.owner_id])).get(actor.owner_id)
    if stored is None:
        stored = await count_stored(actor.owner_id)
    stored = max(0, stored)
    limits = await read_limits(actor, stored)
    await recorder.record(audit.entry(actor, Action.USAGE_LIST_MINE))
    return {"stored_bytes": stored, "limits": [limit_wire(each) for each in limits], "days": days}


async def list_days(actor: Actor, days: Raw) -> list[Raw]:
    """Return the actor's tokens, messages and bytes of each day within some, oldest first."""
    by_day = adding_up(Usage.owned_by(actor, day=days), "$day")
    found = await Usage.get_pymongo_collection().aggregate([*by_day, {"$sort": {"_id": 1}}])
    groups = await found.to_list()
    return [{"day": each["_id"], **{name: each[name] for name in SUMS}} for each in groups]


async def _groups(actor: Actor) -> list[Raw]:
    """Count the actor's conversations and messages by status and agent."""
    found = await Conversation.get_pymongo_collection().aggregate(
        [
            {"$match": Conversation.owned_by(Access.of(actor))},
            {
                "$group": {
                    "_id": {"status": "$status", "agent_id": {"$ifNull": ["$agent_id", None]}},
                    "conversations": {"$sum": 1},
                    "messages": {"$sum": "$total_messages"},
                    "tokens": {"$sum": {"$ifNull": ["$total_tokens_used", 0]}},
                }
            },
        ]
    )
    return await found.to_list()


def _count(groups: list[Raw], status: Status) -> int:
    return sum(group["conversations"] for group in groups if group["_id"]["status"] == status)


async def _most_active(actor: Actor, groups: list[Raw]) -> Raw | None:
    counts: dict[Any, list[int]] = {}
    for group in groups:
        both = counts.setdefault(group["_id"]["agent_id"], [0, 0])
        both[0] += group["messages"]
        both[1] += group["conversations"]
    if not counts:
        return None
    agent_id, (messages, conversations) = max(counts.items(), key=lambda item: item[1])
    try:
        name = (await find_agent(actor, agent_id))["name"]
    except AgentNotFound:
        name = None
    return {
        "id": agent_id or DEFAULT_AGENT_ID,
        "name": name,
        "conversations": conversations,
        "messages": messages,
    }
