"""Bringing the groups of users in line with what the identity provider says at their sign-in.

A group may be bound to a value of the provider's claim. A sign-in leaves a task, which adds the
user to the groups that are bound to their values, and takes them out of those where they are by a
claim alone that they do not have any more. Memberships that somebody gave by hand stay as they are.

Each step is a transaction that also writes the task. So it conflicts with a later sign-in, which
replaces the task: what counts is what the provider said last.
"""

import asyncio
import contextlib
from collections.abc import Sequence

import structlog
from bson import ObjectId
from pymongo.asynchronous.client_session import AsyncClientSession

from chatvault.accounts.models import User
from chatvault.actor import Actor, Door
from chatvault.errors import ChatvaultError
from chatvault.fields import Raw
from chatvault.groups.errors import TooManyMembers
from chatvault.groups.expansion import GroupDeps, access_of, carry_out
from chatvault.groups.joining import join, take_out
from chatvault.groups.models import ClaimTask, Group, MemberRole, Membership
from chatvault.mongodb import leases
from chatvault.mongodb.database import transaction
from chatvault.mongodb.jobs import WAITING, Attempt, JobRunner

log = structlog.get_logger()


async def leave_task(
    user_id: ObjectId, told: Sequence[str], session: AsyncClientSession | None = None
) -> None:
    """Store that somebody's groups are to be brought in line, if any are bound or came by a claim.

    Args:
        user_id: who has signed in.
        told: the values that the provider says they have.
        session: of a transaction.
    """
    query = {"claim": {"$in": [*told]}}
    groups = Group.get_pymongo_collection().find(query, ["claim"], session=session)
    bound = sorted(each["claim"] for each in await groups.to_list())
    if not bound and not await _came_by_claims(user_id, session):
        return
    fields = {
        # What begins with a dollar is a text here, too.
        "claims": {"$literal": bound},
        "state": WAITING,
        "is_open": True,
        "attempts": {"$add": [{"$ifNull": ["$attempts", 0]}, 1]},
        "failures": 0,
        "steps": 0,
        "code": None,
    }
    update = [*leases.extension("due_at", 0), {"$set": fields}]
    which = ClaimTask.owned_by(access_of(user_id))
    await ClaimTask.get_pymongo_collection().update_one(which, update, upsert=True, session=session)


async def _came_by_claims(user_id: ObjectId, session: AsyncClientSession | None) -> bool:
    """Whether somebody is in groups by claims, or an earlier task may still add them."""
    which, came = ClaimTask.owned_by(access_of(user_id)), {"member_id": user_id, "by_claim": True}
    tasks, memberships = ClaimTask.get_pymongo_collection(), Membership.get_pymongo_collection()
    return (
        await memberships.find_one(came, ["_id"], session=session) is not None
        or await tasks.find_one(which, ["_id"], session=session) is not None
    )


class ClaimWorker:
    """Does the tasks of sign-ins, whichever process left them.

    Args:
        deps: the dependencies of groups.
        due: set when there may be a task.
    """

    def __init__(self, deps: GroupDeps, due: asyncio.Event) -> None:
        self._deps = deps
        self._runner = JobRunner(ClaimTask, due, work=self._work)

    async def run(self) -> None:
        """Work on due tasks until cancelled."""
        await self._runner.run()

    async def _work(self, attempt: Attempt) -> None:
        """Bring the groups of one user in line; remove the task.

        Raises:
            JobLost: they signed in again meanwhile.
            Busy: a group kept changing.
        """
        user_id = attempt.job["user_id"]
        query = {"_id": user_id, "is_active": True, "erasure": None}
        user = await User.get_pymongo_collection().find_one(query, ["_id"])
        claims = [] if user is None else attempt.job["claims"]
        for where in await _list_groups(user_id, claims):
            await self._settle(attempt, where, claims)
        known = {"_id": attempt.job["_id"], "attempts": attempt.job["attempts"]}
        done = ClaimTask.owned_by(access_of(user_id), **known)
        await ClaimTask.get_pymongo_collection().delete_one(done)

    async def _settle(self, attempt: Attempt, where: Raw, claims: Sequence[str]) -> None:
        """Bring somebody's membership in one group in line."""
        user_id, group_id = attempt.job["user_id"], where["group_id"]

        async def change(session: AsyncClientSession) -> Raw | None:
            await attempt.update({"$inc": {"steps": 1}}, session)
            return await _join_or_leave(user_id, where, claims, session)

        try:
            task = await transaction(change, turn=("group", group_id))
        except TooManyMembers:
            log.warning("group_is_full", group_id=str(group_id), user_id=str(user_id))
            return
        if task is not None:
            # If it fails, it is left for the expander.
            with contextlib.suppress(ChatvaultError):
                await carry_out(self._deps, task)


async def _list_groups(user_id: ObjectId, claims: Sequence[str]) -> list[Raw]:
    """Return the groups that somebody may have to join or leave, each with its owner."""
    bound = Group.get_pymongo_collection().find({"claim": {"$in": [*claims]}}, ["owner_id"])
    came = Membership.get_pymongo_collection().find({"member_id": user_id, "by_claim": True})
    owners = {each["_id"]: each["owner_id"] for each in await bound.to_list()}
    owners |= {each["group_id"]: each["owner_id"] for each in await came.to_list()}
    return [{"group_id": key, "owner_id": owner_id} for key, owner_id in owners.items()]


async def _join_or_leave(
    user_id: ObjectId, where: Raw, claims: Sequence[str], session: AsyncClientSession
) -> Raw | None:
    """Add somebody to a group or take them out, as their claims say; return the task that follows.

    Returns:
        None if it is in line already, or the group is gone.

    Raises:
        TooManyMembers: it has as many members as a group may.
    """
    actor, group_id = Actor(door=Door.BACKGROUND, user_id=user_id), where["group_id"]
    query = Group.owned_by(access_of(where["owner_id"]), _id=group_id)
    group = await Group.get_pymongo_collection().find_one(query, ["claim"], session=session)
    if group is None:
        return None
    before = await Membership.find_of(user_id, group_id, session)
    is_told = group.get("claim") in claims
    if is_told and before is None:
        role = MemberRole.MEMBER
        return await join(actor, where, user_id, session, role=role, by_claim=True)
    if not is_told and before is not None and before.get("by_claim"):
        return await take_out(actor, where, user_id, session, by_claim=True)
    return None
