import asyncio
import os
import sys
import threading
from collections.abc import Iterator

import pytest

from chatvault.accounts.passwords import PasswordHasher
from chatvault.errors import Unavailable


@pytest.fixture
def hasher() -> Iterator[PasswordHasher]:
    hasher = PasswordHasher(4, threads=1, max_waiting=2)
    yield hasher
    hasher.close()


@pytest.fixture
def hold(hasher: PasswordHasher) -> Iterator[threading.Event]:
    """Keeps a thread busy until it is set, at the latest when the test ends."""
    hold = threading.Event()
    yield hold
    hold.set()


class TestPasswordHasher:
    async def test_verifies_its_own_hashes(self, hasher: PasswordHasher) -> None:
        hashed = await hasher.hash("correct horse")

        assert await hasher.verify("correct horse", hashed)
        assert not await hasher.verify("correct horsE", hashed)

    async def test_salts(self, hasher: PasswordHasher) -> None:
        assert await hasher.hash("correct horse") != await hasher.hash("correct horse")

    async def test_returns_false_without_a_hash(self, hasher: PasswordHasher) -> None:
        assert not await hasher.verify("nobody", None)
        assert not await hasher.verify("anything", None)

    async def test_does_not_block_the_event_loop(self, hasher: PasswordHasher) -> None:
        names = await hasher._run(lambda: threading.current_thread().name)

        assert names.startswith("bcrypt")

    async def test_refuses_work_if_its_queue_is_full(
        self, hasher: PasswordHasher, hold: threading.Event
    ) -> None:
        waiting = [asyncio.create_task(hasher._run(hold.wait)) for _ in range(3)]
        await asyncio.sleep(0)

        with pytest.raises(Unavailable) as refused:
            await hasher.verify("one too many", None)
        hold.set()

        assert refused.value.retry_after == 1
        assert all(await asyncio.gather(*waiting))
        assert not await hasher.verify("there is room again", None)

    async def test_hashes_and_verifies_independently(
        self, hasher: PasswordHasher, hold: threading.Event
    ) -> None:
        held = asyncio.create_task(hasher._run(hold.wait))
        hashed = await hasher.hash("correct horse")
        hold.set()
        assert await held
        hold.clear()

        held = asyncio.create_task(hasher._new.run(hold.wait, ""))
        assert await hasher.verify("correct horse", hashed)
        hold.set()
        assert await held

    @pytest.mark.skipif(sys.platform != "linux", reason="threads have no priority of their own")
    async def test_hashes_new_passwords_with_lower_priority(self, hasher: PasswordHasher) -> None:
        def nice() -> int:
            return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

        assert await hasher._new.run(nice, "") > await hasher._run(nice) == nice()

    async def test_frees_the_slot_after_a_failure(self, hasher: PasswordHasher) -> None:
        for _ in range(5):
            with pytest.raises(ZeroDivisionError):
                await hasher._run(lambda: 1 / 0)
        assert await hasher.hash("correct horse")
