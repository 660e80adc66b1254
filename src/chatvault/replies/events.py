"""Store a reply's events before they are sent, so that any process can send them again."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, NamedTuple

from bson import ObjectId
from pymongo import InsertOne
from pymongo.errors import BulkWriteError

from chatvault.access import Access
from chatvault.fields import Raw, now
from chatvault.mongodb.batching import Batcher
from chatvault.replies.models import EVENTS_LIFETIME, ReplyEvents

DUPLICATE_KEY = 11000
POLL = 0.2  # seconds between two queries for a reply that another process writes
MAX_POLL = 1.0  # the same after a while without events: the reply waits for a person
TERMINAL = frozenset({"completed", "error"})
# After these events the model is done, for now at least.
LAST = TERMINAL | {"waiting"}


class Event(NamedTuple):
    """An event of a reply; its number is its id in the stream."""

    number: int
    type: str
    data: Raw


class FinalEvent(NamedTuple):
    """The end of a reply.

    Attributes:
        type: the type of its last event, in case that is not stored any more.
        data: the data of that event.
        may_be_shown: whether no message in its events was removed.
    """

    type: str
    data: Raw
    may_be_shown: bool


class Live:
    """A reply that this process writes, with all of its events so far.

    Args:
        access: to its owner's data.
    """

    def __init__(
        self, access: Access, conversation_id: ObjectId | None, reply_id: ObjectId
    ) -> None:
        self.access = access
        self.conversation_id = conversation_id
        self.reply_id = reply_id
        self.events: list[Event] = []
        self._changed = asyncio.Event()
        self._is_closed = False

    @property
    def has_ended(self) -> bool:
        """Whether the last event is there."""
        return bool(self.events) and self.events[-1].type in LAST

    def document(self, events: list[tuple[str, Raw]]) -> Raw:
        """Return the document that stores the next events; `publish` them once it is stored."""
        first = len(self.events) + 1
        return {
            "_id": ObjectId(),
            "user_id": self.access.owner_id,
            "conversation_id": self.conversation_id,
            "reply_id": self.reply_id,
            "first": first,
            "last": first + len(events) - 1,
            "events": [{"type": kind, "data": data} for kind, data in events],
            "expires_at": now() + EVENTS_LIFETIME,
        }

    def insertion(self, events: list[tuple[str, Raw]]) -> InsertOne[Raw]:
        """Return the write that stores the events together with a change of the conversation."""
        return InsertOne(self.document(events))

    def publish(self, events: list[tuple[str, Raw]]) -> None:
        """Show stored events to followers."""
        for kind, data in events:
            self.events.append(Event(len(self.events) + 1, kind, data))
        self._wake()

    def close(self) -> None:
        """End the followers' streams; the reply may continue in another process."""
        self._is_closed = True
        self._wake()

    def _wake(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def follow(self, after: int) -> AsyncGenerator[Event, None]:
        """Yield the events above a number, while this process writes the reply."""
        while True:
            changed, is_closed = self._changed, self._is_closed
            for event in self.events[after:]:
                after = event.number
                yield event
            if is_closed:
                return
            await changed.wait()


class EventLog:
    """Stores the events of all replies of this process, many in one round trip."""

    def __init__(self) -> None:
        self._batcher: Batcher[Raw, None] = Batcher(self._write, max_size=200, concurrency=2)
        self._live: dict[ObjectId, Live] = {}
        self._opened = asyncio.Event()
        self._is_stopping = False

    def open(self, live: Live) -> None:
        """Make a reply available to followers while it is written."""
        self._live[live.reply_id] = live
        self._wake()

    def close(self, live: Live) -> None:
        """Forget a reply that has ended or waits; its followers keep their reference."""
        self._live.pop(live.reply_id, None)
        live.close()

    def stop(self) -> None:
        """Stop following replies that this process does not write."""
        self._is_stopping = True
        self._wake()

    def _wake(self) -> None:
        opened, self._opened = self._opened, asyncio.Event()
        opened.set()

    async def store(self, live: Live, events: list[tuple[str, Raw]]) -> None:
        """Store events, then publish them.

        Raises:
            PyMongoError: they could not be stored, so nobody saw them.
        """
        await self._batcher.submit(live.document(events))
        live.publish(events)

    @staticmethod
    async def _write(documents: list[Raw]) -> list[None]:
        try:
            await ReplyEvents.get_pymongo_collection().insert_many(documents, ordered=False)
        except BulkWriteError as error:
            # A duplicate was stored by an earlier attempt that seemed to fail.
            codes = {failed["code"] for failed in error.details["writeErrors"]}
            if codes != {DUPLICATE_KEY} or error.details["writeConcernErrors"]:
                raise
        return [None] * len(documents)

    async def follow(
        self,
        access: Access,
        reply_id: ObjectId,
        after: int,
        find_end: Callable[[], Awaitable[FinalEvent | None]],
    ) -> AsyncGenerator[Event, None]:
        """Yield the events above a number, from memory or from the database, to the end.

        Args:
            access: to the data of the reply's owner.
            reply_id: the reply's id.
            after: the number of the last known event.
            find_end: returns how a reply has ended, if it has.
        """
        pause = POLL
        while not self._is_stopping:
            opened = self._opened
            live = self._live.get(reply_id)
            if live is not None:
                async with contextlib.aclosing(live.follow(after)) as following:
                    async for event in following:
                        after = event.number
                        yield event
                        if event.type in TERMINAL:
                            return
                continue
            # The end is looked up first, so that all events stored before it are read.
            end = await find_end()
            may_be_shown = end is None or end.may_be_shown
            # Including the known event: it may be the last one.
            for event in await read(access, reply_id, max(after - 1, 0)) if may_be_shown else []:
                if event.number > after:
                    after, pause = event.number, POLL
                    yield event
                if event.type in TERMINAL:
                    return
            if end is not None:
                yield Event(after + 1, end.type, end.data)
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await opened.wait()
            pause = min(MAX_POLL, pause * 1.5)


async def read(access: Access, reply_id: ObjectId, after: int = 0) -> list[Event]:
    """Return the stored events above a number."""
    events: list[Event] = []
    for run in await ReplyEvents.list_raw(access, reply_id, after):
        for number, event in enumerate(run["events"], run["first"]):
            if number > after:
                events.append(Event(number, event["type"], event["data"]))
    return events


def message_ids_of(events: list[Event]) -> set[str]:
    """Return the ids of the messages whose text is in the events."""
    shown = (event.data.get("message") for event in events)
    return {message["id"] for message in shown if message}


def round_of(events: list[Event]) -> list[Event]:
    """Return the events since the last call of the model."""
    waits = [index for index, event in enumerate(events) if event.type == "waiting"]
    return events[waits[-1] + 1 :] if waits else events


def text_of(events: list[Event], kind: str = "delta") -> str:
    """Return the text of the events of a type: `delta` or `thinking`."""
    return "".join(event.data["text"] for event in events if event.type == kind)


def calls_of(events: list[Event]) -> list[dict[str, Any]]:
    """Return the tool calls in the events."""
    return [dict(event.data) for event in events if event.type == "tool_call"]
