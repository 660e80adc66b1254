"""The report of an import in the background: counts, and the beginning of each list."""

from collections import Counter
from typing import Any, Final

from pydantic import BaseModel

from chatvault.fields import Raw
from chatvault.importing.reports import NOT_STORED, ImportOutcome, Report
from chatvault.importing.schemas import RejectedOut

SHOWN: Final = 100
_NAMES: Final = {
    ImportOutcome.IMPORTED: "imported",
    ImportOutcome.SKIPPED: "already_there",
    ImportOutcome.REPLACED: "replaced",
    ImportOutcome.COPIED: "copied",
    ImportOutcome.UPDATED: "updated",
    ImportOutcome.DELETED_HERE: "deleted_here",
    ImportOutcome.DIVERGED: "diverged",
}


class ImportCounts(BaseModel):
    """The number of conversations by outcome."""

    found: int = 0
    imported: int = 0
    already_there: int = 0
    replaced: int = 0
    copied: int = 0
    updated: int = 0
    deleted_here: int = 0
    diverged: int = 0


class ImportReport(ImportCounts):
    """The report of an import so far, or of a dry run.

    `formats` counts the same by format; `left_out` what is not stored, by reason; `unknown` what
    was not understood and is kept as it was, by kind. Of `rejected` and `repaired`, the first
    hundred are shown.
    """

    messages: int = 0
    formats: dict[str, ImportCounts] = {}
    left_out: dict[str, int] = {}
    unknown: dict[str, int] = {}
    rejected: list[RejectedOut] = []
    rejected_count: int = 0
    repaired: list[str] = []
    repaired_count: int = 0
    preferences: bool = False
    truncated: bool = False


def report_raw(report: Report) -> Raw:
    """Return a report as it is stored and shown."""
    formats = {
        name: {"found": found, **_counts(report.by_format[name])}
        for name, found in report.formats.items()
    }
    return {
        "found": report.formats.total(),
        **_counts(report.by_outcome),
        "messages": report.messages,
        # Pairs, as these names may hold characters that MongoDB's field names may not.
        "formats": [[name, counts] for name, counts in formats.items()],
        "left_out": [*map(list, report.left_out.items())],
        "unknown": [*map(list, report.unknown.items())],
        "rejected": [
            {"place": each.place, "reason": each.reason} for each in report.skipped[:SHOWN]
        ],
        "rejected_count": len(report.skipped),
        "repaired": report.repaired[:SHOWN],
        "repaired_count": len(report.repaired),
        "preferences": report.preferences,
        "truncated": report.truncated,
    }


def restore(raw: Raw, report: Report) -> None:
    """Add to a report what an import did before it was interrupted."""
    report.by_outcome += _by_outcome(raw)
    report.messages += raw.get("messages", 0)
    report.left_out += Counter(dict(raw.get("left_out", [])))
    report.unknown += Counter(dict(raw.get("unknown", [])))
    for name, counts in raw.get("formats", []):
        report.by_format[name] += _by_outcome(counts)


def report_wire(raw: Raw) -> dict[str, Any]:
    """Return a stored report as the API shows it."""
    lists = {name: dict(raw.get(name, [])) for name in ("formats", "left_out", "unknown")}
    return ImportReport.model_validate({**raw, **lists}).model_dump()


def is_nothing(report: Report) -> bool:
    """Return whether nothing was imported, which is never a success."""
    stored = sum(count for outcome, count in report.by_outcome.items() if outcome not in NOT_STORED)
    return not stored and not report.preferences


def _counts(outcomes: Counter[ImportOutcome]) -> dict[str, int]:
    return {name: outcomes[outcome] for outcome, name in _NAMES.items()}


def _by_outcome(raw: Raw) -> Counter[ImportOutcome]:
    return Counter({outcome: raw.get(name, 0) for outcome, name in _NAMES.items()})
