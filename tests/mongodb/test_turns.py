"""Turns: one at a time for each key, in the order of arrival, and none is ever lost."""

import asyncio
from typing import Any

import pytest
from pymongo.errors import NetworkTimeout

from chatvault.errors import Busy
from chatvault.mongodb.turns import Turns


@pytest.fixture
def turns() -> Turns:
    return Turns()


async def until_waiting(turns: Turns, key: str, count: int) -> None:
    while len(turns._queues.get(key, ())) < count:  # noqa: ASYNC110  # no event is set for it
        await asyncio.sleep(0)


class TestTurns:
    async def test_are_taken_in_order(self, turns: Turns) -> None:
        seen: list[tuple[str, int]] = []

        async def work(number: int) -> None:
            async with turns.take("a"):
                seen.append(("in", number))
                await asyncio.sleep(0)
                seen.append(("out", number))

        await asyncio.gather(*map(work, range(20)))
        assert seen == [(way, n) for n in range(20) for way in ("in", "out")]
        assert turns._queues == {}

    async def test_do_not_wait_for_other_keys_or_without_a_key(self, turns: Turns) -> None:
        async with turns.take("a"), turns.take("b"), turns.take(None), turns.take(None):
            assert turns._queues.keys() == {"a", "b"}
        assert turns._queues == {}

    async def test_continue_after_a_failure_and_after_cancelled_waiters(self, turns: Turns) -> None:
        done: list[str] = []

        async def work(name: str) -> None:
            async with turns.take("a"):
                done.append(name)

        async def fail() -> None:
            async with turns.take("a"):
                await until_waiting(turns, "a", 3)
                tasks[0].cancel()
                raise ZeroDivisionError

        failing = asyncio.create_task(fail())
        tasks = [asyncio.create_task(work(name)) for name in "xyz"]
        with pytest.raises(ZeroDivisionError):
            await failing
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(outcomes[0], asyncio.CancelledError)
        assert done == ["y", "z"]
        assert turns._queues == {}

    async def test_are_passed_on_if_a_waiter_is_cancelled(self, turns: Turns) -> None:
        done: list[str] = []

        async def work(name: str) -> None:
            async with turns.take("a"):
                done.append(name)

        async with turns.take("a"):
            tasks = [asyncio.create_task(work(name)) for name in "xy"]
            await until_waiting(turns, "a", 2)
        tasks[0].cancel()  # it has its turn, and has not taken it yet
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(outcomes[0], asyncio.CancelledError)
        assert done == ["y"]
        assert turns._queues == {}

    async def test_fail_with_a_time_out_of_the_holder(self, turns: Turns) -> None:
        async def work() -> None:
            async with turns.take("a"):
                """Nobody gets here."""

        slow = NetworkTimeout("away")

        async def fail() -> None:
            async with turns.take("a"):
                await until_waiting(turns, "a", 3)
                raise slow

        failing = asyncio.create_task(fail())
        tasks = [asyncio.create_task(work()) for _ in range(3)]
        with pytest.raises(NetworkTimeout):
            await failing
        outcomes: list[Any] = await asyncio.gather(*tasks, return_exceptions=True)
        assert outcomes == [slow] * 3
        assert turns._queues == {}

    async def test_raise_busy_if_they_do_not_come_in_time(
        self, turns: Turns, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("chatvault.mongodb.turns.PATIENCE", 0.01)
        async with turns.take("a"):
            with pytest.raises(Busy) as refused:
                async with turns.take("a"):
                    """Nobody gets here."""
        assert refused.value.retry_after == 1
        assert turns._queues == {}
