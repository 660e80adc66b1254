"""The hub of a process: one change stream of the audit log in, the mailboxes of connections out."""

import asyncio
import random
import time
from collections.abc import Callable
from contextlib import aclosing

from bson import ObjectId
from prometheus_client import Histogram

from chatvault.audit.models import AuditEntry
from chatvault.errors import Throttled, Unavailable
from chatvault.fields import now
from chatvault.live.events import (
    DELETED,
    PIPELINE,
    GrantChanged,
    JobStarted,
    LiveEvent,
    SessionsEnded,
    first_id,
    read_change,
    time_of,
)
from chatvault.live.guests import Guests
from chatvault.live.mailbox import Closing, Mailbox
from chatvault.live.ring import MOST_SECONDS, Ring
from chatvault.mongodb.changes import Batch, Token, Watched, follow

# How long changes gather: at most fifty requests to MongoDB a second, and no delay of a change that
# comes alone.
GATHER_SECONDS = 0.02
# What happened so long before a process began to follow can be resumed from it: the clients of one
# that was killed come back within seconds.
LOOK_BACK_SECONDS = 60
# The stream ends when nobody was connected for as long as events are kept.
LINGER_SECONDS = MOST_SECONDS
OPEN_SECONDS = 10.0
# An id this far ahead is none of ours; less may be another process that is quicker.
AHEAD_SECONDS = 60
# Clients of a process that stops come back within this range of milliseconds.
RETURN_MS = (500, 4000)


class TooManyStreams(Throttled):
    """You have too many live connections; close some of them."""

    code = "too_many_streams"


