"""The interface by which a commit queue keeps limits, and counts the additions of its changes."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from bson import ObjectId

from chatvault.actor import Actor
from chatvault.errors import ChatvaultError


@dataclass(slots=True)
class Reservation:
    """The messages and bytes that a change may add.

    Attributes:
        actor: who adds them.
        owner_id: whose conversation it is.
        messages: how many messages count against a limit.
        size: about how many bytes they have.
        refusal: why the change may not be made; repeats of one that was made are answered all the
            same.
        counters: the counters that the messages were taken from.
    """

    actor: Actor
    owner_id: ObjectId
    messages: int
    size: int
    refusal: ChatvaultError | None = None
    counters: tuple[str, ...] = field(default=())


class Ledger(Protocol):
    """Counts what users add, and knows their limits."""

    @property
    def is_limiting(self) -> bool:
        """Whether anybody has a limit."""

    async def reserve(self, wanted: Reservation) -> None:
        """Reserve what a change may add, or set why it may not."""

    def settle(self, reserved: Reservation, added: int) -> None:
        """End a reservation; messages that were not added are given back."""

    def note(
        self, messages: Iterable[tuple[Actor, int]], grown: Iterable[tuple[ObjectId, int]]
    ) -> None:
        """Count what a batch has added.

        Args:
            messages: by who acted.
            grown: the bytes by which conversations have grown, by owner.
        """
