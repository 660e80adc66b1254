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
from chatvault.quotas.reading import LimitReader
from chatvault.usage.metering import Meter
from chatvault.usage.service import ReadLimits

# Counts a request against the limits of requests a minute.
Admit = Callable[[Actor, OperationClass], Awaitable[tuple[RateState, ...]]]


def open_quotas(
    counters: AsyncCollection[dict[str, Any]],
) -> tuple[QuotaBook, Admit, QuotaLedger, ReadLimits]:
    """Return the limits, what admits requests within them, counts additions, and tells them."""
    book, allowances = QuotaBook(), Allowances(counters)
    ledger = QuotaLedger(book, allowances, Meter())
    admit, read = Admission(book, allowances).admit, LimitReader(book, allowances).read
    return book, admit, ledger, read
