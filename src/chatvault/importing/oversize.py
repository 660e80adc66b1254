"""Move values that are too large for a message into attachments that the message refers to."""

from collections.abc import Callable
from typing import Any, Final, cast

from chatvault.conversations.parts import MAX_PARTS, FilePart, Part
from chatvault.encoding import to_json
from chatvault.fields import MAX_FREE_BYTES
from chatvault.importing.neutral import Attachment, NeutralMessage
from chatvault.mongodb.storable import check_storable

# Fields of parts whose values may have any shape and size.
_FREE: Final = ("input", "output", "value", "extra")


def move_out(message: NeutralMessage, attach: Callable[[Attachment], FilePart]) -> int:
    """Move values over 256 KB into JSON attachments; return the number of such values.

    Args:
        message: gets a part for each attachment.
        attach: adds an attachment and returns the part that refers to it.
    """
    moved: list[Part] = []
    parts = [_without_large(part, moved, attach) for part in message.parts]
    if _is_large(message.extra):
        moved.append(attach(_attachment("fields", message.extra)))
        message.extra = {}
    if len(parts) + len(moved) > MAX_PARTS:
        rest = MAX_PARTS - len(moved) - 1
        moved.append(attach(_attachment("parts", parts[rest:])))
        parts = parts[:rest]
    if moved and not parts and message.content:
        parts = [{"type": "text", "text": message.content}]
    if moved:
        message.parts = (*parts, *moved)
    return len(moved)


def _without_large(part: Part, moved: list[Part], attach: Callable[[Attachment], FilePart]) -> Part:
    """Return the part with each value that is too large replaced by an attachment's name."""
    found: dict[str, Any] = dict(part)
    for name in _FREE:
        if name in found and _is_large(found[name]):
            shown = attach(_attachment(name, found[name]))
            moved.append(shown)
            found[name] = {"attachment_id": shown["attachment_id"]}
    return cast("Part", found)


def _is_large(value: Any) -> bool:
    return bool(value) and check_storable(value, max_bytes=MAX_FREE_BYTES) is not None


def _attachment(name: str, value: Any) -> Attachment:
    """Return an attachment; `attach` gives it an id."""
    content = to_json(value)
    return Attachment(
        id="",
        name=f"{name}.json",
        mime="application/json",
        size=len(content),
        state="present",
        content=content,
    )
