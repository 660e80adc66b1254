"""Password hashes, computed off the event loop behind a bounded queue."""

import asyncio
import base64
import hashlib
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import bcrypt

from chatvault.accounts.hash_queue import Turns

T = TypeVar("T")
# The niceness of threads that hash new passwords; 0 is normal, 19 the lowest priority.
NICE = 5


def _digest(password: str) -> bytes:
    """Return 44 bytes without NUL that represent the whole password.

    bcrypt itself reads 72 bytes at most and older ones stop at a NUL, so it is given the
    base64 of the SHA-256 instead.
    """
    return base64.b64encode(hashlib.sha256(password.encode()).digest())


def _give_way() -> None:
    """Lower this thread's priority to about a third of another's share of the processor.

    Only Linux has a priority for each thread.
    """
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)


class _Threads:
    """A few threads that hash, with fair turns.

    Args:
        count: how many.
        max_waiting: how many of one source may wait.
        name: the threads' name prefix.
        begin: called in each thread before it works.
    """

    def __init__(
        self,
        count: int,
        *,
        max_waiting: int,
        name: str,
        begin: Callable[[], None] = lambda: None,
    ) -> None:
        self._turns = Turns(count, max_waiting=max_waiting)
        self._executor = ThreadPoolExecutor(count, thread_name_prefix=name, initializer=begin)

    async def run(self, function: Callable[[], T], source: str) -> T:
        async with self._turns.turn(source):
            return await asyncio.get_running_loop().run_in_executor(self._executor, function)

    def close(self) -> None:
        self._executor.shutdown(cancel_futures=True)


class PasswordHasher:
    """Hashes and checks passwords in a few threads; refuses work when the queue is full.

    New passwords are hashed apart from checks, so that registrations do not hold up sign-ins; and
    those who wait are served address by address.

    Args:
        rounds: bcrypt's cost; 12 takes about a quarter of a second.
        threads: how many passwords are checked at a time; new ones are hashed one at a time.
        max_waiting: how many from one address may wait beyond those.
    """

    def __init__(self, rounds: int, *, threads: int = 2, max_waiting: int = 64) -> None:
        self._rounds = rounds
        self._checks = _Threads(threads, max_waiting=max_waiting, name="bcrypt")
        self._new = _Threads(1, max_waiting=max_waiting, name="bcrypt-new", begin=_give_way)
        self._nobody = bcrypt.hashpw(_digest("nobody"), bcrypt.gensalt(rounds))

    async def hash(self, password: str, *, source: str = "") -> str:
        """Return the hash to store for a new password.

        Args:
            password: as it was typed.
            source: who asks; sources take turns.

        Raises:
            Unavailable: too many are being hashed already.
        """
        salt = bcrypt.gensalt(self._rounds)
        hashed = await self._new.run(lambda: bcrypt.hashpw(_digest(password), salt), source)
        return hashed.decode()

    async def verify(self, password: str, hashed: str | None, *, source: str = "") -> bool:
        """Whether the password matches the hash; without a hash, False after the same time.

        Args:
            password: as it was typed.
            hashed: what is stored, or None for a name that nobody has.
            source: who asks; sources take turns.

        Raises:
            Unavailable: too many are being checked already.
        """
        expected = self._nobody if hashed is None else hashed.encode()
        matches = await self._run(lambda: bcrypt.checkpw(_digest(password), expected), source)
        return matches and hashed is not None

    async def _run(self, function: Callable[[], T], source: str = "") -> T:
        return await self._checks.run(function, source)

    def close(self) -> None:
        """Wait for running work and drop what is queued."""
        for threads in (self._checks, self._new):
            threads.close()
