"""A limit on wrong API keys, counted in MongoDB for all processes."""

import time
from typing import NoReturn

from cachetools import TLRUCache

from chatvault.addresses import holder_of
from chatvault.errors import InvalidApiKey, Throttled
from chatvault.mongodb.rates import CounterStorage, Limit

MINUTE = 60
WRONG_KEYS_PER_ADDRESS = Limit(100, 5 * MINUTE)
# How many refused addresses a process remembers.
MAX_REFUSED = 10_000


class KeyThrottle:
    """Slows down guesses; it never stops a right key, whoever shares its address.

    It remembers refused addresses in the process, so that a flood is not counted in MongoDB.
    """

    def __init__(self, storage: CounterStorage) -> None:
        self._storage = storage
        self._refused: TLRUCache[str, float] = TLRUCache(
            MAX_REFUSED, ttu=lambda _source, until, _now: until, timer=time.monotonic
        )

    async def refuse(self, address: str | None) -> NoReturn:
        """Count a wrong key, and raise.

        Raises:
            InvalidApiKey: always, but for a few.
            Throttled: there were too many from this address.
        """
        source = holder_of(address)
        until = self._refused.get(source)
        if until is None:
            keys = ("api-key-address", source)
            if await self._storage.hit(WRONG_KEYS_PER_ADDRESS, *keys):
                raise InvalidApiKey
            wait = await self._storage.seconds_left(WRONG_KEYS_PER_ADDRESS, *keys)
            self._refused[source] = until = time.monotonic() + wait
        raise Throttled(
            "Too many wrong API keys from your address; try again later.",
            retry_after=until - time.monotonic(),
        )
