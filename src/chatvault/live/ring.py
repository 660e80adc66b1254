"""The newest events of a process, from which a client's stream can be resumed."""

import time
from collections import deque

from bson import ObjectId

from chatvault.live.events import LiveEvent

MOST_EVENTS = 50_000
MOST_SECONDS = 300.0


class Ring:
    """The newest events: at most `most_events`, and none that came before `most_seconds`.

    Args:
        most_events: the limit of events.
        most_seconds: their age limit in seconds.

    Attributes:
        floor: the id after which all events are known.
    """

    def __init__(
        self, *, most_events: int = MOST_EVENTS, most_seconds: float = MOST_SECONDS
    ) -> None:
        self._most_events = most_events
        self._most_seconds = most_seconds
        self._events: deque[tuple[float, LiveEvent]] = deque()
        # In the same order, so that the oldest event of all is the oldest of its user.
        self._by_user: dict[ObjectId, deque[LiveEvent]] = {}
        self.floor = ""

    def __len__(self) -> int:
        return len(self._events)

    def begin(self, floor: str) -> None:
        """Forget all events; those after the id are to come."""
        self._events.clear()
        self._by_user.clear()
        self.floor = floor

    def add(self, event: LiveEvent) -> None:
        """Add the newest event."""
        self._events.append((time.monotonic(), event))
        self._by_user.setdefault(event.user_id, deque()).append(event)
        self.forget_old()

    def forget_old(self) -> None:
        """Forget the events that are too many or too old."""
        late = time.monotonic() - self._most_seconds
        while self._events and (len(self._events) > self._most_events or self._events[0][0] < late):
            _, event = self._events.popleft()
            mine = self._by_user[event.user_id]
            mine.popleft()
            if not mine:
                del self._by_user[event.user_id]
            self.floor = event.id

    def list_after(self, user_id: ObjectId, event_id: str) -> list[LiveEvent] | None:
        """Return a user's events after an id, in order; None if some may be forgotten."""
        if event_id < self.floor:
            return None
        newest_first: list[LiveEvent] = []
        for event in reversed(self._by_user.get(user_id, ())):
            if event.id <= event_id:
                break
            newest_first.append(event)
        return newest_first[::-1]
