"""A message codec whose work is visible where it was left out or done twice."""

from typing import Any

from bson import ObjectId

CLEAR = ("id", "deleted")


class MarkingCodec:
    """Hides a message's fields under a mark with its owner's id.

    Raises:
        AssertionError: a message was encoded already, or is not, or is somebody else's.
    """

    def __init__(self) -> None:
        self.encoded = 0
        self.decoded = 0

    def encode(self, owner_id: ObjectId, messages: list[Any]) -> list[Any]:
        """Return the messages as they are stored."""
        self.encoded += len(messages)
        for message in messages:
            assert "marked" not in message, f"{message['id']} is encoded twice"
        return [
            {
                **{name: message[name] for name in CLEAR if name in message},
                "marked": owner_id,
                "fields": {name: each for name, each in message.items() if name not in CLEAR},
            }
            for message in messages
        ]

    def decode(self, owner_id: ObjectId, messages: list[Any]) -> list[Any]:
        """Return the messages from the stored ones."""
        self.decoded += len(messages)
        for message in messages:
            assert message.get("marked") == owner_id, f"{message['id']} is not encoded"
        return [
            {**{name: message[name] for name in CLEAR if name in message}, **message["fields"]}
            for message in messages
        ]
