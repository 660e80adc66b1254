"""The part of a conversation that is stored today: one branch, its words, and a count of the rest.

Branches, parts, hidden messages and attachments have no place in the store yet.
"""

from collections import Counter
from typing import Final

from chatvault.fields import MAX_FREE_BYTES
from chatvault.importing.neutral import NeutralConversation, NeutralMessage
from chatvault.mongodb.storable import check_storable

_PARTS: Final = {
    "thinking": "thoughts",
    "tool_call": "tool calls",
    "tool_result": "tool results",
    "file": "files",
    "citation": "citations",
    "raw": "contents of other kinds",
}
OTHER_BRANCHES: Final = "messages on other branches"
HIDDEN: Final = "hidden messages"
WITHOUT_TEXT: Final = "messages without text"
TOOLS: Final = "messages of tools"
TOO_LARGE: Final = "fields over 256 KB"


def linearize(
    conversation: NeutralConversation,
) -> tuple[list[NeutralMessage], Counter[str]]:
    """Return the messages to store, in order, and how much of what is left out."""
    path = conversation.active_path()
    left_out: Counter[str] = Counter()
    if others := len(conversation.messages) - len(path):
        left_out[OTHER_BRANCHES] = others
    kept = []
    for message in path:
        reason = _reason(message)
        if reason is not None:
            left_out[reason] += 1
            continue
        left_out.update(_PARTS[part["type"]] for part in message.parts if part["type"] in _PARTS)
        kept.append(message)
    if conversation.active_leaf is not None:
        # As large as what comes over HTTP; those of localStorage are stored as they always were.
        for message in kept:
            if message.extra and check_storable(message.extra, max_bytes=MAX_FREE_BYTES):
                message.extra = {}
                left_out[TOO_LARGE] += 1
    return kept, left_out


def _reason(message: NeutralMessage) -> str | None:
    if message.hidden:
        return HIDDEN
    if message.role == "tool":
        return TOOLS
    if message.parts and not message.content:
        return WITHOUT_TEXT
    return None
