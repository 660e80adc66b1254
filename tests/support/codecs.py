"""Codecs of tests."""

import os
from collections.abc import Collection, Sequence

from bson import ObjectId

from chatvault.conversations.codec import ContentCodec, EncodedRun, PlainCodec, SegmentKey
from chatvault.conversations.sealed import SealedCodec
from chatvault.conversations.shapes import ConversationDoc, MessageDoc
from chatvault.vault.data_keys import DataKeys
from chatvault.vault.masters import MasterKeys
from support.factories import MASTER_KEYS

MASTER = bytes(range(32))


def sealing(root: bytes | None = None) -> SealedCodec:
    """Return a codec that seals, with the master key of applications under test if they seal."""
    return SealedCodec(DataKeys(MasterKeys([root or usual_master() or MASTER])))


def usual_master() -> bytes | None:
    """Return the master key of applications under test, if their content is sealed."""
    key = os.environ.get(MASTER_KEYS)
    return None if key is None else bytes.fromhex(key)


def usual_codec() -> ContentCodec:
    """Return a codec that reads what applications under test write."""
    master = usual_master()
    return PlainCodec() if master is None else sealing(master)


class CountingCodec(SealedCodec):
    """A codec that seals, counts, and refuses to seal a message a second time.

    Attributes:
        opened: how many messages were decoded.
    """

    def __init__(self) -> None:
        # The key of the application, which opens the same users' data keys for other collections.
        super().__init__(DataKeys(MasterKeys([usual_master() or MASTER])))
        self.opened = 0

    def encode_tail(
        self, conversation: ConversationDoc, messages: Sequence[MessageDoc]
    ) -> list[MessageDoc]:
        assert not any("c" in each for each in messages)
        return super().encode_tail(conversation, messages)

    def encode_segment(
        self, key: SegmentKey, messages: Sequence[MessageDoc], first: int = 0
    ) -> EncodedRun:
        assert not any("c" in each for each in messages)
        return super().encode_segment(key, messages, first)

    def decode_conversation(
        self,
        document: ConversationDoc,
        *,
        final: bool = True,
        aware: bool = False,
        keep_stored: bool = False,
    ) -> None:
        self.opened += len(document.get("messages", ()))
        super().decode_conversation(document, final=final, aware=aware, keep_stored=keep_stored)

    async def fetch(self, owner_ids: Collection[ObjectId], *, to_write: bool = False) -> None:
        await super().fetch(owner_ids, to_write=to_write)
