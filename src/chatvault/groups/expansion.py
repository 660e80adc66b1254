"""Giving the members of a group what is shared with it, and taking it from those who left.

A task is stored with each change of a group and removed when it is done, so a crash leaves nothing
half done. It compares what members have with what they are to have, as both are stored then:
repeating it is harmless, and of two changes at once the later task sees both.

Each grant is given in the queue of its conversation, by a transaction that also writes the
membership and the grant to the group. So nobody is given what came by a group that they left.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

from bson import ObjectId
from pymongo import DeleteMany, DeleteOne, UpdateOne

from chatvault.access import Access, Need
from chatvault.actor import Actor, Door
from chatvault.audit import service as audit
from chatvault.audit.actions import Action
from chatvault.conversations.commits.change import Change
from chatvault.conversations.commits.queue import CommitQueue
from chatvault.conversations.commits.working_copy import WorkingCopy
from chatvault.conversations.grants import Grant
from chatvault.conversations.group_grants import GroupGrant
from chatvault.errors import Busy
from chatvault.fields import Raw
from chatvault.groups.models import GroupTask, Membership
from chatvault.mongodb.jobs import Attempt, JobRunner
from chatvault.sharing.service import SharingDeps
from chatvault.sharing.terms import Terms

# The changes that wait for their commit at a time: few enough for one batch, as all of them write
# the same membership. And the members in one of them.
AT_ONCE = 12
MEMBERS_AT_ONCE = 50
ATTEMPTS = 3
# What members have of a grant to their group.
GIVEN = ("role", "expires_at", "by", "agents")
Decide = Callable[[WorkingCopy], None]


@dataclass(frozen=True, slots=True)
class GroupDeps:
    """The dependencies of groups.

    Attributes:
        sharing: what grants are given and ended with.
        due: set when a task is left over.
        takes_claims: whether people sign in with an identity provider.
    """

    sharing: SharingDeps
    due: asyncio.Event
    takes_claims: bool

    @property
    def commits(self) -> CommitQueue:
        """The queue that commits changes."""
        return self.sharing.commits


class _Shared(NamedTuple):
    """One conversation, and the group that it is shared with.

    Attributes:
        owner_id: the conversation's.
        group_owner_id: the group's.
    """

    owner_id: ObjectId
    conversation_id: ObjectId
    group_id: ObjectId
    group_owner_id: ObjectId

    @classmethod
    def of(cls, task: Raw, grant: Raw) -> Self:
        """Return what a grant is about, to a member or to the group of a task."""
        ids = grant["owner_id"], grant["conversation_id"]
        return cls(*ids, task["group_id"], task["user_id"])


@dataclass(frozen=True, slots=True)
class _Step:
    """The grants to give and to end in one conversation.

    Attributes:
        given: the grant to the group; None if it has ended.
        joined: the members who are to have it as it is.
        left: those who are to lose it.
    """

    shared: _Shared
    given: Raw | None = None
    joined: Sequence[ObjectId] = ()
    left: Sequence[ObjectId] = ()


class Expander:
    """Does the tasks that other processes, or earlier requests, have left over.

    Args:
        deps: the dependencies of groups.
    """

    def __init__(self, deps: GroupDeps) -> None:
        self._deps = deps
        self._runner = JobRunner(GroupTask, deps.due, work=self._work)

    async def run(self) -> None:
        """Work on due tasks, whichever process stored them, until cancelled."""
        await self._runner.run()

    async def _work(self, attempt: Attempt) -> None:
        await _do(self._deps, attempt.job)


async def carry_out(deps: GroupDeps, task: Raw) -> None:
    """Do a task that was just stored; if that fails, it is left for later.

    Raises:
        ChatvaultError: it could not be done now.
        PyMongoError: the database cannot be reached.
    """
    is_done = False
    try:
        await _do(deps, task)
        is_done = True
    finally:
        if not is_done:
            deps.due.set()


async def _do(deps: GroupDeps, task: Raw) -> None:
    """Do a task, and remove it.

    Raises:
        Busy: what it is about kept changing.
    """
    for attempt in range(ATTEMPTS):
        try:
            await _settle(deps, task)
            break
        except Busy:
            # Somebody may have left meanwhile; then the next attempt sees it.
            if attempt == ATTEMPTS - 1:
                raise
    which = GroupTask.owned_by(access_of(task["user_id"]), _id=task["_id"])
    await GroupTask.get_pymongo_collection().delete_one(which)


async def _settle(deps: GroupDeps, task: Raw) -> None:
    group_id, member_id, conversation_id = (
        task[name] for name in ("group_id", "member_id", "conversation_id")
    )
    if member_id is not None:
        steps = await _steps_of_member(task)
    elif conversation_id is not None:
        steps = await _steps_of_conversation(task)
    else:
        await end_all(deps, group_id, task["by"])
        return
    await _submit(deps, [_change(each, task["by"]) for each in steps])
    for each in steps:
        if each.left:
            deps.sharing.end_live(each.shared.conversation_id, group_id, each.left)
    if member_id is not None and await Membership.find_of(member_id, group_id) is None:
        await end_all(deps, group_id, task["by"], owner_id=member_id)


async def _submit(deps: GroupDeps, changes: Sequence[Change[None]]) -> None:
    """Commit changes, some at a time; raise the first error once all of these have ended."""
    for start in range(0, len(changes), AT_ONCE):
        some = [deps.commits.submit(each) for each in changes[start : start + AT_ONCE]]
        for outcome in await asyncio.gather(*some, return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome


async def _steps_of_member(task: Raw) -> list[_Step]:
    """Return what is to be done for somebody who joined or left."""
    group_id, member_id = task["group_id"], task["member_id"]
    member = Actor(door=Door.BACKGROUND, user_id=member_id)
    is_member = await Membership.find_of(member_id, group_id) is not None
    given = {each["conversation_id"]: each for each in await GroupGrant.list_of(group_id)}
    found = Grant.get_pymongo_collection().find(Grant.given_to(member, via_group=group_id))
    held = {each["conversation_id"]: each for each in await found.to_list()}
    joins = [
        _Step(_Shared.of(task, each), given=each, joined=[member_id])
        for key, each in given.items()
        if is_member and each["owner_id"] != member_id and not _is_same(held.get(key), each)
    ]
    leaves = [
        _Step(_Shared.of(task, each), left=[member_id])
        for key, each in held.items()
        if not is_member or key not in given
    ]
    return [*joins, *leaves]


async def _steps_of_conversation(task: Raw) -> list[_Step]:
    """Return what is to be done after a conversation was shared with a group."""
    group_id, conversation_id = task["group_id"], task["conversation_id"]
    which = {"group_id": group_id, "conversation_id": conversation_id}
    given = await GroupGrant.get_pymongo_collection().find_one(which)
    if given is None:
        return []
    owner_id = given["owner_id"]
    members = {each["member_id"] for each in await Membership.list_of(group_id)} - {owner_id}
    grants = await Grant.list_raw(access_of(owner_id), conversation_id)
    held = {each["grantee_id"]: each for each in grants if each.get("via_group") == group_id}
    joined = sorted(each for each in members if not _is_same(held.get(each), given))
    left = sorted(held.keys() - members)
    shared = _Shared.of(task, given)
    parts = [
        _Step(shared, given=given, joined=joined[start : start + MEMBERS_AT_ONCE])
        for start in range(0, len(joined), MEMBERS_AT_ONCE)
    ]
    return [*parts, *([_Step(shared, left=left)] if left else [])]


def _is_same(held: Raw | None, given: Raw) -> bool:
    return held is not None and all(held.get(name) == given.get(name) for name in GIVEN)


def access_of(owner_id: ObjectId) -> Access:
    """Return the access to the data of a group's owner, or of a conversation's."""
    return Access.of(_owner(owner_id))


def _owner(owner_id: ObjectId) -> Actor:
    return Actor(door=Door.BACKGROUND, user_id=owner_id)


def _change(step: _Step, by: ObjectId) -> Change[None]:
    """Return the change of a conversation that gives or ends grants of members."""
    shared, given = step.shared, step.given
    owner, access = _owner(shared.owner_id), access_of(shared.owner_id)
    its = {"conversation_id": shared.conversation_id, "via_group": shared.group_id}

    def decide(working: WorkingCopy) -> None:
        if not working.exists:
            return
        if given is not None:
            _give(working, shared, given, step.joined)
        working.end_grants(
            [DeleteOne(Grant.owned_by(access, grantee_id=each, **its)) for each in step.left]
        )
        for details in _details(step, by):
            entry = audit.entry(owner, action, shared.conversation_id, details=details)
            working.outbox.record(entry)

    action = Action.CONVERSATION_SHARE if step.joined else Action.CONVERSATION_UNSHARE
    return _as_change(owner, shared.conversation_id, action, decide)


def _give(working: WorkingCopy, shared: _Shared, given: Raw, members: Sequence[ObjectId]) -> None:
    """Decide to give members what is shared with their group.

    The grant to the group and each membership are written, too: it matches nothing if they are gone
    or altered, and it conflicts with their end.
    """
    access, group_owner = access_of(shared.owner_id), access_of(shared.group_owner_id)
    known = {name: given[name] for name in ("group_id", "_id", "version")}
    same = GroupGrant.owned_by(access, **known)
    working.beside.append((GroupGrant, UpdateOne(same, {"$inc": {"expanded": 1}})))
    which = {"conversation_id": shared.conversation_id, "via_group": shared.group_id}
    update = {
        "$set": {name: given.get(name) for name in GIVEN},
        "$setOnInsert": {"at": given["at"]},
    }
    for each in members:
        query = Grant.owned_by(access, grantee_id=each, **which)
        working.change_grants(UpdateOne(query, update, upsert=True))
        still = Membership.owned_by(group_owner, member_id=each, group_id=shared.group_id)
        working.beside.append((Membership, UpdateOne(still, {"$inc": {"grants": 1}})))


def _details(step: _Step, by: ObjectId) -> Iterable[Raw]:
    """Yield what the audit entries say of members who were given a grant, or lost it."""
    about: Raw = {"group_id": str(step.shared.group_id), "by": str(by)}
    if step.given is not None:
        terms = Terms(**{name: step.given[name] for name in ("role", "expires_at", "agents")})
        yield {**about, **terms.details(), "grantees": [str(each) for each in step.joined]}
    # One who left is named alone: the others keep what they have.
    yield from ({**about, "grantee_id": str(each)} for each in step.left)


def _as_change(
    owner: Actor, conversation_id: ObjectId, action: Action, decide: Decide
) -> Change[None]:
    return Change(
        actor=owner,
        access=Access.of(owner),
        action=action,
        where=("_id", conversation_id),
        decide=decide,
        need=Need.MANAGE,
        sees_trash=True,
    )


async def end_all(
    deps: GroupDeps, group_id: ObjectId, by: ObjectId, *, owner_id: ObjectId | None = None
) -> int:
    """End everything that was shared with a group; return the number of conversations.

    Args:
        deps: the dependencies of groups.
        group_id: the group.
        by: who changed the group.
        owner_id: only what this user has shared with it; None for all.
    """
    found = await GroupGrant.list_of(group_id)
    given = [each for each in found if owner_id in {None, each["owner_id"]}]
    ends = [_end_change(each, await list_holders(each), by) for each in given]
    await _submit(deps, ends)
    for each in given:
        deps.sharing.end_live(each["conversation_id"], group_id, None)
    return len(given)


async def list_holders(given: Raw) -> list[ObjectId]:
    """Return the users who have a grant to a group."""
    grants = await Grant.list_raw(access_of(given["owner_id"]), given["conversation_id"])
    return [each["grantee_id"] for each in grants if each.get("via_group") == given["group_id"]]


def _end_change(given: Raw, holders: Sequence[ObjectId], by: ObjectId) -> Change[None]:
    owner = _owner(given["owner_id"])

    def decide(working: WorkingCopy) -> None:
        # Without the conversation, its grants go with it.
        if working.exists:
            end_for_group(working, given, must_be_there=False)
            details = details_of_end(given["group_id"], holders, by)
            action = Action.CONVERSATION_UNSHARE
            entry = audit.entry(owner, action, given["conversation_id"], details=details)
            working.outbox.record(entry)

    return _as_change(owner, given["conversation_id"], Action.CONVERSATION_UNSHARE, decide)


def details_of_end(group_id: ObjectId, holders: Sequence[ObjectId], by: ObjectId) -> Raw:
    """Return what an audit entry says of the end of a grant to a group."""
    names = [str(each) for each in holders]
    return {"group_id": str(group_id), "by": str(by), "grantees": names}


def end_for_group(working: WorkingCopy, given: Raw, *, must_be_there: bool = True) -> None:
    """Decide to end a grant to a group, and what all of its members have by it."""
    known = {name: given[name] for name in ("group_id", "conversation_id")}
    which = GroupGrant.owned_by(working.access, **known)
    its = {"conversation_id": given["conversation_id"], "via_group": given["group_id"]}
    working.end_grants([DeleteMany(Grant.owned_by(working.access, **its))])
    ended = (GroupGrant, DeleteOne(which))
    (working.beside if must_be_there else working.removals).append(ended)
