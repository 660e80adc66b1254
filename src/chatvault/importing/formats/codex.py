"""Codex CLI's sessions: a line for each item of the model's input and output."""

import contextlib
import json
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final, cast

from chatvault.conversations.parts import Part
from chatvault.fields import Raw
from chatvault.importing.conversations import Skipped
from chatvault.importing.drafts import Draft, first_line
from chatvault.importing.files.streams import Stream
from chatvault.importing.files.structure import Structure
from chatvault.importing.files.values import (
    digest,
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
from chatvault.importing.formats.records import read_lines, read_record
from chatvault.importing.neutral import Attachment, NeutralConversation, Role
from chatvault.importing.trees import chain

_ROLES: Final[dict[str, Role]] = {
    "user": "user",
    "assistant": "assistant",
    "system": "system",
    "developer": "system",
}
_TYPES: Final = frozenset(
    {"session_meta", "response_item", "event_msg", "turn_context", "compacted"}
)
_CALLS: Final = frozenset(
    {"function_call", "custom_tool_call", "local_shell_call", "web_search_call"}
)
_OUTPUTS: Final = frozenset({"function_call_output", "custom_tool_call_output"})
_TEXTS: Final = frozenset({"input_text", "output_text", "text"})
# The beginnings of messages that the program writes as the user.
_CONTEXTS: Final = ("<environment_context>", "<user_instructions>", "# AGENTS.md instructions")
_META: Final = {"id", "timestamp", "instructions", "base_instructions"}


def detect(structure: Structure) -> str | None:
    """Detect lines with a payload."""
    return "lines" if structure.any(_is_line) else None


def read(stream: Stream, context: Context) -> Iterator[Item]:
    """Yield the conversation of a file."""
    lines: list[Raw] = []
    others: Counter[str] = Counter()
    for _, line in read_lines(stream):
        if isinstance(line, Skipped):
            yield line
        elif line.get("type") == "event_msg":
            # It repeats the items for the display.
            others[str(fields(line.get("payload")).get("type"))[:40]] += 1
        else:
            lines.append(line)
    if others:
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(others.items()))
        yield Skipped(place="lines that repeat others", reason=kinds)
    if lines:
        yield read_record("the session", {}, lambda _: _conversation(lines, context))


def _is_line(line: Raw) -> bool:
    kind = line.get("type")
    return isinstance(kind, str) and kind in _TYPES and isinstance(line.get("payload"), dict)


def _conversation(lines: list[Raw], context: Context) -> NeutralConversation:
    # A resumed session has the metadata of the earlier session after its own.
    meta = next((fields(line.get("payload")) for line in lines if _is_a(line, "session_meta")), {})
    draft = Draft(
        format=FORMAT.name,
        source_id=name_of(meta.get("id")) or f"sha256:{digest(lines[0])}",
        now=context.now,
        created_at=parse_time(meta.get("timestamp")),
        source=rest(meta, _META),
    )
    model: str | None = None
    for line in lines:
        payload = fields(line.get("payload"))
        if _is_a(line, "turn_context"):
            model = text(payload.get("model")) or model
        elif _is_a(line, "response_item") or _is_a(line, "compacted"):
            _add(draft, line, payload, model)
        elif not _is_a(line, "session_meta"):
            draft.unknown[str(line.get("type"))[:64]] += 1
    chain(draft.messages)
    return draft.finish()


def _is_a(line: Raw, kind: str) -> bool:
    return line.get("type") == kind


def _add(draft: Draft, line: Raw, payload: Raw, model: str | None) -> None:
    kind = text(payload.get("type")) if _is_a(line, "response_item") else "compacted"
    parts = [*_parts(draft, kind, payload)]
    stated = text(payload.get("role"))
    role: Role = "tool" if kind in _OUTPUTS else _ROLES.get(stated or "assistant", "system")
    if kind == "compacted":
        role = "system"
    words = [part["text"] for part in parts if part["type"] == "text"]
    asked = [each for each in words if not each.lstrip().startswith(_CONTEXTS)]
    is_context = bool(words) and not asked
    if role == "user" and asked and not draft.title:
        draft.title = first_line(asked[0])
    draft.add(
        id=None,
        role=role,
        parts=parts,
        time=parse_time(line.get("timestamp")),
        model=model if role == "assistant" else None,
        hidden=is_context or stated == "developer" or kind == "compacted",
    )


def _parts(draft: Draft, kind: object, payload: Raw) -> Iterator[Part]:
    if kind == "message":
        yield from _message(draft, payload)
    elif kind == "reasoning":
        yield from _reasoning(payload)
    elif kind in _CALLS:
        yield _call(str(kind), payload)
    elif kind in _OUTPUTS:
        answer = {
            "type": "tool_result",
            "call_id": name_of(payload.get("call_id")),
            "output": payload.get("output"),
            "extra": rest(payload, {"type", "call_id", "output"}) or None,
        }
        yield cast("Part", present(answer))
    else:
        if kind == "compacted" and (said := text(payload.get("message"))):
            yield {"type": "text", "text": said}
        yield draft.keep_raw(kind, payload, is_known=kind in {"compacted", "ghost_snapshot"})


def _message(draft: Draft, payload: Raw) -> Iterator[Part]:
    content = payload.get("content")
    for block in [content] if isinstance(content, str) else items(content):
        kind = text(fields(block).get("type"))
        if isinstance(block, str):
            yield {"type": "text", "text": block}
        elif kind in _TEXTS:
            yield {"type": "text", "text": text(block.get("text")) or ""}
        elif kind == "input_image" and (url := text(block.get("image_url"))):
            is_inline = url.startswith("data:")
            found = Attachment(
                id=draft.next_attachment(),
                mime=url[5:].partition(";")[0] if is_inline else "image/*",
                source_ref=None if is_inline else url,
                state="present" if is_inline else "absent",
                data=url.partition(",")[2] if is_inline else None,
            )
            yield draft.attach(found)
        else:
            yield draft.keep_raw(kind, block)


def _reasoning(payload: Raw) -> Iterator[Part]:
    summary = [text(each.get("text")) for each in objects(payload.get("summary"))]
    written = [text(each.get("text")) for each in objects(payload.get("content"))]
    thought = {
        "type": "thinking",
        "text": "\n\n".join(each for each in written if each) or None,
        "summary": [each for each in summary if each] or None,
        "signature": text(payload.get("encrypted_content")),
    }
    yield cast("Part", present(thought))


def _call(kind: str, payload: Raw) -> Part:
    given: Any = payload.get("arguments", payload.get("input", payload.get("action")))
    if kind == "function_call" and isinstance(given, str):
        with contextlib.suppress(ValueError, RecursionError):
            given = json.loads(given)
    made = {
        "type": "tool_call",
        "id": name_of(payload.get("call_id")) or name_of(payload.get("id")),
        "name": text(payload.get("name")) or kind,
        "input": given,
        "extra": rest(payload, {"type", "call_id", "name", "arguments", "input", "action"}) or None,
    }
    return cast("Part", present(made))


FORMAT: Final = Format(name="codex", label="Codex CLI", detect=detect, read=read)
