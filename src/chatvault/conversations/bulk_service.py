"""Changing the same fields of many conversations, in bounded steps, each change audited."""

import asyncio
from collections.abc import Callable, Sequence

from bson import ObjectId

from chatvault.access import Access
from chatvault.actor import Actor
from chatvault.audit import service as audit
from chatvault.audit.actions import Action
from chatvault.conversations.commits.change import Change
from chatvault.conversations.commits.queue import CommitQueue
from chatvault.conversations.commits.working_copy import WorkingCopy
from chatvault.conversations.shapes import ConversationDoc
from chatvault.errors import NotFound
from chatvault.fields import Raw, now
from chatvault.mongodb.database import many_changes

# The number of changes that wait for their commit at a time; those of others come between.
BATCH = 50
INTERRUPTED = "Some of the conversations are changed, and some may not be; repeat it."

# Returns the fields to change of a conversation; none where nothing is to change.
Changing = Callable[[ConversationDoc], Raw]


async def update_each(
    actor: Actor, commits: CommitQueue, ids: Sequence[ObjectId], changing: Changing
) -> int:
    """Change fields of those of the actor's conversations that exist; return of how many.

    Each is a change of its own with its audit entry: after a crash some are changed, and a repeat
    changes the rest.

    Raises:
        OutcomeUnknown: MongoDB went away after some of them.
    """
    changed = 0
    with many_changes(INTERRUPTED):
        for start in range(0, len(ids), BATCH):
            batch = [_update(actor, commits, each, changing) for each in ids[start : start + BATCH]]
            outcomes = await asyncio.gather(*batch, return_exceptions=True)
            for outcome in outcomes:
                if isinstance(outcome, BaseException) and not isinstance(outcome, NotFound):
                    raise outcome
            changed += outcomes.count(True)
    return changed


async def _update(
    actor: Actor, commits: CommitQueue, conversation_id: ObjectId, changing: Changing
) -> bool:
    def decide(working: WorkingCopy) -> bool:
        changes = changing(working.fields)
        if not changes:
            return False
        working.set(now(), **changes)
        details = {"fields": sorted(changes)}
        entry = audit.entry(actor, Action.CONVERSATION_UPDATE, conversation_id, details=details)
        working.outbox.record(entry)
        return True

    return await commits.submit(
        Change(
            actor=actor,
            access=Access.of(actor),
            action=Action.CONVERSATION_UPDATE,
            where=("_id", conversation_id),
            decide=decide,
        )
    )
