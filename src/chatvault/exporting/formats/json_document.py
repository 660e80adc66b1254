"""Write chatvault's own lossless JSON, described by docs/schema/export-1.json."""

from typing import ClassVar

from chatvault.encoding import to_json
from chatvault.exporting.records import (
    About,
    Completeness,
    Counts,
    ExportedConversation,
    ExportedMessage,
)
from chatvault.exporting.writer import Writer
from chatvault.fields import Raw

FORMAT_VERSION = 1


def about_raw(about: About) -> Raw:
    """Return the header of the file."""
    return {
        "version": FORMAT_VERSION,
        "program": about.program,
        "exported_at": about.exported_at,
    }


def conversation_raw(conversation: ExportedConversation) -> Raw:
    """Return a conversation without its messages."""
    raw: Raw = {
        "id": conversation.id,
        "title": conversation.title,
        "status": conversation.status,
        "tags": conversation.tags,
        "metadata": conversation.metadata,
        "created_at": conversation.created_at,
        "updated_at": conversation.updated_at,
        "last_message_at": conversation.last_message_at,
        "archived_at": conversation.archived_at,
        "agent_id": conversation.agent_id,
        "system_prompt": conversation.system_prompt,
        "mcp_enabled": conversation.mcp_enabled,
        "summary": conversation.summary,
        "source": conversation.source,
        "total_tokens_used": conversation.total_tokens_used,
        "total_messages": conversation.total_messages,
        "version": conversation.version,
    }
    if conversation.active_leaf is not None:
        raw["active_leaf"] = conversation.active_leaf
    return raw


def message_raw(message: ExportedMessage) -> Raw:
    """Return a message without the fields that it does not have."""
    raw: Raw = {"id": message.id, "seq": message.seq, "role": message.role}
    raw["content"] = message.content
    if message.timestamp is not None:
        raw["timestamp"] = message.timestamp
    if message.model is not None:
        raw["model"] = message.model
    return raw | message.details


class JsonWriter(Writer):
    """Writes conversations as JSON objects, with separators around and between.

    Attributes:
        around: the bytes before the first conversation, between two, and after the last.
        between: the bytes between two messages.
    """

    has_branches = True
    around: ClassVar[tuple[bytes, bytes, bytes]]
    between: ClassVar[bytes]

    def __init__(self) -> None:
        self._has_conversation = False
        self._has_message = False

    def begin(self, conversation: ExportedConversation) -> bytes:
        """Return the beginning of the conversation, up to its messages."""
        before = self.around[self._has_conversation]
        self._has_conversation, self._has_message = True, False
        return before + to_json(conversation_raw(conversation))[:-1] + b',"messages":['

    def message(self, message: ExportedMessage) -> bytes:
        """Return a message, with a comma before all but the first."""
        before = self.between if self._has_message else self.between[1:]
        self._has_message = True
        return before + to_json(message_raw(message))

    def end(self, completeness: Completeness) -> bytes:
        """Return the end of the conversation, with its completeness."""
        return self.between[1:] + b'],"completeness":"' + completeness.encode() + b'"}'


class JsonDocument(JsonWriter):
    """Writes one JSON object with all conversations, which ends with the counts."""

    media_type = "application/json"
    suffix = ".json"
    around = (b"\n", b",\n", b"\n")
    between = b",\n"

    def write_head(self, about: About) -> bytes:
        """Return the beginning of the object."""
        return b'{"chatvault":' + to_json(about_raw(about)) + b',\n"conversations":['

    def write_tail(self, counts: Counts) -> bytes:
        """Return the end of the object."""
        after = self.around[2] if self._has_conversation else b""
        return after + b'],\n"end":' + to_json(counts.to_raw()) + b"}\n"
