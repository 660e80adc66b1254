"""Gemini CLI's sessions: one object with all messages, or a line for each message."""

from collections.abc import Iterator
from typing import Final, cast

from chatvault.conversations.parts import Part
from chatvault.fields import Raw
from chatvault.importing.conversations import Skipped
from chatvault.importing.drafts import Draft, UnfitError
from chatvault.importing.files.streams import Stream
from chatvault.importing.files.structure import Structure, holds
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
from chatvault.importing.formats.records import read_lines, read_record, read_records
from chatvault.importing.neutral import NeutralConversation, Role
from chatvault.importing.trees import chain

_ROLES: Final[dict[str, Role]] = {"user": "user", "gemini": "assistant"}
# The types of messages from the program to its user.
_SYSTEM: Final = frozenset({"info", "error", "warning", "about", "stats", "quit"})
_SESSION = {"sessionId", "startTime", "lastUpdated", "messages", "summary"}
_MESSAGE = {
    "id",
    "timestamp",
    "type",
    "content",
    "thoughts",
    "toolCalls",
    "model",
    "displayContent",
}


def detect(structure: Structure) -> str | None:
    """Detect a session of a project."""
    if not structure.any(lambda raw: holds(raw, "sessionId", "projectHash")):
        return None
    return "lines" if structure.kind == "lines" else "session"


def read(stream: Stream, context: Context) -> Iterator[Item]:
    """Yield the conversation of a file."""
    if context.variant != "lines":
        yield from read_records(stream, lambda raw: _conversation(raw, context))
        return
    session: Raw = {"messages": []}
    for _, line in read_lines(stream):
        if isinstance(line, Skipped):
            yield line
        elif "type" in line and "id" in line:
            session["messages"].append(line)
        else:
            # The first line, and later changes of its fields.
            session |= fields(line.get("$set")) or line
    yield read_record("the session", session, lambda raw: _conversation(raw, context))


def _conversation(raw: Raw, context: Context) -> NeutralConversation:
    if not isinstance(raw.get("messages"), list):
        raise UnfitError("holds no 'messages'")
    own_id = name_of(raw.get("sessionId"))
    draft = Draft(
        format=FORMAT.name,
        source_id=own_id or f"sha256:{digest(raw.get('startTime'), raw['messages'][:1])}",
        now=context.now,
        title=text(raw.get("summary")) or "",
        created_at=parse_time(raw.get("startTime")),
        updated_at=parse_time(raw.get("lastUpdated")),
        source=rest(raw, _SESSION) | {"session": own_id},
    )
    for message in objects(raw["messages"]):
        kind = str(message.get("type"))
        if kind not in _ROLES and kind not in _SYSTEM:
            draft.unknown[f"type {kind}"[:64]] += 1
        draft.add(
            id=name_of(message.get("id")),
            role=_ROLES.get(kind, "system"),
            parts=_parts(draft, message),
            time=parse_time(message.get("timestamp")),
            model=text(message.get("model")),
            extra=rest(message, _MESSAGE) | ({} if kind in _ROLES else {"type": kind}),
        )
    chain(draft.messages)
    return draft.finish()


def _parts(draft: Draft, message: Raw) -> Iterator[Part]:
    for thought in items(message.get("thoughts")):
        raw = fields(thought) or {"description": thought}
        subject = text(raw.get("subject"))
        found = {
            "type": "thinking",
            "text": text(raw.get("description")),
            "summary": [subject] if subject else None,
            "extra": rest(raw, {"subject", "description"}) or None,
        }
        yield cast("Part", present(found))
    content = message.get("content")
    for each in content if isinstance(content, list) else [content]:
        said = each if isinstance(each, str) else fields(each).get("text")
        if isinstance(said, str):
            yield {"type": "text", "text": said}
        elif each is not None:
            yield draft.keep_raw("part", each)
    for call in objects(message.get("toolCalls")):
        yield from _tool_call(call)


def _tool_call(call: Raw) -> Iterator[Part]:
    own_id = name_of(call.get("id"))
    made = {
        "type": "tool_call",
        "id": own_id,
        "name": text(call.get("name")) or "",
        "input": call.get("args", {}),
        "extra": rest(call, {"id", "name", "args", "result", "status"}) or None,
    }
    yield cast("Part", present(made))
    if (result := call.get("result")) is not None:
        status = text(call.get("status"))
        answer = {
            "type": "tool_result",
            "call_id": own_id,
            "name": text(call.get("name")),
            "output": _output(result),
            "is_error": None if status is None else status == "error",
            "extra": {"status": status} if status not in (None, "success", "error") else None,
        }
        yield cast("Part", present(answer))


def _output(result: object) -> object:
    """Return the output of a tool, as a text if it is only a text."""
    held = items(result)
    if len(held) == 1:
        response = fields(fields(fields(held[0]).get("functionResponse")).get("response"))
        if response.keys() == {"output"}:
            return response["output"]
    return result


FORMAT: Final = Format(name="gemini-cli", label="Gemini CLI", detect=detect, read=read)
