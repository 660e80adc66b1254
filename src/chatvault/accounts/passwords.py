"""Password hashes, computed off the event loop behind a bounded queue."""

import asyncio
import base64
import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import bcrypt

from chatvault.errors import Unavailable

T = TypeVar("T")


def _digest(password: str) -> bytes:
    """44 bytes without NUL that stand for the whole password.

    bcrypt itself reads 72 bytes at most and older ones stop at a NUL, so it is given the
    base64 of the SHA-256 instead.
    """
    return base64.b64encode(hashlib.sha256(password.encode()).digest())


class PasswordHasher:
    """Hashes and checks passwords in a few threads; a full queue is refused, not kept waiting.

    Args:
        rounds: bcrypt's cost; 12 takes about a quarter of a second.
        threads: how many at a time.
        max_waiting: how many may wait beyond those.
    """

    def __init__(self, rounds: int, *, threads: int = 2, max_waiting: int = 64) -> None:
        self._rounds = rounds
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="bcrypt")
        self._free = threads + max_waiting
        self._nobody = bcrypt.hashpw(_digest("nobody"), bcrypt.gensalt(rounds))

    async def hash(self, password: str) -> str:
        """What to store of a password.

        Raises:
            Unavailable: too many are being hashed already.
        """
        salt = bcrypt.gensalt(self._rounds)
        hashed = await self._run(lambda: bcrypt.hashpw(_digest(password), salt))
        return hashed.decode()

    async def verify(self, password: str, hashed: str | None) -> bool:
        """Whether the password is the one; without a hash it takes as long and says no.

        Raises:
            Unavailable: too many are being checked already.
        """
        expected = self._nobody if hashed is None else hashed.encode()
        matches = await self._run(lambda: bcrypt.checkpw(_digest(password), expected))
        return matches and hashed is not None

    async def _run(self, function: Callable[[], T]) -> T:
        if self._free <= 0:
            raise Unavailable("Too many sign-ins at this moment; try again.", retry_after=1)
        self._free -= 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, function)
        finally:
            self._free += 1

    def close(self) -> None:
        """Wait for what runs, drop what waits."""
        self._executor.shutdown(cancel_futures=True)
