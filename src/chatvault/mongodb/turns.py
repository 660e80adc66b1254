"""Turns within a process: changes of the same document are made one at a time."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Hashable

from chatvault.errors import Busy

# Seconds after which waiting for a turn fails with Busy.
PATIENCE = 30.0


class Turns:
    """Lets one at a time pass for each key, in the order of arrival.

    Where one runs out of time (`error.timeout`), so do those waiting: each would wait as long for
    the same failure.
    """

    def __init__(self) -> None:
        self._queues: dict[Hashable, deque[asyncio.Future[None]]] = {}

    @contextlib.asynccontextmanager
    async def take(self, key: Hashable) -> AsyncIterator[None]:
        """Wait for the turn of a key, and pass it on at the end; the key None does not wait.

        Raises:
            Busy: the turn did not come in time; nothing was done.
            Exception: the error with which the turn before ran out of time.
        """
        if key is None:
            yield
            return
        await self._wait(key)
        try:
            yield
        except Exception as error:
            if getattr(error, "timeout", False):
                self._fail(key, error)
            raise
        finally:
            self._pass_on(key)

    async def _wait(self, key: Hashable) -> None:
        queue = self._queues.get(key)
        if queue is None:
            self._queues[key] = deque()
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue.append(turn)
        try:
            async with asyncio.timeout(PATIENCE):
                await turn
        except TimeoutError:
            self._leave(key, turn)
            raise Busy(retry_after=1) from None
        except asyncio.CancelledError:
            self._leave(key, turn)
            raise

    def _leave(self, key: Hashable, turn: "asyncio.Future[None]") -> None:
        """Stop waiting, and pass on a turn that came at that very moment."""
        if turn.done() and not turn.cancelled() and turn.exception() is None:
            self._pass_on(key)

    def _pass_on(self, key: Hashable) -> None:
        queue = self._queues[key]
        while queue:
            turn = queue.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        del self._queues[key]

    def _fail(self, key: Hashable, error: Exception) -> None:
        for turn in self._queues[key]:
            if not turn.done():
                turn.set_exception(error)
        self._queues[key].clear()
