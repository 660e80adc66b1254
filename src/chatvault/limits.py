"""The kinds of operations and of limits that doors and services both speak of."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple


class OperationClass(StrEnum):
    """The kind of an operation, for limits of requests a minute."""

    READ = "read"
    WRITE = "write"
    SEARCH = "search"
    EXPORT = "export"

    # Each request looks some of them up, which takes half as long as with the hash of an enum.
    __hash__ = str.__hash__


class LimitName(StrEnum):
    """The names of the limits that a role, a user or an API key may have."""

    READS_PER_MINUTE = "reads_per_minute"
    WRITES_PER_MINUTE = "writes_per_minute"
    SEARCHES_PER_MINUTE = "searches_per_minute"
    EXPORTS_PER_MINUTE = "exports_per_minute"
    MESSAGES_PER_DAY = "messages_per_day"
    STORED_BYTES = "stored_bytes"
    TOKENS_PER_DAY = "tokens_per_day"

    __hash__ = str.__hash__


PER_MINUTE = {
    OperationClass.READ: LimitName.READS_PER_MINUTE,
    OperationClass.WRITE: LimitName.WRITES_PER_MINUTE,
    OperationClass.SEARCH: LimitName.SEARCHES_PER_MINUTE,
    OperationClass.EXPORT: LimitName.EXPORTS_PER_MINUTE,
}


class LimitOf(StrEnum):
    """The kinds of subjects that have limits."""

    ROLE = "role"
    USER = "user"
    KEY = "key"


@dataclass(frozen=True, slots=True)
class LimitState:
    """A limit that holds for somebody, and what is used of it.

    Attributes:
        name: what it limits.
        of: whether it is that of the role, of the user, or of the API key in use.
        amount: how much it allows.
        used: about how much is used; what other processes have leased counts as used.
        resets_at: when nothing is used again; None for what does not begin again, or has not begun.
    """

    name: LimitName
    of: LimitOf
    amount: int
    used: int
    resets_at: datetime | None


class RateState(NamedTuple):
    """A limit of requests a minute as it is after a request.

    Attributes:
        policy: its name: the operation class, after `key-` for the limit of an API key.
        amount: how many requests a window has.
        seconds: how long a window is.
        left: about how many are left.
        resets_in: the seconds until the window ends.
    """

    policy: str
    amount: int
    seconds: int
    left: int
    resets_in: float
