"""One conversation of the localStorage frontend, with the defects known from real data."""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

from pydantic import ValidationError

from chatvault.fields import MAX_FREE_BYTES, to_milliseconds
from chatvault.importing.drafts import MAX_MESSAGE_BYTES, UnfitError
from chatvault.importing.files.values import parse_time, replace_surrogates
from chatvault.importing.neutral import (
    MAX_ID,
    MAX_TITLE,
    UNTITLED,
    NeutralConversation,
    NeutralMessage,
    Role,
)
from chatvault.mongodb.storable import LONE_SURROGATE, check_storable
from chatvault.preferences.schemas import PreferencesIn

_ROLES: Final[dict[str, Role]] = {
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "ai": "assistant",
    "bot": "assistant",
    "system": "system",
}
_TEXT_KEYS = ("text", "content", "message")
# The frontend's ids: milliseconds since 1970 in base 36, then random digits.
_TIMED_ID = re.compile(r"([0-9a-z]{8})[0-9a-z]+")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_PLAUSIBLE = datetime(2015, 1, 1, tzinfo=UTC)

T = TypeVar("T")


def read_conversation(raw: object, *, now: datetime) -> NeutralConversation:
    """Turn one element of the array into a conversation, repairing known defects.

    Args:
        raw: the element as the JSON parser returned it; it is not changed.
        now: the time of creation if the element has none.

    Raises:
        UnfitError: The conversation cannot be imported as it is.
    """
    if not isinstance(raw, dict):
        raise UnfitError("not an object")
    messages = raw.get("messages")
    if not isinstance(messages, list):
        raise UnfitError("'messages' is not a list" if "messages" in raw else "no 'messages'")
    rest, repaired = storable({k: v for k, v in raw.items() if k != "messages"}, MAX_FREE_BYTES)
    notes = ["broken characters replaced"] if repaired else []
    repairs: Counter[str] = Counter()
    read = [_numbered_message(number, item, repairs) for number, item in enumerate(messages, 1)]
    source_id = _source_id(rest, raw, notes)
    title = _title(rest, notes)
    if _pop(rest, "isLoading", bool):
        notes.append("'isLoading' was left on")
    stamps = [message.timestamp for message in read if message.timestamp]
    created = _created(rest, source_id, stamps, now, notes)
    updated = parse_time(rest.pop("updatedAt", None))
    if updated is None:
        updated = max(created, stamps[-1]) if stamps else created
        notes.append("'updatedAt' was no time; derived")
    updated = _past("updatedAt", updated, now, notes)
    notes += [f"{count} message{'s'[: count > 1]}: {repair}" for repair, count in repairs.items()]
    return NeutralConversation(
        source_id=source_id,
        title=title,
        messages=_with_times(read, created),
        created_at=created,
        updated_at=updated,
        metadata=rest,
        notes=tuple(notes),
    )


def canonical_digest(raw: object) -> str:
    """Return the hexadecimal SHA-256 of a value as JSON without spaces and with sorted keys."""
    return hashlib.sha256(
        json.dumps(raw, sort_keys=True, separators=(",", ":")).encode()
    ).hexdigest()


def storable(value: dict[str, Any], max_bytes: int) -> tuple[dict[str, Any], bool]:
    """Return the value with lone surrogates replaced, and whether there were any.

    Raises:
        UnfitError: It cannot be stored.
    """
    repaired = False
    reason = check_storable(value, max_bytes=max_bytes)
    if reason == LONE_SURROGATE:
        value, repaired = replace_surrogates(value), True
        reason = check_storable(value, max_bytes=max_bytes)
    if reason is not None:
        raise UnfitError(reason)
    return value, repaired


