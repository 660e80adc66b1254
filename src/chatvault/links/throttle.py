"""Limits on who opens links, counted in MongoDB for all processes."""

import asyncio
from typing import Final

from chatvault.accounts import hash_queue
from chatvault.addresses import holder_of
from chatvault.errors import Throttled
from chatvault.mongodb.rates import CounterStorage, Limit

MINUTE: Final = 60
# Pages of links that one address may open.
PER_ADDRESS: Final = Limit(120, MINUTE)
# Wrong passwords: of one link from one address, of all links from it, of one link from anywhere.
PASSWORDS_HERE: Final = Limit(10, 5 * MINUTE)
PASSWORDS_PER_ADDRESS: Final = Limit(60, 5 * MINUTE)
PASSWORDS_PER_LINK: Final = Limit(100, 60 * MINUTE)

Count = tuple[Limit, tuple[str, ...]]


class LinkThrottle:
    """Limits views by address, and guesses of passwords by address and by link.

    A password is counted before it is checked, and uncounted if it was right.
    """

    def __init__(self, storage: CounterStorage) -> None:
        self._storage = storage

    async def admit(self, address: str | None) -> None:
        """Count one page.

        Raises:
            Throttled: the address opened too many in this minute.
        """
        await self._hit(PER_ADDRESS, ("link-address", holder_of(address)))

    async def admit_password(self, token_hash: bytes, address: str | None) -> None:
        """Count one password, whether or not there is such a link.

        Raises:
            Throttled: there were too many.
        """
        for limit, keys in _counts(token_hash, address):
            await self._hit(limit, keys)

    async def forgive_password(self, token_hash: bytes, address: str | None) -> None:
        """Uncount a password that was right."""
        for limit, keys in _counts(token_hash, address):
            await self._storage.take_back(limit.key(*keys))

    async def _hit(self, limit: Limit, keys: tuple[str, ...]) -> None:
        if not await self._storage.hit(limit, *keys):
            await asyncio.sleep(hash_queue.PAUSE)
            raise Throttled(
                "Too many requests for links from your address, or for this link; try again later.",
                retry_after=await self._storage.seconds_left(limit, *keys),
            )


def _counts(token_hash: bytes, address: str | None) -> tuple[Count, ...]:
    # The counter's name is no way back to the token, and is removed within the hour.
    link, source = token_hash.hex(), holder_of(address)
    return (
        (PASSWORDS_HERE, ("link-password", link, source)),
        (PASSWORDS_PER_ADDRESS, ("link-password-address", source)),
        (PASSWORDS_PER_LINK, ("link-password-link", link)),
    )
