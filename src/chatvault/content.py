"""Declarations of the fields with users' text in each collection, and how they are handled.

A model declares it as `holds`, beside its fields; `documents.HOLDS` has all of them.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Self


class Erased(StrEnum):
    """When a document is removed, as far as the erasure of a person is concerned."""

    WITH_OWNER = "with its owner"
    SOON = "soon, by itself"
    NEVER = "never"


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """The declaration of a collection's fields.

    Attributes:
        words: the fields with somebody's words, as paths; sealing encrypts these.
        plain: all other fields of text or of free form: names, codes, keys and ids of ours, and
            what is stored readably in any case.
        erased: when a document is removed.
        exported: whether an export of the owner's data contains the documents.
        backed_up: whether a backup contains them.
        kept_apart: whether a backup has them in a second file, as keys without which the first
            cannot be read.
    """

    words: tuple[str, ...] = ()
    plain: tuple[str, ...] = ()
    erased: Erased = Erased.WITH_OWNER
    exported: bool = False
    backed_up: bool = True
    kept_apart: bool = False

    @property
    def sealed(self) -> bool:
        """Whether sealing has anything to encrypt here."""
        return bool(self.words)

    def with_parts(self, name: str, parts: Self) -> Self:
        """Return the same for documents that hold such parts in a field of this name."""
        return type(self)(
            words=(*self.words, *(f"{name}.{each}" for each in parts.words)),
            plain=(*self.plain, *(f"{name}.{each}" for each in parts.plain)),
            erased=self.erased,
            exported=self.exported,
            backed_up=self.backed_up,
            kept_apart=self.kept_apart,
        )
