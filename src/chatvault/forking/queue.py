"""Making forks one at a time for a user, and a few at a time for a process."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final

from chatvault.actor import Actor
from chatvault.mongodb.rates import Rate
from chatvault.mongodb.turns import Turns

# Each fork is whole in memory while it is made.
AT_ONCE: Final = 2


class ForkQueue:
    """Admits forks.

    Args:
        rate: limits how many a user makes.
    """

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._turns = Turns()
        self._room = asyncio.Semaphore(AT_ONCE)

    @contextlib.asynccontextmanager
    async def take(self, actor: Actor) -> AsyncIterator[None]:
        """Wait for the user's turn, and for room.

        Raises:
            Throttled: the user made too many in this minute.
            Busy: the user's turn did not come in time.
        """
        await self._rate.admit(str(actor.owner_id))
        async with self._turns.take(actor.owner_id), self._room:
            yield
