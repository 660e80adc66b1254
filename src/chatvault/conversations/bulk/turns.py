"""Turns of bulk operations, so that they leave the commit queue to others."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

from bson import ObjectId

from chatvault.errors import Busy
from chatvault.mongodb import leases
from chatvault.mongodb.turns import PATIENCE, Turns

# The number of changes of a bulk operation that wait for their commit at a time. Fewer than what
# the commit queue splits into two batches, so that the other batch is free for others.
STEP = 12
# The number of users whose changes may wait at a time, in one process.
USERS_AT_ONCE = 4
# After a step, the commit queue is left to others for this fraction of the step's time.
PAUSE = 0.5


class BulkTurns:
    """Lets each user have one step of bulk operations in the commit queue, and few users at once.

    Whatever somebody asks for at the same time, the queue of this process has at most
    `STEP * USERS_AT_ONCE` changes of bulk operations.
    """

    def __init__(self) -> None:
        self._steps = Turns()
        self._operations = Turns()
        self._users = asyncio.Semaphore(USERS_AT_ONCE)

    @contextlib.asynccontextmanager
    async def step(self, owner_id: ObjectId) -> AsyncIterator[None]:
        """Wait for the turn of a step, and pause after it.

        Raises:
            Busy: the turn did not come in time; nothing was done.
        """
        async with self._steps.take(owner_id):
            async with self._users:
                began = time.perf_counter()
                yield
            await asyncio.sleep((time.perf_counter() - began) * PAUSE)

    @contextlib.asynccontextmanager
    async def operation(self, owner_id: ObjectId) -> AsyncIterator[None]:
        """Wait for the turn of an operation that a request waits for: one at a time for a user.

        Over all processes; within one, a single waiting operation asks for the lease.

        Raises:
            Busy: another one of the user's took too long; nothing was done.
            LeaseLost: MongoDB was out of reach for long, and the operation was cancelled.
        """
        async with contextlib.AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(PATIENCE) as waiting:
                    await stack.enter_async_context(self._operations.take(owner_id))
                    await stack.enter_async_context(leases.hold(f"bulk of {owner_id}"))
            except TimeoutError:
                if waiting.expired():
                    raise Busy(retry_after=1) from None
                raise
            yield
