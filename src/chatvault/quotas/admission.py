"""Admit requests within the limits of requests a minute."""

from chatvault.actor import Actor
from chatvault.errors import RateReached
from chatvault.limits import PER_MINUTE, LimitName, OperationClass, RateState
from chatvault.mongodb.allowances import Allowances, Taken, Window
from chatvault.quotas.book import QuotaBook
from chatvault.quotas.counters import counter_of_key, counter_of_user

MINUTE = 60


class Admission:
    """Counts requests against the limits of users and of API keys.

    Args:
        book: the limits.
        allowances: count.
    """

    def __init__(self, book: QuotaBook, allowances: Allowances) -> None:
        self._book = book
        self._allowances = allowances

    async def admit(self, actor: Actor, kind: OperationClass) -> tuple[RateState, ...]:
        """Count a request; return the limits that it counted against, as they are now.

        Raises:
            RateReached: a limit is reached; the request counts against none.
        """
        if self._book.is_empty:
            return ()
        name = PER_MINUTE[kind]
        states: tuple[RateState, ...] = ()
        counted: list[str] = []
        for policy, counter, amount in self._counters(actor, kind, name):
            taken = await self._allowances.take(counter, Window(amount, MINUTE))
            states += (_state(policy, amount, taken),)
            if not taken.is_granted:
                for each in counted:
                    self._allowances.give_back(each)
                raise RateReached(name, states)
            counted.append(counter)
        return states

    def _counters(
        self, actor: Actor, kind: OperationClass, name: LimitName
    ) -> list[tuple[str, str, int]]:
        """Return the limits that a request counts against: policy, counter and amount."""
        found = []
        of_user = self._book.limit_of(actor.owner_id, actor.role, name)
        if of_user is not None:
            found.append((str(kind), counter_of_user(actor, kind), of_user))
        of_key = self._book.limit_of_key(actor, name)
        if of_key is not None:
            found.append((f"key-{kind}", counter_of_key(actor, kind), of_key))
        return found


def _state(policy: str, amount: int, taken: Taken) -> RateState:
    return RateState(policy, amount, MINUTE, taken.left, taken.resets_in)
