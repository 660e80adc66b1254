"""Long work done in slices, so that the event loop serves others in between."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")
SLICE = 0.004  # seconds
# After a slice, the loop is left to others for this fraction of the slice's time. One request takes
# many turns of the loop: if each turn held a slice, it would wait for as many slices.
PAUSE = 0.5


async def sliced(items: Iterable[A]) -> AsyncGenerator[A]:
    """Yield the items, pausing before the next one whenever the consumer has worked for a slice.

    After the last item there is no pause: what follows, such as submitting the change that was
    prepared, keeps the order of arrival.
    """
    began = time.perf_counter()
    for item in items:
        took = time.perf_counter() - began
        if took > SLICE:
            await asyncio.sleep(took * PAUSE)
            began = time.perf_counter()
        yield item


async def in_slices(act: Callable[[A], B], items: Iterable[A]) -> list[B]:
    """Return `act` of each item, working in slices."""
    return [act(item) async for item in sliced(items)]


class SliceQueue:
    """Lets several callers work in slices, one slice at a time."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def take(self) -> AsyncIterator[None]:
        """Wait for a turn, and pause after it; the work in it must not wait for anything."""
        async with self._lock:
            began = time.perf_counter()
            yield
            await asyncio.sleep((time.perf_counter() - began) * PAUSE)

    async def map(self, act: Callable[[A], B], items: Iterable[A]) -> list[B]:
        """Return `act` of each item, taking a turn for each slice."""
        results: list[B] = []
        rest = iter(items)
        while True:
            async with self.take():
                until = time.perf_counter() + SLICE
                for item in rest:
                    results.append(act(item))
                    if time.perf_counter() > until:
                        break
                else:
                    return results
