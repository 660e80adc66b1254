"""chatbot-ui's export in its four versions, which have no times."""

from collections.abc import Iterator
from typing import Final

from chatvault.fields import Raw
from chatvault.importing.conversations import Skipped
from chatvault.importing.drafts import Draft, UnfitError
from chatvault.importing.files.jsontext import Cursor
from chatvault.importing.files.streams import Stream, read_text
from chatvault.importing.files.structure import Structure, first_of, holds
from chatvault.importing.files.values import digest, fields, items, name_of, objects, rest, text
from chatvault.importing.format import Context, Format, Item
from chatvault.importing.formats.openai_messages import add_message
from chatvault.importing.formats.records import read_record
from chatvault.importing.neutral import NeutralConversation
from chatvault.importing.trees import chain

_RECORD = {"id", "name", "messages", "model"}


def detect(structure: Structure) -> str | None:
    """Detect the history beside folders, or the plain list of the oldest version."""
    if structure.kind == "object" and "messages" in first_of(structure.first, "history"):
        return "history"
    if structure.kind == "array" and structure.any(_is_conversation):
        return "list"
    return None


def read(stream: Stream, context: Context) -> Iterator[Item]:
    """Yield the conversations of a file; folders and prompts are reported as skipped."""
    cursor = Cursor(read_text(stream))
    if context.variant == "list" or cursor.peek() == "[":
        yield from _conversations(cursor, context)
        cursor.end()
        return
    for key in cursor.members():
        if key == "history" and cursor.peek() == "[":
            yield from _conversations(cursor, context)
        elif isinstance(value := cursor.value(), list) and value:
            name = key if key.isidentifier() else "a field"
            yield Skipped(place=name, reason=f"no conversations: {len(value)} of them")
    cursor.end()


def _is_conversation(raw: Raw) -> bool:
    is_named = holds(raw, "id", "name", "messages") and bool(raw.keys() & {"prompt", "folderId"})
    return is_named and "role" in (first_of(raw, "messages") or {"role": ""})


def _conversations(cursor: Cursor, context: Context) -> Iterator[Item]:
    for number, raw in cursor.numbered():
        yield read_record(f"conversation {number}", raw, lambda each: _read(each, context))


def _read(raw: Raw, context: Context) -> NeutralConversation:
    if not isinstance(raw.get("messages"), list):
        raise UnfitError("holds no 'messages'")
    model = raw.get("model")
    own_id = name_of(raw.get("id"))
    # In the oldest version, ids count from one in every browser, so they are not unique.
    is_number = own_id is not None and own_id.isdecimal()
    begun = digest(raw.get("name"), items(raw["messages"])[:1])
    source_id = f"{own_id}:{begun[:16]}" if is_number else own_id or f"sha256:{begun}"
    draft = Draft(
        format=FORMAT.name,
        source_id=source_id,
        now=context.now,
        title=text(raw.get("name")) or "",
        default_model=text(model) or text(fields(model).get("id")),
        source=rest(raw, _RECORD),
    )
    for message in objects(raw["messages"]):
        add_message(draft, message)
    chain(draft.messages)
    return draft.finish()


FORMAT: Final = Format(name="chatbot-ui", label="chatbot-ui", detect=detect, read=read)
