"""Conversations in the OpenAI API's form: `messages` with roles, in an array or one a line."""

from collections.abc import Iterator
from typing import Final, cast

from chatvault.conversations.parts import Part
from chatvault.fields import Raw
from chatvault.importing.conversations import Skipped
from chatvault.importing.drafts import Draft, UnfitError
from chatvault.importing.files.jsontext import Cursor
from chatvault.importing.files.streams import Stream, read_text
from chatvault.importing.files.structure import Structure, first_of
from chatvault.importing.files.values import (
    fields,
    items,
    name_of,
    objects,
    parse_time,
    present,
    rest,
    text,
)
from chatvault.importing.format import Context, Format, Item
from chatvault.importing.formats.records import Copies, read_lines, read_record, read_records
from chatvault.importing.neutral import Attachment, NeutralConversation, Role
from chatvault.importing.trees import chain

ROLES: Final[dict[str, Role]] = {
    "user": "user",
    "assistant": "assistant",
    "system": "system",
    "developer": "system",
    "tool": "tool",
    "function": "tool",
}
# The names of other products' lists of messages with roles.
_OTHERS: Final = frozenset(
    {
        "createdAt", "updatedAt", "isLoading", "responseCount", "thinkingTimes", "projectHash",
        "conversationId", "rootMessageId", "folderId", "prompt", "topic", "history", "uuid",
    }
)  # fmt: skip
_RECORD = {"id", "messages", "title", "model", "created_at", "created"}
_MESSAGE = {
    "id", "role", "content", "tool_calls", "tool_call_id", "function_call", "name",
    "reasoning_content", "reasoning", "refusal", "created_at", "timestamp", "model",
}  # fmt: skip


def detect(structure: Structure) -> str | None:
    """Detect messages with roles without the fields of other formats."""
    if structure.kind == "array" and structure.any(_is_message):
        return "messages"
    if not structure.any(_is_record):
        return None
    return "lines" if structure.kind == "lines" else "json"


def read(stream: Stream, context: Context) -> Iterator[Item]:
    """Yield the conversations of a file."""
    copies = Copies()

    def read_one(raw: Raw) -> NeutralConversation:
        return _conversation(raw, context, copies)

    if context.variant == "lines":
        for number, line in read_lines(stream):
            if isinstance(line, Skipped):
                yield line
            else:
                yield read_record(f"line {number}", line, read_one)
    elif context.variant == "messages":
        cursor = Cursor(read_text(stream))
        messages = [raw for _, raw in cursor.numbered("message")]
        cursor.end()
        yield read_record("the conversation", {"messages": messages}, read_one)
    else:
        yield from read_records(stream, read_one)


def _is_message(raw: Raw) -> bool:
    return text(raw.get("role")) in ROLES and ("content" in raw or "tool_calls" in raw)


def _is_record(raw: Raw) -> bool:
    first = first_of(raw, "messages")
    is_ours = text(first.get("role")) in ROLES and not first.keys() & {"type", "timestamp", "parts"}
    return is_ours and not raw.keys() & _OTHERS


def _conversation(raw: Raw, context: Context, copies: Copies) -> NeutralConversation:
    messages = raw.get("messages")
    if not isinstance(messages, list):
        raise UnfitError("holds no 'messages'")
    draft = Draft(
        format=FORMAT.name,
        # Named by content: many begin with the same question, and there are no times.
        source_id=name_of(raw.get("id")) or copies.name(raw),
        now=context.now,
        title=text(raw.get("title")) or "",
        created_at=parse_time(raw.get("created_at")) or parse_time(raw.get("created")),
        default_model=text(raw.get("model")),
        source=rest(raw, _RECORD),
    )
    for message in objects(messages):
        add_message(draft, message)
    chain(draft.messages)
    return draft.finish()


def add_message(draft: Draft, message: Raw) -> None:
    """Add a message with a role."""
    stated = str(message.get("role")).lower()
    if stated not in ROLES:
        draft.unknown[f"role {stated}"[:64]] += 1
    role = ROLES.get(stated, "system")
    draft.add(
        id=name_of(message.get("id")),
        role=role,
        parts=_parts(draft, message, role),
        time=parse_time(message.get("created_at")) or parse_time(message.get("timestamp")),
        model=text(message.get("model")),
        extra=rest(message, _MESSAGE),
    )


def _parts(draft: Draft, message: Raw, role: Role) -> Iterator[Part]:
    for name in ("reasoning_content", "reasoning"):
        if thought := text(message.get(name)):
            yield {"type": "thinking", "text": thought}
            break
    if role == "tool":
        answer = {
            "type": "tool_result",
            "call_id": name_of(message.get("tool_call_id")),
            "name": text(message.get("name")),
            "output": message.get("content"),
        }
        yield cast("Part", present(answer))
        return
    yield from _content(draft, message.get("content"))
    if refused := text(message.get("refusal")):
        yield {"type": "text", "text": refused, "extra": {"refusal": True}}
    calls = objects(message.get("tool_calls"))
    for call in [*calls, *({"function": each} for each in [message.get("function_call")] if each)]:
        function = fields(call.get("function")) or fields(call.get("custom"))
        made = {
            "type": "tool_call",
            "id": name_of(call.get("id")),
            "name": text(function.get("name")) or "",
            "input": function.get("arguments", function.get("input", {})),
        }
        yield cast("Part", present(made))


def _content(draft: Draft, content: object) -> Iterator[Part]:
    for block in [content] if isinstance(content, str) else items(content):
        raw = fields(block)
        if isinstance(block, str):
            yield {"type": "text", "text": block}
        elif text(raw.get("type")) in {"text", "input_text", "output_text"}:
            # Some training data uses `value`.
            yield {"type": "text", "text": text(raw.get("text")) or text(raw.get("value")) or ""}
        elif raw.get("type") == "image_url":
            held = raw.get("image_url")
            yield _picture(draft, text(held) or text(fields(held).get("url")) or "")
        else:
            yield draft.keep_raw(raw.get("type"), block)


def _picture(draft: Draft, url: str) -> Part:
    is_inline = url.startswith("data:")
    found = Attachment(
        id=draft.next_attachment(),
        mime=url[5:].partition(";")[0] if is_inline else "image/*",
        source_ref=None if is_inline else url,
        state="present" if is_inline else "absent",
        data=url.partition(",")[2] if is_inline else None,
    )
    return draft.attach(found)


FORMAT: Final = Format(name="openai-messages", label="OpenAI messages", detect=detect, read=read)
