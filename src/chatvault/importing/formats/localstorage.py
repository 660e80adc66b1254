"""The old frontend's localStorage, as an export file, a raw value or a dump of all keys."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from chatvault.fields import MAX_FREE_BYTES, Raw, to_milliseconds
from chatvault.importing.conversations import ImportRejected, Skipped, one_line
from chatvault.importing.drafts import UnfitError
from chatvault.importing.files.jsontext import Cursor
from chatvault.importing.files.streams import NotJsonError, Stream, read_text
from chatvault.importing.files.structure import Structure, first_of, look_at
from chatvault.importing.files.values import text
from chatvault.importing.format import Context, Format, Item, Settings
from chatvault.importing.formats.localstorage_fields import (
    canonical_digest,
    read_conversation,
    read_settings,
    storable,
)

CONVERSATIONS_KEY: Final = "ai-chat-conversations"
SETTINGS_KEY: Final = "ai-mcp-ui-config"
SETTINGS: Final = frozenset({"theme", "language", "autoSave", "showTimestamps"})

_SHOWN_ID = 40
# Fields that tell its conversations from those of other products.
_OWN: Final = frozenset(
    {
        "createdAt",
        "updatedAt",
        "isLoading",
        "thinkingTimes",
        "averageThinkingTime",
        "totalThinkingTime",
        "responseCount",
    }
)
_OTHERS: Final = frozenset(
    {"_id", "conversationId", "rootMessageId", "sessionId", "uuid", "mapping", "history", "chat"}
)
_TYPES: Final = frozenset({"user", "human", "assistant", "ai", "bot", "system"})


def detect(structure: Structure) -> str | None:
    """Detect the keys of the storage, the settings, or a list of conversations."""
    match structure.kind:
        case "string":
            return "string" if detect(look_at(structure.text.encode("utf-8", "replace"))) else None
        case "object":
            keys = structure.first.keys()
            is_dump = bool(keys & {CONVERSATIONS_KEY, SETTINGS_KEY})
            return "object" if is_dump or (keys and keys <= SETTINGS) else None
        case "array":
            return "array" if structure.any(_is_conversation) else None
        case _:
            return None


def read(stream: Stream, context: Context) -> Iterator[Item]:
    """Yield the conversations and the settings of a file.

    Raises:
        ImportRejected: It is not of this format.
        NotJsonError: It is cut off or bad.
    """
    cursor = Cursor(read_text(stream))
    yield from _Reading(now=to_milliseconds(context.now)).read_file(cursor)
    cursor.end()


def _is_conversation(raw: Raw) -> bool:
    if raw.keys() & _OTHERS:
        return False
    if "messages" not in raw:
        return bool(raw.keys() & _OWN) and "title" in raw
    first = first_of(raw, "messages")
    return bool(raw.keys() & _OWN) or (text(first.get("type")) in _TYPES and "role" not in first)


@dataclass(slots=True, kw_only=True)
class _Reading:
    """Reads one file."""

    now: datetime
    # For each id, the digests of the conversations with that id, with their numbers.
    seen: dict[str, dict[str, int]] = field(default_factory=dict)

    def read_file(self, cursor: Cursor) -> Iterator[Item]:
        match cursor.peek():
            case "{":
                yield from self._read_object(cursor)
            case "[":
                yield from self._read_array(cursor)
            case '"':
                yield from self._read_inner(cursor, within_dump=False)
            case _:
                cursor.value()
                raise ImportRejected("neither conversations nor settings of a chat")

    def _read_object(self, cursor: Cursor) -> Iterator[Item]:
        known = False
        stop: NotJsonError | None = None
        others: dict[str, Any] = {}
        for key in cursor.members():
            if key == CONVERSATIONS_KEY:
                known = True
                try:
                    yield from self._read_stored(cursor)
                except _InnerStop as inner:
                    # The rest of the dump is intact.
                    stop = stop or inner.stop
            elif key == SETTINGS_KEY:
                known = True
                yield from self._read_settings(cursor.value())
            else:
                value = cursor.value()
                others[key] = value if key in SETTINGS else None
        if not known:
            if not others or others.keys() - SETTINGS:
                raise ImportRejected(f"holds neither '{CONVERSATIONS_KEY}' nor '{SETTINGS_KEY}'")
            yield from self._read_settings(others)
        if stop is not None:
            raise stop

    def _read_stored(self, cursor: Cursor) -> Iterator[Item]:
        match cursor.peek():
            case "[":
                yield from self._read_array(cursor)
            case '"':
                yield from self._read_inner(cursor, within_dump=True)
            case _:
                if cursor.value() is not None:
                    raise ImportRejected(f"'{CONVERSATIONS_KEY}' is not a list")

    def _read_inner(self, cursor: Cursor, *, within_dump: bool) -> Iterator[Item]:
        """Read JSON inside a JSON string, up to where the string ends or is cut off."""
        inner_text, outer_stop = cursor.string()
        label = f" of '{CONVERSATIONS_KEY}'" if within_dump else " of the inner text"
        inner = Cursor(inner_text, label=label)
        try:
            if within_dump:
                yield from self._read_stored(inner)
            else:
                yield from self.read_file(inner)
            inner.end()
        except NotJsonError as inner_stop:
            if outer_stop is None:
                raise _InnerStop(inner_stop) from None
            outer_stop.place = inner_stop.place
        if outer_stop:
            raise outer_stop

    def _read_array(self, cursor: Cursor) -> Iterator[Item]:
        for number, raw in cursor.numbered():
            yield self._read_conversation(number, raw)

    def _read_conversation(self, number: int, raw: object) -> Item:
        place = f"conversation {number}{_shown_id(raw)}"
        try:
            found = read_conversation(raw, now=self.now)
        except UnfitError as unfit:
            where = f"{place}, {unfit.place}" if unfit.place else place
            return Skipped(place=where, reason=unfit.reason, is_damage=True)
        digest = canonical_digest(raw)
        same_id = self.seen.setdefault(found.source_id, {})
        if digest in same_id:
            return Skipped(place=place, reason=f"identical to conversation {same_id[digest]}")
        if same_id:
            note = "its id is also another conversation's; a derived one is used"
            found = replace(
                found,
                source_id=f"{found.source_id}~{digest[:16]}",
                notes=(*found.notes, note),
            )
        same_id[digest] = number
        return found

    def _read_settings(self, value: Any) -> Iterator[Item]:
        try:
            while isinstance(value, str):
                inner = Cursor(value, label=f" of '{SETTINGS_KEY}'")
                value = inner.value()
                inner.end()
            if value is None:
                return
            if not isinstance(value, dict):
                yield _bad_settings("not an object")
                return
            settings, _ = storable(value, MAX_FREE_BYTES)
        except (NotJsonError, UnfitError) as error:
            yield _bad_settings(error.reason)
            return
        known = {key: item for key, item in settings.items() if key in SETTINGS}
        if unknown := len(settings) - len(known):
            yield Skipped(place="settings", reason=f"{unknown} unknown")
        preferences, wrong = read_settings(known)
        for key, reason in wrong.items():
            yield _bad_settings(f"{key}: {reason}")
        if preferences or not wrong:
            yield Settings(preferences)


class _InnerStop(NotJsonError):
    """The JSON inside a string is cut off, while the JSON around it is intact."""

    def __init__(self, stop: NotJsonError) -> None:
        super().__init__(stop.reason, cut=stop.cut)
        self.place = stop.place
        self.stop = stop


def _bad_settings(reason: str) -> Skipped:
    return Skipped(place="settings", reason=reason, is_damage=True)


def _shown_id(raw: object) -> str:
    source_id = raw.get("id") if isinstance(raw, dict) else None
    if not isinstance(source_id, str) or not source_id:
        return ""
    shown = source_id if len(source_id) <= _SHOWN_ID else f"{source_id[:_SHOWN_ID]}…"
    return f' (id "{one_line(shown)}")'


FORMAT: Final = Format(
    name="localstorage", label="localStorage of the old frontend", detect=detect, read=read
)
