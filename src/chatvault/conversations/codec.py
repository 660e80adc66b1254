"""Encoding messages for MongoDB, and decoding them."""

from typing import Protocol

from bson import ObjectId

from chatvault.conversations.shapes import MessageDoc


class MessageCodec(Protocol):
    """Encodes messages for MongoDB, and decodes stored ones.

    Each message is encoded once when written and decoded once when read. `id` and `deleted` stay as
    they are, because queries name them. Sizes (`message_bytes`, `tail_bytes`, a segment's `bytes`)
    are those of decoded messages, so an encoded one should not be much larger. Neither method
    changes the messages that it is given.
    """

    def encode(self, owner_id: ObjectId, messages: list[MessageDoc]) -> list[MessageDoc]:
        """Return an owner's messages as they are stored."""

    def decode(self, owner_id: ObjectId, messages: list[MessageDoc]) -> list[MessageDoc]:
        """Return an owner's messages from the stored ones, some of which may not be encoded."""


class PlainCodec:
    """Stores messages as they are."""

    def encode(self, owner_id: ObjectId, messages: list[MessageDoc]) -> list[MessageDoc]:  # noqa: ARG002  # protocol
        """Return the messages."""
        return messages

    def decode(self, owner_id: ObjectId, messages: list[MessageDoc]) -> list[MessageDoc]:  # noqa: ARG002  # protocol
        """Return the messages."""
        return messages
