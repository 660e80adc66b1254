"""Policies of retention, what they would do, and doing it."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from bson import ObjectId
from pymongo.asynchronous.client_session import AsyncClientSession

from chatvault.access import Access
from chatvault.accounts.models import User
from chatvault.actor import Actor, Door, Role
from chatvault.audit import service as audit
from chatvault.audit.actions import Action
from chatvault.audit.models import AuditEntry
from chatvault.audit.recorder import Recorder
from chatvault.conversations.trash.queries import count_untouched, list_untouched
from chatvault.conversations.trash.service import TrashDeps, change_each, trash
from chatvault.fields import Raw, now
from chatvault.mongodb.database import transaction
from chatvault.retention.models import RetentionPolicy
from chatvault.retention.schemas import NAMED, RetentionOut

# The most conversations of one user that go to the trash in one round.
AT_ONCE = 200


async def get(actor: Actor, recorder: Recorder, *, days: int | None = None) -> RetentionOut:
    """Return the actor's policies and what would go to the trash; itself audited.

    Args:
        actor: the owner.
        recorder: stores the audit entry.
        days: what would go if these were the days.
    """
    shown = await _show(actor, days)
    await recorder.record(audit.entry(actor, Action.RETENTION_GET, details={"due": shown.due}))
    return shown


async def _show(actor: Actor, days: int | None) -> RetentionOut:
    own, of_role = await _find_days(RetentionPolicy.owned_by(actor)), await _role_days(actor)
    wanted = days or min(filter(None, (own, of_role)), default=None)
    if wanted is None:
        return RetentionOut(days=own, role_days=of_role, due=0, due_ids=[])
    access, since = Access.of(actor), now() - timedelta(days=wanted)
    ids = await list_untouched(access, since, NAMED)
    due = len(ids) if len(ids) < NAMED else await count_untouched(access, since)
    return RetentionOut(days=own, role_days=of_role, due=due, due_ids=ids)


async def _role_days(actor: Actor) -> int | None:
    user = await User.get(actor.owner_id)
    return None if user is None else await _find_days({"role": user.role})


async def _find_days(which: Raw) -> int | None:
    found = await RetentionPolicy.get_pymongo_collection().find_one(which)
    return None if found is None else int(found["days"])


async def set_mine(actor: Actor, *, days: int | None) -> RetentionOut:
    """Set the actor's own policy, or remove it; return what would go to the trash."""
    await _set(actor, RetentionPolicy.owned_by(actor), days)
    return await _show(actor, None)


async def set_for_role(actor: Actor, *, role: Role, days: int | None) -> None:
    """Set the policy for all users with a role, or remove it.

    Raises:
        Denied: the actor is neither an administrator nor an operator.
    """
    if actor.door is not Door.CLI:
        actor.require_role(Role.ADMIN)
    await _set(actor, {"role": role.value}, days)


async def list_for_roles(actor: Actor, recorder: Recorder) -> dict[Role, int | None]:
    """Return the days of each role, None for those without a policy; itself audited.

    Raises:
        Denied: the actor is no administrator.
    """
    actor.require_role(Role.ADMIN)
    query = {"role": {"$in": [each.value for each in Role]}}
    policies = RetentionPolicy.get_pymongo_collection().find(query)
    days = {each["role"]: int(each["days"]) async for each in policies}
    await recorder.record(audit.entry(actor, Action.RETENTION_LIST, details={"roles": len(days)}))
    return {role: days.get(role.value) for role in Role}


async def _set(actor: Actor, which: Raw, days: int | None) -> None:
    policies = RetentionPolicy.get_pymongo_collection()

    async def store(session: AsyncClientSession) -> None:
        if days is None:
            await policies.delete_one(which, session=session)
        else:
            change = {"$set": {"days": days, "updated_at": now()}}
            await policies.update_one(which, change, upsert=True, session=session)
        details = {"days": days, "role": which.get("role")}
        entry = audit.entry(actor, Action.RETENTION_SET, details=details)
        await AuditEntry.store([entry], session)

    await transaction(store)


async def list_policies() -> dict[ObjectId, int]:
    """Return the days after which conversations go to the trash, by user, for those with any."""
    policies = await RetentionPolicy.get_pymongo_collection().find().to_list()
    days: dict[ObjectId, int] = {
        each["user_id"]: each["days"] for each in policies if each.get("user_id") is not None
    }
    of_roles = {each["role"]: each["days"] for each in policies if each.get("role") is not None}
    if of_roles:
        users = User.get_pymongo_collection()
        query = {"role": {"$in": sorted(of_roles)}}
        async for user in users.find(query, {"role": True}):
            of_role = of_roles[user["role"]]
            days[user["_id"]] = min(of_role, days.get(user["_id"], of_role))
    return days


async def apply(deps: TrashDeps, owner_id: ObjectId, days: int) -> int:
    """Put what a user left untouched for so long into the trash; return how many it were.

    Pinned conversations stay, and those that change meanwhile.
    """
    actor = Actor(door=Door.BACKGROUND, user_id=owner_id)
    since = now() - timedelta(days=days)
    ids = await list_untouched(Access.of(actor), since, AT_ONCE)
    return await _trash(actor, deps, ids, since)


async def _trash(actor: Actor, deps: TrashDeps, ids: Sequence[ObjectId], since: datetime) -> int:
    async def one(conversation_id: ObjectId) -> None:
        await trash(actor, deps, conversation_id=conversation_id, untouched_since=since)

    return await change_each(actor, deps, ids, one)
