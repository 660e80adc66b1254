"""Background tasks that are sure to end: a cancellation can get lost inside the driver."""

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any

AGAIN_SECONDS = 0.2


async def stop(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks, and return once all have ended.

    On Python 3.11 the driver's `wait_for` drops a cancellation that comes at the very moment of an
    answer, and the task goes on as if nothing had been: so they are cancelled again and again.
    """
    while pending := [task for task in tasks if not task.done()]:
        for task in pending:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait(pending, timeout=AGAIN_SECONDS)
    for task in tasks:
        if not task.cancelled():
            task.exception()  # or asyncio complains that nobody asked


async def run_together(*works: Coroutine[Any, Any, None]) -> None:
    """Do several things at once until the first of them ends or fails, and stop the others.

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
