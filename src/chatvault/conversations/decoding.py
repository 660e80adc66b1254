"""Decoding documents that were read, with the keys of their owners."""

from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import TypeVar, cast

from bson import ObjectId

from chatvault.conversations.codec import ContentCodec
from chatvault.conversations.shapes import ConversationDoc, RevisionDoc, SegmentDoc
from chatvault.fields import Raw
from chatvault.vault.damage import OnDamage, log_damage
from chatvault.vault.envelope import UnknownEpoch

D = TypeVar("D")
C = TypeVar("C", bound=ConversationDoc)
S = TypeVar("S", bound=SegmentDoc)


class ContentDecoder:
    """Decodes documents in place, and fetches the keys that this needs.

    Args:
        codec: decodes.
        on_damage: records what does not open; by default it is logged only.
    """

    def __init__(self, codec: ContentCodec, on_damage: OnDamage | None = None) -> None:
        self.codec = codec
        self.on_damage = on_damage or log_damage

    async def fetch_to_write(self, owner_id: ObjectId) -> None:
        """Fetch the keys that encoding an owner's content needs."""
        if missing := self.codec.missing([owner_id], to_write=True):
            await self.codec.fetch(missing, to_write=True)

    async def open_conversations(
        self, documents: Collection[C], *, aware: bool = False, keep_stored: bool = False
    ) -> list[C]:
        """Decode conversations in place; return them.

        Args:
            documents: with `user_id` and, if they have messages, with `generation`.
            aware: whether times have a zone.
            keep_stored: whether each also gets its messages as they are stored, as `stored`.
        """
        decode = partial(self.codec.decode_conversation, aware=aware, keep_stored=keep_stored)
        return await self._open(documents, decode)

    async def open_segments(
        self,
        documents: Collection[S],
        *,
        places: Callable[[SegmentDoc], Sequence[int] | None] | None = None,
        aware: bool = False,
    ) -> list[S]:
        """Decode segments in place; return them.

        Args:
            documents: with `user_id`, `generation`, `length` and `runs`.
            places: returns the places of the messages of a segment, if it does not have its last.
            aware: whether times have a zone.
        """

        def decode(segment: S, *, final: bool) -> None:
            mine = places(segment) if places else None
            self.codec.decode_segment(segment, mine, final=final, aware=aware)

        return await self._open(documents, decode)

    async def open_revisions(self, revisions: list[Raw]) -> list[RevisionDoc]:
        """Decode revisions in place; return them."""
        return cast("list[RevisionDoc]", await self._open(revisions, self.codec.decode_revision))

    async def _open(self, documents: Collection[D], decode: Callable[..., None]) -> list[D]:
        """Decode documents with the keys of their owners, which are read again if one is new."""
        found, codec = [*documents], self.codec
        if not codec.reads_sealed or not found:
            return found
        # By their bytes, as ids are compared by a call each.
        ids = [cast("Raw", each)["user_id"] for each in found]
        owners = {each.binary: each for each in ids}.values()
        if missing := codec.missing(owners):
            await codec.fetch(missing)
        try:
            for each in found:
                decode(each, final=False)
        except UnknownEpoch:
            await codec.fetch(owners)
            for each in found:
                decode(each, final=True)
        if damage := codec.take_damage():
            await self.on_damage(damage)
        return found
