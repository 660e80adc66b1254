"""Frames: what is sent of events, with the messages as they are now."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

import orjson
from bson import ObjectId
from cachetools import TTLCache

from chatvault.access import Access
from chatvault.conversations.reading.places import PlaceReader, Places
from chatvault.conversations.reading.wire import messages_wire
from chatvault.encoding import to_json
from chatvault.fields import Raw, format_instant
from chatvault.live.events import (
    APPENDED,
    COMMAND,
    CREATED,
    ENDED,
    REMOVED,
    STARTED,
    LiveEvent,
    time_of,
)
from chatvault.live.mailbox import Closing, Item, Merged, Reset

# Of more, or of larger ones, a frame names the places only.
MOST_MESSAGES = 50
MOST_BYTES = 64 * 1024
# Several connections of a user show an event at about the same time. Not for longer: what is
# removed meanwhile must not be shown.
SHARED_SECONDS = 1.0
SHARED_READS = 128
# Changes are stamped before they commit, by other clocks than MongoDB's.
MARGIN = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Frame:
    """One event as it is sent.

    Attributes:
        id: what a client resumes after; None for a frame that it cannot resume after.
        type: the event's name.
        data: the JSON object.
        retry_ms: after which time a client should come back, if the stream ends with this.
    """

    id: str | None
    type: str
    data: bytes
    retry_ms: int | None = None

    @classmethod
    def of(cls, kind: str, fields: Mapping[str, object], frame_id: str | None = None) -> "Frame":
        """Return a frame of these fields."""
        head: Raw = {} if frame_id is None else {"id": frame_id}
        return cls(frame_id, kind, to_json({**head, "type": kind, **fields}))


def ready_frame(position: str) -> Frame:
    """Return the first frame of a stream, which can be resumed from the beginning then."""
    return Frame.of("ready", {}, position)


def heartbeat_frame(position: str) -> Frame:
    """Return the frame that is sent when nothing happens."""
    return Frame.of("heartbeat", {}, position)


def closing_frame(closing: Closing) -> Frame:
    """Return the last frame of a stream."""
    fields = {"code": closing.code, "reason": closing.reason, "retry_ms": closing.retry_ms}
    return replace(Frame.of("closing", fields), retry_ms=closing.retry_ms)


@dataclass(frozen=True, slots=True)
class Messages:
    """The messages of an event, as the API shows them and as JSON."""

    wire: list[Raw]
    json: bytes


class Renderer:
    """Makes frames of events; those of one user's connections share one reading.

    Args:
        reader: reads the messages.
    """

    def __init__(self, reader: PlaceReader) -> None:
        self._reader = reader
        self._shared: TTLCache[str, asyncio.Future[Messages | None]] = TTLCache(
            SHARED_READS, SHARED_SECONDS
        )

    async def render(self, access: Access, item: Item, *, shares: bool = True) -> list[Frame]:
        """Return the frame of something that waited.

        Args:
            access: to the data of the events' owner.
            item: taken out of a mailbox.
            shares: whether other connections may show it at about the same time.
        """
        match item:
            case LiveEvent():
                fields = _plain_fields(item)
                if (messages := await self._messages(access, item, shares=shares)) is not None:
                    fields["messages"] = orjson.Fragment(messages.json)
                return [Frame.of(item.type, fields, item.id)]
            case Merged():
                return [_merged_frame(item)]
            case Reset():
                at = time_of(item.after)
                since = None if at is None else format_instant(at - MARGIN)
                return [Frame.of("reset", {"since": since}, item.position)]
            case _:
                return [Frame(None, item["type"], to_json(item))]

    async def render_simple(
        self, access: Access, item: Item, *, shares: bool = True
    ) -> list[Frame]:
        """Return the frames that the simple dialect has of something that waited."""
        match item:
            case LiveEvent() if item.type in {APPENDED, CREATED, STARTED, ENDED, COMMAND}:
                messages = await self._messages(access, item, shares=shares)
                return _simple_frames(item, None if messages is None else messages.wire)
            case Merged() if item.event.conversation_id and not item.event.is_of_grant:
                return [_new_message(item.event, None)]
            case Reset():
                return await self.render(access, item)
            case _:
                return []

    async def _messages(self, access: Access, event: LiveEvent, *, shares: bool) -> Messages | None:
        """Return the messages of an event.

        None if it has none to show, if they are too large, or if they cannot be read now.
        """
        is_shown = event.type != REMOVED and not event.more.keys() & {"deleted", "replaced"}
        if not is_shown or not 0 < len(event.places) <= MOST_MESSAGES:
            return None
        if not shares:
            return await self._read(access, event)
        shared = self._shared.get(event.id)
        if shared is None:
            self._shared[event.id] = shared = asyncio.ensure_future(self._read(access, event))
        return await asyncio.shield(shared)

    async def _read(self, access: Access, event: LiveEvent) -> Messages | None:
        conversation_id = ObjectId(event.conversation_id)
        wanted = Places(access, conversation_id, event.places, event.version)
        found = await self._reader.read(wanted)
        if found is None:
            return None
        wire = messages_wire(found)
        json = to_json(wire)
        return Messages(wire, json) if len(json) <= MOST_BYTES else None


def _plain_fields(event: LiveEvent) -> Raw:
    fields: Raw = {"request_id": event.request_id, **event.more}
    if event.conversation_id is not None:
        fields |= {"conversation_id": event.conversation_id, "version": event.version}
    if event.places:
        fields |= {"first_seq": event.places.start, "count": len(event.places)}
    return fields


def _merged_frame(merged: Merged) -> Frame:
    event, frame_id = merged.event, merged.event.id if merged.is_last else None
    if event.conversation_id is None or event.is_of_grant:
        return Frame.of(event.type, _plain_fields(event), frame_id)
    fields: Raw = {"conversation_id": event.conversation_id, "version": event.version}
    fields |= {name: event.more[name] for name in ("deleted", "owner_id") if name in event.more}
    return Frame.of("conversation.changed", fields, frame_id)


def _simple_frames(event: LiveEvent, messages: list[Raw] | None) -> list[Frame]:
    """Return a frame for each new message, or for the command that changed."""
    if event.type == COMMAND:
        return [_command_update(event, messages or [])]
    if not event.places:
        return []
    if not messages:
        return [_new_message(event, None)]
    return [_new_message(event, each) for each in messages]


def _new_message(event: LiveEvent, message: Raw | None) -> Frame:
    fields = {"conversationId": event.conversation_id, "message": message}
    return Frame.of("new_message", fields)


def _command_update(event: LiveEvent, messages: list[Raw]) -> Frame:
    found = [
        (message["id"], command)
        for message in messages
        for command in message.get("commands", ())
        if str(command["id"]) == event.more.get("command_id")
    ]
    message_id, command = found[0] if found else (None, None)
    fields = {"conversationId": event.conversation_id, "messageId": message_id, "command": command}
    return Frame.of("command_update", fields)
