"""Leases that are held while something takes its time."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chatvault.mongodb import leases


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "HELD_SECONDS", 1)
    monkeypatch.setattr(leases, "RENEW_SECONDS", 0.2)


class TestHold:
    async def test_is_exclusive_however_long_the_work_takes(self, database: Any) -> None:
        inside = most = 0

        async def work(seconds: float) -> None:
            nonlocal inside, most
            async with leases.hold("job"):
                inside += 1
                most = max(most, inside)
                await asyncio.sleep(seconds)
                inside -= 1

        await asyncio.gather(work(2.2), work(0.1), work(0.1))

        assert most == 1
        assert await database["leases"].count_documents({"_id": "job"}) == 0

    async def test_takes_over_from_a_process_that_ended(self, database: Any) -> None:
        assert await leases.take("job", holder="the dead", seconds=1)
        began = time.monotonic()
        async with leases.hold("job"):
            assert time.monotonic() - began > 0.5

    async def test_cancels_the_work_once_another_process_has_the_lease(self, database: Any) -> None:
        others = {"holder": "another", "until": datetime.now(UTC) + timedelta(seconds=1.5)}

        async def work() -> None:
            async with leases.hold("job"):
                await database["leases"].update_one({"_id": "job"}, {"$set": others})
                await asyncio.Event().wait()

        with pytest.raises(leases.LeaseLost):
            async with asyncio.timeout(10):
                await work()

        lease = await database["leases"].find_one({"_id": "job"})
        assert lease["holder"] == "another"

    async def test_raises_a_time_out_of_the_work(self, database: Any) -> None:
        with pytest.raises(TimeoutError):
            async with leases.hold("job"), asyncio.timeout(0.01):
                await asyncio.Event().wait()

    async def test_releases_the_lease_after_a_failure(self, database: Any) -> None:
        with pytest.raises(ValueError, match="once"):
            async with leases.hold("job"):
                raise ValueError("once")
        assert await leases.take("job", holder="the next", seconds=1)

    async def test_leaves_expired_leases_to_a_ttl_index(self, database: Any) -> None:
        indexes = await database["leases"].index_information()
        assert indexes["until_1"]["expireAfterSeconds"] == 3600