def read_settings(raw: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the settings as preferences, and why others cannot be imported, by name."""
    wrong: dict[str, str] = {}
    try:
        fit = PreferencesIn.model_validate(raw)
    except ValidationError as error:
        for found in error.errors(include_input=False, include_context=False, include_url=False):
            wrong.setdefault(str(found["loc"][0]), found["msg"])
        fit = PreferencesIn.model_validate({k: v for k, v in raw.items() if k not in wrong})
    return fit.model_dump(mode="json", exclude_unset=True), wrong


def _source_id(rest: dict[str, Any], raw: dict[str, Any], notes: list[str]) -> str:
    value = rest.pop("id", None)
    if value is None or value == "":
        notes.append("had no id; derived from the content")
        return f"sha256:{canonical_digest(raw)}"
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise UnfitError("'id' is neither a text nor an integer")
    if len(str(value)) > MAX_ID:
        raise UnfitError(f"'id' is longer than {MAX_ID} characters")
    return str(value)


def _title(rest: dict[str, Any], notes: list[str]) -> str:
    title = rest.pop("title", None)
    if title is not None and not isinstance(title, str):
        raise UnfitError("'title' is not a text")
    if title is None or not title.strip():
        notes.append("had no title")
        return UNTITLED
    if len(title) > MAX_TITLE:
        notes.append(f"title cut to {MAX_TITLE} characters; whole in the metadata")
        _keep(rest, "originalTitle", title)
        return f"{title[: MAX_TITLE - 1]}…"
    return title


def _created(
    rest: dict[str, Any],
    source_id: str,
    stamps: Sequence[datetime],
    now: datetime,
    notes: list[str],
) -> datetime:
    created = parse_time(rest.pop("createdAt", None))
    if created is not None:
        return _past("createdAt", created, now, notes)
    whence = "the first message's time"
    created = stamps[0] if stamps else None
    if created is None:
        created, whence = _time_of_id(source_id, now), "the time in its id"
    if created is None:
        created, whence = to_milliseconds(now), "the time of import"
    notes.append(f"'createdAt' was no time; {whence} is used")
    return created


def _past(name: str, time: datetime, now: datetime, notes: list[str]) -> datetime:
    """Return the time, or the time of the import if it is in the future."""
    if time <= now:
        return time
    notes.append(f"'{name}' lies in the future; the time of import is used")
    return to_milliseconds(now)


def _time_of_id(source_id: str, now: datetime) -> datetime | None:
    if match := _TIMED_ID.fullmatch(source_id):
        time = _EPOCH + timedelta(milliseconds=int(match[1], 36))
        if _FIRST_PLAUSIBLE <= time <= now + timedelta(days=1):
            return time
    return None


def _with_times(
    messages: Sequence[NeutralMessage], created: datetime
) -> tuple[NeutralMessage, ...]:
    """Give a message without time the time of the one before it, else of the one after it."""
    time = next((message.timestamp for message in messages if message.timestamp), created)
    timed = []
    for message in messages:
        time = message.timestamp or time
        timed.append(message if message.timestamp else replace(message, timestamp=time))
    return tuple(timed)


def _numbered_message(number: int, raw: object, repairs: Counter[str]) -> NeutralMessage:
    try:
        return _message(raw, repairs)
    except UnfitError as unfit:
        raise UnfitError(unfit.reason, place=f"message {number}") from None


def _message(raw: object, repairs: Counter[str]) -> NeutralMessage:
    if not isinstance(raw, dict):
        raise UnfitError("not an object")
    fit, repaired = storable(raw, MAX_MESSAGE_BYTES)
    if repaired:
        repairs["broken characters replaced"] += 1
    extra = dict(fit)
    role = _role(extra, repairs)
    content = _content(extra, repairs)
    cancelled = _pop(extra, "cancelled", bool)
    if _pop(extra, "isLoading", bool):
        repairs["was left unfinished"] += 1
        # An unfinished answer is shown as one that was stopped.
        if role == "assistant" and cancelled is None:
            cancelled = True
    time = extra.pop("timestamp", None)
    timestamp = parse_time(time)
    if timestamp is None:
        if time is not None:
            raise UnfitError("'timestamp' is not a time")
        repairs["had no time; a neighbour's or the conversation's is used"] += 1
    number = _pop(extra, "id", int)
    return NeutralMessage(
        source_id=_pop(extra, "id", str) if number is None else str(number),
        role=role,
        content=content,
        timestamp=timestamp,
        model=_pop(extra, "model", str),
        metrics=_pop(extra, "metrics", dict),
        cancelled=cancelled,
        extra=extra,
    )


def _role(extra: dict[str, Any], repairs: Counter[str]) -> Role:
    found = {
        key: _ROLES.get(value.lower()) if isinstance(value := extra.get(key), str) else None
        for key in ("type", "role")
    }
    role = found["type"] or found["role"]
    if role is None:
        raise UnfitError("'type' is neither user, assistant nor system")
    for key, other in found.items():
        if other == role or extra.get(key) is None:
            extra.pop(key, None)
        else:
            repairs[f"'{key}' says something else than the role that is used"] += 1
    return role


def _content(extra: dict[str, Any], repairs: Counter[str]) -> str:
    content = extra.pop("content", None)
    if isinstance(content, str):
        return content
    if content is None:
        repairs["had no content"] += 1
        return ""
    repairs["content was no text; the original is kept beside it"] += 1
    _keep(extra, "originalContent", content)
    if isinstance(content, dict):
        texts = [text for key in _TEXT_KEYS if isinstance(text := content.get(key), str)]
        if texts:
            return next(filter(None, texts), "")
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"))


def _pop(fields: dict[str, Any], key: str, kind: type[T]) -> T | None:
    """Remove and return a field of the type, or null; a field of another type stays."""
    value = fields.get(key)
    # Not isinstance, for which true and false are integers.
    if value is None or type(value) is kind:
        fields.pop(key, None)
        return value
    return None


def _keep(fields: dict[str, Any], key: str, value: object) -> None:
    while key in fields:
        key = f"_{key}"
    fields[key] = value
