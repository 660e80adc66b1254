"""The beat that flushes share."""

import asyncio

from chatvault.replies.task import FlushTimer

EVERY = 0.1


async def seconds_until(event: asyncio.Event) -> float:
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with asyncio.timeout(30):
        await event.wait()
    return loop.time() - began


class TestFlushTimer:
    async def test_fires_at_once_after_a_rest(self) -> None:
        timer, event = FlushTimer(60), asyncio.Event()

        timer.set(event)

        assert await seconds_until(event) < 10

    async def test_fires_no_sooner_than_it_should_and_for_all(self) -> None:
        timer, first = FlushTimer(EVERY), asyncio.Event()
        timer.set(first)
        await first.wait()
        events = [asyncio.Event() for _ in range(3)]
        waiting = [asyncio.create_task(event.wait()) for event in events]

        timer.set(events[0])
        await asyncio.sleep(EVERY / 4)
        timer.set(events[1])
        timer.set(events[2])

        assert await seconds_until(events[0]) > EVERY / 2
        assert all(event.is_set() for event in events)
        await asyncio.gather(*waiting)
