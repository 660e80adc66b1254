"""How often a login may be tried, counted in MongoDB for all processes together."""

from limits import RateLimitItem, RateLimitItemPerHour, RateLimitItemPerMinute
from limits.aio.strategies import FixedWindowRateLimiter

from chatvault.counters import CounterStorage, seconds_left
from chatvault.errors import Throttled

PER_ACCOUNT_AND_ADDRESS = RateLimitItemPerMinute(10, 5)
PER_ADDRESS = RateLimitItemPerMinute(100, 5)
PER_ACCOUNT = RateLimitItemPerHour(200)


class LoginThrottle:
    """Slows down guessing; it looks at logins only, so a live session never feels it."""

    def __init__(self, storage: CounterStorage) -> None:
        self._limiter = FixedWindowRateLimiter(storage)

    async def admit(self, *, account: str, address: str | None) -> None:
        """Count one try.

        Args:
            account: a keyed hash of the name that was tried, known or not.
            address: from where.

        Raises:
            Throttled: too many for this account from here, from this address, or for this
                account from everywhere.
        """
        source = address or "local"
        for limit, *keys in (
            (PER_ACCOUNT_AND_ADDRESS, "login", account, source),
            (PER_ADDRESS, "login-address", source),
            (PER_ACCOUNT, "login-account", account),
        ):
            if not await self._limiter.hit(limit, *keys):
                raise await self._refusal(limit, keys)

    async def forgive(self, *, account: str, address: str | None) -> None:
        """Begin anew for this account from here, after a login that succeeded."""
        await self._limiter.clear(PER_ACCOUNT_AND_ADDRESS, "login", account, address or "local")

    async def _refusal(self, limit: RateLimitItem, keys: list[str]) -> Throttled:
        return Throttled(
            "Too many failed sign-ins; try again later.",
            retry_after=await seconds_left(self._limiter, limit, *keys),
        )
