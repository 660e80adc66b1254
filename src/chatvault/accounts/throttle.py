"""Limits on logins and registrations, counted in MongoDB for all processes."""

import asyncio
import time

from cachetools import TLRUCache

from chatvault.accounts import hash_queue
from chatvault.addresses import holder_of
from chatvault.errors import Throttled
from chatvault.mongodb.rates import CounterStorage, Limit

MINUTE = 60
PER_ACCOUNT_AND_ADDRESS = Limit(10, 5 * MINUTE)
PER_ADDRESS = Limit(100, 5 * MINUTE)
PER_ACCOUNT = Limit(200, 60 * MINUTE)
REGISTRATIONS_PER_ADDRESS = Limit(100, 5 * MINUTE)
# How many refused addresses a process remembers.
MAX_REFUSED = 10_000

Count = tuple[Limit, tuple[str, ...]]


class LoginThrottle:
    """Slows down password guessing; it limits logins only, never a live session.

    An attempt is counted before the password is checked, so that many at once cannot pass, and
    uncounted if it was not a guess.
    """

    def __init__(self, storage: CounterStorage) -> None:
        self._storage = storage

    async def admit(self, *, account: str, address: str | None) -> None:
        """Count an attempt.

        Args:
            account: a keyed hash of the name that was tried, known or not.
            address: the client's.

        Raises:
            Throttled: too many for this account from here, from this address, or for this
                account from everywhere.
        """
        for limit, keys in _counts(account, address):
            if not await self._storage.hit(limit, *keys):
                await asyncio.sleep(hash_queue.PAUSE)
                raise Throttled(
                    "Too many failed sign-ins; try again later.",
                    retry_after=await self._storage.seconds_left(limit, *keys),
                )

    async def forgive(self, *, account: str, address: str | None) -> None:
        """Uncount the attempt after a successful login, and reset this account's count here."""
        here, *others = _counts(account, address)
        await self._storage.clear(here[0].key(*here[1]))
        for limit, keys in others:
            await self._storage.take_back(limit.key(*keys))

    async def withdraw(self, *, account: str, address: str | None) -> None:
        """Uncount an attempt whose password was not checked."""
        for limit, keys in _counts(account, address):
            await self._storage.take_back(limit.key(*keys))


class RegistrationThrottle:
    """Limits how many accounts one address may ask for, made or not.

    It remembers refused addresses in the process, so that a flood costs no queries.
    """

    def __init__(self, storage: CounterStorage) -> None:
        self._storage = storage
        self._refused: TLRUCache[str, float] = TLRUCache(
            MAX_REFUSED, ttu=lambda _source, until, _now: until, timer=time.monotonic
        )

    async def admit(self, *, address: str | None) -> None:
        """Count one registration.

        Raises:
            Throttled: too many from this address.
        """
        source = holder_of(address)
        until = self._refused.get(source)
        if until is None:
            keys = ("registration-address", source)
            if await self._storage.hit(REGISTRATIONS_PER_ADDRESS, *keys):
                return
            wait = await self._storage.seconds_left(REGISTRATIONS_PER_ADDRESS, *keys)
            self._refused[source] = until = time.monotonic() + wait
        await asyncio.sleep(hash_queue.PAUSE)
        raise Throttled(
            "Too many registrations from your address; try again later.",
            retry_after=until - time.monotonic(),
        )


def _counts(account: str, address: str | None) -> tuple[Count, ...]:
    source = holder_of(address)
    return (
        (PER_ACCOUNT_AND_ADDRESS, ("login", account, source)),
        (PER_ADDRESS, ("login-address", source)),
        (PER_ACCOUNT, ("login-account", account)),
    )
