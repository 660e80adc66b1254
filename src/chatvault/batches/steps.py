"""One step of an action on many conversations: a few of them, changed together."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from bson import ObjectId

from chatvault.access import Access
from chatvault.batches.actions import Apply, Doing
from chatvault.conversations.bulk.turns import BulkTurns
from chatvault.conversations.models import Conversation
from chatvault.conversations.preconditions import Precondition
from chatvault.errors import ChatvaultError, Conflict, StaleVersion, Unavailable
from chatvault.fields import Raw

# The number of attempts with a conversation that others change at the same time.
MAX_ATTEMPTS = 5


class ChangedMeanwhile(Conflict):
    """The conversation has changed since, and no longer matches the filter."""

    code = "changed_meanwhile"


@dataclass(slots=True)
class StepResult:
    """The outcome of a step.

    Attributes:
        changes: the ids of those that were changed, each with the inverse action's options.
        failures: the ids and codes of those that could not be.
    """

    changes: list[Raw] = field(default_factory=list)
    failures: list[Raw] = field(default_factory=list)

    @property
    def failed(self) -> Counter[str]:
        """The number of the failed ones, by code."""
        return Counter(each["code"] for each in self.failures)

    def add(self, other: "StepResult") -> None:
        """Add another result."""
        self.changes += other.changes
        self.failures += other.failures


async def do_step(
    doing: Doing, apply: Apply, turns: BulkTurns, ids: Sequence[ObjectId], which: Raw | None
) -> StepResult:
    """Do an action with each of these conversations that still matches.

    Args:
        doing: the action's options.
        apply: does it with one.
        turns: limits how much of the commit queue the user takes.
        ids: of the conversations.
        which: the query that they must match when they are changed; None if any will do.

    Raises:
        Unavailable: some may not be changed, and may be later.
    """
    access = Access.of(doing.actor)
    result = StepResult()
    async with turns.step(access.owner_id):
        versions = None if which is None else await _versions(access, ids, which)
        outcomes = await asyncio.gather(
            *(_do_one(doing, apply, each, which, versions) for each in ids), return_exceptions=True
        )
    for conversation_id, outcome in zip(ids, outcomes, strict=True):
        if isinstance(outcome, BaseException):
            if isinstance(outcome, Unavailable) or not isinstance(outcome, ChatvaultError):
                raise outcome
            result.failures.append({"id": conversation_id, "code": outcome.code})
        elif outcome is not None:
            result.changes.append({**outcome, "id": conversation_id})
    return result


async def _do_one(
    doing: Doing,
    apply: Apply,
    conversation_id: ObjectId,
    which: Raw | None,
    versions: dict[ObjectId, int] | None,
) -> Raw | None:
    """Do it with one conversation, in the version that was seen to match.

    Raises:
        ChangedMeanwhile: it matches no longer.
        ChatvaultError: it cannot be done.
    """
    if which is None or versions is None:
        return await apply(doing, conversation_id, Precondition())
    for _ in range(MAX_ATTEMPTS):
        version = versions.get(conversation_id)
        if version is None:
            raise ChangedMeanwhile
        try:
            precondition = Precondition(given=True, versions=frozenset({version}))
            return await apply(doing, conversation_id, precondition)
        except StaleVersion:
            versions = await _versions(Access.of(doing.actor), [conversation_id], which)
    raise StaleVersion


async def _versions(access: Access, ids: Sequence[ObjectId], which: Raw) -> dict[ObjectId, int]:
    """Return the versions of those of the conversations that match."""
    return await Conversation.list_versions(access, ids, which)
