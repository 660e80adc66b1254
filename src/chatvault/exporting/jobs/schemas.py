"""Requests and responses of exports in the background."""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from chatvault.conversations.models import Status
from chatvault.exporting.jobs.models import ExportState
from chatvault.exporting.schemas import ConversationFormat, CountsOut, WithAttachments
from chatvault.fields import Id, Instant

MAX_IDS = 10_000


class ExportFilter(BaseModel):
    """The conversations to export; absent fields do not restrict them."""

    model_config = ConfigDict(extra="forbid")

    status: Status | None = None
    updated_since: Instant | None = Field(None, description="changed then or later")
    updated_until: Instant | None = Field(None, description="changed then or before")


class ExportCreate(BaseModel):
    """A request for an export in the background."""

    model_config = ConfigDict(extra="forbid")

    format: ConversationFormat = ConversationFormat.NDJSON
    attachments: WithAttachments | None = Field(
        None, description="the bytes of attachments; by default in the ZIPs of markdown and html"
    )
    ids: Annotated[list[Id], Field(min_length=1, max_length=MAX_IDS)] | None = Field(
        None, description="only these"
    )
    filter: ExportFilter | None = Field(None, description="only those; not beside `ids`")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.ids is not None and self.filter is not None:
            raise ValueError("takes ids or a filter, not both")
        return self


class ExportPath(BaseModel):
    """The path of one export."""

    export_id: Id


class PartPath(ExportPath):
    """The path of one part of an export, counted from 1 on."""

    number: Annotated[int, Field(ge=1, le=1_000_000)]


class PartHeaders(BaseModel):
    """The headers of a download, which may be partial or conditional."""

    range: str = Field("", alias="Range", description="the bytes that are wanted: bytes=100-")
    if_range: str = Field("", alias="If-Range", description="the ETag that the range is meant for")
    if_none_match: str = Field("", alias="If-None-Match", description="an ETag; 304 if current")


class PartOut(BaseModel):
    """A finished part: a complete file with some of the conversations."""

    number: int
    name: str
    media_type: str
    bytes: int
    sha256: str
    conversations: int
    messages: int


class ExportJobOut(BaseModel):
    """An export in the background and its progress.

    Of `total` conversations, `done` are in finished parts or were deleted meanwhile. `code`
    says why it failed. It is removed at `expires_at`.
    """

    id: Id
    format: ConversationFormat
    state: ExportState
    created_at: Instant
    total: int
    done: int
    counts: CountsOut
    parts: list[PartOut]
    code: str | None
    expires_at: Instant | None
