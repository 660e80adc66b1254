"""Grok's export: one object with all conversations, with keys in snake_case or camelCase."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final, cast

from chatvault.conversations.parts import Part
from chatvault.fields import Raw
from chatvault.importing.conversations import Skipped
from chatvault.importing.drafts import Draft, UnfitError
from chatvault.importing.files.jsontext import Cursor
from chatvault.importing.files.streams import Stream, read_text
from chatvault.importing.files.structure import Structure, first_of
from chatvault.importing.files.values import (
    digest,
    fields,
    items,
    name_of,
    number,
    objects,
    parse_time,
    present,
    rest,
    text,
)
from chatvault.importing.format import Context, Format, Item
from chatvault.importing.formats.records import read_record
from chatvault.importing.neutral import Attachment, NeutralConversation, Role
from chatvault.importing.trees import chain

_ROLES: Final[dict[str, Role]] = {
    "human": "user",
    "user": "user",
    "assistant": "assistant",
    "system": "system",
    "agent": "assistant",
}
_CONVERSATION = {
    "id", "conversationId", "title", "create_time", "createTime", "modify_time", "modifyTime",
    "user_id", "userId",
}  # fmt: skip
_RESPONSE = {
    "_id", "responseId", "conversation_id", "conversationId", "message", "sender", "create_time",
    "createTime", "parent_response_id", "parentResponseId", "model", "thinking_trace",
    "thinkingTrace", "file_attachments", "fileAttachments", "partial",
}  # fmt: skip


def detect(structure: Structure) -> str | None:
    """Detect conversations beside their responses."""
    if structure.kind != "object":
        return None
    first = first_of(structure.first, "conversations")
    is_one = "conversation" in first or "responses" in first
    return "conversations" if is_one and "from" not in first else None


def read(stream: Stream, context: Context) -> Iterator[Item]:
    """Yield the conversations of a file; other items are reported as skipped."""
    cursor = Cursor(read_text(stream))
    for key in cursor.members():
        if key == "conversations" and cursor.peek() == "[":
            for count, raw in cursor.numbered():
                yield read_record(f"conversation {count}", raw, lambda each: _read(each, context))
        elif cursor.value():
            name = key if key.isidentifier() else "a field"
            yield Skipped(place=name, reason="no conversations")
    cursor.end()


def _either(raw: Raw, snake: str) -> Any:
    """Return a field by its name in snake_case or camelCase."""
    if snake in raw:
        return raw[snake]
    first, *others = snake.split("_")
    return raw.get(first + "".join(each.capitalize() for each in others))


def _time(value: object) -> datetime | None:
    """Read a time: a text, or MongoDB's extended JSON."""
    held = fields(value).get("$date", value)
    held = fields(held).get("$numberLong", held)
    return parse_time(number(held) if number(held) is not None else held)


def _read(raw: Raw, context: Context) -> NeutralConversation:
    about = fields(raw.get("conversation"))
    found = raw.get("responses")
    if not isinstance(found, list):
        raise UnfitError("holds no 'responses'")
    responses = [fields(each.get("response")) or each for each in objects(found)]
    own_id = name_of(about.get("id")) or name_of(about.get("conversationId"))
    created = _either(about, "create_time")
    asked = responses[0].get("message") if responses else None
    draft = Draft(
        format=FORMAT.name,
        source_id=own_id or f"sha256:{digest(created, asked)}",
        now=context.now,
        title=text(about.get("title")) or "",
        created_at=_time(created),
        updated_at=_time(_either(about, "modify_time")),
        source=rest(about, _CONVERSATION) | rest(raw, {"conversation", "responses"}),
    )
    for response in responses:
        _add(draft, response)
    if not any(message.parent_id for message in draft.messages):
        chain(draft.messages)
    return draft.finish(leaf=name_of(about.get("leaf_response_id")))


def _add(draft: Draft, response: Raw) -> None:
    sender = str(response.get("sender")).lower()
    if sender not in _ROLES:
        draft.unknown[f"sender {sender}"[:64]] += 1
    draft.add(
        id=name_of(response.get("_id")) or name_of(response.get("responseId")),
        parent=name_of(_either(response, "parent_response_id")),
        role=_ROLES.get(sender, "assistant"),
        parts=_parts(draft, response),
        time=_time(_either(response, "create_time")),
        model=text(response.get("model")) if sender != "human" else None,
        cancelled=True if response.get("partial") is True else None,
        extra=rest(response, _RESPONSE),
    )


def _parts(draft: Draft, response: Raw) -> Iterator[Part]:
    if thought := text(_either(response, "thinking_trace")):
        yield {"type": "thinking", "text": thought}
    if said := text(response.get("message")):
        yield {"type": "text", "text": said}
    for each in items(_either(response, "file_attachments")):
        raw = fields(each) or {"id": each}
        reference = name_of(_either(raw, "file_metadata_id")) or name_of(raw.get("id"))
        found = Attachment(
            id=reference or draft.next_attachment(),
            name=text(_either(raw, "file_name")) or text(raw.get("name")),
            mime=text(_either(raw, "file_mime_type")),
            size=number(_either(raw, "file_size")),
            source_ref=reference,
        )
        yield draft.attach(found)
    for name in ("web_search_results", "cited_web_search_results"):
        for raw in objects(_either(response, name)):
            cited = {
                "type": "citation",
                "url": text(raw.get("url")),
                "title": text(raw.get("title")),
                "quote": text(raw.get("preview")),
            }
            if cited["url"]:
                yield cast("Part", present(cited))


FORMAT: Final = Format(name="grok", label="Grok", detect=detect, read=read)
