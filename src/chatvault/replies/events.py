"""A reply's events: stored before anyone sees them, so that any process can show them again."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, NamedTuple

from bson import ObjectId
from pymongo import InsertOne
from pymongo.errors import BulkWriteError

from chatvault.actor import Actor
from chatvault.fields import Raw, now
from chatvault.mongodb.batching import Batcher
from chatvault.replies.models import EVENTS_LIFETIME, ReplyEvents

DUPLICATE_KEY = 11000
POLL = 0.2  # seconds between two looks at a reply that another process writes
MAX_POLL = 1.0  # the same, where nothing happened for a while: a person is asked
TERMINAL = frozenset({"completed", "error"})
# After these the model says no more, for now at least.
LAST = TERMINAL | {"waiting"}


class Event(NamedTuple):
    """One event; its number is its id on the wire."""

    number: int
    type: str
    data: Raw


class FinalEvent(NamedTuple):
    """How a reply has ended.

    Attributes:
        type: of its last event, should that be stored no more.
        data: the same event's.
        may_be_told: all that its events tell of is still there.
    """

    type: str
    data: Raw
    may_be_told: bool


class Live:
    """A reply that this process writes, with all of its events so far.

    Args:
        actor: whose it is.
    """

    def __init__(self, actor: Actor, conversation_id: ObjectId | None, reply_id: ObjectId) -> None:
        self.actor = actor
        self.conversation_id = conversation_id
        self.reply_id = reply_id
        self.events: list[Event] = []
        self._changed = asyncio.Event()
        self._is_closed = False

    @property
    def has_ended(self) -> bool:
        """Whether its last event is there."""
        return bool(self.events) and self.events[-1].type in LAST

    def document(self, events: list[tuple[str, Raw]]) -> Raw:
        """Return the next events as they are stored; `publish` them once they are."""
        first = len(self.events) + 1
        return {
            "_id": ObjectId(),
            "user_id": self.actor.owner_id,
            "conversation_id": self.conversation_id,
            "reply_id": self.reply_id,
            "first": first,
            "last": first + len(events) - 1,
            "events": [{"type": kind, "data": data} for kind, data in events],
            "expires_at": now() + EVENTS_LIFETIME,
        }

    def insertion(self, events: list[tuple[str, Raw]]) -> InsertOne[Raw]:
        """Return the write that stores them together with a change of the conversation."""
        return InsertOne(self.document(events))

    def publish(self, events: list[tuple[str, Raw]]) -> None:
        """Show stored events to those who follow."""
        for kind, data in events:
            self.events.append(Event(len(self.events) + 1, kind, data))
        self._wake()

    def close(self) -> None:
        """Let those who follow look elsewhere; it may go on in another process."""
        self._is_closed = True
        self._wake()

    def _wake(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def follow(self, after: int) -> AsyncGenerator[Event, None]:
        """Yield the events above a number, for as long as this process writes it."""
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
        """Let others find it while it is written."""
        self._live[live.reply_id] = live
        self._wake()

    def close(self, live: Live) -> None:
        """It is finished, or waits; whoever follows it has it still."""
        self._live.pop(live.reply_id, None)
        live.close()

    def stop(self) -> None:
        """Let those go who follow replies that this process does not write."""
        self._is_stopping = True
        self._wake()

    def _wake(self) -> None:
        opened, self._opened = self._opened, asyncio.Event()
        opened.set()

    async def store(self, live: Live, events: list[tuple[str, Raw]]) -> None:
        """Store events, then show them.

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
            # What is there was stored by an earlier try that seemed to fail.
            codes = {failed["code"] for failed in error.details["writeErrors"]}
            if codes != {DUPLICATE_KEY} or error.details["writeConcernErrors"]:
                raise
        return [None] * len(documents)

    async def follow(
        self,
        actor: Actor,
        reply_id: ObjectId,
        after: int,
        find_end: Callable[[], Awaitable[FinalEvent | None]],
    ) -> AsyncGenerator[Event, None]:
        """Yield the events above a number, from memory or from the database, to the end.

        Args:
            actor: whose reply it must be.
            reply_id: which one.
            after: the number of the last event that is known already.
            find_end: how a reply has ended, if it has.
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
            # Looked up first: what is stored afterwards is then surely read.
            end = await find_end()
            may_be_told = end is None or end.may_be_told
            # With the one that is known already: it may be the end.
            for event in await read(actor, reply_id, max(after - 1, 0)) if may_be_told else []:
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


async def read(actor: Actor, reply_id: ObjectId, after: int = 0) -> list[Event]:
    """Return the stored events above a number."""
    events: list[Event] = []
    for run in await ReplyEvents.list_raw(actor, reply_id, after):
        for number, event in enumerate(run["events"], run["first"]):
            if number > after:
                events.append(Event(number, event["type"], event["data"]))
    return events


def message_ids_of(events: list[Event]) -> set[str]:
    """Return the messages whose words are in the events."""
    shown = (event.data.get("message") for event in events)
    return {message["id"] for message in shown if message}


def round_of(events: list[Event]) -> list[Event]:
    """Return the events since the model was last asked."""
    waits = [index for index, event in enumerate(events) if event.type == "waiting"]
    return events[waits[-1] + 1 :] if waits else events


def text_of(events: list[Event]) -> str:
    """Return what was said so far."""
    return "".join(event.data["text"] for event in events if event.type == "delta")


def calls_of(events: list[Event]) -> list[dict[str, Any]]:
    """Return the tool calls that were proposed so far."""
    return [dict(event.data) for event in events if event.type == "tool_call"]
