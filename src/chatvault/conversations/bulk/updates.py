"""Changing the same fields of many conversations, in bounded steps, each change audited."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bson import ObjectId

from chatvault.access import Access
from chatvault.actor import Actor
from chatvault.audit import service as audit
from chatvault.audit.actions import Action
from chatvault.audit.recorder import Recorder
from chatvault.conversations.bulk.turns import STEP, BulkTurns
from chatvault.conversations.categories import hold_category
from chatvault.conversations.commits.change import Change
from chatvault.conversations.commits.queue import CommitQueue
from chatvault.conversations.commits.working_copy import WorkingCopy
from chatvault.conversations.preconditions import Precondition
from chatvault.conversations.shapes import ConversationDoc
from chatvault.errors import ChatvaultError, InvalidInput, NotFound
from chatvault.fields import Raw, now
from chatvault.mongodb.database import many_changes
from chatvault.mongodb.rates import Rate

# The most conversations that one operation changes.
MOST = 100_000
INTERRUPTED = "Some of the conversations are changed, and some may not be; repeat it."
ANY_VERSION = Precondition()

# Returns the fields to change of a conversation; none where nothing is to change.
Changing = Callable[[ConversationDoc], Raw]


@dataclass(frozen=True, slots=True)
class BulkDeps:
    """The dependencies of operations on many conversations.

    Attributes:
        commits: takes the changes.
        recorder: takes the audit entries of operations that change nothing in the database.
        rate: limits how often a user may begin one.
        turns: limits how many changes wait at a time.
    """

    commits: CommitQueue
    recorder: Recorder
    rate: Rate
    turns: BulkTurns


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """A change of a conversation's fields, and how it is audited.

    Attributes:
        changing: decides it.
        action: the action of the audit entry.
        details: those of the audit entry; by default the names of the fields.
    """

    changing: Changing
    action: Action = Action.CONVERSATION_UPDATE
    details: Mapping[str, Any] | None = None


async def update_each(
    actor: Actor, deps: BulkDeps, ids: Sequence[ObjectId], changing: Changing
) -> int:
    """Change fields of those of the actor's conversations that exist; return of how many.

    Each is a change of its own with its audit entry: after a crash some are changed, and a repeat
    changes the rest.

    Raises:
        InvalidInput: they are too many.
        Busy: other operations of the actor's took too long.
        OutcomeUnknown: MongoDB went away after some of them.
    """
    check_number(len(ids))
    owner_id, edit = Access.of(actor).owner_id, Edit(changing=changing)
    changed = 0
    with many_changes(INTERRUPTED):
        for start in range(0, len(ids), STEP):
            async with deps.turns.step(owner_id):
                outcomes = await settle_each(
                    ids[start : start + STEP],
                    lambda each: update_fields(actor, deps.commits, each, edit),
                )
            for outcome in outcomes:
                if isinstance(outcome, ChatvaultError) and not isinstance(outcome, NotFound):
                    raise outcome
            changed += outcomes.count(True)
    return changed


def check_number(number: int) -> None:
    """Check that one operation may concern this number of conversations.

    Raises:
        InvalidInput: they are too many.
    """
    if number > MOST:
        raise InvalidInput(
            f"These are {number:,} conversations; one operation changes at most {MOST:,}."
        )


async def settle_each(
    ids: Sequence[ObjectId], change: Callable[[ObjectId], Awaitable[bool]]
) -> list[bool | ChatvaultError]:
    """Change conversations together; return of each whether it was changed, or its error.

    Raises:
        Exception: any other error of one of them, once all have ended.
    """
    outcomes = await asyncio.gather(*(change(each) for each in ids), return_exceptions=True)
    settled: list[bool | ChatvaultError] = []
    for outcome in outcomes:
        if isinstance(outcome, BaseException) and not isinstance(outcome, ChatvaultError):
            raise outcome
        settled.append(outcome)
    return settled


async def update_fields(
    actor: Actor,
    commits: CommitQueue,
    conversation_id: ObjectId,
    edit: Edit,
    precondition: Precondition = ANY_VERSION,
) -> bool:
    """Change fields of one conversation; return whether anything was to change.

    Raises:
        NotFound: the actor has no such conversation.
        StaleVersion: it has another version.
        Busy: its category was removed at the same time, or the commit queue is full.
    """
    access = Access.of(actor)

    def decide(working: WorkingCopy) -> bool:
        precondition.check(working.fields["version"])
        changes = edit.changing(working.fields)
        if not changes:
            return False
        working.beside += hold_category(access, working.fields, changes)
        working.set(now(), **changes)
        details = dict(edit.details or {"fields": sorted(changes)})
        working.outbox.record(audit.entry(actor, edit.action, conversation_id, details=details))
        return True

    return await commits.submit(
        Change(
            actor=actor,
            access=access,
            action=edit.action,
            where=("_id", conversation_id),
            decide=decide,
        )
    )
