"""Google AI Studio's prompts as files in Google Drive: a list of chunks with branches."""

from collections.abc import Iterator
from typing import Final, cast

from chatvault.conversations.parts import Part
from chatvault.fields import Raw
from chatvault.importing.drafts import Draft
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

_ROLES: Final[dict[str, Role]] = {"user": "user", "model": "assistant", "system": "system"}
_FILES: Final = (
    "driveDocument", "driveImage", "driveAudio", "driveVideo", "youtubeVideo", "inlineFile",
    "inlineImage", "inlineData", "inlineAudio",
)  # fmt: skip
_RECORD = {"id", "displayName", "title", "createTime", "updateTime", "chunkedPrompt", "runSettings"}
_CHUNK = {
    "id", "role", "text", "parts", "isThought", "createTime", "branchParent", "branchChildren",
    "executableCode", "codeExecutionResult", *_FILES,
}  # fmt: skip


def detect(structure: Structure) -> str | None:
    """Detect a prompt in chunks."""
    return "prompt" if structure.any(lambda raw: "chunkedPrompt" in raw) else None


def read(stream: Stream, context: Context) -> Iterator[Item]:
    """Yield the conversation of a file."""
    yield from read_records(stream, lambda raw: _conversation(raw, context))


def _conversation(raw: Raw, context: Context) -> NeutralConversation:
    prompt = fields(raw.get("chunkedPrompt"))
    settings = fields(raw.get("runSettings"))
    chunks = objects(prompt.get("chunks"))
    begun = [(each.get("createTime"), each.get("text")) for each in chunks[:1]]
    source = rest(raw, _RECORD)
    for name, value in (("runSettings", settings), ("pendingInputs", prompt.get("pendingInputs"))):
        if value:
            source[name] = value
    draft = Draft(
        format=FORMAT.name,
        source_id=name_of(raw.get("id")) or f"sha256:{digest(begun)}",
        now=context.now,
        title=text(raw.get("displayName")) or text(raw.get("title")) or "",
        created_at=parse_time(raw.get("createTime")),
        updated_at=parse_time(raw.get("updateTime")),
        default_model=text(settings.get("model")),
        source=source,
    )
    before: str | None = None
    for chunk in chunks:
        branch = fields(chunk.get("branchParent")) or chunk.get("branchParent")
        parent = name_of(fields(branch).get("id")) or name_of(branch)
        role = _ROLES.get(str(chunk.get("role")))
        if role is None:
            draft.unknown[f"role {chunk.get('role')}"[:64]] += 1
        added = draft.add(
            id=name_of(chunk.get("id")),
            parent=before if parent is None else parent,
            role=role or "assistant",
            parts=_parts(draft, chunk),
            time=parse_time(chunk.get("createTime")),
            model=draft.default_model if role == "assistant" else None,
            extra=rest(chunk, _CHUNK),
        )
        before = added.source_id
    return draft.finish(leaf=before)


def _parts(draft: Draft, chunk: Raw) -> Iterator[Part]:
    texts = [text(chunk.get("text"))]
    if texts[0] is None:
        texts = [text(fields(part).get("text")) for part in items(chunk.get("parts"))]
    for said in texts:
        if said and chunk.get("isThought") is True:
            yield {"type": "thinking", "text": said}
        elif said:
            yield {"type": "text", "text": said}
    for part in objects(chunk.get("parts")):
        known = {"text", "thought", "thoughtSignature"}
        if more := {name: part[name] for name in part.keys() - known - {*_FILES}}:
            yield draft.keep_raw("part", more)
        yield from _files(draft, part)
    yield from _files(draft, chunk)
    if code := fields(chunk.get("executableCode")):
        call = {
            "type": "tool_call",
            "name": "executableCode",
            "input": code.get("code", code),
            "extra": rest(code, {"code"}) or None,
        }
        yield cast("Part", present(call))
    if result := fields(chunk.get("codeExecutionResult")):
        outcome = text(result.get("outcome"))
        answer = {
            "type": "tool_result",
            "name": "executableCode",
            "output": result.get("output", result),
            "is_error": None if outcome is None else outcome != "OUTCOME_OK",
        }
        yield cast("Part", present(answer))
    yield from _citations(chunk)


def _files(draft: Draft, held: Raw) -> Iterator[Part]:
    for name in _FILES:
        raw = fields(held.get(name))
        if not raw:
            continue
        data = text(raw.get("data"))
        reference = name_of(raw.get("id"))
        found = Attachment(
            id=reference or draft.next_attachment(),
            name=text(raw.get("name")),
            mime=text(raw.get("mimeType")) or ("video/*" if name == "youtubeVideo" else None),
            size=number(raw.get("sizeBytes")),
            source_ref=f"youtube:{reference}" if name == "youtubeVideo" else reference,
            state="present" if data else "absent",
            data=data,
        )
        yield draft.attach(found)


def _citations(chunk: Raw) -> Iterator[Part]:
    for each in objects(fields(chunk.get("grounding")).get("groundingChunks")):
        web = fields(each.get("web"))
        if url := text(web.get("uri")):
            cited = {"type": "citation", "url": url, "title": text(web.get("title"))}
            yield cast("Part", present(cited))


FORMAT: Final = Format(name="ai-studio", label="Google AI Studio", detect=detect, read=read)