class Hub:
    """Hands each event of the audit log to the mailboxes of its user, and of their guests.

    It follows the log only while somebody is connected, and for some minutes after.

    Args:
        most_of_user: how many connections one user may have.
        most: how many there may be.
        on_sessions: called with a user whose sessions may have ended.
        on_job: called with a job that began.
        guests: the conversations that are shared with those who are connected.
        delay: takes the seconds from the commit of changes to here.

    Attributes:
        position: all events up to this id have been handed out; empty before there is a stream.
        guests: as above.
    """

    def __init__(
        self,
        *,
        most_of_user: int,
        most: int,
        on_sessions: Callable[[ObjectId], None],
        on_job: Callable[[JobStarted], None],
        guests: Guests,
        delay: Histogram | None = None,
    ) -> None:
        self._most_of_user = most_of_user
        self._most = most
        self._on_sessions = on_sessions
        self._on_job = on_job
        self._delay = delay
        self._heard_at = 0.0
        self._ring = Ring()
        self._mailboxes: dict[ObjectId, set[Mailbox]] = {}
        self._count = 0
        self._empty_since = 0.0
        self._is_wanted = asyncio.Event()
        self._is_open = asyncio.Event()
        self._is_stopping = False
        self._token: Token | None = None
        self._goal = ""
        self.position = ""
        self.guests = guests

    @property
    def count(self) -> int:
        """The number of connections."""
        return self._count

    @property
    def silence(self) -> float:
        """The seconds since MongoDB last answered the stream, as it does each second; or 0.

        It is 0 while nobody is connected, as there is no stream then.
        """
        return time.monotonic() - self._heard_at if self._is_wanted.is_set() else 0.0

    @property
    def mailboxes(self) -> list[Mailbox]:
        """All mailboxes."""
        return [each for mine in self._mailboxes.values() for each in mine]

    def mailboxes_of(self, user_id: ObjectId) -> list[Mailbox]:
        """Return a user's mailboxes."""
        return [*self._mailboxes.get(user_id, ())]

    def admit(self, mailbox: Mailbox) -> None:
        """Count a connection; it gets events once it is attached.

        Raises:
            TooManyStreams: its user has as many as one may have.
            Unavailable: the process has as many, or is stopping.
        """
        if self._is_stopping:
            raise Unavailable("The service is stopping; connect again shortly.", retry_after=1)
        for each in self.mailboxes_of(mailbox.user_id):
            if each.is_gone():
                self.release(each)
        if len(self._mailboxes.get(mailbox.user_id, ())) >= self._most_of_user:
            raise TooManyStreams(retry_after=30)
        if self._count >= self._most:
            raise Unavailable("The service has too many live connections.", retry_after=30)
        self._mailboxes.setdefault(mailbox.user_id, set()).add(mailbox)
        self._count += 1
        if not self._is_wanted.is_set():
            self._heard_at = time.monotonic()
        self._is_wanted.set()

    def release(self, mailbox: Mailbox) -> None:
        """Uncount a connection; does nothing if it is not counted."""
        mine = self._mailboxes.get(mailbox.user_id, set())
        if mailbox not in mine:
            return
        mine.discard(mailbox)
        if not mine:
            del self._mailboxes[mailbox.user_id]
            self.guests.drop(mailbox.user_id)
        self._count -= 1
        self._empty_since = time.monotonic()

    async def attach(self, mailbox: Mailbox, after: str | None) -> None:
        """Begin to hand events to a mailbox, as `resume` does.

        Raises:
            Unavailable: the log cannot be followed now.
        """
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                await self._is_open.wait()
        except TimeoutError:
            raise Unavailable(retry_after=1) from None
        await self.guests.load(mailbox.user_id)
        self.resume(mailbox, after)

    def resume(self, mailbox: Mailbox, after: str | None) -> None:
        """Fill a mailbox with all that comes after an id; with a reset if some may be missing.

        Args:
            mailbox: of the connection.
            after: the id of the last event that the client knows; None begins now.
        """
        if after is None:
            mailbox.begin(self.position, ())
            return
        known = None
        if self._is_ours(after):
            shared = self.guests.list_shared(mailbox.user_id)
            known = self._ring.list_after(mailbox.user_id, after, shared)
        if known is None:
            mailbox.reset(after, self.position)
        else:
            mailbox.begin(after, known)

    def _is_ours(self, event_id: str) -> bool:
        at, here = time_of(event_id), time_of(self.position)
        return at is not None and here is not None and (at - here).total_seconds() <= AHEAD_SECONDS

    async def run(self) -> None:
        """Follow the log while anybody is connected, until cancelled."""
        while True:
            await self._is_wanted.wait()
            watched = Watched(
                collection=AuditEntry.get_pymongo_collection(),
                pipeline=PIPELINE,
                gather_seconds=GATHER_SECONDS,
                look_back_seconds=LOOK_BACK_SECONDS,
            )
            async with aclosing(follow(watched, self._token, shows_idle=True)) as batches:
                async for batch in batches:
                    if batch.is_gap:
                        await self.guests.reload()
                    self._take(batch)
                    if self._is_idle():
                        break

    def _is_idle(self) -> bool:
        if self._count or time.monotonic() - self._empty_since < LINGER_SECONDS:
            return False
        self._is_wanted.clear()
        self._is_open.clear()
        self._token, self.position = None, ""
        self._ring.begin("")
        return True

    def _take(self, batch: Batch) -> None:
        if batch.is_gap:
            self._begin(batch)
        self._measure(batch)
        for change in batch.changes:
            meant = read_change(change)
            if isinstance(meant, SessionsEnded):
                self._on_sessions(meant.user_id)
            elif isinstance(meant, JobStarted):
                self._on_job(meant)
            elif isinstance(meant, GrantChanged):
                self._change_grants(meant)
            elif meant is not None:
                self._hand_out(meant)
        if batch.token is not None:
            self._token, self.position = batch.token, batch.token["_data"]
        self._ring.forget_old()
        # Until it has caught up with the time of its beginning, it shows what is past.
        has_caught_up = batch.token is not None and self.position >= self._goal
        if has_caught_up or not (batch.is_gap or batch.changes):
            self._is_open.set()

    def _hand_out(self, event: LiveEvent) -> None:
        """Put an event into the mailboxes of its user, and of those with whom it is shared."""
        self._ring.add(event)
        self._push(event, event.user_id)
        if event.conversation_id is not None:
            for user_id in self.guests.list_holders(event.conversation_id):
                self._push(event, user_id)
            if event.type == DELETED:
                self.guests.forget_conversation(event.conversation_id)

    def _change_grants(self, change: GrantChanged) -> None:
        """Take over a change of grants, and tell it to those whom it concerns."""
        concerned = self.guests.apply(change) | {*change.grantee_ids}
        self._ring.add(change.event, concerned)
        for user_id in (change.event.user_id, *concerned):
            self._push(change.event, user_id)

    def _push(self, event: LiveEvent, user_id: ObjectId) -> None:
        for mailbox in self._mailboxes.get(user_id, ()):
            mailbox.push(event)

    def count_listeners(self, event: LiveEvent) -> int:
        """Return about how many connections show an event."""
        count = len(self._mailboxes.get(event.user_id, ()))
        if event.conversation_id is not None:
            for user_id in self.guests.list_holders(event.conversation_id):
                count += len(self._mailboxes.get(user_id, ()))
        return count

    def _measure(self, batch: Batch) -> None:
        self._heard_at = time.monotonic()
        # What comes before it has caught up, is past.
        if self._delay is not None and batch.changes and self._is_open.is_set():
            committed_at = batch.changes[0].get("wallTime")
            if committed_at is not None:
                self._delay.observe(max(0.0, (now() - committed_at).total_seconds()))

    def _begin(self, batch: Batch) -> None:
        """Start again: with what the stream looks back to, or with what comes."""
        self._goal = ""
        if batch.since is not None:
            self.position = first_id(batch.since)
            self._goal = first_id(batch.since, later=LOOK_BACK_SECONDS)
        elif batch.token is not None:
            self.position = batch.token["_data"]
        self._ring.begin(self.position)
        for mailbox in self.mailboxes:
            if mailbox.position:
                mailbox.reset(mailbox.position, self.position)

    def stop(self) -> None:
        """End all connections, as the process stops; their clients come back at various times."""
        self._is_stopping = True
        for mailbox in self.mailboxes:
            retry_ms = random.randint(*RETURN_MS)  # noqa: S311  # jitter
            mailbox.close(Closing(1001, "stopping", retry_ms))
