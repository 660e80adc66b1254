"""SillyTavern's chats: a header line, then a line for each message with its alternatives."""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Final

from chatvault.conversations.parts import Part
from chatvault.fields import Raw, to_milliseconds
from chatvault.importing.conversations import Skipped
from chatvault.importing.drafts import Draft
from chatvault.importing.files.streams import Stream
from chatvault.importing.files.structure import Structure
from chatvault.importing.files.values import (
    digest,
    fields,
    items,
    name_of,
    number,
    parse_time,
    rest,
    text,
)
from chatvault.importing.format import Context, Format, Item
from chatvault.importing.formats.records import read_lines, read_record
from chatvault.importing.neutral import Attachment, NeutralConversation, Role

_HEADER: Final = frozenset({"user_name", "character_name", "chat_metadata"})
_MESSAGE = {
    "name", "is_user", "is_system", "is_name", "send_date", "mes", "extra", "swipes", "swipe_id",
    "swipe_info",
}  # fmt: skip
_EXTRA = {"model", "reasoning", "reasoning_duration", "type"}
# `June 19, 2025 3:04pm`, or `2023-1-22 @18h 55m 4s 22ms` in old versions; both without a zone.
_WRITTEN = re.compile(r"[^\W\d]+ \d{1,2}, \d{4} \d{1,2}:\d\d ?[ap]m", re.IGNORECASE)
_OLDEST = re.compile(r"(\d{4})-(\d+)-(\d+) ?@(\d+)h ?(\d+)m ?(\d+)s(?: ?(\d+)ms)?")


def detect(structure: Structure) -> str | None:
    """Detect the header line, or messages by their fields."""
    if structure.kind not in {"lines", "object"} or "messages" in structure.first:
        return None
    if structure.first.keys() & _HEADER or structure.any(_is_message):
        return "lines"
    return None


def read(stream: Stream, context: Context) -> Iterator[Item]:
    """Yield the conversation of a file."""
    header: Raw = {}
    lines: list[Raw] = []
    for _, line in read_lines(stream):
        if isinstance(line, Skipped):
            yield line
        elif line.keys() & _HEADER and not _is_message(line):
            header |= line
        else:
            lines.append(line)
    yield read_record("the chat", header, lambda raw: _conversation(raw, lines, context))


def _is_message(line: Raw) -> bool:
    return "mes" in line and "is_user" in line


def _conversation(header: Raw, lines: list[Raw], context: Context) -> NeutralConversation | None:
    if not lines:
        return None
    about = fields(header.get("chat_metadata"))
    begun = (header.get("create_date"), lines[0].get("send_date"), lines[0].get("mes"))
    names = [text(line.get("name")) for line in lines if line.get("is_user") is False]
    draft = Draft(
        format=FORMAT.name,
        source_id=text(about.get("integrity")) or f"sha256:{digest(*begun)}",
        now=context.now,
        # The names in the header line are `unused` in newer files.
        title=next((name for name in names if name), ""),
        created_at=_time(header.get("create_date")),
        source=rest(header, set()),
    )
    before: str | None = None
    for place, line in enumerate(lines):
        before = _add(draft, place, line, before)
    return draft.finish(leaf=before)


def _add(draft: Draft, place: int, line: Raw, before: str | None) -> str:
    """Add a message and its alternatives; return the id of the one that is shown."""
    extra = fields(line.get("extra"))
    swipes = [each for each in items(line.get("swipes")) if isinstance(each, str)]
    chosen = number(line.get("swipe_id")) or 0
    infos = items(line.get("swipe_info"))
    shown = f"#{place}"
    for other, words in enumerate(swipes):
        if other == chosen:
            continue
        info = fields(infos[other]) if other < len(infos) else {}
        about = fields(info.get("extra"))
        draft.add(
            id=f"#{place}.{other}",
            parent=before,
            role=_role(line, extra),
            parts=_parts(draft, words, about),
            time=_time(info.get("send_date")),
            model=text(about.get("model")),
            extra=rest(about, _EXTRA),
        )
    draft.add(
        id=shown,
        parent=before,
        role=_role(line, extra),
        parts=_parts(draft, text(line.get("mes")) or "", extra),
        time=_time(line.get("send_date")),
        model=text(extra.get("model")),
        # Hidden from the model only: the product shows it greyed out.
        hidden=line.get("is_system") is True and extra.get("type") != "narrator",
        extra=rest(line, _MESSAGE) | rest(extra, _EXTRA) | _name(line),
    )
    return shown


def _name(line: Raw) -> Raw:
    name = name_of(line.get("name"))
    return {"name": name} if name else {}


def _role(line: Raw, extra: Raw) -> Role:
    if extra.get("type") == "narrator":
        return "system"
    return "user" if line.get("is_user") is True else "assistant"


def _parts(draft: Draft, words: str, extra: Raw) -> Iterator[Part]:
    if thought := text(extra.get("reasoning")):
        milliseconds = number(extra.get("reasoning_duration"))
        if milliseconds is None:
            yield {"type": "thinking", "text": thought}
        else:
            yield {"type": "thinking", "text": thought, "duration_s": milliseconds / 1000}
    yield {"type": "text", "text": words}
    if image := text(extra.get("image")):
        is_inline = image.startswith("data:")
        found = Attachment(
            id=draft.next_attachment(),
            mime="image/*",
            source_ref=None if is_inline else image,
            state="present" if is_inline else "absent",
            data=image.partition(",")[2] if is_inline else None,
        )
        yield draft.attach(found)


def _time(value: object) -> datetime | None:
    """Read a time in the notation of any version; without a zone, it is UTC."""
    if (found := parse_time(number(value) if number(value) is not None else value)) is not None:
        return found
    if not isinstance(value, str):
        return None
    try:
        if _WRITTEN.fullmatch(value):
            written = value.replace(" pm", "pm").replace(" am", "am").upper()
            return to_milliseconds(datetime.strptime(written, "%B %d, %Y %I:%M%p"))  # noqa: DTZ007  # the notation has no zone
        if match := _OLDEST.fullmatch(value):
            *parts, milliseconds = (int(each or 0) for each in match.groups())
            year, month, day, hour, minute, second = parts
            return to_milliseconds(
                datetime(year, month, day, hour, minute, second, milliseconds * 1000)  # noqa: DTZ001  # the notation has no zone
            )
    except ValueError:
        pass
    return None


FORMAT: Final = Format(name="sillytavern", label="SillyTavern", detect=detect, read=read)
