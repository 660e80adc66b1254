"""Write chatvault's own lossless JSON, described by docs/schema/export-1.json."""

from typing import ClassVar

from chatvault.encoding import to_json
from chatvault.exporting.records import (
    About,
    Completeness,
    Counts,
    ExportedAttachment,
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
    if conversation.category:
        raw["category"] = conversation.category
    if conversation.pinned_at is not None:
        raw["pinned_at"] = conversation.pinned_at
    if conversation.active_leaf is not None:
        raw["active_leaf"] = conversation.active_leaf
    return raw


def attachment_raw(attachment: ExportedAttachment) -> Raw:
    """Return what is known of an attachment, with the path of its bytes if they are beside."""
    raw: Raw = {
        "id": attachment.id,
        "name": attachment.name,
        "mime": attachment.mime,
        "size": attachment.size,
        "source_ref": attachment.source_ref,
        "state": attachment.state,
        "created_at": attachment.created_at,
    }
    if attachment.path is not None:
        raw["file"] = attachment.path
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
        attachment_end: the bytes after the bytes of an attachment.
        begin_messages: the bytes between the attachments and the messages of `begin_attached`.
    """

    has_branches = True
    attachment_end: ClassVar = b'"}'
    begin_messages: ClassVar = b'],"messages":['
    around: ClassVar[tuple[bytes, bytes, bytes]]
    between: ClassVar[bytes]

    def __init__(self) -> None:
        self._has_conversation = False
        self._has_message = False

    def begin(self, conversation: ExportedConversation) -> bytes:
        """Return the beginning of the conversation, up to its messages."""
        raw = conversation_raw(conversation)
        if conversation.attachments:
            raw["attachments"] = [*map(attachment_raw, conversation.attachments)]
        return self._begin(raw) + b',"messages":['

    def begin_attached(self, conversation: ExportedConversation) -> bytes:
        """Return the beginning of the conversation, up to its first attachment.

        `begin_messages` comes after the last one.
        """
        return self._begin(conversation_raw(conversation)) + b',"attachments":['

    def attachment(
        self, attachment: ExportedAttachment, *, is_first: bool, has_data: bool
    ) -> bytes:
        """Return an attachment; with `has_data` its base64 and `attachment_end` are to follow."""
        before = b"" if is_first else b","
        raw = to_json(attachment_raw(attachment))
        return before + (raw[:-1] + b',"data":"' if has_data else raw)

    def _begin(self, raw: Raw) -> bytes:
        before = self.around[self._has_conversation]
        self._has_conversation, self._has_message = True, False
        return before + to_json(raw)[:-1]

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
