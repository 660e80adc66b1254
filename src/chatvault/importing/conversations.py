"""The results of reading a file: conversations, skipped items, and the error of a rejection."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from bson import ObjectId

from chatvault.errors import InvalidInput
from chatvault.importing.neutral import NeutralConversation

ImportedPreferences = dict[str, Any]


class ImportRejected(InvalidInput):
    """The file cannot be imported."""

    code = "import_rejected"


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """Something in the file that is not imported, with its place and the reason.

    Attributes:
        is_damage: whether the file counts as damaged, and is imported only with `salvage`.
    """

    place: str
    reason: str
    is_damage: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Facts about a conversation that was read and is not yet stored.

    Attributes:
        source: the key by which a later import recognises it.
        ids: the ids of conversations that it may be an export of.
        messages: how many of its messages are stored.
        notes: what had to be repaired.
        left_out: the number of values that are not stored, by reason.
        unknown: the number of values that were not understood, by kind.
    """

    format: str
    source: str
    title: str
    messages: int
    updated_at: datetime
    ids: tuple[ObjectId, ...] = ()
    notes: tuple[str, ...] = ()
    left_out: Mapping[str, int] = field(default_factory=dict)
    unknown: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportFile:
    """The content of all files of one import.

    Attributes:
        conversations: all of them; empty where they are too large to be kept in memory.
        preferences: display settings, where the file has any.
        truncated: whether reading stopped before the file's end.
        found: facts about each conversation, in the same order.
        reread: reads them from the files again, where they are not kept in memory.
    """

    conversations: tuple[NeutralConversation, ...] = ()
    preferences: ImportedPreferences | None = None
    skipped: tuple[Skipped, ...] = field(default=())
    truncated: bool = False
    found: tuple[Found, ...] = field(default=(), compare=False)
    reread: Iterable[NeutralConversation] | None = field(default=None, compare=False)

    def count_formats(self) -> Counter[str]:
        """Return the number of conversations by format."""
        return Counter(each.format for each in self.found)


def one_line(text: str) -> str:
    """Return the text as one printable line: a name may hold line breaks or stray bytes."""
    return "".join(char if char.isprintable() else "�" for char in text)
