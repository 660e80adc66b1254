"""What a format is to the rest of the import: how it is known, and how it is read."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from chatvault.importing.conversations import Skipped
from chatvault.importing.neutral import NeutralConversation
from chatvault.importing.streams import Stream
from chatvault.importing.structure import Structure


class Group(StrEnum):
    """What makes one conversation of records that name none."""

    DAY = "day"


@dataclass(frozen=True, slots=True)
class Settings:
    """Display settings that a file holds."""

    values: dict[str, Any]


Item = NeutralConversation | Skipped | Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What a reader may know beside the bytes.

    Attributes:
        now: the time of import.
        variant: what `detect` said.
        beside: the names of the files in the same archive.
        group: what makes one conversation of records that name none; else each is one.
    """

    now: datetime
    variant: str = ""
    beside: Collection[str] = field(default=())
    group: Group | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """A format that conversations come in.

    Attributes:
        name: what it is called in commands and in the key of a source.
        label: what people call it.
        detect: tells the variant by the structure; None where it is another format.
        read: yields what a file holds, one conversation after the other.
    """

    name: str
    label: str
    detect: Callable[[Structure], str | None]
    read: Callable[[Stream, Context], Iterator[Item]]
