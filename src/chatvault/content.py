"""Declarations of the fields with users' text in each collection, and how they are handled.

A model declares it as `holds`, beside its fields; `documents.HOLDS` has all of them.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Self

from bson import ObjectId


class Erased(StrEnum):
    """When a document is removed, as far as the erasure of a person is concerned.

    Erasure removes those with their owner, and does not wait for those that go soon by themselves.
    """

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
        owner: the field with the id of the user whose document it is; None where documents are of
            no user, or of several.
        also_of: fields with the ids of further users, with each of whom the document goes, too.
        is_owner_within: whether that field is a text that contains the id.
        exported: whether an export of the owner's data contains the documents.
        backed_up: whether a backup contains them.
        bound_to: the fields beside the owner that identify a document; sealed values are bound to
            them, and each write of words names them.
        has_codec: whether a codec of the collection's own seals, instead of `SealedCollection`.
        kept_apart: whether a backup has them in a second file, as keys without which the first
            cannot be read.
    """

    words: tuple[str, ...] = ()
    plain: tuple[str, ...] = ()
    erased: Erased = Erased.WITH_OWNER
    owner: str | None = "user_id"
    also_of: tuple[str, ...] = ()
    is_owner_within: bool = False
    exported: bool = False
    backed_up: bool = True
    kept_apart: bool = False
    bound_to: tuple[str, ...] = ("_id",)
    has_codec: bool = False

    def erased_with(self, user_id: ObjectId) -> dict[str, Any] | None:
        """Return the filter of what an erasure of this user removes; None where it is nothing."""
        if self.erased is Erased.NEVER or self.owner is None:
            return None
        if self.is_owner_within:
            return {self.owner: {"$regex": str(user_id)}}
        if self.also_of:
            return {"$or": [{name: user_id} for name in (self.owner, *self.also_of)]}
        return {self.owner: user_id}

    @property
    def sealed(self) -> bool:
        """Whether sealing has anything to encrypt here."""
        return bool(self.words)

    def with_parts(self, name: str, parts: Self) -> Self:
        """Return the same for documents that hold such parts in a field of this name."""
        return replace(
            self,
            words=(*self.words, *(f"{name}.{each}" for each in parts.words)),
            plain=(*self.plain, *(f"{name}.{each}" for each in parts.plain)),
        )
