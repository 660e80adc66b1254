"""Imports as they go over the wire."""

from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from chatvault.importing.conversations import ImportFile
from chatvault.importing.service import ImportOutcome, OnDuplicate, Report


class OutcomeOut(StrEnum):
    """What became of a conversation, or would."""

    IMPORTED = "imported"
    REPEATED = "repeated"
    REPLACED = "replaced"
    COPIED = "copied"


SHOWN = {
    ImportOutcome.IMPORTED: OutcomeOut.IMPORTED,
    ImportOutcome.SKIPPED: OutcomeOut.REPEATED,
    ImportOutcome.REPLACED: OutcomeOut.REPLACED,
    ImportOutcome.COPIED: OutcomeOut.COPIED,
}


class ImportQuery(BaseModel):
    """How to import."""

    model_config = ConfigDict(extra="forbid")

    dry_run: bool = Field(default=False, description="write nothing, and tell what would be done")
    salvage: bool = Field(
        default=False,
        description="of a damaged file, take the whole conversations",
    )
    on_duplicate: OnDuplicate = Field(
        OnDuplicate.SKIP, description="what to do with what was imported before"
    )


class ImportedOut(BaseModel):
    """A conversation of the file; `repaired` says what had to be mended in it."""

    title: str
    messages: int
    outcome: OutcomeOut
    repaired: list[str]


class RejectedOut(BaseModel):
    """Something in the file that is not imported, and why."""

    place: str
    reason: str


class ImportOut(BaseModel):
    """What an import did, or would do; `messages` counts those that were stored.

    `truncated`: the file ends in the middle.
    """

    dry_run: bool
    conversations: list[ImportedOut]
    rejected: list[RejectedOut]
    messages: int
    preferences: bool
    truncated: bool


def import_wire(content: ImportFile, report: Report, *, dry_run: bool) -> dict[str, Any]:
    """Return what an import did as it is shown."""
    return {
        "dry_run": dry_run,
        "conversations": [
            {
                "title": each.title,
                "messages": len(each.messages),
                "outcome": SHOWN[outcome],
                "repaired": list(each.notes),
            }
            for each, outcome in zip(content.conversations, report.outcomes, strict=True)
        ],
        "rejected": [{"place": each.place, "reason": each.reason} for each in report.skipped],
        "messages": report.messages,
        "preferences": report.preferences,
        "truncated": report.truncated,
    }
