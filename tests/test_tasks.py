"""Background tasks end, even those that miss a cancellation."""

import asyncio

import pytest

from chatvault import tasks
from chatvault.tasks import run_together, stop


async def forever() -> None:
    await asyncio.Event().wait()


async def stubborn() -> None:
    """Misses its first cancellations, as the driver does now and then."""
    for _ in range(2):
        try:
            await forever()
        except asyncio.CancelledError:
            continue
    await forever()


async def fail() -> None:
    raise ValueError("a fault")


class TestStop:
    async def test_ends_what_misses_a_cancellation(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(tasks, "AGAIN_SECONDS", 0.01)
        running = [asyncio.create_task(work) for work in (stubborn(), forever(), fail())]
        await asyncio.sleep(0)

        await stop(*running)

        assert all(task.done() for task in running)


class TestRunTogether:
    async def test_hands_on_the_first_failure_and_stops_the_others(self) -> None:
        before = asyncio.all_tasks()
        with pytest.raises(ValueError, match="a fault"):
            await run_together(forever(), fail())
        assert asyncio.all_tasks() == before

    async def test_stops_all_when_it_is_cancelled(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(tasks, "AGAIN_SECONDS", 0.01)
        before = asyncio.all_tasks()
        task = asyncio.create_task(run_together(forever(), stubborn()))
        await asyncio.sleep(0.02)
        await stop(task)
        assert asyncio.all_tasks() == before
