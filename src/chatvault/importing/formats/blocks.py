"""Anthropic's content blocks, which Claude.ai's exports and Claude Code's sessions consist of."""

from collections.abc import Iterator
from typing import Any, Final, cast

from chatvault.conversations.parts import Part, ToolResultPart
from chatvault.fields import Raw
from chatvault.importing.drafts import Draft
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
from chatvault.importing.neutral import Attachment

_STAMPS: Final = ("start_timestamp", "stop_timestamp")
_KNOWN: Final = frozenset({"token_budget", "redacted_thinking", "voice_note"})


def read_blocks(draft: Draft, content: object) -> Iterator[Part]:
    """Yield the parts of a content: a text, or a list of blocks."""
    if isinstance(content, str):
        yield {"type": "text", "text": content}
        return
    for block in items(content):
        if isinstance(block, dict):
            yield from _read_block(draft, block)
        elif isinstance(block, str):
            yield {"type": "text", "text": block}
        elif block is not None:
            yield draft.keep_raw("block", block)


def _read_block(draft: Draft, block: Raw) -> Iterator[Part]:
    match block.get("type"):
        case "text":
            yield from _text(block)
        case "thinking":
            yield _thinking(block)
        case "tool_use" | "server_tool_use":
            call = {
                "type": "tool_call",
                "id": name_of(block.get("id")),
                "name": text(block.get("name")) or "",
                "input": block.get("input", {}),
                "extra": _more(block, "id", "name", "input"),
            }
            yield cast("Part", present(call))
        case "tool_result":
            yield from _tool_result(draft, block)
        case "image" | "document":
            yield inline_file(draft, fields(block.get("source")), text(block.get("title")))
        case kind:
            yield draft.keep_raw(kind, block, is_known=text(kind) in _KNOWN)


def inline_file(draft: Draft, source: Raw, name: str | None = None) -> Part:
    """Return the part of a file that the message contains or refers to."""
    data = text(source.get("data"))
    found = Attachment(
        id=draft.next_attachment(),
        name=name,
        mime=text(source.get("media_type")),
        size=len(data) * 3 // 4 - data.count("=", -2) if data else None,
        source_ref=text(source.get("url")) or text(source.get("file_id")),
        state="present" if data else "absent",
        data=data,
    )
    return draft.attach(found)


def _text(block: Raw) -> Iterator[Part]:
    yield {"type": "text", "text": text(block.get("text")) or ""}
    for cited in objects(block.get("citations")):
        details = fields(cited.get("details"))
        found = {
            "type": "citation",
            "url": text(cited.get("url")) or text(details.get("url")),
            "title": text(cited.get("title")) or text(cited.get("document_title")),
            "quote": text(cited.get("cited_text")),
            "extra": _more(cited, "url", "title", "document_title", "cited_text"),
        }
        yield cast("Part", present(found))


def _thinking(block: Raw) -> Part:
    summaries = [
        each if isinstance(each, str) else fields(each).get("summary")
        for each in items(block.get("summaries"))
    ]
    started, stopped = (parse_time(block.get(name)) for name in _STAMPS)
    found = {
        "type": "thinking",
        "text": text(block.get("thinking")),
        "summary": [each for each in summaries if isinstance(each, str)] or None,
        "signature": text(block.get("signature")),
        "duration_s": (stopped - started).total_seconds() if started and stopped else None,
        "extra": _more(block, "thinking", "summaries", "signature", *_STAMPS),
    }
    return cast("Part", present(found))


def _tool_result(draft: Draft, block: Raw) -> Iterator[Part]:
    """Return the part of a tool's result; pictures in it become attachments."""
    output: Any = block.get("content")
    files = []
    if isinstance(output, list):
        kept = []
        for each in output:
            source = fields(fields(each).get("source"))
            if fields(each).get("type") == "image" and text(source.get("data")):
                files.append(inline_file(draft, source))
            else:
                kept.append(each)
        output = kept
    found: ToolResultPart = {
        "type": "tool_result",
        "output": joined_text(output),
    }
    more = present(
        {
            "call_id": name_of(block.get("tool_use_id")),
            "name": text(block.get("name")),
            "is_error": block.get("is_error") if isinstance(block.get("is_error"), bool) else None,
            "extra": _more(block, "tool_use_id", "name", "content", "is_error"),
        }
    )
    yield cast("Part", {**found, **more})
    yield from files


def joined_text(output: Any) -> Any:
    """Return a list of texts as one text; anything else unchanged."""
    if isinstance(output, list) and output:
        texts = [
            fields(each).get("text") if fields(each).keys() <= {"type", "text", "uuid"} else None
            for each in output
        ]
        words = [each for each in texts if isinstance(each, str)]
        if len(words) == len(texts):
            return "\n".join(words)
    return output


def _more(block: Raw, *known: str) -> Raw | None:
    return rest(block, {"type", *known}) or None
