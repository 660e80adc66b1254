"""Group commit: items that arrive during one round trip share the next."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

A = TypeVar("A")
B = TypeVar("B")
# Turns of the event loop to wait before a round trip, so that requests already in its sockets come
# along. Measured: half as many round trips under load, and some microseconds for a lone item.
TURNS = 2


class Batcher(Generic[A, B]):
    """Answers single items through a function that answers many at once.

    An item never joins a round trip that began before it was submitted, and a lone item does not
    wait for others.

    Args:
        run: returns one answer for each item, in order; its failure is the failure of each item,
            and if it ran out of time (`error.timeout`), of all that wait.
        max_size: the maximum number of items in one round trip.
        concurrency: the maximum number of round trips at a time.
    """

    def __init__(
        self, run: Callable[[list[A]], Awaitable[list[B]]], *, max_size: int, concurrency: int = 1
    ) -> None:
        self._run = run
        self._max_size = max_size
        self._concurrency = concurrency
        self._waiting: list[tuple[A, asyncio.Future[B]]] = []
        self._working = 0
        self._workers: set[asyncio.Task[None]] = set()

    async def submit(self, item: A) -> B:
        """Return the answer to an item.

        Raises:
            Exception: whatever `run` raised.
        """
        answer: asyncio.Future[B] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, answer))
        if self._working < self._concurrency:
            self._working += 1
            worker = asyncio.create_task(self._work())
            self._workers.add(worker)
            worker.add_done_callback(self._workers.discard)
        return await answer

    async def _work(self) -> None:
        try:
            while self._waiting:
                for _ in range(TURNS):
                    await asyncio.sleep(0)
                if self._waiting:  # another worker may have taken all
                    await self._run_batch()
        finally:
            # Set here and not when the task is done, which is later: an item submitted in between
            # would wait for no worker.
            self._working -= 1

    async def _run_batch(self) -> None:
        batch = self._waiting[: self._max_size]
        del self._waiting[: self._max_size]
        try:
            answers = await self._run([item for item, _ in batch])
        except Exception as error:  # noqa: BLE001  # handed to each of those who wait
            if getattr(error, "timeout", False):
                # The waiting items would wait as long again for the same failure.
                batch += self._waiting
                self._waiting.clear()
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
        else:
            for (_, future), answer in zip(batch, answers, strict=True):
                if not future.done():
                    future.set_result(answer)
