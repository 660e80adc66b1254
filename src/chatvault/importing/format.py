"""The interface of a format: how files of it are recognised and read."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from chatvault.importing.conversations import Skipped
from chatvault.importing.files.streams import Stream
from chatvault.importing.files.structure import Structure
from chatvault.importing.neutral import NeutralConversation


class Group(StrEnum):
    """The grouping of records that name no conversation."""

    DAY = "day"


@dataclass(frozen=True, slots=True)
class Settings:
    """Display settings in a file."""

    values: dict[str, Any]


Item = NeutralConversation | Skipped | Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """The context that a reader gets beside the bytes.

    Attributes:
        now: the time of import.
        variant: the result of `detect`.
        beside: the names of the files in the same archive.
        group: what makes one conversation of records that name none; else each is one.
    """

    now: datetime
    variant: str = ""
    beside: Collection[str] = field(default=())
    group: Group | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """A file format of conversations.

    Attributes:
        name: what it is called in commands and in the key of a source.
        label: its name for people.
        detect: returns the variant that a structure has; None for another format.
        read: yields the items of a file, one conversation at a time.
    """

    name: str
    label: str
    detect: Callable[[Structure], str | None]
    read: Callable[[Stream, Context], Iterator[Item]]
