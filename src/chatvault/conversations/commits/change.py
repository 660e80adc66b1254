"""A change of one conversation, as the commit queue takes it."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from bson import ObjectId

from chatvault.actor import Actor
from chatvault.audit.actions import Action
from chatvault.conversations.commits.working_copy import WorkingCopy
from chatvault.conversations.segments import size_of
from chatvault.idempotency import Idempotent

T = TypeVar("T")
# What any change writes: a few of the conversation's fields, and an audit entry.
BESIDE = 512
# From here on a change is carried apart from the small ones, which would have to wait for it.
BIG = 64 * 1024
# Owner, `_id` or `source`, and its value.
Key = tuple[ObjectId, str, Any]


@dataclass(slots=True, kw_only=True, eq=False)
class Change(Generic[T]):
    """A change that a request asks for.

    Attributes:
        actor: whose conversation it must be.
        action: as what it is audited.
        where: `_id` or `source`, and its value.
        decide: looks at the draft and either refuses by raising, before it changed anything, or
            decides and gives the answer. It may be called again, on another draft.
        message_ids: ids that the decision asks about.
        needs_metadata: the decision reads the metadata.
        needs_tail: the decision reads or edits embedded messages.
        needs_last_segment: the decision moves messages.
        needs_last_not_deleted: the decision asks for the newest message that is not deleted.
        is_new: the conversation begins with this change, so there is nothing to read.
        size: about how many bytes it writes.
        idempotent: its Idempotency-Key, if it has one.
        setbacks: how many groups have set it back so far.
    """

    actor: Actor
    action: Action
    where: tuple[str, Any]
    decide: Callable[[WorkingCopy], T]
    message_ids: frozenset[str] = frozenset()
    needs_metadata: bool = False
    needs_tail: bool = False
    needs_last_segment: bool = False
    needs_last_not_deleted: bool = False
    is_new: bool = False
    size: int = 0
    idempotent: Idempotent[T] | None = None
    answer: "asyncio.Future[T]" = field(init=False)
    setbacks: int = field(init=False, default=0)

    @property
    def is_big(self) -> bool:
        """Whether small changes would have to wait long for it."""
        return self.size > BIG

    @property
    def key(self) -> Key:
        """What two changes of the same conversation share."""
        return (self.actor.owner_id, *self.where)


def estimate(*written: Mapping[str, Any]) -> int:
    """About how many bytes a change writes that stores these."""
    return BESIDE + sum(map(size_of, written))
