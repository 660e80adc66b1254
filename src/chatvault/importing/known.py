"""Look up the conversations of a file that the actor already has or has deleted."""

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
    """The actor's conversations at the beginning of an import, and the deleted ones.

    It only saves work: the unique index prevents that anything is imported twice.

    Attributes:
        sources: the keys of imported conversations.
        ids: the ids of all conversations, if the file is an export of chatvault; else empty.
        deleted_sources: the keys of the file's conversations that were deleted.
        deleted_ids: the ids of the file's conversations that were deleted.
    """

    sources: set[str]
    ids: frozenset[ObjectId]
    deleted_sources: frozenset[str]
    deleted_ids: set[ObjectId]

    @classmethod
    async def of(
        cls, access: Access, key: SecretKey, found: Sequence[Found], *, restore_deleted: bool
    ) -> Self:
        """Look up which of the conversations the owner has.

        Args:
            access: to the owner's data.
            key: hashes the sources of deleted conversations.
            found: the file's conversations.
            restore_deleted: whether to import deleted conversations like others.
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
        """Return whether the owner has the conversation."""
        return found.source in self.sources or self.id_of(found) is not None

    def was_deleted(self, found: Found) -> bool:
        """Return whether the conversation was deleted and must not be imported again."""
        is_deleted = found.source in self.deleted_sources or bool(self.deleted_ids & {*found.ids})
        return is_deleted and not self.holds(found)

    def id_of(self, found: Found) -> ObjectId | None:
        """Return the id of the conversation that this is an export of, if no source is known."""
        if found.source in self.sources:
            return None
        return next((each for each in found.ids if each in self.ids), None)
