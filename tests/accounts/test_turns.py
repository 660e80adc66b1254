"""Turns at work: fair between sources, bounded, and given back however the work ends."""

import asyncio

import pytest

from chatvault.accounts.hash_queue import Turns
from chatvault.errors import Unavailable


class Work:
    """Takes turns, and notes who worked when; each work lasts until it is told to end."""

    def __init__(self, turns: Turns) -> None:
        self.turns = turns
        self.begun: list[str] = []
        self.ends: list[asyncio.Event] = []

    async def run(self, source: str) -> None:
        async with self.turns.turn(source):
            end = asyncio.Event()
            self.begun.append(source)
            self.ends.append(end)
            await end.wait()

    def start(self, *sources: str) -> list[asyncio.Task[None]]:
        return [asyncio.create_task(self.run(source)) for source in sources]

    async def end_all(self, tasks: list[asyncio.Task[None]]) -> None:
        """End one work after the other, in the order in which they began."""
        done = 0
        while not all(task.done() for task in tasks):
            while done < len(self.ends):
                self.ends[done].set()
                done += 1
            await asyncio.sleep(0)


class TestTurns:
    async def test_serve_sources_in_turn(self) -> None:
        work = Work(Turns(1, max_waiting=10))
        tasks = work.start("crowd", "crowd", "crowd", "crowd", "alice", "crowd", "bob")

        await asyncio.sleep(0)
        await work.end_all(tasks)

        assert work.begun == ["crowd", "crowd", "alice", "bob", "crowd", "crowd", "crowd"]

    async def test_limit_concurrent_work(self) -> None:
        work = Work(Turns(2, max_waiting=10))
        tasks = work.start(*"abcde")

        await asyncio.sleep(0)
        assert work.begun == ["a", "b"]

        await work.end_all(tasks)
        assert sorted(work.begun) == list("abcde")

    async def test_refuse_only_the_source_with_too_many_waiters(self) -> None:
        work = Work(Turns(1, max_waiting=2))
        tasks = work.start("crowd", "crowd", "crowd")
        await asyncio.sleep(0)

        with pytest.raises(Unavailable) as refused:
            await work.run("crowd")
        tasks += work.start("alice")
        await asyncio.sleep(0)
        await work.end_all(tasks)

        assert refused.value.retry_after == 1
        assert "alice" in work.begun

    async def test_limit_the_number_of_sources(self) -> None:
        work = Work(Turns(1, max_waiting=2, max_sources=2))
        tasks = work.start("a", "b", "c")
        await asyncio.sleep(0)

        with pytest.raises(Unavailable):
            await work.run("d")
        await work.end_all(tasks)

    async def test_skip_cancelled_waiters(self) -> None:
        work = Work(Turns(1, max_waiting=10))
        first, gone, last = work.start("a", "gone", "b")
        await asyncio.sleep(0)

        gone.cancel()
        await asyncio.sleep(0)
        await work.end_all([first, last])

        assert work.begun == ["a", "b"]
        assert gone.cancelled()

    async def test_pass_on_the_turn_of_a_waiter_cancelled_meanwhile(self) -> None:
        work = Work(Turns(1, max_waiting=10))
        async with work.turns.turn("a"):
            gone, last = work.start("gone", "b")
            await asyncio.sleep(0)
        gone.cancel()
        await work.end_all([gone, last])

        assert gone.cancelled()
        assert work.begun == ["b"]
