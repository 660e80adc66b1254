"""Turning the messages that a link shows into messages of a new conversation."""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Final, cast

from chatvault.conversations.shapes import MessageDoc
from chatvault.fields import Raw

# What a copy keeps of a message; who answered, and at what cost, is not the copy's own.
KEPT: Final = ("role", "content", "parts", "model")


def stored_messages(shown: Sequence[Raw], at: datetime) -> list[MessageDoc]:
    """Return shown messages as they are stored, with new ids, and without files.

    Args:
        shown: the messages of a link.
        at: the time of those without one.
    """
    return [_stored(message, at) for message in shown]


def _stored(message: Raw, at: datetime) -> MessageDoc:
    kept: Raw = {name: message[name] for name in KEPT if name in message}
    # The files themselves are in no link.
    parts = [part for part in kept.pop("parts", ()) if part["type"] != "file"]
    if any(part["type"] != "text" for part in parts):
        kept["parts"] = parts
    stored: Raw = {"id": str(uuid.uuid4()), **kept, "timestamp": message.get("timestamp", at)}
    if "timestamp" not in message:
        stored["time_source"] = "conversation"
    return cast("MessageDoc", stored)
