"""Requests and messages of the clients of live events."""

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from chatvault.fields import Id

# Longer than any id of an event; what is none is answered by a reset.
EventId = Annotated[str, Field(min_length=1, max_length=512)]


class Dialect(StrEnum):
    """The frames that a socket gets: all, or `new_message` and `command_update` only."""

    FULL = "full"
    SIMPLE = "simple"


class EventsQuery(BaseModel):
    """The beginning of a stream of events, and whether it stays open."""

    model_config = ConfigDict(extra="forbid")

    after: EventId | None = Field(None, description="the id of the last event that is known")
    follow: Annotated[bool, Field(description="false: end once nothing more waits")] = True


class EventsHeaders(BaseModel):
    """The last event that a client received; takes precedence over `after`."""

    last_event_id: EventId | None = Field(None, alias="Last-Event-ID")


class SocketQuery(BaseModel):
    """The beginning of a socket's events, and their dialect."""

    model_config = ConfigDict(extra="forbid")

    after: EventId | None = Field(None, description="the id of the last event that is known")
    frames: Dialect = Field(Dialect.FULL, description="`simple`: `new_message`, `command_update`")


class ClientMessage(BaseModel):
    """A message that a client sends on a socket.

    Attributes:
        resume: the id after which events are sent from now on.
        subscribe: the conversations whose replies come piece by piece; null for none.
        ping: is sent back.
    """

    model_config = ConfigDict(extra="forbid")

    resume: EventId | None = None
    subscribe: Annotated[list[Id], Field(max_length=20)] | None = None
    ping: int | str | None = None
