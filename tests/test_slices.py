"""Long work done in slices."""

import asyncio
import time

from chatvault import slices


class TestSliced:
    async def test_lets_others_run_between_long_items(self) -> None:
        assert await _turns_of_others([1, 2, 3]) >= 2

    async def test_does_not_pause_after_the_last_item(self) -> None:
        assert await _turns_of_others([1]) == 0


async def _turns_of_others(items: list[int]) -> int:
    """Return how often another task runs while the items, each longer than a slice, are used."""
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    other = asyncio.create_task(count())
    async for _ in slices.sliced(items):
        time.sleep(slices.SLICE * 1.5)  # noqa: ASYNC251  # the work of a slice
    other.cancel()
    return turns
