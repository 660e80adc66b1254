"""The request headers that conversations and messages share."""

import re
from typing import Annotated, Protocol

from aiohttp import web
from bson import ObjectId
from pydantic import BaseModel, BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from chatvault.actor import Actor
from chatvault.conversations.lane import Lane
from chatvault.conversations.preconditions import Precondition
from chatvault.idempotency import Repeat
from chatvault.web import RepeatHeaders


class Opener(Protocol):
    """Sends the first message of a conversation to its agent."""

    async def check(
        self, actor: Actor, agent_id: ObjectId | None, content: str, repeat: Repeat | None
    ) -> None:
        """Refuse what could not be sent; a repeat has passed."""

    async def send(
        self, actor: Actor, conversation_id: ObjectId, content: str, repeat: Repeat | None
    ) -> None:
        """Store it, and let the agent begin to answer."""


OPENER = web.AppKey("opener", Opener)
LANE = web.AppKey("lane", Lane)
ETAG = re.compile(r'\s*"(\d{1,18})"\s*')
MINIMAL = re.compile(r'\s*return\s*=\s*("?)minimal\1\s*(;.*)?', re.IGNORECASE)


def _to_precondition(value: object) -> Precondition:
    tags = str(value).split(",")
    if tags == ["*"]:
        return Precondition(given=True)
    if not all(tag.strip() for tag in tags):
        raise PydanticCustomError("etag", "If-Match should be ETags in quotes, or *")
    found = [ETAG.fullmatch(tag) for tag in tags]
    # A tag that none of ours can be matches nothing.
    return Precondition(given=True, versions=frozenset(int(match[1]) for match in found if match))


class ConditionalHeaders(BaseModel):
    """A change may insist on the version it was made for."""

    precondition: Annotated[
        Precondition,
        BeforeValidator(_to_precondition),
        WithJsonSchema({"type": "string"}),
        Field(alias="If-Match", description="the ETag that the change is meant for; else 412"),
    ] = Precondition()


class ConditionalRepeatHeaders(ConditionalHeaders, RepeatHeaders):
    """Such a change that may be recognised when it is repeated."""


class ReadHeaders(BaseModel):
    """A reader may know a version already."""

    if_none_match: str = Field("", alias="If-None-Match", description="an ETag; 304 if current")


class AppendHeaders(RepeatHeaders):
    """A client may prefer a short answer (RFC 7240)."""

    prefer: str = Field("", alias="Prefer", description="return=minimal leaves out the rest")

    @property
    def minimal(self) -> bool:
        """Whether `return=minimal` is preferred."""
        return any(map(MINIMAL.fullmatch, self.prefer.split(",")))


class AsyncHeaders(RepeatHeaders):
    """A client may prefer not to wait for what takes long (RFC 7240)."""

    prefer: str = Field("", alias="Prefer", description="respond-async answers 202 at once")

    @property
    def is_async(self) -> bool:
        """Whether `respond-async` is preferred."""
        return "respond-async" in {part.strip().lower() for part in self.prefer.split(",")}
