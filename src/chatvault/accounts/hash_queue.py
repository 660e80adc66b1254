"""A fair queue for work that only a few callers may do at a time."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from chatvault.errors import Unavailable

# Seconds that a refusal takes, so that clients that retry without a pause do not take all the time.
PAUSE = 1.0


class Turns:
    """Lets a few callers work at a time and serves the waiting ones source by source.

    So a crowd from one source delays another source by one turn, and cannot keep it out.

    Args:
        places: how many may work at a time.
        max_waiting: how many of one source may wait beyond those.
        max_sources: how many sources may wait.
    """

    def __init__(self, places: int, *, max_waiting: int, max_sources: int = 64) -> None:
        self._free = places
        self._max_waiting = max_waiting
        self._max_sources = max_sources
        # The waiting callers by source; the first source is served next.
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    @asynccontextmanager
    async def turn(self, source: str) -> AsyncIterator[None]:
        """Wait for a turn and hold it.

        Raises:
            Unavailable: too many wait already.
        """
        await self._take(source)
        try:
            yield
        finally:
            self._give_back()

    async def _take(self, source: str) -> None:
        if self._free:
            self._free -= 1
            return
        queue = self._waiting.get(source)
        if len(queue or ()) >= self._max_waiting or (
            queue is None and len(self._waiting) >= self._max_sources
        ):
            await asyncio.sleep(PAUSE)
            raise Unavailable("Too many sign-ins at this moment; try again.", retry_after=1)
        if queue is None:
            queue = self._waiting[source] = deque()
        place = asyncio.get_running_loop().create_future()
        queue.append(place)
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                self._give_back()
            raise

    def _give_back(self) -> None:
        """Pass the place to the next waiting caller, or mark it free."""
        while self._waiting:
            source, queue = next(iter(self._waiting.items()))
            place = queue.popleft()
            del self._waiting[source]
            if queue:
                self._waiting[source] = queue
            if not place.done():
                place.set_result(None)
                return
        self._free += 1
