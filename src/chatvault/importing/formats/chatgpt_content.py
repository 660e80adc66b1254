"""Read the content of ChatGPT's messages by its type."""

from collections.abc import Callable, Collection, Iterator
from pathlib import PurePosixPath
from typing import Any, Final, cast

from chatvault.conversations.parts import CitationPart, Part, TextPart, ThinkingPart
from chatvault.fields import Raw
from chatvault.importing.drafts import Draft
from chatvault.importing.files.values import (
    fields,
    items,
    name_of,
    number,
    objects,
    present,
    rest,
    text,
)
from chatvault.importing.neutral import Attachment

_POINTERS: Final = (
    "audio_asset_pointer",
    "video_container_asset_pointer",
    "frames_asset_pointers",
)
Reader = Callable[[Draft, Raw, "AssetNames"], Iterator[Part]]


class AssetNames:
    """Finds the files of an archive by the id of an asset.

    Args:
        names: the files of the archive.
    """

    def __init__(self, names: Collection[str]) -> None:
        self._by_stem: dict[str, str] = {}
        for name in names:
            path = PurePosixPath(name)
            self._by_stem.setdefault(path.name, name)
            self._by_stem.setdefault(path.stem, name)
            if path.name.startswith("file-"):
                # `file-<id>-<original name>`; an id has no hyphen.
                self._by_stem.setdefault("-".join(path.name.split("-")[:2]), name)

    def find(self, asset: str) -> str | None:
        """Return the file of an asset, if there is one."""
        return self._by_stem.get(asset)


def read_parts(draft: Draft, message: Raw, assets: AssetNames) -> Iterator[Part]:
    """Yield the parts of a message: its content, its uploads and its citations."""
    content = fields(message.get("content"))
    recipient = text(message.get("recipient"))
    role = fields(message.get("author")).get("role")
    found = [*_content(draft, content, assets)]
    if role == "assistant" and recipient not in (None, "all"):
        yield from _tool_call(message, recipient or "", content, found)
    elif role == "tool":
        yield from _tool_result(message, found)
    else:
        yield from found
    metadata = fields(message.get("metadata"))
    for each in objects(metadata.get("attachments")):
        yield _upload(draft, each, assets)
    yield from _citations(metadata)


def _content(draft: Draft, content: Raw, assets: AssetNames) -> Iterator[Part]:
    kind = content.get("content_type")
    reader = _READERS.get(kind) if isinstance(kind, str) else None
    if reader is not None:
        yield from reader(draft, content, assets)
    elif content:
        # The text of an unknown type is shown.
        yield from _texts(draft, content, assets)
        value = {name: each for name, each in content.items() if name not in {"parts", "text"}}
        yield draft.keep_raw(kind, value)


def _texts(draft: Draft, content: Raw, assets: AssetNames) -> Iterator[Part]:
    if own := text(content.get("text")):
        yield {"type": "text", "text": own}
    for part in items(content.get("parts")):
        if isinstance(part, str):
            yield {"type": "text", "text": part}
        elif isinstance(part, dict):
            yield from _object(draft, part, assets)
        elif part is not None:
            yield draft.keep_raw("part", part)


def _object(draft: Draft, part: Raw, assets: AssetNames) -> Iterator[Part]:
    match part.get("content_type"):
        case "image_asset_pointer" | "audio_asset_pointer":
            yield _pointer(draft, part, assets)
        case "audio_transcription":
            spoken: TextPart = {"type": "text", "text": text(part.get("text")) or ""}
            if more := rest(part, {"content_type", "text"}):
                spoken["extra"] = more
            yield spoken
        case "real_time_user_audio_video_asset_pointer":
            for name in _POINTERS:
                held = part.get(name)
                for each in items(held) if isinstance(held, list) else [held]:
                    if isinstance(each, str):
                        each = {"asset_pointer": each}  # noqa: PLW2901  # the same text without whitespace
                    if isinstance(each, dict):
                        yield _pointer(draft, each, assets)
        case kind:
            if own := text(part.get("text")):
                yield {"type": "text", "text": own}
            yield draft.keep_raw(kind, part)


def _pointer(draft: Draft, part: Raw, assets: AssetNames) -> Part:
    reference = text(part.get("asset_pointer"))
    asset = (reference or "").rpartition("/")[2] or draft.next_attachment()
    member = assets.find(asset)
    kind = str(part.get("content_type") or "")
    mime = {"image_asset_pointer": "image/*", "audio_asset_pointer": "audio/*"}.get(kind)
    found = Attachment(
        id=asset,
        mime=mime,
        size=number(part.get("size_bytes")),
        source_ref=reference,
        state="present" if member else "absent",
        member=member,
    )
    more = rest(part, {"content_type", "asset_pointer", "size_bytes", "width", "height"})
    return draft.attach(
        found,
        width=number(part.get("width")),
        height=number(part.get("height")),
        extra=more or None,
    )


