"""Attachments of a conversation in chatvault's own export."""

import re
from collections.abc import Callable, Collection
from datetime import datetime
from typing import Any, Final

from chatvault.fields import Raw
from chatvault.importing.files.values import number, parse_time, replace_surrogates, text
from chatvault.importing.neutral import Attachment, AttachmentState

# An id stands in a path of the API.
_ID: Final = re.compile(r"[A-Za-z0-9_.-]{1,128}")
# Of one conversation, as the service allows.
_MOST: Final = 10_000
_MAX_TEXT: Final = 1_024
_MAX_SIZE: Final = 2**53
_FIELDS: Final = frozenset(
    {"id", "name", "mime", "size", "source_ref", "state", "created_at", "file", "data"}
)


def read_attachments(
    found: list[Any], *, now: datetime, beside: Collection[str], count: Callable[[str, str], None]
) -> tuple[Attachment, ...]:
    """Return the attachments, with their bytes where they are in the file or in its archive.

    Args:
        found: the objects of the file.
        now: the time of import; no time is later.
        beside: the names of the files in the same archive.
        count: takes the name of each field that is not kept, and what it belongs to.
    """
    kept: dict[str, Attachment] = {}
    for raw in found:
        own_id = raw.get("id") if isinstance(raw, dict) else None
        is_fit = isinstance(own_id, str) and _ID.fullmatch(own_id) and own_id not in kept
        if not is_fit or len(kept) == _MOST:
            count("attachments", "conversations")
            continue
        for name in raw.keys() - _FIELDS:
            count(name, "attachments")
        attachment = _read(raw, now, beside)
        kept[attachment.id] = attachment
    return tuple(kept.values())


def _read(raw: Raw, now: datetime, beside: Collection[str]) -> Attachment:
    size, created = number(raw.get("size")), parse_time(raw.get("created_at"))
    data = raw["data"] if isinstance(raw.get("data"), str) else None
    path = text(raw.get("file"))
    member = path if path in beside else None
    state: AttachmentState = "expired" if raw.get("state") == "expired" else "absent"
    return Attachment(
        id=raw["id"],
        name=_text(raw.get("name")),
        mime=_text(raw.get("mime")),
        size=size if size is not None and 0 <= size <= _MAX_SIZE else None,
        source_ref=_text(raw.get("source_ref")),
        state=state if data is None and member is None else "present",
        data=data,
        member=member,
        created_at=created and min(created, now),
    )


def _text(value: Any) -> str | None:
    found = text(value)
    return None if found is None else replace_surrogates(found[:_MAX_TEXT])
