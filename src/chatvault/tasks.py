"""Background tasks that are sure to end, and loops that are restarted when they end."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import structlog

AGAIN_SECONDS = 0.2
FIRST_PAUSE = 0.5
MAX_PAUSE = 30.0
STEADY_SECONDS = 20.0
log = structlog.get_logger()


async def stop(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks, and return once all have ended.

    On Python 3.11 the driver's `wait_for` drops a cancellation that comes at the very moment of an
    answer, and the task continues; so they are cancelled repeatedly.
    """
    while pending := [task for task in tasks if not task.done()]:
        for task in pending:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait(pending, timeout=AGAIN_SECONDS)
    for task in tasks:
        if not task.cancelled():
            task.exception()  # retrieved, or asyncio logs that nobody did


async def run_together(*works: Coroutine[Any, Any, None]) -> None:
    """Run coroutines until the first of them ends or fails, then stop the others.

    Raises:
        Exception: what it failed with.
    """
    tasks = [asyncio.create_task(work) for work in works]
    try:
        ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await stop(*tasks)
    for task in ended:
        task.result()


class Loops:
    """Background loops, each restarted after a pause whenever it ends or fails.

    Args:
        first_pause: seconds before the first new start; each further pause is twice as long.
        steady_seconds: a loop that ran for this long no longer counts as failing.
    """

    def __init__(
        self, *, first_pause: float = FIRST_PAUSE, steady_seconds: float = STEADY_SECONDS
    ) -> None:
        self._first_pause = first_pause
        self._steady_seconds = steady_seconds
        self._failed_at: dict[str, float] = {}

    @property
    def failing(self) -> list[str]:
        """The names of loops that failed and have not yet run for `steady_seconds` since."""
        lately = time.monotonic() - self._steady_seconds
        return sorted(name for name, at in self._failed_at.items() if at > lately)

    @contextlib.asynccontextmanager
    async def run(
        self,
        name: str,
        work: Callable[[], Coroutine[Any, Any, None]],
        *,
        max_pause: float = MAX_PAUSE,
    ) -> AsyncIterator[None]:
        """Keep a loop running in the background while the context lasts.

        Args:
            name: its name in `/ready` and the log.
            work: the loop; called for each start.
            max_pause: the longest pause, for a loop that renews something that expires.
        """
        task = asyncio.create_task(self._keep(name, work, max_pause))
        try:
            yield
        finally:
            await stop(task)

    async def _keep(
        self, name: str, work: Callable[[], Coroutine[Any, Any, None]], max_pause: float
    ) -> None:
        pause = self._first_pause
        while True:
            began = time.monotonic()
            error: BaseException | None = None
            try:
                await work()
            except asyncio.CancelledError as cancelled:
                if is_being_cancelled():
                    raise
                error = cancelled
            except Exception as failure:  # noqa: BLE001  # nobody else would start it again
                error = failure
            if is_being_cancelled():
                return
            if time.monotonic() - began > self._steady_seconds:
                pause = self._first_pause
            # It counts as failing during the pause and for `steady_seconds` after.
            self._failed_at[name] = time.monotonic() + pause
            log.error(
                "background_loop_failed",
                loop=name,
                error=type(error).__name__ if error else "it returned",
                starts_again_in_seconds=pause,
                exc_info=error,
            )
            await asyncio.sleep(pause)
            pause = min(2 * pause, max_pause)


def is_being_cancelled() -> bool:
    """Whether the running task was asked to cancel."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
