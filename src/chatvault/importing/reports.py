"""The report of an import: what it did or would do, and what it left out."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from chatvault.importing.conversations import Found, ImportFile, ImportRejected, Skipped
from chatvault.importing.survey import count_all

SHOWN_REASONS: Final = 3


class OnDuplicate(StrEnum):
    """The choices for a conversation that was imported before."""

    SKIP = "skip"
    REPLACE = "replace"
    COPY = "copy"
    UPDATE = "update"


class ImportOutcome(StrEnum):
    """The outcome of an import for one conversation."""

    IMPORTED = "imported"
    SKIPPED = "already there"
    REPLACED = "replaced"
    COPIED = "copied"
    UPDATED = "updated"
    DELETED_HERE = "left out, as they were deleted here"
    DIVERGED = "left out, as they have gone on in another way here"


# The outcomes with which nothing is stored.
NOT_STORED: Final = frozenset(
    {ImportOutcome.SKIPPED, ImportOutcome.DELETED_HERE, ImportOutcome.DIVERGED}
)
# The reasons by which the report counts conversations that are left out.
LEFT_OUT: Final = {ImportOutcome.DELETED_HERE: "deleted_here", ImportOutcome.DIVERGED: "diverged"}


@dataclass(slots=True)
class Report:
    """The report of an import, or of a dry run.

    Attributes:
        outcomes: the outcome of each conversation, in the file's order.
        by_outcome: how many conversations had each outcome.
        messages: the number of messages that were stored.
        skipped: the parts of the file that are not imported.
        repaired: what had to be repaired, with its place.
        preferences: whether preferences were imported; in a dry run, whether the file has any.
        truncated: whether the file is cut off.
        formats: the number of conversations that were found, by format.
        by_format: the same for each format.
        left_out: the number of values that are not stored, by reason.
        unknown: the number of values that were not understood, by kind.
    """

    outcomes: list[ImportOutcome] = field(default_factory=list)
    by_outcome: Counter[ImportOutcome] = field(default_factory=Counter)
    messages: int = 0
    skipped: list[Skipped] = field(default_factory=list)
    repaired: list[str] = field(default_factory=list)
    preferences: bool = False
    truncated: bool = False
    formats: Counter[str] = field(default_factory=Counter)
    by_format: defaultdict[str, Counter[ImportOutcome]] = field(
        default_factory=lambda: defaultdict(Counter)
    )
    left_out: Counter[str] = field(default_factory=Counter)
    unknown: Counter[str] = field(default_factory=Counter)

    def count(self, found: Sequence[Found], outcomes: Sequence[ImportOutcome]) -> None:
        """Add the outcomes of some more conversations."""
        self.outcomes += outcomes
        stored = []
        for each, outcome in zip(found, outcomes, strict=True):
            self.by_outcome[outcome] += 1
            self.by_format[each.format][outcome] += 1
            if (reason := LEFT_OUT.get(outcome)) is not None:
                self.left_out[reason] += 1
            if outcome not in NOT_STORED:
                self.messages += each.messages
                stored.append(each)
        left_out, unknown = count_all(stored)
        self.left_out += left_out
        self.unknown += unknown


def require_content(content: ImportFile, *, name: str) -> None:
    """Refuse a file from which nothing can be imported, as that is never a success.

    Raises:
        ImportRejected: It holds neither a conversation nor preferences.
    """
    if content.found or content.preferences is not None:
        return
    why = "; ".join(f"{each.place}: {each.reason}" for each in content.skipped[:SHOWN_REASONS])
    raise ImportRejected(f"{name}: holds nothing that can be imported{': ' if why else ''}{why}")


def begin_report(content: ImportFile) -> Report:
    """Return the report of an import that has stored nothing yet."""
    return Report(
        skipped=list(content.skipped),
        repaired=[
            f"conversation {place}: {note}"
            for place, found in enumerate(content.found, 1)
            for note in found.notes
        ],
        formats=content.count_formats(),
        preferences=content.preferences is not None,
        truncated=content.truncated,
    )
