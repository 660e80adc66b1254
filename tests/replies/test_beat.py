"""The beat that flushes share."""

import asyncio

from chatvault.replies.beat import FlushTimer

EVERY = 0.1


async def seconds_until(event: asyncio.Event) -> float:
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with asyncio.timeout(30):
        await event.wait()
    return loop.time() - began


class TestBeat:
    async def test_comes_at_once_after_a_rest(self) -> None:
        beat, event = FlushTimer(60), asyncio.Event()

        beat.set(event)

        assert await seconds_until(event) < 10

    async def test_comes_no_sooner_than_it_should_and_then_for_all(self) -> None:
        beat, first = FlushTimer(EVERY), asyncio.Event()
        beat.set(first)
        await first.wait()
        events = [asyncio.Event() for _ in range(3)]
        waiting = [asyncio.create_task(event.wait()) for event in events]

        beat.set(events[0])
        await asyncio.sleep(EVERY / 4)
        beat.set(events[1])
        beat.set(events[2])

        assert await seconds_until(events[0]) > EVERY / 2
        assert all(event.is_set() for event in events)
        await asyncio.gather(*waiting)
