"""DeepSeek's export: a map of nodes like ChatGPT's, with messages that consist of fragments."""

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
from chatvault.importing.neutral import Attachment, NeutralConversation, Role

_CONVERSATION = {
    "id", "conversation_id", "title", "inserted_at", "updated_at", "create_time", "update_time",
    "mapping", "current_node", "moderation_results",
}  # fmt: skip
_MESSAGE = {
    "id", "files", "model", "inserted_at", "fragments", "content", "thinking_content",
    "reasoning_content", "role",
}  # fmt: skip
_ASKS = frozenset({"REQUEST", "FILE"})


def detect(structure: Structure) -> str | None:
    """Detect the map of nodes with fragments, or with this product's names of times."""
    return "conversations" if structure.any(_is_conversation) else None


def read(stream: Stream, context: Context) -> Iterator[Item]:
    """Yield the conversations of a file."""
    yield from read_records(stream, lambda raw: _read_one(raw, context))


def _is_conversation(raw: Raw) -> bool:
    if not isinstance(raw.get("mapping"), dict):
        return False
    messages = [fields(node.get("message")) for node in objects(raw["mapping"])]
    return "inserted_at" in raw or any("fragments" in each for each in messages)


def _read_one(raw: Raw, context: Context) -> NeutralConversation:
    mapping = raw.get("mapping")
    if not isinstance(mapping, dict):
        raise UnfitError("holds no 'mapping'")
    own_id = name_of(raw.get("id")) or name_of(raw.get("conversation_id"))
    created = parse_time(raw.get("inserted_at")) or parse_time(raw.get("create_time"))
    draft = Draft(
        format=FORMAT.name,
        source_id=own_id or f"sha256:{digest(raw.get('inserted_at'), sorted(mapping))}",
        now=context.now,
        title=text(raw.get("title")) or "",
        created_at=created,
        updated_at=parse_time(raw.get("updated_at")) or parse_time(raw.get("update_time")),
        source=rest(raw, _CONVERSATION),
    )
    links: dict[str, str | None] = {}
    roles: dict[str | None, Role] = {}
    for name, node in mapping.items():
        parent = name_of(fields(node).get("parent"))
        message = fields(fields(node).get("message"))
        if not message:
            links[name] = parent
            continue
        role = roles[name] = _role(message, roles.get(parent))
        draft.add(
            id=name,
            parent=parent,
            role=role,
            parts=_parts(draft, message),
            time=parse_time(message.get("inserted_at")),
            model=text(message.get("model")) if role == "assistant" else None,
            extra=rest(message, _MESSAGE),
        )
    return draft.finish(leaf=name_of(raw.get("current_node")), links=links)


def _role(message: Raw, before: Role | None) -> Role:
    """Return the role by the types of fragments; in older exports, by the previous role."""
    kinds = {text(each.get("type")) for each in objects(message.get("fragments"))}
    if kinds:
        return "user" if kinds <= _ASKS else "assistant"
    match str(message.get("role")).lower():
        case "user":
            return "user"
        case "assistant":
            return "assistant"
        case _:
            return "assistant" if before == "user" else "user"


def _parts(draft: Draft, message: Raw) -> Iterator[Part]:
    for fragment in items(message.get("fragments")):
        if not isinstance(fragment, dict):
            yield draft.keep_raw("fragment", fragment)
            continue
        words = text(fragment.get("content"))
        match fragment.get("type"):
            case "REQUEST" | "RESPONSE":
                yield {"type": "text", "text": words or ""}
            case "THINK":
                thought = {
                    "type": "thinking",
                    "text": words,
                    "extra": rest(fragment, {"type", "content"}) or None,
                }
                yield cast("Part", present(thought))
            case "FILE":
                for each in objects(fragment.get("files")):
                    yield _file(draft, each)
            case kind:
                yield draft.keep_raw(kind, fragment)
    if thought_text := text(message.get("thinking_content") or message.get("reasoning_content")):
        yield {"type": "thinking", "text": thought_text}
    if written := text(message.get("content")):
        yield {"type": "text", "text": written}
    for each in objects(message.get("files")):
        yield _file(draft, each)


def _file(draft: Draft, raw: Raw) -> Part:
    reference = name_of(raw.get("file_id")) or name_of(raw.get("id"))
    found = Attachment(
        id=reference or draft.next_attachment(),
        name=text(raw.get("file_name")) or text(raw.get("name")),
        size=number(raw.get("file_size")),
        source_ref=reference,
    )
    known = {"file_id", "id", "file_name", "name", "file_size"}
    return draft.attach(found, extra=rest(raw, known) or None)


FORMAT: Final = Format(name="deepseek", label="DeepSeek", detect=detect, read=read)
