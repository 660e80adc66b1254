"""The request headers that conversations and messages share."""

import re
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from chatvault.conversations.preconditions import Precondition, version_of
from chatvault.conversations.shapes import StoredMessage
from chatvault.http.requests import IdempotencyHeaders

ETAG = re.compile(r'\s*"(\d{1,18})"\s*')
MESSAGE_ETAG = re.compile(r'\s*"(\d{1,18})\.(\d{1,18})"\s*')
MINIMAL = re.compile(r'\s*return\s*=\s*("?)minimal\1\s*(;.*)?', re.IGNORECASE)


def _split(value: object) -> list[str] | None:
    """Return the ETags in a header; None for `*`."""
    tags = str(value).split(",")
    if tags == ["*"]:
        return None
    if not all(tag.strip() for tag in tags):
        raise PydanticCustomError("etag", "If-Match should be ETags in quotes, or *")
    return tags


def _to_precondition(value: object) -> Precondition:
    if (tags := _split(value)) is None:
        return Precondition(given=True)
    # A tag in another form matches nothing.
    found = frozenset(int(match[1]) for match in map(ETAG.fullmatch, tags) if match)
    return Precondition(given=True, versions=found)


def _to_message_precondition(value: object) -> Precondition:
    if (tags := _split(value)) is None:
        return Precondition(given=True)
    found = [match for match in map(MESSAGE_ETAG.fullmatch, tags) if match]
    versions = frozenset((int(match[1]), int(match[2])) for match in found)
    return Precondition(given=True, versions=versions)


def message_etag(stored: StoredMessage) -> str:
    """Return the strong ETag of a message: its place and its version there."""
    seq, version = version_of(stored)
    return f'"{seq}.{version}"'


class ConditionalHeaders(BaseModel):
    """The headers of a conditional change of a conversation."""

    precondition: Annotated[
        Precondition,
        BeforeValidator(_to_precondition),
        WithJsonSchema({"type": "string"}),
        Field(alias="If-Match", description="the ETag that the change is meant for; else 412"),
    ] = Precondition()


class MessageConditionalHeaders(BaseModel):
    """The headers of a conditional change of a message."""

    precondition: Annotated[
        Precondition,
        BeforeValidator(_to_message_precondition),
        WithJsonSchema({"type": "string"}),
        Field(
            alias="If-Match",
            description="the message's ETag that the change is meant for; else 412",
        ),
    ] = Precondition()


class ConditionalRepeatHeaders(ConditionalHeaders, IdempotencyHeaders):
    """The headers of a conditional change that may be repeated."""


class ReadHeaders(BaseModel):
    """The headers of a conditional read."""

    if_none_match: str = Field("", alias="If-None-Match", description="an ETag; 304 if current")

    @property
    def known(self) -> Precondition:
        """The versions that the client has; any for `*`."""
        tags = {part.strip().removeprefix("W/") for part in self.if_none_match.split(",")}
        if "*" in tags:
            return Precondition(given=True)
        found = frozenset(int(match[1]) for match in map(ETAG.fullmatch, tags) if match)
        return Precondition(given=bool(found), versions=found)


class AppendHeaders(IdempotencyHeaders):
    """The headers of an append; `Prefer` asks for a short answer (RFC 7240)."""

    prefer: str = Field("", alias="Prefer", description="return=minimal leaves out the rest")

    @property
    def minimal(self) -> bool:
        """Whether `return=minimal` is preferred."""
        return any(map(MINIMAL.fullmatch, self.prefer.split(",")))


class AsyncHeaders(IdempotencyHeaders):
    """The headers of slow work; `Prefer` asks not to wait for it (RFC 7240)."""

    prefer: str = Field("", alias="Prefer", description="respond-async answers 202 at once")

    @property
    def is_async(self) -> bool:
        """Whether `respond-async` is preferred."""
        return "respond-async" in {part.strip().lower() for part in self.prefer.split(",")}
