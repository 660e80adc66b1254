"""Requests and responses of imports."""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from chatvault.fields import Id
from chatvault.importing.conversations import ImportFile
from chatvault.importing.format import Group
from chatvault.importing.reports import ImportOutcome, OnDuplicate, Report


class OutcomeOut(StrEnum):
    """The outcome of an import, or of a dry run, for one conversation."""

    IMPORTED = "imported"
    REPEATED = "repeated"
    REPLACED = "replaced"
    COPIED = "copied"
    UPDATED = "updated"
    DELETED_HERE = "deleted_here"
    DIVERGED = "diverged"


SHOWN = {
    ImportOutcome.IMPORTED: OutcomeOut.IMPORTED,
    ImportOutcome.SKIPPED: OutcomeOut.REPEATED,
    ImportOutcome.REPLACED: OutcomeOut.REPLACED,
    ImportOutcome.COPIED: OutcomeOut.COPIED,
    ImportOutcome.UPDATED: OutcomeOut.UPDATED,
    ImportOutcome.DELETED_HERE: OutcomeOut.DELETED_HERE,
    ImportOutcome.DIVERGED: OutcomeOut.DIVERGED,
}


MAX_UPLOADS = 20


def _split(value: Any) -> Any:
    return value.split(",") if isinstance(value, str) else value


class ImportQuery(BaseModel):
    """The options of an import."""

    model_config = ConfigDict(extra="forbid")

    dry_run: bool = Field(
        default=False, description="write nothing; answer with what would be done"
    )
    salvage: bool = Field(
        default=False,
        description="of a damaged file, take the whole conversations",
    )
    attachments: bool = Field(
        default=True, description="also store the bytes of files that the export holds"
    )
    on_duplicate: OnDuplicate = Field(
        OnDuplicate.SKIP, description="what to do with conversations that were imported before"
    )
    group: Group | None = Field(
        None, description="day: of Gemini's records without a conversation, one a day in UTC"
    )
    restore_deleted: bool = Field(
        default=False, description="also import conversations that were deleted here"
    )
    upload_id: Annotated[
        Annotated[list[Id], Field(min_length=1, max_length=MAX_UPLOADS)] | None,
        BeforeValidator(_split),
        WithJsonSchema({"type": "string", "pattern": "^[0-9a-fA-F]{24}(,[0-9a-fA-F]{24})*$"}),
        Field(description="uploads to import in the background, in place of the body; with commas"),
    ] = None
    format: str | None = Field(
        None,
        max_length=64,
        description="the name of the format; without it, the format is detected",
    )


class ImportedOut(BaseModel):
    """A conversation of the file; `repaired` lists what had to be repaired in it.

    `messages` counts those that are stored, `left_out` what is not, by reason.
    """

    title: str
    format: str
    messages: int
    outcome: OutcomeOut
    repaired: list[str]
    left_out: dict[str, int]


class RejectedOut(BaseModel):
    """Something in the file that is not imported, with the reason."""

    place: str
    reason: str


class ImportOut(BaseModel):
    """The report of an import, or of a dry run; `messages` counts those that were stored.

    `formats` counts the conversations that were found, by format; `left_out` what is not stored of
    those that are, by reason; `unknown` what was not understood and is kept as it was, by kind.
    `truncated`: the file ends in the middle.
    """

    dry_run: bool
    formats: dict[str, int]
    left_out: dict[str, int]
    unknown: dict[str, int]
    conversations: list[ImportedOut]
    rejected: list[RejectedOut]
    messages: int
    preferences: bool
    truncated: bool


def import_wire(content: ImportFile, report: Report, *, dry_run: bool) -> dict[str, Any]:
    """Return the report of an import as the API shows it."""
    return {
        "dry_run": dry_run,
        "formats": dict(report.formats),
        "left_out": dict(report.left_out),
        "unknown": dict(report.unknown),
        "conversations": [
            {
                "title": each.title,
                "format": each.format,
                "messages": each.messages,
                "outcome": SHOWN[outcome],
                "repaired": list(each.notes),
                "left_out": dict(each.left_out),
            }
            for each, outcome in zip(content.found, report.outcomes, strict=True)
        ],
        "rejected": [{"place": each.place, "reason": each.reason} for each in report.skipped],
        "messages": report.messages,
        "preferences": report.preferences,
        "truncated": report.truncated,
    }
