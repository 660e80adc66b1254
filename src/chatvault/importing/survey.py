"""Collect facts about the conversations of an import before anything is stored."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from chatvault.importing.conversations import Found, ImportedPreferences, Skipped
from chatvault.importing.neutral import NeutralConversation

# Up to this many characters, conversations are kept; beyond, they are read a second time.
KEPT: Final = 4 * 1024 * 1024


@dataclass(slots=True)
class Survey:
    """The conversations that were found in all files so far."""

    found: list[Found] = field(default_factory=list)
    fingerprints: list[int] = field(default_factory=list)
    kept: list[NeutralConversation] | None = field(default_factory=list)
    weight: int = 0
    preferences: ImportedPreferences | None = None
    skipped: list[Skipped] = field(default_factory=list)
    truncated: bool = False
    best: dict[str, int] = field(default_factory=dict)

    def add(self, conversation: NeutralConversation) -> None:
        """Add a conversation, and keep it in memory if all of them together are small enough."""
        number = len(self.found)
        self.fingerprints.append(_fingerprint(conversation))
        if self.kept is not None:
            self.kept.append(conversation)
            self.weight += _weight(conversation)
            if self.weight > KEPT:
                self.kept = None
        found = Found(
            format=conversation.format,
            source=conversation.source,
            title=conversation.title,
            messages=len(conversation.messages),
            updated_at=conversation.updated_at,
            ids=() if conversation.own is None else conversation.own.ids,
            notes=conversation.notes,
            unknown=conversation.unknown,
        )
        self.found.append(found)
        before = self.best.setdefault(found.source, number)
        if before != number:
            self._choose(before, number)

    def _choose(self, before: int, number: int) -> None:
        """Choose the state of a conversation that changed last."""
        if self.fingerprints[before] == self.fingerprints[number]:
            reason = f"identical to conversation {before + 1}"
            self.skipped.append(Skipped(place=f"conversation {number + 1}", reason=reason))
            return
        older, newer = sorted(
            (before, number),
            key=lambda each: (self.found[each].updated_at, self.found[each].messages, each),
        )
        self.best[self.found[newer].source] = newer
        reason = f"an older state of conversation {newer + 1}"
        self.skipped.append(Skipped(place=f"conversation {older + 1}", reason=reason))

    def chosen(self) -> list[int]:
        """Return the numbers of the conversations to import."""
        return sorted(self.best.values())


def count_all(found: Sequence[Found]) -> tuple[Counter[str], Counter[str]]:
    """Return the number of values left out by reason, and of unknown ones by kind."""
    left_out: Counter[str] = Counter()
    unknown: Counter[str] = Counter()
    for each in found:
        left_out.update(each.left_out)
        for kind, count in each.unknown.items():
            unknown[f"{each.format}: {kind}"] += count
    return left_out, unknown


def _weight(conversation: NeutralConversation) -> int:
    """Return the approximate size of a conversation in memory, in characters."""
    inline = sum(len(each.data or "") for each in conversation.attachments)
    return (
        1000
        + inline
        + sum(
            500 + len(each.content) + (len(repr(each.parts)) if each.parts else 0)
            for each in conversation.messages
        )
    )


def _fingerprint(conversation: NeutralConversation) -> int:
    """Return a hash of a conversation, which is valid in this process only."""
    messages = tuple(
        (each.source_id, each.parent_id, each.role, each.content) for each in conversation.messages
    )
    return hash((conversation.title, conversation.updated_at, messages))
