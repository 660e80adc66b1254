"""The newest events of a process, from which a client's stream can be resumed."""

import time
from collections import deque
from collections.abc import Collection, Mapping

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
        self._events: deque[tuple[float, LiveEvent, tuple[ObjectId, ...]]] = deque()
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

    def add(self, event: LiveEvent, others: Collection[ObjectId] = ()) -> None:
        """Add the newest event.

        Args:
            event: of its user.
            others: further users whom it is for.
        """
        users = (event.user_id, *others)
        self._events.append((time.monotonic(), event, users))
        for user_id in users:
            self._by_user.setdefault(user_id, deque()).append(event)
        self.forget_old()

    def forget_old(self) -> None:
        """Forget the events that are too many or too old."""
        late = time.monotonic() - self._most_seconds
        while self._events and (len(self._events) > self._most_events or self._events[0][0] < late):
            _, event, users = self._events.popleft()
            for user_id in users:
                mine = self._by_user[user_id]
                mine.popleft()
                if not mine:
                    del self._by_user[user_id]
            self.floor = event.id

    def list_after(
        self,
        user_id: ObjectId,
        event_id: str,
        shared: Mapping[ObjectId, Collection[str]] | None = None,
    ) -> list[LiveEvent] | None:
        """Return a user's events after an id, in order; None if some may be forgotten.

        Args:
            user_id: whose.
            event_id: the last one that is known.
            shared: conversations that are shared with the user, by owner; their events are the
                user's, too.
        """
        if event_id < self.floor:
            return None
        found = self._newest_first(user_id, event_id)
        for owner_id, conversations in (shared or {}).items():
            found += [
                each
                for each in self._newest_first(owner_id, event_id)
                if each.conversation_id in conversations and not each.is_of_grant
            ]
        if shared:
            found.sort(key=lambda each: each.id, reverse=True)
        return found[::-1]

    def _newest_first(self, user_id: ObjectId, event_id: str) -> list[LiveEvent]:
        newest_first: list[LiveEvent] = []
        for event in reversed(self._by_user.get(user_id, ())):
            if event.id <= event_id:
                break
            newest_first.append(event)
        return newest_first
