"""Gemini in Google's Takeout: a list of activities, each a prompt with its answer.

It has no conversations. Records with the URL of the same conversation are joined; any other
becomes a conversation of its own, as times and texts do not show which records belong together. On
request, those of one day in UTC are joined instead.
"""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from chatvault.conversations.parts import Part
from chatvault.fields import Raw
from chatvault.importing.conversations import Skipped
from chatvault.importing.drafts import Draft
from chatvault.importing.files.htmltext import to_line, to_markdown
from chatvault.importing.files.jsontext import Cursor
from chatvault.importing.files.streams import Stream, read_text
from chatvault.importing.files.structure import Structure
from chatvault.importing.files.values import digest, fields, items, objects, parse_time, text
from chatvault.importing.format import Context, Format, Group, Item
from chatvault.importing.formats.gemini_page import HEADER, read_html
from chatvault.importing.formats.gemini_records import (
    HOSTS,
    PRODUCT,
    Record,
    conversation_of,
    host,
    without_prefix,
)
from chatvault.importing.formats.records import Copies, read_record
from chatvault.importing.neutral import Attachment, NeutralConversation

_KNOWN: Final = frozenset({"header", "title", "titleUrl", "time", "products", "activityControls"})


def detect(structure: Structure) -> str | None:
    """Detect records of this product in JSON or HTML."""
    if structure.kind == "array" and structure.any(_is_gemini):
        return "json"
    if structure.kind == "html":
        headers = [to_line(each) for each in HEADER.findall(structure.text)]
        if any(PRODUCT.search(header) for header in headers):
            return "html"
    return None


def read(stream: Stream, context: Context) -> Iterator[Item]:
    """Yield a conversation for each record, or for all records with one URL or of one day."""
    together: dict[str, list[Record]] = {}
    copies = Copies()
    records = read_html(stream) if context.variant == "html" else _read_json(stream)
    for number, record in enumerate(records, 1):
        if isinstance(record, Skipped):
            yield record
        elif key := conversation_of(record.url) or _day_of(record, context):
            together.setdefault(key, []).append(record)
        else:
            # Named by content, as times are not unique and positions change with the next export.
            key = copies.name(str(record.time), record.prompt)
            yield _item(f"record {number}", key, [record], context)
    for key, found in together.items():
        yield _item("a conversation", key, found, context)


def _day_of(record: Record, context: Context) -> str | None:
    """Return the id of a day's conversation, where records of one day are put together."""
    if context.group is not Group.DAY or record.time is None:
        return None
    return f"day:{record.time.date().isoformat()}"


def _is_gemini(raw: Raw) -> bool:
    if not ("header" in raw and "title" in raw and "time" in raw):
        return False
    names = [raw["header"], *items(raw.get("products"))]
    if any(isinstance(each, str) and PRODUCT.search(each) for each in names):
        return True
    return host(raw.get("titleUrl")) in HOSTS


def _read_json(stream: Stream) -> Iterator[Record | Skipped]:
    cursor = Cursor(read_text(stream))
    for number, raw in cursor.numbered("record"):
        place = f"record {number}"
        if not isinstance(raw, dict) or not _is_gemini(raw):
            yield Skipped(place=place, reason="of another product")
            continue
        written = [text(each.get("html")) or "" for each in objects(raw.get("safeHtmlItem"))]
        prompt, is_prompt = without_prefix(text(raw.get("title")) or "")
        answer = to_markdown("\n".join(written))
        if not answer and not is_prompt:
            yield Skipped(place=place, reason="holds no prompt")
            continue
        links = [text(raw.get("titleUrl"))]
        links += [text(each.get("url")) for each in objects(raw.get("details"))]
        names = [text(each) or text(fields(each).get("name")) for each in _attached(raw)]
        yield Record(
            prompt=prompt,
            answer=answer,
            time=parse_time(raw.get("time")),
            url=next((each for each in links if conversation_of(each)), None),
            source={name: each for name, each in raw.items() if name not in _KNOWN},
            files=[each for each in names if each],
        )
    cursor.end()


def _attached(raw: Raw) -> list[object]:
    return [*items(raw.get("attachedFiles")), *items(raw.get("imageFile")), raw.get("imageFile")]


def _item(place: str, key: str, records: list[Record], context: Context) -> Item:
    return read_record(place, {}, lambda _: _conversation(key, records, context))


def _conversation(key: str, records: list[Record], context: Context) -> NeutralConversation:
    """Build a conversation of records, which the file has newest first."""
    draft = Draft(format=FORMAT.name, source_id=key, now=context.now)
    before: str | None = None
    last = len(records) - 1
    ordered = sorted(
        enumerate(records),
        key=lambda each: (each[1].time or datetime.min.replace(tzinfo=UTC), last - each[0]),
    )
    seen: Counter[str] = Counter()
    for _, record in ordered:
        name = digest(str(record.time), record.prompt)[:32]
        seen[name] += 1
        if seen[name] > 1:
            name = f"{name}-{seen[name]}"
        parts: list[Part] = [{"type": "text", "text": record.prompt}]
        for file_name in record.files:
            file = Attachment(id=file_name, name=file_name, source_ref=file_name)
            parts.append(draft.attach(file))
        asked = draft.add(id=f"{name}-q", role="user", parts=parts, parent=before, time=record.time)
        before = asked.source_id
        if record.answer:
            answered = draft.add(
                id=f"{name}-a",
                role="assistant",
                parts=[{"type": "text", "text": record.answer}],
                parent=before,
                time=record.time,
                extra=record.source,
            )
            before = answered.source_id
        else:
            asked.extra = record.source
    return draft.finish(leaf=before)


FORMAT: Final = Format(name="gemini", label="Gemini (Takeout)", detect=detect, read=read)
