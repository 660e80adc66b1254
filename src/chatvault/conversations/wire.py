"""Stored conversations and messages as they are shown."""

from chatvault.agents.models import DEFAULT_AGENT_ID
from chatvault.conversations.models import SUMMARY_FIELDS, Conversation, Raw
from chatvault.conversations.reading import Placed, Shown

# What conversations lack that were stored before agents came.
ABSENT: Raw = {
    name: Conversation.model_fields[name].default
    for name in (
        "archived_at",
        "agent_id",
        "system_prompt",
        "mcp_enabled",
        "summary",
        "active_reply_id",
        "total_tokens_used",
    )
}


def message_wire(placed: Placed) -> Raw:
    """A stored message as it is shown: its place, and the client's own fields beside ours."""
    seq, stored = placed
    shown = {"id": stored["id"], "seq": seq, **stored}
    extra = shown.pop("extra", None)
    return shown if extra is None else {**extra, **shown}


def summary_wire(stored: Raw) -> Raw:
    """A stored conversation as it is shown in a summary."""
    known = {**ABSENT, **stored}
    known["agent_id"] = known["agent_id"] or DEFAULT_AGENT_ID
    return {"id": stored["_id"], **{name: known[name] for name in SUMMARY_FIELDS}}


def conversation_wire(shown: Shown) -> Raw:
    """A stored conversation as it is shown with its messages."""
    wire = summary_wire(shown.conversation)
    wire["messages"] = [message_wire(placed) for placed in shown.messages]
    wire["messages_truncated"] = len(shown.messages) < shown.conversation["total_messages"]
    return wire
