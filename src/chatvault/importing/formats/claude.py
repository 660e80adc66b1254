"""Claude.ai's export, old and new, conversations of its API, and design chats."""

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
from chatvault.importing.formats.blocks import read_blocks
from chatvault.importing.formats.records import read_records
from chatvault.importing.neutral import Attachment, NeutralConversation, Role
from chatvault.importing.trees import chain

# The parent id of the first message.
_NIL: Final = frozenset(
    {"00000000-0000-4000-8000-000000000000", "00000000-0000-0000-0000-000000000000"}
)
_ROLES: Final[dict[str, Role]] = {
    "human": "user",
    "user": "user",
    "assistant": "assistant",
    "system": "system",
}
_CONVERSATION = {
    "uuid", "name", "title", "created_at", "updated_at", "account", "chat_messages", "messages",
    "model", "current_leaf_message_uuid",
}  # fmt: skip
_MESSAGE = {
    "uuid", "parent_message_uuid", "sender", "role", "text", "content", "created_at",
    "attachments", "files", "index", "model",
}  # fmt: skip
# The placeholder in `text` for blocks that the export does not support.
_UNSUPPORTED: Final = "This block is not supported on your current device yet"


def detect(structure: Structure) -> str | None:
    """Detect the list of messages, and the blocks of a design chat."""
    if structure.any(lambda raw: isinstance(raw.get("chat_messages"), list)):
        return "chat"
    if structure.kind in {"array", "object"} and structure.any(_is_design):
        return "design"
    return None


def read(stream: Stream, context: Context) -> Iterator[Item]:
    """Yield the conversations of a file."""
    read_one = _read_design if context.variant == "design" else _read_chat
    yield from read_records(stream, lambda raw: read_one(raw, context))


def _is_design(raw: Raw) -> bool:
    contents = [fields(each.get("content")) for each in objects(raw.get("messages"))]
    return "uuid" in raw and any("contentBlocks" in each for each in contents)


def _begin(raw: Raw, context: Context) -> Draft:
    own_id = name_of(raw.get("uuid"))
    first = fields(next(iter(items(raw.get("chat_messages"))), None))
    return Draft(
        format=FORMAT.name,
        source_id=own_id or f"sha256:{digest(raw.get('created_at'), first)}",
        now=context.now,
        title=text(raw.get("name")) or text(raw.get("title")) or "",
        created_at=parse_time(raw.get("created_at")),
        updated_at=parse_time(raw.get("updated_at")),
        default_model=text(raw.get("model")),
        source=rest(raw, _CONVERSATION),
    )


def _read_chat(raw: Raw, context: Context) -> NeutralConversation:
    if not isinstance(raw.get("chat_messages"), list):
        raise UnfitError("holds no 'chat_messages'")
    draft = _begin(raw, context)
    found = objects(raw["chat_messages"])
    is_tree = any(name_of(each.get("parent_message_uuid")) for each in found)
    for message in found:
        parent = name_of(message.get("parent_message_uuid"))
        sender = text(message.get("sender")) or text(message.get("role"))
        draft.add(
            id=name_of(message.get("uuid")),
            parent=None if parent in _NIL else parent,
            role=_role(draft, sender),
            parts=_parts(draft, message),
            time=parse_time(message.get("created_at")),
            model=text(message.get("model")),
            extra=rest(message, _MESSAGE),
        )
    if not is_tree:
        chain(draft.messages)
    return draft.finish(leaf=name_of(raw.get("current_leaf_message_uuid")))


def _role(draft: Draft, sender: str | None) -> Role:
    if sender not in _ROLES:
        draft.unknown[f"sender {sender or 'without a name'}"[:64]] += 1
    return _ROLES.get(sender or "", "assistant")


def _parts(draft: Draft, message: Raw) -> Iterator[Part]:
    """Yield the parts of a message from its blocks, or from `text` if those are empty."""
    found = [*read_blocks(draft, message.get("content"))]
    written = text(message.get("text"))
    says = any(part["type"] == "text" and part["text"] for part in found)
    if written and not says and not (found and _UNSUPPORTED in written):
        yield {"type": "text", "text": written}
    yield from found
    for raw in objects(message.get("attachments")):
        yield _file(draft, raw, extracted=text(raw.get("extracted_content")))
    for name in ("files", "files_v2"):
        for raw in objects(message.get(name)):
            yield _file(draft, raw)


def _file(draft: Draft, raw: Raw, *, extracted: str | None = None) -> Part:
    reference = name_of(raw.get("file_uuid")) or name_of(raw.get("uuid")) or name_of(raw.get("id"))
    found = Attachment(
        id=reference or draft.next_attachment(),
        name=text(raw.get("file_name")),
        mime=text(raw.get("file_type")) or text(raw.get("file_kind")),
        size=number(raw.get("file_size")),
        source_ref=reference,
    )
    known = {
        "file_uuid", "uuid", "id", "file_name", "file_type", "file_kind", "file_size",
        "extracted_content",
    }  # fmt: skip
    return draft.attach(found, text=extracted, extra=rest(raw, known) or None)


def _read_design(raw: Raw, context: Context) -> NeutralConversation:
    draft = _begin(raw, context)
    for message in objects(raw.get("messages")):
        content = fields(message.get("content"))
        parts = [*_design_parts(draft, content)]
        draft.add(
            id=name_of(message.get("uuid")),
            role=_role(draft, text(message.get("role"))),
            parts=parts,
            time=parse_time(message.get("created_at")) or parse_time(content.get("timestamp")),
            extra=rest(message, _MESSAGE),
        )
    chain(draft.messages)
    return draft.finish()


def _design_parts(draft: Draft, content: Raw) -> Iterator[Part]:
    blocks = objects(content.get("contentBlocks"))
    if not blocks and (written := text(content.get("content"))):
        yield {"type": "text", "text": written}
    for block in blocks:
        match block.get("type"):
            case "text" | "user_interjection" | "error":
                words = text(block.get("text")) or text(block.get("content")) or ""
                yield {"type": "text", "text": words}
            case "tool_call":
                yield from _design_call(fields(block.get("toolCall")))
            case "thinking":
                names = ("thinking", "text", "content")
                thought = next((text(block.get(name)) for name in names if name in block), None)
                yield {"type": "thinking", "text": thought or ""}
            case kind:
                yield draft.keep_raw(kind, block)
    for raw in objects(content.get("attachments")):
        yield _file(draft, raw, extracted=text(raw.get("extracted_content")))


def _design_call(call: Raw) -> Iterator[Part]:
    own_id = name_of(call.get("id"))
    made = {
        "type": "tool_call",
        "id": own_id,
        "name": text(call.get("name")) or "",
        "input": call.get("input", {}),
        "extra": rest(call, {"id", "name", "input", "output"}) or None,
    }
    yield cast("Part", present(made))
    if call.get("output") is not None:
        answer = {"type": "tool_result", "call_id": own_id, "output": call["output"]}
        yield cast("Part", present(answer))


FORMAT: Final = Format(name="claude", label="Claude.ai", detect=detect, read=read)
