"""ShareGPT's form: lists of turns of a human and a model, in an array or one a line."""

import json
from collections.abc import Iterator
from typing import Any, Final

from chatvault.conversations.parts import Part
from chatvault.fields import Raw
from chatvault.importing.conversations import Skipped
from chatvault.importing.drafts import Draft, UnfitError
from chatvault.importing.files.streams import Stream
from chatvault.importing.files.structure import Structure, first_of
from chatvault.importing.files.values import fields, items, name_of, parse_time, rest, text
from chatvault.importing.format import Context, Format, Item
from chatvault.importing.formats.records import Copies, read_lines, read_record, read_records
from chatvault.importing.neutral import NeutralConversation, Role
from chatvault.importing.trees import chain

_ROLES: Final[dict[str, Role]] = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "assistant": "assistant",
    "model": "assistant",
    "bot": "assistant",
    "bard": "assistant",
    "bing": "assistant",
    "claude": "assistant",
    "function_call": "assistant",
    "system": "system",
    "tool": "tool",
    "observation": "tool",
    "function_response": "tool",
}
_RECORD = {"id", "conversations", "title", "system", "model"}


def detect(structure: Structure) -> str | None:
    """Detect turns with a sender."""
    if not structure.any(lambda raw: "from" in first_of(raw, "conversations")):
        return None
    return "lines" if structure.kind == "lines" else "json"


def read(stream: Stream, context: Context) -> Iterator[Item]:
    """Yield the conversations of a file."""
    copies = Copies()

    def read_one(raw: Raw) -> NeutralConversation:
        return _conversation(raw, context, copies)

    if context.variant != "lines":
        yield from read_records(stream, read_one)
        return
    for number, line in read_lines(stream):
        if isinstance(line, Skipped):
            yield line
        else:
            yield read_record(f"line {number}", line, read_one)


def _conversation(raw: Raw, context: Context, copies: Copies) -> NeutralConversation:
    turns = raw.get("conversations")
    if not isinstance(turns, list):
        raise UnfitError("holds no 'conversations'")
    draft = Draft(
        format=FORMAT.name,
        # Named by content: many begin with the same question, and there are no times.
        source_id=name_of(raw.get("id")) or copies.name(raw),
        now=context.now,
        title=text(raw.get("title")) or "",
        default_model=text(raw.get("model")),
        source=rest(raw, _RECORD),
    )
    if system := text(raw.get("system")):
        draft.add(id=None, role="system", parts=[{"type": "text", "text": system}])
    for turn in map(fields, items(turns)):
        stated = str(turn.get("from")).lower()
        if stated not in _ROLES:
            draft.unknown[f"from {stated}"[:64]] += 1
        draft.add(
            id=None,
            role=_ROLES.get(stated, "assistant"),
            parts=_parts(draft, stated, turn),
            time=parse_time(turn.get("timestamp")),
            extra=rest(turn, {"from", "value", "timestamp"}),
        )
    chain(draft.messages)
    return draft.finish()


def _parts(draft: Draft, stated: str, turn: Raw) -> Iterator[Part]:
    value = turn.get("value", turn.get("text"))
    if stated == "function_call":
        call = _from_json(value)
        name = text(fields(call).get("name"))
        given = fields(call).get("arguments", call)
        yield {"type": "tool_call", "name": name or "", "input": given}
    elif _ROLES.get(stated) == "tool":
        yield {"type": "tool_result", "output": value}
    elif isinstance(value, str):
        yield {"type": "text", "text": value}
    elif value is not None:
        yield draft.keep_raw("value", value)


def _from_json(value: Any) -> Any:
    try:
        return json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        return value


FORMAT: Final = Format(name="sharegpt", label="ShareGPT", detect=detect, read=read)
