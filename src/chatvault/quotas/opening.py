"""Making what keeps the limits of a process."""

from collections.abc import Awaitable, Callable
from typing import Any

from pymongo.asynchronous.collection import AsyncCollection

from chatvault.actor import Actor
from chatvault.limits import OperationClass, RateState
from chatvault.mongodb.allowances import Allowances
from chatvault.quotas.admission import Admission
from chatvault.quotas.book import QuotaBook
from chatvault.quotas.ledger import QuotaLedger
from chatvault.usage.metering import Meter

# Counts a request against the limits of requests a minute.
Admit = Callable[[Actor, OperationClass], Awaitable[tuple[RateState, ...]]]


def open_quotas(
    counters: AsyncCollection[dict[str, Any]],
) -> tuple[QuotaBook, Admit, QuotaLedger]:
    """Return the limits, what admits requests within them, and what counts additions."""
    book, allowances = QuotaBook(), Allowances(counters)
    return book, Admission(book, allowances).admit, QuotaLedger(book, allowances, Meter())
