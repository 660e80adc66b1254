"""A beat that many share: what becomes due between two strokes is done at the next, all at once."""

import asyncio

NEVER = float("-inf")


class FlushTimer:
    """Sets events at its strokes; it rests while nobody waits for one.

    Args:
        every: seconds between two strokes, at least.
    """

    def __init__(self, every: float) -> None:
        self._every = every
        self._due: list[asyncio.Event] = []
        self._last = NEVER

    def set(self, event: asyncio.Event) -> None:
        """Set an event at the next stroke; almost at once where the last one is long ago."""
        self._due.append(event)
        if len(self._due) == 1:
            loop = asyncio.get_running_loop()
            loop.call_at(max(loop.time(), self._last + self._every), self._strike)

    def _strike(self) -> None:
        self._last = asyncio.get_running_loop().time()
        due, self._due = self._due, []
        for event in due:
            event.set()
