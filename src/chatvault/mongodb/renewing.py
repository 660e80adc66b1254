"""Keeping leases on what this process does, and telling when others' leases mean anything.

A lease that has run out says that its holder died only while holders could renew theirs. After an
outage of MongoDB all leases have run out at once, and whoever comes back first would take over what
others are still doing. So nobody takes over anything until MongoDB has answered for a whole lease.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

import pymongo
import structlog
from pymongo.errors import PyMongoError

LEASE_SECONDS = 10
RENEW_EVERY = 2.0
# After a failure; every holder has to have renewed before the first takes over.
RETRY_AFTER = 0.5
# For one try: where a connection hangs, the next try comes within the lease.
TIMEOUT = 4.0
# A longer silence may have cost others their leases.
MAX_GAP = LEASE_SECONDS / 2
log = structlog.get_logger()


class Contact:
    """How long MongoDB has taken this process's writes without a gap.

    Args:
        clock: seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since = 0.0
        self._last: float | None = None

    def note(self) -> None:
        """Note that MongoDB took a write now."""
        now = self._clock()
        if self._last is None or now - self._last > MAX_GAP:
            self._since = now
        self._last = now

    @property
    def is_steady(self) -> bool:
        """Whether it was long enough for each holder of a lease to renew it."""
        now = self._clock()
        if self._last is None or now - self._last > MAX_GAP:
            return False
        return now - self._since >= LEASE_SECONDS


async def keep_renewing(renew: Callable[[], Awaitable[object]], contact: Contact) -> None:
    """Renew leases again and again, until cancelled.

    Args:
        renew: writes to MongoDB, also where this process holds no lease.
        contact: is told of each success.
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
