"""A change of one conversation, which is submitted to the commit queue."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from bson import ObjectId

from chatvault.access import Access, Need
from chatvault.actor import Actor
from chatvault.audit.actions import Action
from chatvault.conversations.commits.ledger import Reservation
from chatvault.conversations.commits.working_copy import WorkingCopy
from chatvault.conversations.segments import size_of
from chatvault.idempotency import Idempotent

T = TypeVar("T")
# The bytes that any change writes: a few fields of the conversation, and an audit entry.
OVERHEAD = 512
# The bytes from which a change is committed apart from the small ones, which it would delay.
BIG = 64 * 1024
# Owner, `_id` or `source`, and its value.
Key = tuple[ObjectId, str, Any]


@dataclass(slots=True, kw_only=True, eq=False)
class Change(Generic[T]):
    """A change that a request asks for.

    Attributes:
        actor: who asks.
        access: to the data of the conversation's owner.
        action: the action of the audit entry.
        where: `_id` or `source`, and its value.
        need: the level of access that a guest's grant must allow when the change is committed.
        decide: reads the working copy and either raises, before it changes anything, or decides and
            returns the answer. It may be called again, with another working copy.
        message_ids: ids of the messages that the decision reads.
        needs_metadata: the decision reads the metadata.
        needs_tail: the decision reads or edits embedded messages.
        needs_last_segment: the decision moves messages.
        needs_last_not_deleted: the decision reads the newest message that is not deleted.
        needs_tree: the decision reads the tree of all messages; set once it turns out so.
        sees_trash: the change may concern a conversation in the trash; for others there is none.
        keeps: a legal hold keeps what the change removes; one that replaces all messages then
            needs the tail.
        is_new: the change inserts the conversation, so there is nothing to read.
        size: the approximate number of bytes that it writes.
        adds: how many messages it may add that count against limits; None if it adds nothing that
            anybody limits.
        written: the bytes of messages that were written before it.
        idempotent: its Idempotency-Key, if it has one.
        reserved: what it may add, where somebody limits it.
        added: how many messages it has added in the last attempt.
        setbacks: how many batches have postponed it so far.
        waits_since: when it was submitted, by `time.perf_counter()`; 0 for a change of the queue's.
    """

    actor: Actor
    access: Access
    action: Action
    where: tuple[str, Any]
    decide: Callable[[WorkingCopy], T]
    need: Need = Need.WRITE
    message_ids: frozenset[str] = frozenset()
    needs_metadata: bool = False
    needs_tail: bool = False
    needs_last_segment: bool = False
    needs_last_not_deleted: bool = False
    needs_tree: bool = False
    sees_trash: bool = False
    keeps: bool = False
    is_new: bool = False
    size: int = 0
    adds: int | None = None
    written: int = 0
    idempotent: Idempotent[T] | None = None
    answer: "asyncio.Future[T]" = field(init=False)
    reserved: Reservation | None = field(init=False, default=None)
    added: int = field(init=False, default=0)
    setbacks: int = field(init=False, default=0)
    waits_since: float = field(init=False, default=0.0)

    @property
    def is_big(self) -> bool:
        """Whether it would delay small changes for long."""
        return self.size > BIG

    @property
    def key(self) -> Key:
        """The key that changes of the same conversation share."""
        return (self.access.owner_id, *self.where)


def estimate(*written: Mapping[str, Any]) -> int:
    """Return the approximate number of bytes that a change with these documents writes."""
    return OVERHEAD + sum(map(size_of, written))
