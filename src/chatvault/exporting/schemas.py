"""Requests and responses of exports."""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from chatvault.fields import Id, Instant

MAX_SELECTED = 200


class ConversationFormat(StrEnum):
    """A format of exported conversations."""

    JSON = "json"
    NDJSON = "ndjson"
    MARKDOWN = "markdown"
    HTML = "html"
    OPENAI = "openai"
    SHAREGPT = "sharegpt"
    PDF = "pdf"


class WithAttachments(StrEnum):
    """Whether an export takes the bytes of attachments with it."""

    INCLUDE = "include"
    OMIT = "omit"


class ExportQuery(BaseModel):
    """The options of an export."""

    model_config = ConfigDict(extra="forbid")

    format: ConversationFormat = ConversationFormat.JSON
    attachments: WithAttachments | None = Field(
        None,
        description="the bytes of attachments: in base64 in json and ndjson, as files of a ZIP "
        "in markdown and html; by default only where the export is a ZIP anyway",
    )


def _split(value: Any) -> Any:
    return value.split(",") if isinstance(value, str) else value


class ExportManyQuery(ExportQuery):
    """The conversations to export, and the options."""

    ids: Annotated[
        Annotated[list[Id], Field(min_length=1, max_length=MAX_SELECTED)] | None,
        BeforeValidator(_split),
        WithJsonSchema({"type": "string", "pattern": "^[0-9a-fA-F]{24}(,[0-9a-fA-F]{24})*$"}),
        Field(description="only these, with commas between their ids"),
    ] = None
    after: Annotated[
        Id | None,
        Field(description="only conversations after this one, to continue an interrupted export"),
    ] = None


class AboutOut(BaseModel):
    """The metadata of an exported file."""

    version: int
    program: str
    exported_at: Instant


class CountsOut(BaseModel):
    """The counts at the end of an exported file."""

    conversations: int
    messages: int
    changed: int
    cut: int
    deleted: int
    attachments: int = 0


class ExportOut(BaseModel):
    """Chatvault's own JSON; docs/schema/export-1.json describes the conversations."""

    chatvault: AboutOut
    conversations: list[dict[str, Any]]
    end: CountsOut


class ShareGPTOut(BaseModel):
    """One conversation in ShareGPT's form."""

    id: Id
    title: str
    conversations: list[dict[str, Any]]
    completeness: str | None = None
