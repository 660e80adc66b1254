"""Convert stored conversations and messages to the API's shape."""

from datetime import timedelta
from operator import itemgetter

import orjson

from chatvault.agents.models import DEFAULT_AGENT_ID
from chatvault.conversations.models import Conversation
from chatvault.conversations.reading.pages import ConversationView
from chatvault.conversations.reading.paths import leaf_id_of
from chatvault.conversations.shapes import (
    SUMMARY_FIELDS,
    ConversationDoc,
    MessageDoc,
    StoredMessage,
)
from chatvault.encoding import to_json
from chatvault.fields import Raw

# Defaults of conversations that were stored before there were agents.
ABSENT: Raw = {
    name: Conversation.model_fields[name].default
    for name in (
        "status",
        "archived_at",
        "agent_id",
        "system_prompt",
        "mcp_enabled",
        "summary",
        "active_reply_id",
        "total_tokens_used",
    )
}
# What may stand beside a conversation, and the field that tells; shown where it is true alone.
BESIDE = (("shared", "access_version"), ("noted", "notes_version"))
_NAMES = ("id", *SUMMARY_FIELDS)
_VALUES = itemgetter("_id", *SUMMARY_FIELDS)


def message_wire(stored: StoredMessage) -> Raw:
    """Return a stored message in the API's shape, with its place and the client's own fields."""
    message = stored.message
    shown: Raw = {"id": message["id"], "seq": stored.seq, **message}
    extra = shown.pop("extra", None)
    return shown if extra is None else {**extra, **shown}


def messages_wire(messages: list[StoredMessage]) -> list[Raw]:
    """Return stored messages in the API's shape; fast for messages without further fields."""
    return [
        {"id": message["id"], "seq": seq, **message}
        if "extra" not in message
        else message_wire(StoredMessage(seq, message))
        for seq, message, _ in messages
    ]


def run_wire(messages: list[MessageDoc], base: int) -> list[Raw]:
    """Return consecutive messages as the API shows them, without deleted ones."""
    return [
        {"id": message["id"], "seq": seq, **message}
        if "extra" not in message
        else message_wire(StoredMessage(seq, message))
        for seq, message in enumerate(messages, base)
        if "deleted" not in message
    ]


def summary_wire(stored: ConversationDoc) -> Raw:
    """Return a stored conversation as the API shows it without messages."""
    try:
        values = _VALUES(stored)
    except KeyError:
        values = _VALUES({**ABSENT, **stored})
    known = dict(zip(_NAMES, values, strict=True))
    known["agent_id"] = known["agent_id"] or DEFAULT_AGENT_ID
    known["category_id"] = stored.get("category_id")
    known["pinned"] = stored.get("pinned_at") is not None
    known["branched"] = stored.get("stored_messages") is not None
    for name, version in BESIDE:
        if stored.get(version) is not None:
            known[name] = True
    return known


def trash_wire(stored: ConversationDoc, *, days: int, is_held: bool) -> Raw:
    """Return the fields that a conversation in the trash has beside the others.

    Args:
        stored: the conversation.
        days: that it stays in the trash.
        is_held: whether a legal hold keeps it longer.
    """
    at = stored.get("deleted_at")
    purge_at = None if at is None or is_held else at + timedelta(days=days)
    return {"deleted_at": at, "purge_at": purge_at, "held": is_held}


def conversation_wire(shown: ConversationView) -> Raw:
    """Return a stored conversation as the API shows it with its messages."""
    wire = summary_wire(shown.conversation)
    wire["messages"] = _after(shown.older, shown.messages) if shown.older else shown.messages
    wire["messages_truncated"] = shown.is_truncated
    if wire["branched"]:
        wire["active_leaf"] = leaf_id_of(shown.conversation)
    return wire


def _after(older: bytes, messages: list[Raw]) -> orjson.Fragment:
    """Append messages to others that are already JSON."""
    parts = (older, to_json(messages)[1:-1]) if messages else (older,)
    return orjson.Fragment(b"[" + b",".join(parts) + b"]")
