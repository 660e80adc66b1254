"""Background tasks end, even those that miss a cancellation."""

import asyncio

import pytest

from chatvault import tasks
from chatvault.tasks import Loops, run_together, stop


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
    async def test_cancels_a_task_again_that_ignored_it(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tasks, "AGAIN_SECONDS", 0.01)
        running = [asyncio.create_task(work) for work in (stubborn(), forever(), fail())]
        await asyncio.sleep(0)

        await stop(*running)

        assert all(task.done() for task in running)


class TestRunTogether:
    async def test_raises_the_first_failure_and_stops_the_others(self) -> None:
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


class TestLoops:
    async def test_restart_loops_that_ended_unexpectedly(self) -> None:
        ends = [ValueError("a fault"), None, asyncio.CancelledError(), KeyError("another")]
        went_on = asyncio.Event()

        async def work() -> None:
            if ends:
                if (end := ends.pop(0)) is not None:
                    raise end
                return
            went_on.set()
            await forever()

        loops = Loops(first_pause=0.001)
        assert loops.failing == []
        async with loops.run("counting", work):
            await asyncio.wait_for(went_on.wait(), 5)
            assert loops.failing == ["counting"]

    async def test_are_healthy_again_after_a_while(self) -> None:
        failed = asyncio.Event()

        async def fail_once() -> None:
            if not failed.is_set():
                failed.set()
                raise ValueError("a fault")
            await forever()

        loops = Loops(first_pause=0.001, steady_seconds=0.05)
        async with loops.run("counting", fail_once):
            await failed.wait()
            async with asyncio.timeout(5):
                while not loops.failing:  # noqa: ASYNC110  # nobody tells
                    await asyncio.sleep(0)
                while loops.failing:  # noqa: ASYNC110  # the clock sends no event
                    await asyncio.sleep(0.01)

    async def test_wait_longer_and_longer_up_to_a_bound(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pauses: list[float] = []
        enough = asyncio.Event()

        async def pause(seconds: float) -> None:
            pauses.append(seconds)
            if len(pauses) == 5:
                enough.set()
                await forever()

        monkeypatch.setattr("chatvault.tasks.asyncio.sleep", pause)
        async with Loops(first_pause=1.0).run("failing", fail, max_pause=5.0):
            await asyncio.wait_for(enough.wait(), 5)
        assert pauses == [1.0, 2.0, 4.0, 5.0, 5.0]

    async def test_end_with_their_context(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(tasks, "AGAIN_SECONDS", 0.01)
        before = asyncio.all_tasks()
        async with Loops().run("stubborn", stubborn), Loops().run("failing", fail):
            await asyncio.sleep(0)
        assert asyncio.all_tasks() == before
