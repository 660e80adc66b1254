"""Messages as they are stored: what turns them into that, and back."""

from typing import Protocol

from bson import ObjectId

from chatvault.conversations.shapes import MessageDoc


class MessageCodec(Protocol):
    """Encodes messages for MongoDB, and decodes those that come from it.

    Each message passes once on its way in and once on its way out. `id` and `deleted` stay as
    they are, because queries name them. Sizes (`message_bytes`, `tail_bytes`, a segment's `bytes`)
    are those of decoded messages, so an encoded one should not be much larger. Neither method
    changes the messages that it is given.
    """

    def encode(self, owner_id: ObjectId, messages: list[MessageDoc]) -> list[MessageDoc]:
        """Return what is stored of an owner's messages."""

    def decode(self, owner_id: ObjectId, messages: list[MessageDoc]) -> list[MessageDoc]:
        """Return an owner's messages from what is stored; some may lie there not encoded."""


class PlainCodec:
    """Stores messages as they are."""

    def encode(self, owner_id: ObjectId, messages: list[MessageDoc]) -> list[MessageDoc]:  # noqa: ARG002  # protocol
        """Return the messages."""
        return messages

    def decode(self, owner_id: ObjectId, messages: list[MessageDoc]) -> list[MessageDoc]:  # noqa: ARG002  # protocol
        """Return the messages."""
        return messages
