"""Making the objects that keep the limits of a process."""

from typing import Any, NamedTuple

from pymongo.asynchronous.collection import AsyncCollection

from chatvault.mongodb.allowances import Allowances
from chatvault.quotas.admission import Admission
from chatvault.quotas.book import QuotaBook
from chatvault.quotas.ledger import QuotaLedger
from chatvault.quotas.reading import LimitReader
from chatvault.usage.metering import Meter


class Quotas(NamedTuple):
    """The objects that keep the limits of a process.

    Attributes:
        book: the limits.
        admission: admits requests within them.
        ledger: counts what is stored against them.
        reader: tells what is left of them.
    """

    book: QuotaBook
    admission: Admission
    ledger: QuotaLedger
    reader: LimitReader


def open_quotas(counters: AsyncCollection[dict[str, Any]]) -> Quotas:
    """Return what keeps the limits, counting in a collection that all processes share."""
    book, allowances = QuotaBook(), Allowances(counters)
    ledger = QuotaLedger(book, allowances, Meter())
    return Quotas(book, Admission(book, allowances), ledger, LimitReader(book, allowances))
