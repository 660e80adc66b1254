"""Stored values that do not open, each reported once in a process."""

import hashlib
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

import structlog
from bson import ObjectId
from cachetools import LRUCache

# How many reported values are remembered.
REPORTED: Final = 1000
log = structlog.get_logger()


class Damage(NamedTuple):
    """A stored value that did not open.

    Attributes:
        user_id: the owner.
        collection: where it is.
        document_id: of the document with it.
        value: the stored bytes.
    """

    user_id: ObjectId
    collection: str
    document_id: ObjectId
    value: bytes


# Called with what did not open, before it is shown.
OnDamage = Callable[[list[Damage]], Awaitable[None]]


class DamageReports:
    """Collects values that do not open; each is reported once."""

    def __init__(self) -> None:
        self._new: list[Damage] = []
        self._reported: LRUCache[bytes, bool] = LRUCache(REPORTED)

    def add(self, damage: Damage) -> None:
        """Add a value, unless it was reported before."""
        digest = hashlib.sha256(damage.document_id.binary + damage.value).digest()
        if digest not in self._reported:
            self._reported[digest] = True
            self._new.append(damage)

    def take(self) -> list[Damage]:
        """Return what was added since the last call."""
        found, self._new = self._new, []
        return found


async def log_damage(damage: list[Damage]) -> None:
    """Log what did not open."""
    for each in damage:
        log.error("content_unreadable", collection=each.collection, id=str(each.document_id))
