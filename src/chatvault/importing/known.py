"""What the actor has already of what a file holds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from bson import ObjectId

from chatvault.access import Access
from chatvault.conversations.models import Conversation
from chatvault.importing.conversations import Found


@dataclass(frozen=True, slots=True)
class Known:
    """The actor's conversations when an import begins.

    It only spares work: that nothing is imported twice is the unique index's doing.

    Attributes:
        sources: the keys of those that were imported.
        ids: of all of them, where the file has exports of ours; else empty.
    """

    sources: set[str]
    ids: frozenset[ObjectId]

    @classmethod
    async def of(cls, access: Access, found: Sequence[Found]) -> Self:
        """Return what the owner has of what was found."""
        has_ids = any(each.ids for each in found)
        ids = frozenset(await Conversation.list_ids(access)) if has_ids else frozenset[ObjectId]()
        return cls(await Conversation.list_sources(access), ids)

    def holds(self, found: Found) -> bool:
        """Return whether the conversation is there."""
        return found.source in self.sources or self.id_of(found) is not None

    def id_of(self, found: Found) -> ObjectId | None:
        """Return the id of the conversation that this is an export of, known by no source."""
        if found.source in self.sources:
            return None
        return next((each for each in found.ids if each in self.ids), None)
