"""Renewing leases of this process, and knowing when expired leases of others mean anything.

An expired lease shows that its holder has ended only if holders were able to renew theirs. After an
outage of MongoDB all leases have expired, and the first process to return would take over what
others are still doing. So no process takes anything over until MongoDB has answered for the length
of a lease.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

import pymongo
import structlog
from pymongo.errors import PyMongoError

LEASE_SECONDS = 10
RENEW_EVERY = 2.0
# After a failure; every holder renews before the first one takes over.
RETRY_AFTER = 0.5
# Seconds for one attempt: if a connection hangs, the next attempt comes within the lease.
TIMEOUT = 4.0
# A longer gap may have let others' leases expire.
MAX_GAP = LEASE_SECONDS / 2
log = structlog.get_logger()


class Contact:
    """For how long MongoDB has accepted this process's writes without a gap.

    Args:
        clock: a monotonic clock, in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since = 0.0
        self._last: float | None = None

    def note(self) -> None:
        """Note that MongoDB has accepted a write now."""
        now = self._clock()
        if self._last is None or now - self._last > MAX_GAP:
            self._since = now
        self._last = now

    @property
    def is_steady(self) -> bool:
        """Whether it is long enough for every holder of a lease to have renewed it."""
        now = self._clock()
        if self._last is None or now - self._last > MAX_GAP:
            return False
        return now - self._since >= LEASE_SECONDS


async def keep_renewing(renew: Callable[[], Awaitable[object]], contact: Contact) -> None:
    """Renew leases repeatedly until cancelled.

    Args:
        renew: writes to MongoDB, even if this process holds no lease.
        contact: notes each success.
    """
    while True:
        try:
            with pymongo.timeout(TIMEOUT):
                await renew()
        except PyMongoError as error:
            log.warning("leases_not_renewed", error=type(error).__name__)
            await asyncio.sleep(RETRY_AFTER)
        else:
            contact.note()
            await asyncio.sleep(RENEW_EVERY)
