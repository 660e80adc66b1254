"""The limits that are in force, in memory."""

import asyncio
import itertools
from collections.abc import Iterator, Mapping
from datetime import datetime

import structlog
from bson import ObjectId
from pymongo.errors import PyMongoError

from chatvault.actor import Actor, Role
from chatvault.limits import LimitName, LimitOf
from chatvault.quotas.models import Quota, Subject

# How soon a limit that another process has set is in force here.
READ_SECONDS = 5.0
# How many times the limits are taken as unchanged if they look so.
LOOKS = 12
NO_LIMITS: Mapping[str, int] = {}
NEVER_READ: tuple[datetime | None, int] = (None, -1)
log = structlog.get_logger()


class QuotaBook:
    """All limits that are set, read again when they change, so that a request reads none.

    A limit of the user's own comes before that of the role. One of an API key counts beside them.
    """

    def __init__(self) -> None:
        self._limits: dict[str, Mapping[str, int]] = {}
        self._names: frozenset[str] = frozenset()
        self._mark = NEVER_READ

    @property
    def is_empty(self) -> bool:
        """Whether no limit is set for anybody."""
        return not self._limits

    def limit_of(self, user_id: ObjectId, role: Role | None, name: LimitName) -> int | None:
        """Return a limit of a user's; None if there is none."""
        own = self._limits.get(str(user_id), NO_LIMITS).get(name)
        if own is not None or role is None:
            return own
        return self._limits.get(role, NO_LIMITS).get(name)

    def limit_of_key(self, actor: Actor, name: LimitName) -> int | None:
        """Return a limit of the API key that the actor uses; None if there is none."""
        if actor.key_id is None:
            return None
        return self._limits.get(Subject(key_id=actor.key_id).name, NO_LIMITS).get(name)

    def limits_of(self, actor: Actor) -> Iterator[tuple[LimitName, LimitOf, int]]:
        """Return the limits that hold for an actor, those of the API key beside the user's."""
        own = self._limits.get(str(actor.owner_id), NO_LIMITS)
        for name in LimitName:
            if (amount := self.limit_of(actor.owner_id, actor.role, name)) is not None:
                yield name, LimitOf.USER if name in own else LimitOf.ROLE, amount
            if (amount := self.limit_of_key(actor, name)) is not None:
                yield name, LimitOf.KEY, amount

    def limits(self, name: LimitName) -> bool:
        """Whether anybody has a limit of this name."""
        return name in self._names

    async def read(self) -> None:
        """Read the limits if they have changed.

        Raises:
            PyMongoError: the database cannot be reached; the limits stay as they were.
        """
        quotas = Quota.get_pymongo_collection()
        # A cheap look that tells a new limit, and one that is removed.
        newest = await quotas.find_one({}, {"updated_at": True}, sort=[("updated_at", -1)])
        at = None if newest is None else newest["updated_at"]
        mark = (at, await quotas.estimated_document_count())
        if mark != self._mark:
            found = quotas.find({}, {"limits": True})
            self._limits = {each["_id"]: each["limits"] async for each in found}
            self._names = frozenset(itertools.chain.from_iterable(self._limits.values()))
            self._mark = mark

    async def run(self) -> None:
        """Read the limits again and again, until cancelled."""
        for look in itertools.count(1):
            await asyncio.sleep(READ_SECONDS)
            if look % LOOKS == 0:
                self._mark = NEVER_READ
            try:
                await self.read()
            except PyMongoError as error:
                log.warning("quotas_not_read", error=type(error).__name__)
