"""Open WebUI's chats: maps of messages, one or several chats in a file."""

import html
import json
import re
from collections.abc import Iterator
from typing import Any, Final, cast

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
from chatvault.importing.trees import chain

_ROLES: Final[dict[str, Role]] = {
    "user": "user",
    "assistant": "assistant",
    "system": "system",
    "tool": "tool",
}
_MESSAGE = {
    "id", "parentId", "childrenIds", "role", "content", "timestamp", "model", "files",
    "lastSentence", "done",
}  # fmt: skip
_RECORD = {"id", "title", "chat", "created_at", "updated_at", "user_id"}
_CHAT = {"id", "title", "history", "messages", "timestamp"}
# The markup in the text of an answer for content other than text.
_DETAILS = re.compile(
    r'<details type="(reasoning|tool_calls|code_interpreter)"([^>]*)>(.*?)</details>\n?', re.DOTALL
)
_ATTRIBUTE = re.compile(r'(\w+)="([^"]*)"')
_SUMMARY = re.compile(r"\s*<summary>.*?</summary>\n?", re.DOTALL)
_QUOTED = re.compile(r"^(?:&gt;|>) ?", re.MULTILINE)


def detect(structure: Structure) -> str | None:
    """Detect the history of a chat, or a list of chats with one each."""
    return "chats" if structure.any(_is_chat) else None


def read(stream: Stream, context: Context) -> Iterator[Item]:
    """Yield the conversations of a file."""
    yield from read_records(stream, lambda raw: _read_one(raw, context))


def _is_chat(raw: Raw) -> bool:
    chat = fields(raw.get("chat")) or raw
    history = chat.get("history")
    return isinstance(history, dict) and ("messages" in history or "currentId" in history)


def _read_one(raw: Raw, context: Context) -> NeutralConversation:
    chat = fields(raw.get("chat")) or raw
    history = fields(chat.get("history"))
    found = objects(history.get("messages")) or objects(chat.get("messages"))
    if not found and "history" not in chat and "messages" not in chat:
        raise UnfitError("holds no 'history'")
    own_id = name_of(raw.get("id"))
    # A single chat has no id, so the id of its first message is used.
    begun = next((name_of(each.get("id")) for each in found if each.get("parentId") is None), None)
    derived = f"begun:{begun}" if begun else f"sha256:{digest(found[:1])}"
    source = rest(raw, _RECORD) if "chat" in raw else {}
    draft = Draft(
        format=FORMAT.name,
        source_id=own_id or derived,
        now=context.now,
        title=text(raw.get("title")) or text(chat.get("title")) or "",
        created_at=parse_time(raw.get("created_at")) or parse_time(chat.get("timestamp")),
        updated_at=parse_time(raw.get("updated_at")),
        source=source | {"chat": rest(chat, _CHAT)},
    )
    parents = {
        child: name_of(each.get("id"))
        for each in found
        for child in items(each.get("childrenIds"))
        if isinstance(child, str)
    }
    known = {name_of(each.get("id")) for each in found}
    for message in found:
        own, parent = name_of(message.get("id")), name_of(message.get("parentId"))
        if parent is not None and parent not in known:
            # Some messages name a missing parent; another one lists them as its children.
            parent = parents.get(own or "", parent)
        _add(draft, message, own, parent)
    if not any(message.parent_id for message in draft.messages):
        chain(draft.messages)
    return draft.finish(leaf=name_of(history.get("currentId")))


def _add(draft: Draft, message: Raw, own: str | None, parent: str | None) -> None:
    stated = text(message.get("role"))
    if stated not in _ROLES:
        draft.unknown[f"role {stated or 'without a name'}"[:64]] += 1
    role = _ROLES.get(stated or "", "system")
    draft.add(
        id=own,
        parent=parent,
        role=role,
        parts=_parts(draft, message, role),
        time=parse_time(message.get("timestamp")),
        model=text(message.get("model")),
        extra=rest(message, _MESSAGE),
    )


def _parts(draft: Draft, message: Raw, role: Role) -> Iterator[Part]:
    content = message.get("content")
    if isinstance(content, str):
        yield from _written(content) if role == "assistant" else _plain(content)
    for block in items(content):
        if fields(block).get("type") == "text":
            yield {"type": "text", "text": text(block.get("text")) or ""}
        else:
            yield draft.keep_raw(fields(block).get("type"), block)
    for raw in objects(message.get("files")):
        yield _file(draft, raw)
    for raw in objects(message.get("sources")):
        about = fields(raw.get("source"))
        cited = {
            "type": "citation",
            "url": text(about.get("url")),
            "title": text(about.get("name")),
        }
        if len(found := present(cited)) > 1:
            yield cast("Part", found)


def _plain(content: str) -> Iterator[Part]:
    yield {"type": "text", "text": content}


def _written(content: str) -> Iterator[Part]:
    """Split an answer into its text and its `<details>` elements."""
    at = 0
    for match in _DETAILS.finditer(content):
        if before := content[at : match.start()].strip("\n"):
            yield {"type": "text", "text": before}
        attributes = {name: html.unescape(value) for name, value in _ATTRIBUTE.findall(match[2])}
        body = html.unescape(_QUOTED.sub("", _SUMMARY.sub("", match[3], count=1)).strip())
        yield from _details(match[1], attributes, body)
        at = match.end()
    if rest_of := content[at:].strip("\n") if at else content:
        yield {"type": "text", "text": rest_of}


def _details(kind: str, attributes: dict[str, str], body: str) -> Iterator[Part]:
    if kind == "reasoning":
        thought: Raw = {"type": "thinking", "text": body}
        if seconds := number(attributes.get("duration")):
            thought["duration_s"] = seconds
        yield cast("Part", thought)
        return
    own_id = text(attributes.get("id"))
    arguments = attributes.get("arguments")
    call = {
        "type": "tool_call",
        "id": own_id,
        "name": attributes.get("name", kind),
        "input": body if arguments is None else _from_json(arguments),
        "extra": rest(attributes, {"id", "name", "arguments", "result", "output", "done"}) or None,
    }
    yield cast("Part", present(call))
    result = attributes.get("result", attributes.get("output"))
    if result is not None:
        answer = {"type": "tool_result", "call_id": own_id, "output": _from_json(result)}
        yield cast("Part", present(answer))


def _from_json(value: str) -> Any:
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def _file(draft: Draft, raw: Raw) -> Part:
    about = fields(raw.get("file"))
    reference = name_of(raw.get("id")) or name_of(about.get("id"))
    url = text(raw.get("url"))
    data = url.partition(",")[2] if url and url.startswith("data:") else None
    meta = fields(about.get("meta"))
    found = Attachment(
        id=reference or draft.next_attachment(),
        name=text(raw.get("name")) or text(about.get("filename")),
        mime=text(meta.get("content_type")) or text(raw.get("content_type")),
        size=number(raw.get("size")) or number(meta.get("size")),
        source_ref=reference if data else reference or url,
        state="present" if data else "absent",
        data=data,
    )
    extracted = text(fields(about.get("data")).get("content"))
    known = {"id", "name", "size", "content_type", "file", *(["url"] if data else [])}
    return draft.attach(found, text=extracted, extra=rest(raw, known) or None)


FORMAT: Final = Format(name="open-webui", label="Open WebUI", detect=detect, read=read)
