"""Reading the limits that hold for somebody, and what is used of them."""

from chatvault.actor import Actor
from chatvault.fields import end_of_today, first_day
from chatvault.limits import PER_MINUTE, LimitName, LimitOf, LimitState
from chatvault.mongodb.allowances import Allowances, Used
from chatvault.quotas.book import QuotaBook
from chatvault.quotas.counters import MESSAGES, counter_of_key, counter_of_user
from chatvault.usage.models import Usage

# The counters of those limits that processes lease parts of.
COUNTED = {
    **{limit: kind.value for kind, limit in PER_MINUTE.items()},
    LimitName.MESSAGES_PER_DAY: MESSAGES,
}
BY_DAY = (LimitName.MESSAGES_PER_DAY, LimitName.TOKENS_PER_DAY)


class LimitReader:
    """Reads the limits of actors for themselves.

    Args:
        book: the limits.
        allowances: count requests and messages.
    """

    def __init__(self, book: QuotaBook, allowances: Allowances) -> None:
        self._book = book
        self._allowances = allowances

    async def read(self, actor: Actor, stored_bytes: int) -> list[LimitState]:
        """Return the limits that hold for an actor, with what is used.

        Args:
            actor: whose; with an API key, its limits come beside those of the user.
            stored_bytes: what the user stores.

        Raises:
            PyMongoError: the database cannot be reached.
        """
        limits = list(self._book.limits_of(actor))
        if not limits:
            return []
        counters = [_counter(actor, name, of) for name, of, _ in limits if name in COUNTED]
        used = await self._allowances.look(counters)
        tokens = await Usage.tokens_of(actor, first_day(1)) if _has_tokens(limits) else 0
        states = []
        for name, of, amount in limits:
            ends_at = end_of_today() if name in BY_DAY else None
            if name in COUNTED:
                found = used.get(_counter(actor, name, of), Used(0, None))
            else:
                found = Used(stored_bytes if name is LimitName.STORED_BYTES else tokens, None)
            states.append(LimitState(name, of, amount, found.amount, ends_at or found.resets_at))
        return states


def _has_tokens(limits: list[tuple[LimitName, LimitOf, int]]) -> bool:
    return any(name is LimitName.TOKENS_PER_DAY for name, *_ in limits)


def _counter(actor: Actor, name: LimitName, of: LimitOf) -> str:
    name_of = counter_of_key if of is LimitOf.KEY else counter_of_user
    return name_of(actor, COUNTED[name])
