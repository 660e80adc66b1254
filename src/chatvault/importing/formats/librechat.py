"""LibreChat's export of a conversation: all branches or one, flat or nested."""

from collections.abc import Iterator
from typing import Final, cast

from chatvault.conversations.parts import Part
from chatvault.fields import Raw
from chatvault.importing.drafts import Draft, UnfitError
from chatvault.importing.files.streams import Stream
from chatvault.importing.files.structure import Structure
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
from chatvault.importing.formats.records import read_records
from chatvault.importing.neutral import Attachment, NeutralConversation
from chatvault.importing.trees import chain

_NIL: Final = "00000000-0000-0000-0000-000000000000"
_LISTS: Final = ("messages", "messagesTree")
_CONVERSATION = {"conversationId", "title", "messages", "messagesTree", "options", "user"}
_MESSAGE = {
    "_id", "__v", "messageId", "conversationId", "parentMessageId", "text", "isCreatedByUser",
    "createdAt", "updatedAt", "model", "content", "files", "attachments", "children", "user",
    "error", "unfinished",
}  # fmt: skip


def detect(structure: Structure) -> str | None:
    """Detect the id of a conversation beside its messages."""
    return "conversation" if structure.any(_is_conversation) else None


def read(stream: Stream, context: Context) -> Iterator[Item]:
    """Yield the conversations of a file."""
    # In the nested variant, each answer is inside its question.
    yield from read_records(stream, lambda raw: _read_one(raw, context), deep=True)


def _is_conversation(raw: Raw) -> bool:
    has_list = any(isinstance(raw.get(name), list) for name in _LISTS)
    return "conversationId" in raw and (has_list or ("endpoint" in raw and "options" in raw))


def _read_one(raw: Raw, context: Context) -> NeutralConversation:
    held = next((raw[name] for name in _LISTS if isinstance(raw.get(name), list)), None)
    if held is None:
        raise UnfitError("holds no 'messages'")
    options = fields(raw.get("options"))
    own_id = name_of(raw.get("conversationId"))
    draft = Draft(
        format=FORMAT.name,
        source_id=own_id
        or f"sha256:{digest([name_of(fields(each).get('messageId')) for each in held[:1]])}",
        now=context.now,
        title=text(raw.get("title")) or "",
        default_model=text(options.get("model")),
        source=rest(raw, _CONVERSATION) | present({"options": present(options) or None}),
    )
    is_tree = False
    for message, above in _flat(held):
        parent = name_of(message.get("parentMessageId"))
        is_tree = is_tree or "parentMessageId" in message or above is not None
        draft.add(
            id=name_of(message.get("messageId")),
            parent=above if above is not None else None if parent == _NIL else parent,
            role="user" if _is_by_user(message) else "assistant",
            parts=_parts(draft, message),
            time=parse_time(message.get("createdAt")),
            model=text(message.get("model")),
            cancelled=True if message.get("unfinished") is True else None,
            extra=rest(message, _MESSAGE) | ({"error": True} if message.get("error") else {}),
        )
    if not is_tree:
        chain(draft.messages)
    return draft.finish()


def _flat(held: list[object]) -> Iterator[tuple[Raw, str | None]]:
    """Yield each message with the id of the message that it is nested in."""
    pending = [(each, None) for each in reversed(held) if isinstance(each, dict)]
    rest_of: list[tuple[Raw, str | None]] = [*pending]
    while rest_of:
        message, above = rest_of.pop()
        yield message, above
        own = name_of(message.get("messageId"))
        children = [each for each in items(message.get("children")) if isinstance(each, dict)]
        rest_of += [(each, own) for each in reversed(children)]


def _is_by_user(message: Raw) -> bool:
    said = message.get("isCreatedByUser")
    return said if isinstance(said, bool) else str(message.get("sender")).lower() == "user"


def _parts(draft: Draft, message: Raw) -> Iterator[Part]:
    blocks = items(message.get("content"))
    if not blocks and (written := text(message.get("text"))):
        yield {"type": "text", "text": written}
    for block in blocks:
        yield from _block(draft, block)
    for name in ("files", "attachments"):
        for raw in objects(message.get(name)):
            yield _file(draft, raw)


def _block(draft: Draft, block: object) -> Iterator[Part]:
    raw = fields(block)
    kind = raw.get("type")
    held = raw.get(kind) if isinstance(kind, str) else None
    match kind:
        case "text" | "error":
            words = text(held) or text(fields(held).get("value"))
            yield {"type": "text", "text": words or text(raw.get("text")) or ""}
        case "think":
            yield {"type": "thinking", "text": text(held) or text(fields(held).get("value")) or ""}
        case "tool_call":
            yield from _tool_call(fields(held))
        case "image_file" | "image_url":
            yield _file(draft, fields(held))
        case _:
            yield draft.keep_raw(kind, block)


def _tool_call(call: Raw) -> Iterator[Part]:
    own_id = name_of(call.get("id"))
    function = fields(call.get("function"))
    made = {
        "type": "tool_call",
        "id": own_id,
        "name": text(call.get("name")) or text(function.get("name")) or "",
        "input": call.get("args", function.get("arguments", {})),
        "extra": rest(call, {"id", "name", "args", "output", "function"}) or None,
    }
    yield cast("Part", present(made))
    output = call.get("output", function.get("output"))
    if output is not None:
        yield cast("Part", present({"type": "tool_result", "call_id": own_id, "output": output}))


def _file(draft: Draft, raw: Raw) -> Part:
    reference = name_of(raw.get("file_id"))
    url = text(raw.get("url"))
    data = url.partition(",")[2] if url and url.startswith("data:") else None
    found = Attachment(
        id=reference or draft.next_attachment(),
        name=text(raw.get("filename")),
        mime=text(raw.get("type")),
        size=number(raw.get("bytes")),
        source_ref=text(raw.get("filepath")) or (None if data else url) or reference,
        state="present" if data else "absent",
        data=data,
    )
    known = {
        "_id", "__v", "user", "file_id", "filename", "type", "bytes", "filepath", "width",
        "height", "conversationId", "messageId", "url",
    }  # fmt: skip
    return draft.attach(
        found,
        width=number(raw.get("width")),
        height=number(raw.get("height")),
        text=text(raw.get("text")),
        extra=rest(raw, known | {"text"}) or None,
    )


FORMAT: Final = Format(name="librechat", label="LibreChat", detect=detect, read=read)
