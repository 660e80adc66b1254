"""What an import did, or would do, and what it left out."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from chatvault.importing.conversations import Found, ImportFile, ImportRejected, Skipped
from chatvault.importing.survey import count_all

SHOWN_REASONS: Final = 3


class OnDuplicate(StrEnum):
    """What to do with a conversation that was imported before."""

    SKIP = "skip"
    REPLACE = "replace"
    COPY = "copy"
    UPDATE = "update"


class ImportOutcome(StrEnum):
    """What became of a conversation."""

    IMPORTED = "imported"
    SKIPPED = "already there"
    REPLACED = "replaced"
    COPIED = "copied"
    UPDATED = "updated"
    DELETED_HERE = "left out, as they were deleted here"
    DIVERGED = "left out, as they have gone on in another way here"


# Of these nothing is stored.
NOT_STORED: Final = frozenset(
    {ImportOutcome.SKIPPED, ImportOutcome.DELETED_HERE, ImportOutcome.DIVERGED}
)
# By these, the report counts what is left out.
LEFT_OUT: Final = {ImportOutcome.DELETED_HERE: "deleted_here", ImportOutcome.DIVERGED: "diverged"}


@dataclass(slots=True)
class Report:
    """What an import did, or would do.

    Attributes:
        outcomes: what became of each conversation, in the file's order.
        fates: how many conversations met which fate.
        messages: how many messages were stored.
        skipped: what the file holds and is not imported.
        mended: what had to be mended, by place.
        preferences: whether any preferences were taken over; foretold, whether there are any.
        truncated: the file ends in the middle.
        formats: how many conversations were found in which format.
        by_format: the same as fates, by format.
        left_out: how much of what is not stored of the conversations that are.
        unknown: how much of what kind was not understood.
    """

    outcomes: list[ImportOutcome] = field(default_factory=list)
    fates: Counter[ImportOutcome] = field(default_factory=Counter)
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
        """Count what became of some more conversations."""
        self.outcomes += outcomes
        stored = []
        for each, outcome in zip(found, outcomes, strict=True):
            self.fates[outcome] += 1
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
    """Refuse a file of which nothing can be imported: that is never a success.

    Raises:
        ImportRejected: It holds neither a conversation nor preferences.
    """
    if content.found or content.preferences is not None:
        return
    why = "; ".join(f"{each.place}: {each.reason}" for each in content.skipped[:SHOWN_REASONS])
    raise ImportRejected(f"{name}: holds nothing that can be imported{': ' if why else ''}{why}")


def begin_report(content: ImportFile) -> Report:
    """Return what is known of an import before it begins."""
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
