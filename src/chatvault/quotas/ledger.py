"""The limits of messages, bytes and tokens, and what users have added."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

import structlog
from bson import ObjectId
from pymongo.errors import PyMongoError

from chatvault.accounts.models import User
from chatvault.actor import Actor, Role
from chatvault.conversations.commits.ledger import Reservation
from chatvault.errors import DailyLimitReached, StorageFull
from chatvault.fields import end_of_today, first_day, now
from chatvault.limits import LimitName
from chatvault.mongodb.allowances import DAY_SECONDS, Allowances, Window
from chatvault.quotas.book import QuotaBook
from chatvault.quotas.counters import MESSAGES, counter_of_key, counter_of_user
from chatvault.usage.metering import FLUSH_SECONDS, Meter, count_stored, read_totals
from chatvault.usage.models import Usage

log = structlog.get_logger()


@dataclass(slots=True)
class _Stored:
    """The bytes of an owner's messages.

    Attributes:
        written: as last written.
        reserved: those of changes under way.
        role: the owner's.
        is_used: whether anybody asked since the last flush.
    """

    written: int
    role: Role
    reserved: int = 0
    is_used: bool = True


class QuotaLedger:
    """Keeps the limits of messages a day, of stored bytes, and of tokens a day.

    Args:
        book: the limits.
        allowances: count messages.
        meter: counts what was added.
    """

    def __init__(self, book: QuotaBook, allowances: Allowances, meter: Meter) -> None:
        self._book = book
        self._allowances = allowances
        self._meter = meter
        self._stored: dict[ObjectId, _Stored] = {}

    @property
    def is_limiting(self) -> bool:
        """Whether anybody has a limit."""
        return not self._book.is_empty

    def note(
        self, messages: Iterable[tuple[Actor, int]], grown: Iterable[tuple[ObjectId, int]]
    ) -> None:
        """Count what a batch of changes has added."""
        self._meter.note(messages, grown)

    async def reserve(self, wanted: Reservation) -> None:
        """Reserve what a change may add, or set why it may not."""
        await self._reserve_bytes(wanted)
        if wanted.refusal is None and wanted.messages:
            await self._reserve_messages(wanted)

    async def _reserve_messages(self, wanted: Reservation) -> None:
        actor, name = wanted.actor, LimitName.MESSAGES_PER_DAY
        counters = []
        if (of_key := self._book.limit_of_key(actor, name)) is not None:
            counters.append((counter_of_key(actor, MESSAGES), of_key))
        of_user = self._book.limit_of(actor.owner_id, actor.role, name)
        if of_user is not None:
            counters.append((counter_of_user(actor, MESSAGES), of_user))
        for counter, amount in counters:
            window = Window(amount, DAY_SECONDS)
            taken = await self._allowances.take(counter, window, wanted.messages)
            if not taken.is_granted:
                wanted.refusal = _reached(name, amount, taken.resets_in)
                return
            wanted.counters += (counter,)

    async def _reserve_bytes(self, wanted: Reservation) -> None:
        if not self._book.limits(LimitName.STORED_BYTES):
            return
        stored = self._stored.get(wanted.owner_id) or await self._read(wanted.owner_id)
        stored.is_used = True
        limit = self._book.limit_of(wanted.owner_id, stored.role, LimitName.STORED_BYTES)
        before = stored.written + stored.reserved + self._meter.grown(wanted.owner_id)
        stored.reserved += wanted.size
        if limit is not None and before + wanted.size > limit:
            wanted.refusal = StorageFull(
                f"The account may store {limit} bytes of messages, and has {max(0, before)}; "
                f"delete something first, the trash included."
            )

    async def _read(self, owner_id: ObjectId) -> _Stored:
        written = (await read_totals([owner_id])).get(owner_id)
        if written is None:
            # What is counted now is not to be added once more.
            await self.flush()
            written = await count_stored(owner_id)
        role = await _role_of(owner_id)
        # Another change of the same owner may have read it meanwhile.
        return self._stored.setdefault(owner_id, _Stored(written, role))

    def settle(self, reserved: Reservation, added: int) -> None:
        """End a reservation; messages that were not added are given back."""
        stored = self._stored.get(reserved.owner_id)
        if stored is not None:
            stored.reserved = max(0, stored.reserved - reserved.size)
        left = reserved.messages - added
        for counter in reserved.counters if left > 0 else ():
            self._allowances.give_back(counter, left)

    def forget(self, user_id: ObjectId) -> None:
        """Drop what is counted of a user who is erased."""
        self._stored.pop(user_id, None)
        self._meter.forget(user_id)

    async def check_tokens(self, actor: Actor) -> None:
        """Check that the actor has tokens left today.

        Raises:
            DailyLimitReached: there are none.
        """
        name = LimitName.TOKENS_PER_DAY
        if not self._book.limits(name):
            return
        # A guest's request is at the expense of the owner, who sent none.
        role = actor.role or await _role_of(actor.owner_id)
        limit = self._book.limit_of(actor.owner_id, role, name)
        if limit is not None and await Usage.tokens_of(actor, first_day(1)) >= limit:
            raise _reached(name, limit, _seconds_of_today())

    async def flush(self) -> None:
        """Write what was counted, and read what other processes have.

        Raises:
            PyMongoError: the database cannot be reached.
        """
        grown = await self._meter.flush()
        for owner_id, size in grown.items():
            if (stored := self._stored.get(owner_id)) is not None:
                stored.written += size
        self._stored = {
            owner_id: stored
            for owner_id, stored in self._stored.items()
            if stored.is_used or stored.reserved
        }
        for stored in self._stored.values():
            stored.is_used = False
        if self._stored:
            for owner_id, size in (await read_totals(self._stored.keys())).items():
                self._stored[owner_id].written = size

    async def run(self) -> None:
        """Flush again and again, until cancelled."""
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            try:
                await self.flush()
            except PyMongoError as error:
                log.warning("usage_not_written", error=type(error).__name__)


async def _role_of(user_id: ObjectId) -> Role:
    user = await User.get(user_id)
    return Role.USER if user is None else user.role


def _reached(name: LimitName, amount: int, resets_in: float) -> DailyLimitReached:
    return DailyLimitReached(
        f"At most {amount} a day ({name}); there is more at midnight (UTC).",
        limit=name,
        retry_after=max(1.0, resets_in),
    )


def _seconds_of_today() -> float:
    return (end_of_today() - now()).total_seconds()
