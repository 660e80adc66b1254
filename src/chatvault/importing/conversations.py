"""What a file turns out to hold, and how the import says that it cannot be imported."""

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
    """Something in the file that is not imported: where it stands, and why.

    Attributes:
        is_damage: whether the file is bad for it, and imported only if that is asked for.
    """

    place: str
    reason: str
    is_damage: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What is known of a conversation before it is stored.

    Attributes:
        source: the key by which an import knows it again.
        ids: the ids of conversations that it may be an export of.
        messages: how many of its messages are stored.
        notes: what had to be mended.
        left_out: how much of what is not stored.
        unknown: how many things of which kind were not understood.
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
    """All that one import holds.

    Attributes:
        conversations: all of them; none where they are too large to be kept.
        preferences: display settings, where the file has any.
        truncated: whether reading stopped before the file's end.
        found: what is known of each conversation, in the same order.
        reread: reads them anew each time, where they are not kept.
    """

    conversations: tuple[NeutralConversation, ...] = ()
    preferences: ImportedPreferences | None = None
    skipped: tuple[Skipped, ...] = field(default=())
    truncated: bool = False
    found: tuple[Found, ...] = field(default=(), compare=False)
    reread: Iterable[NeutralConversation] | None = field(default=None, compare=False)

    def count_formats(self) -> Counter[str]:
        """Return how many conversations came in which format."""
        return Counter(each.format for each in self.found)


def one_line(text: str) -> str:
    """Return the text as one printable line: a name may hold line breaks or stray bytes."""
    return "".join(char if char.isprintable() else "�" for char in text)
