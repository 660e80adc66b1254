"""What the actor has already of what a file holds, and what the actor has deleted."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from bson import ObjectId

from chatvault.access import Access
from chatvault.conversations.models import Conversation
from chatvault.conversations.tombstones import Tombstone, hash_source
from chatvault.importing.conversations import Found
from chatvault.keys import SecretKey


@dataclass(frozen=True, slots=True)
class Known:
    """The actor's conversations when an import begins, and those that were deleted before.

    It only spares work: that nothing is imported twice is the unique index's doing.

    Attributes:
        sources: the keys of those that were imported.
        ids: of all of them, where the file has exports of ours; else empty.
        deleted_sources: the keys of what the file holds and was deleted.
        deleted_ids: the ids of what the file holds and was deleted.
    """

    sources: set[str]
    ids: frozenset[ObjectId]
    deleted_sources: frozenset[str]
    deleted_ids: set[ObjectId]

    @classmethod
    async def of(
        cls, access: Access, key: SecretKey, found: Sequence[Found], *, restore_deleted: bool
    ) -> Self:
        """Return what the owner has of what was found.

        Args:
            access: to the owner's data.
            key: hashes the sources of deleted conversations.
            found: what the file holds.
            restore_deleted: whether what was deleted counts as any other.
        """
        own_ids = {own_id for each in found for own_id in each.ids}
        ids = frozenset(await Conversation.list_ids(access)) if own_ids else frozenset[ObjectId]()
        sources = await Conversation.list_sources(access)
        deleted: set[str] = set()
        deleted_ids: set[ObjectId] = set()
        hashes: dict[str, str] = {}
        if not restore_deleted:
            new = (each.source for each in found if each.source not in sources)
            hashes = {hash_source(access, key, source): source for source in new}
            deleted = await Tombstone.list_sources(access, hashes.keys())
            deleted_ids = await Tombstone.list_ids(access, own_ids - ids)
        return cls(sources, ids, frozenset(hashes[each] for each in deleted), deleted_ids)

    def holds(self, found: Found) -> bool:
        """Return whether the conversation is there."""
        return found.source in self.sources or self.id_of(found) is not None

    def was_deleted(self, found: Found) -> bool:
        """Return whether the conversation was there, was deleted, and is to stay so."""
        is_deleted = found.source in self.deleted_sources or bool(self.deleted_ids & {*found.ids})
        return is_deleted and not self.holds(found)

    def id_of(self, found: Found) -> ObjectId | None:
        """Return the id of the conversation that this is an export of, known by no source."""
        if found.source in self.sources:
            return None
        return next((each for each in found.ids if each in self.ids), None)
