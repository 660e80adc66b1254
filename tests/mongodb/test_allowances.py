"""Leased allowances: never above the limit, at most a lease of each other process below it."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo import AsyncMongoClient, monitoring

from chatvault.mongodb.allowances import DAY_SECONDS, Allowances, Window

WINDOW = Window(200, 60)


class Rounds(monitoring.CommandListener):
    """Counts the round trips that take a lease."""

    def __init__(self) -> None:
        self.count = 0

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        self.count += event.command_name == "findAndModify"

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None: ...

    def failed(self, event: monitoring.CommandFailedEvent) -> None: ...


@pytest.fixture
def rounds() -> Rounds:
    return Rounds()


@pytest.fixture
async def counters(mongodb_url: str, rounds: Rounds) -> AsyncIterator[Any]:
    client: AsyncMongoClient[dict[str, Any]]
    async with AsyncMongoClient(mongodb_url, event_listeners=[rounds], tz_aware=True) as client:
        yield client["allowances"]["rate_limits"]
        await client.drop_database("allowances")


async def granted(allowances: Allowances, times: int, window: Window = WINDOW) -> int:
    taken = [await allowances.take("alice", window) for _ in range(times)]
    return sum(each.is_granted for each in taken)


async def end_window(counters: Any, *processes: Allowances) -> None:
    """Let the window be over, by the server and by these processes."""
    await counters.update_many({}, [{"$set": {"expires_at": {"$subtract": ["$$NOW", 1]}}}])
    for process in processes:
        for share in process._shares.values():
            share.ends_at -= DAY_SECONDS


class TestAllowances:
    async def test_grant_the_limit_exactly_to_one_process(
        self, counters: Any, rounds: Rounds
    ) -> None:
        allowances = Allowances(counters)

        assert await granted(allowances, 250) == WINDOW.amount
        # One for each lease, and none for the fifty that were refused.
        assert rounds.count == WINDOW.amount // WINDOW.lease

    async def test_grant_the_limit_exactly_to_processes_that_ask_at_once(
        self, counters: Any
    ) -> None:
        processes = [Allowances(counters) for _ in range(3)]

        each = await asyncio.gather(*(granted(process, 150) for process in processes))

        assert sum(each) == WINDOW.amount

    async def test_stay_one_lease_below_the_limit_if_a_process_dies(self, counters: Any) -> None:
        dying, living = Allowances(counters), Allowances(counters)
        assert await granted(dying, 1) == 1

        assert await granted(living, 250) == WINDOW.amount - WINDOW.lease

    async def test_grant_concurrent_requests_from_one_lease(
        self, counters: Any, rounds: Rounds
    ) -> None:
        allowances = Allowances(counters)

        taken = await asyncio.gather(*(allowances.take("alice", WINDOW) for _ in range(10)))

        assert all(each.is_granted for each in taken)
        assert rounds.count == 1

    async def test_begin_again_after_the_window(self, counters: Any) -> None:
        first, second = Allowances(counters), Allowances(counters)
        await asyncio.gather(granted(first, 150), granted(second, 150))
        assert await granted(first, 1) == 0

        await end_window(counters, first, second)
        each = await asyncio.gather(granted(first, 150), granted(second, 150))

        assert sum(each) == WINDOW.amount

    async def test_drop_a_lease_of_the_window_before(self, counters: Any) -> None:
        """The counter begins another window before this process knows that its own is over."""
        slow = Allowances(counters)
        await granted(slow, 1)
        await end_window(counters)
        [share] = slow._shares.values()
        share.ends_at -= WINDOW.seconds - 1

        assert (await slow.take("alice", WINDOW, 20)).is_granted

        [counter] = await counters.find().to_list()
        assert counter["taken"] == 20 + share.left

    async def test_take_several_all_or_nothing(self, counters: Any, rounds: Rounds) -> None:
        allowances = Allowances(counters)

        assert (await allowances.take("alice", WINDOW, 150)).is_granted
        assert not (await allowances.take("alice", WINDOW, 51)).is_granted
        assert (await allowances.take("alice", WINDOW, 50)).is_granted
        assert not (await allowances.take("alice", WINDOW)).is_granted
        assert rounds.count == 2

    async def test_grant_again_what_was_given_back(self, counters: Any) -> None:
        allowances = Allowances(counters)
        await allowances.take("alice", WINDOW, 200)
        allowances.give_back("alice", 2)

        assert await granted(allowances, 5) == 2

    async def test_follow_a_limit_that_changes(self, counters: Any) -> None:
        allowances = Allowances(counters)
        assert await granted(allowances, 300) == 200

        assert await granted(allowances, 300, Window(260, 60)) == 60
        assert await granted(allowances, 300, Window(100, 60)) == 0

    async def test_grant_nothing_of_a_limit_of_zero(self, counters: Any) -> None:
        taken = await Allowances(counters).take("alice", Window(0, 60))

        assert not taken.is_granted
        assert 59 < taken.resets_in <= 60

    async def test_tell_what_is_left_and_until_when(self, counters: Any) -> None:
        taken = await Allowances(counters).take("alice", WINDOW)

        assert taken.left == 199
        assert 59 < taken.resets_in <= 60

    async def test_of_a_day_end_at_midnight(self, counters: Any) -> None:
        await Allowances(counters).take("alice", Window(10, DAY_SECONDS))

        [counter] = await counters.find().to_list()
        today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        assert counter["expires_at"] in {today, today + timedelta(days=1)}

    async def test_forget_names_whose_windows_are_over(
        self, counters: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("chatvault.mongodb.allowances.MANY_NAMES", 1)
        allowances = Allowances(counters)
        await granted(allowances, 1)
        await end_window(counters, allowances)

        await allowances.take("bob", WINDOW)

        assert list(allowances._shares) == ["bob"]
