"""Exports as they are asked for."""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from chatvault.fields import Id, Instant

MAX_SELECTED = 200


class ConversationFormat(StrEnum):
    """A form that conversations can be exported in."""

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
    """How to export."""

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
    """Which conversations to export, and how."""

    ids: Annotated[
        Annotated[list[Id], Field(min_length=1, max_length=MAX_SELECTED)] | None,
        BeforeValidator(_split),
        WithJsonSchema({"type": "string", "pattern": "^[0-9a-fA-F]{24}(,[0-9a-fA-F]{24})*$"}),
        Field(description="only these, with commas between their ids"),
    ] = None
    after: Annotated[
        Id | None,
        Field(description="only those that come after this one, to go on with a broken export"),
    ] = None


class AboutOut(BaseModel):
    """What an exported file says about itself."""

    version: int
    program: str
    exported_at: Instant


class CountsOut(BaseModel):
    """How much an exported file holds; it comes last."""

    conversations: int
    messages: int
    changed: int
    cut: int
    deleted: int
    attachments: int = 0


class ExportOut(BaseModel):
    """Our own JSON; docs/schema/export-1.json describes the conversations."""

    chatvault: AboutOut
    conversations: list[dict[str, Any]]
    end: CountsOut


class ShareGPTOut(BaseModel):
    """One conversation as ShareGPT has it."""

    id: Id
    title: str
    conversations: list[dict[str, Any]]
    completeness: str | None = None