def _upload(draft: Draft, raw: Raw, assets: AssetNames) -> Part:
    asset = name_of(raw.get("id")) or name_of(raw.get("file_id")) or draft.next_attachment()
    member = assets.find(asset)
    found = Attachment(
        id=asset,
        name=text(raw.get("name")),
        mime=text(raw.get("mime_type")) or text(raw.get("mimeType")),
        size=number(raw.get("size")),
        source_ref=asset,
        state="present" if member else "absent",
        member=member,
    )
    known = {"id", "name", "mime_type", "mimeType", "size", "width", "height"}
    return draft.attach(
        found,
        width=number(raw.get("width")),
        height=number(raw.get("height")),
        extra=rest(raw, known) or None,
    )


def _tool_call(message: Raw, recipient: str, content: Raw, found: list[Part]) -> Iterator[Part]:
    """Yield the call of a tool; the text of the message is its input."""
    words = "\n".join(part["text"] for part in found if part["type"] == "text")
    yield cast(
        "Part",
        present(
            {
                "type": "tool_call",
                "id": name_of(message.get("id")),
                "name": recipient,
                "input": words,
                "extra": rest(content, {"content_type", "parts", "text"}) or None,
            }
        ),
    )
    yield from (part for part in found if part["type"] != "text")


def _tool_result(message: Raw, found: list[Part]) -> Iterator[Part]:
    words = "\n".join(part["text"] for part in found if part["type"] == "text")
    metadata = fields(message.get("metadata"))
    if words:
        yield cast(
            "Part",
            present(
                {
                    "type": "tool_result",
                    "call_id": name_of(metadata.get("parent_id")),
                    "name": text(fields(message.get("author")).get("name")),
                    "output": words,
                }
            ),
        )
    yield from (part for part in found if part["type"] != "text")


def _citations(metadata: Raw) -> Iterator[Part]:
    """Yield citations with an address; all metadata stays in the message's `extra`."""
    for name in ("citations", "content_references"):
        for raw in objects(metadata.get(name)):
            about = fields(raw.get("metadata")) or raw
            if url := text(about.get("url")):
                cited = {
                    "type": "citation",
                    "url": url,
                    "title": text(about.get("title")),
                    "quote": text(about.get("text")) or text(about.get("snippet")),
                    "start": number(raw.get("start_ix", raw.get("start_idx"))),
                    "end": number(raw.get("end_ix", raw.get("end_idx"))),
                }
                yield cast("CitationPart", present(cited))


def _code(_draft: Draft, content: Raw, _assets: AssetNames) -> Iterator[Part]:
    found: TextPart = {"type": "text", "text": text(content.get("text")) or ""}
    if language := text(content.get("language")):
        found["extra"] = {"language": language}
    yield found


def _browsing_result(_draft: Draft, content: Raw, _assets: AssetNames) -> Iterator[Part]:
    found: TextPart = {
        "type": "text",
        "text": text(content.get("result")) or text(content.get("summary")) or "",
    }
    if more := rest(content, {"content_type", "result"}):
        found["extra"] = more
    yield found


def _quote(_draft: Draft, content: Raw, _assets: AssetNames) -> Iterator[Part]:
    cited = {
        "type": "citation",
        "url": text(content.get("url")),
        "title": text(content.get("title")),
        "quote": text(content.get("text")),
        "extra": rest(content, {"content_type", "url", "title", "text"}) or None,
    }
    yield cast("CitationPart", present(cited))


def _thoughts(_draft: Draft, content: Raw, _assets: AssetNames) -> Iterator[Part]:
    for thought in objects(content.get("thoughts")):
        summary = text(thought.get("summary"))
        found = {
            "type": "thinking",
            "text": text(thought.get("content")),
            "summary": [summary] if summary else None,
            "extra": rest(thought, {"content", "summary"}) or None,
        }
        yield cast("ThinkingPart", present(found))
    for part in items(content.get("parts")):
        if isinstance(part, str):
            yield {"type": "thinking", "text": part}


def _recap(_draft: Draft, content: Raw, _assets: AssetNames) -> Iterator[Part]:
    said = [text(content.get("content")), *items(content.get("parts"))]
    yield {"type": "thinking", "summary": [each for each in said if text(each)]}


def _context(draft: Draft, content: Raw, _assets: AssetNames) -> Iterator[Part]:
    yield draft.keep_raw(content["content_type"], dict(content), is_known=True)


def _error(_draft: Draft, content: Raw, _assets: AssetNames) -> Iterator[Part]:
    found: TextPart = {"type": "text", "text": text(content.get("text")) or ""}
    if name := text(content.get("name")):
        found["extra"] = {"name": name}
    yield found


def _computer(draft: Draft, content: Raw, assets: AssetNames) -> Iterator[Part]:
    screenshot: Any = content.get("screenshot")
    if isinstance(screenshot, dict):
        yield _pointer(draft, screenshot, assets)
    yield draft.keep_raw(
        "computer_output", rest(content, {"content_type", "screenshot"}), is_known=True
    )


_READERS: Final[dict[str, Reader]] = {
    "text": _texts,
    "multimodal_text": _texts,
    "code": _code,
    "execution_output": _texts,
    "tether_browsing_display": _browsing_result,
    "tether_quote": _quote,
    "thoughts": _thoughts,
    "reasoning_recap": _recap,
    "user_editable_context": _context,
    "model_editable_context": _context,
    "system_error": _error,
    "computer_output": _computer,
}
