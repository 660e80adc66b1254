"""The events that wait on one connection: bounded, in order, and merged for a slow client."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from bson import ObjectId

from chatvault.fields import Raw
from chatvault.live.events import LiveEvent

# The events that may wait; then they are merged to one for each conversation.
MOST_WAITING = 256
MOST_MERGED = 4096
# The pieces of replies that may wait; their source waits meanwhile.
MOST_PIECES = 64
# The items taken out at a time.
AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class Closing:
    """Why a connection ends.

    Attributes:
        code: the WebSocket's close code.
        reason: a stable word.
        retry_ms: after which time the client should come back; None if it cannot.
    """

    code: int
    reason: str
    retry_ms: int | None = None


TOO_SLOW = Closing(1013, "too_slow", retry_ms=1000)
SESSION_ENDED = Closing(4401, "session_ended")


@dataclass(frozen=True, slots=True)
class Merged:
    """The newest of several events of a conversation, for a client that is too slow for each.

    Attributes:
        is_last: whether all events up to this one have been sent, so that it may be resumed from.
    """

    event: LiveEvent
    is_last: bool


@dataclass(frozen=True, slots=True)
class Reset:
    """Events may have been missed.

    Attributes:
        after: the id that the client knew, whatever it was.
        position: the position from which the stream continues.
    """

    after: str
    position: str


# A dictionary is a frame of what has no audit entry, and no id.
Item = LiveEvent | Merged | Reset | Raw


class Mailbox:
    """The events of a user on their way to one connection.

    Args:
        user_id: whose events.
        session_id: the session that the connection was opened with.
        is_gone: whether the client is known to have disconnected.

    Attributes:
        position: all events up to this id were taken out, or came before the connection.
        closing: why the connection is to end; None while it is not.
    """

    def __init__(
        self, user_id: ObjectId, session_id: ObjectId | None, is_gone: Callable[[], bool]
    ) -> None:
        self.user_id = user_id
        self.session_id = session_id
        self.is_gone = is_gone
        self.position = ""
        self.closing: Closing | None = None
        self._known = ""
        self._room = MOST_WAITING
        self._waiting: deque[LiveEvent | Reset] = deque()
        self._merged: dict[str, LiveEvent] = {}
        self._sending: deque[Merged] = deque()
        self._pieces: deque[Raw] = deque()
        self._progress: dict[str, Raw] = {}
        self._due = asyncio.Event()
        self._taken = asyncio.Event()

    @property
    def is_reset(self) -> bool:
        """Whether a reset waits, so that there is nothing yet that a client could resume after."""
        return any(isinstance(each, Reset) for each in self._waiting)

    @property
    def is_empty(self) -> bool:
        """Whether no event waits, so that all that happened has been taken out."""
        return not (self._waiting or self._merged or self._sending)

    def begin(self, after: str, events: Iterable[LiveEvent]) -> None:
        """Forget what waits; begin after an id with these events.

        Args:
            after: the id that the client knows; later events up to it are left out.
            events: those after it that have happened already; they are not too many for anybody.
        """
        self._merged.clear()
        self._sending.clear()
        self._waiting = deque(events)
        self._room = len(self._waiting) + MOST_WAITING
        self.position = self._known = after
        if self._waiting:
            self._due.set()

    def reset(self, after: str, position: str) -> None:
        """Forget what waits; report that events may be missing, and continue from a position."""
        self.begin(position, ())
        self._waiting.append(Reset(after, position))
        self._due.set()

    def push(self, event: LiveEvent) -> None:
        """Add an event; end the connection if the client is much too slow."""
        if event.id <= self._known or self.closing:
            return  # The client has it, from a process that was ahead of this one.
        if not self._merged and len(self._waiting) < self._room:
            self._waiting.append(event)
        else:
            self._merge(event)
        self._due.set()

    def _merge(self, event: LiveEvent) -> None:
        if self.is_reset:
            return  # The client is yet to read everything again.
        for each in (*self._waiting, event):
            if isinstance(each, LiveEvent):
                # The newest is the last, so that ids rise.
                self._merged.pop(each.merges_with, None)
                self._merged[each.merges_with] = each
        self._waiting.clear()
        if len(self._merged) > MOST_MERGED:
            self.close(TOO_SLOW)

    def show_progress(self, job: str, frame: Raw) -> None:
        """Put the newest state of a job in place of an earlier one that still waits."""
        self._progress[job] = frame
        self._due.set()

    async def offer(self, frame: Raw) -> None:
        """Add a piece of a reply, once there is room for it."""
        while len(self._pieces) >= MOST_PIECES and not self.closing:
            self._taken.clear()
            await self._taken.wait()
        self._pieces.append(frame)
        self._due.set()

    def answer(self, frame: Raw) -> None:
        """Add the answer to a client's message; the client's are limited already."""
        self._pieces.append(frame)
        self._due.set()

    def close(self, closing: Closing) -> None:
        """End the connection; what waits is not sent."""
        self.closing = self.closing or closing
        self._due.set()
        self._taken.set()

    async def wait(self, seconds: float) -> None:
        """Return once something waits or the connection is to end, or after a time."""
        try:
            async with asyncio.timeout(seconds):
                await self._due.wait()
        except TimeoutError:
            return

    def take(self) -> list[Item]:
        """Take out what is to be sent next, in order."""
        items: list[Item] = []
        while len(items) < AT_ONCE and (item := self._next()) is not None:
            items.append(item)
        if self._pieces or self._progress:
            items += self._pieces
            items += self._progress.values()
            self._pieces.clear()
            self._progress.clear()
            self._taken.set()
        if self.is_empty:
            self._room = MOST_WAITING
            self._due.clear()
        return items

    def _next(self) -> LiveEvent | Merged | Reset | None:
        if not self._sending and self._merged:
            events, self._merged = [*self._merged.values()], {}
            self._sending = deque(Merged(each, each is events[-1]) for each in events)
        if self._sending:
            merged = self._sending.popleft()
            if merged.is_last:
                self.position = merged.event.id
            return merged
        if not self._waiting:
            return None
        item = self._waiting.popleft()
        if isinstance(item, LiveEvent):
            self.position = item.id
        return item
