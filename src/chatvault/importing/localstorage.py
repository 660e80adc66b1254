"""The file shapes that a browser's localStorage comes in: Export file, raw value, whole dump."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from chatvault.fields import MAX_FREE_BYTES, to_milliseconds
from chatvault.importing.conversations import (
    ImportedConversation,
    ImportedPreferences,
    ImportFile,
    ImportRejected,
    Skipped,
    one_line,
)
from chatvault.importing.jsontext import Cursor, NotJsonError, decode
from chatvault.importing.localstorage_fields import (
    UnfitError,
    canonical_digest,
    read_conversation,
    read_settings,
    storable,
)

CONVERSATIONS_KEY: Final = "ai-chat-conversations"
SETTINGS_KEY: Final = "ai-mcp-ui-config"
SETTINGS: Final = frozenset({"theme", "language", "autoSave", "showTimestamps"})

_SHOWN_ID = 40


def read(data: bytes, *, name: str, salvage: bool = False, now: datetime) -> ImportFile:
    """Read the Export file, the raw value of a key, a dump of the storage, or its settings.

    Without `salvage` all of the file is sound, or none of it is returned.

    Args:
        data: the file's bytes; UTF-8, or UTF-16 with a byte order mark.
        name: what to call the file in an error.
        salvage: return what can be read of a file that is cut off or partly bad.
        now: the time of creation of what tells none; aware.

    Raises:
        ImportRejected: The file is not of this format, or it is cut off or bad and not to be
            salvaged, or nothing in it can be salvaged.
    """
    reading = _Reading(name=one_line(name), salvage=salvage, now=to_milliseconds(now))
    try:
        cursor = Cursor(decode(data))
        reading.read_file(cursor)
        cursor.end()
    except NotJsonError as stop:
        reading.stop = reading.stop or stop
    reading.settle()
    return ImportFile(
        conversations=tuple(reading.conversations),
        preferences=reading.preferences,
        skipped=tuple(reading.skipped),
        truncated=reading.stop is not None,
    )


@dataclass(slots=True, kw_only=True)
class _Reading:
    """What was found in one file so far, and where reading had to stop."""

    name: str
    salvage: bool
    now: datetime
    conversations: list[ImportedConversation] = field(default_factory=list)
    preferences: ImportedPreferences | None = None
    skipped: list[Skipped] = field(default_factory=list)
    stop: NotJsonError | None = None
    broken: str = ""
    count: int = 0
    # For each id the digests of the conversations that bear it, with their numbers.
    seen: dict[str, dict[str, int]] = field(default_factory=dict)

    def read_file(self, cursor: Cursor) -> None:
        match cursor.peek():
            case "{":
                self._read_object(cursor)
            case "[":
                self._read_array(cursor)
            case '"':
                self._read_inner(cursor, within_dump=False)
            case _:
                cursor.value()
                raise self._rejected("neither conversations nor settings of a chat")

    def settle(self) -> None:
        """Turn the place where reading stopped, if it did, into an entry or an error."""
        if self.stop is None:
            return
        if self.salvage and (self.conversations or self.preferences is not None):
            reason = "cut off" if self.stop.cut else self.stop.reason
            self.skipped.append(Skipped(place=self.broken or "the rest of the file", reason=reason))
            return
        whole = len(self.conversations)
        before = f"the {whole} whole conversation{'s'[: whole != 1]} before"
        if self.stop.cut:
            rescue = (
                f"--salvage imports {before} the cut"
                if whole
                else "no whole conversation stands before the cut"
            )
            raise self._rejected(f"{self.stop.reason}: the file seems cut off; {rescue}")
        place = f"{self.broken}: " if self.broken else ""
        rescue = f"; --salvage imports {before} it" if whole else ""
        raise self._rejected(f"{place}{self.stop.reason}{rescue}")

    def _read_object(self, cursor: Cursor) -> None:
        known = False
        others: dict[str, Any] = {}
        for key in cursor.members():
            if key == CONVERSATIONS_KEY:
                known = True
                self._read_stored(cursor)
            elif key == SETTINGS_KEY:
                known = True
                self._read_settings(cursor.value())
            else:
                value = cursor.value()
                others[key] = value if key in SETTINGS else None
        if not known:
            if not others or others.keys() - SETTINGS:
                raise self._rejected(f"holds neither '{CONVERSATIONS_KEY}' nor '{SETTINGS_KEY}'")
            self._read_settings(others)

    def _read_stored(self, cursor: Cursor) -> None:
        match cursor.peek():
            case "[":
                self._read_array(cursor)
            case '"':
                self._read_inner(cursor, within_dump=True)
            case _:
                if cursor.value() is not None:
                    raise self._rejected(f"'{CONVERSATIONS_KEY}' is not a list")

    def _read_inner(self, cursor: Cursor, *, within_dump: bool) -> None:
        """Read JSON that stands in a JSON string, as far as the string goes."""
        text, outer_stop = cursor.string()
        label = f" of '{CONVERSATIONS_KEY}'" if within_dump else " of the inner text"
        inner = Cursor(text, label=label)
        try:
            if within_dump:
                self._read_stored(inner)
            else:
                self.read_file(inner)
            inner.end()
        except NotJsonError as inner_stop:
            self.stop = self.stop or outer_stop or inner_stop
        if outer_stop:
            raise outer_stop

    def _read_array(self, cursor: Cursor) -> None:
        try:
            for raw in cursor.elements():
                self.count += 1
                self._read_conversation(raw)
        except NotJsonError:
            if cursor.peek():
                self.broken = f"conversation {self.count + 1}"
            raise

    def _read_conversation(self, raw: object) -> None:
        place = f"conversation {self.count}{_shown_id(raw)}"
        try:
            found = read_conversation(raw, now=self.now)
        except UnfitError as unfit:
            self._skip(f"{place}, {unfit.place}" if unfit.place else place, unfit.reason)
            return
        digest = canonical_digest(raw)
        same_id = self.seen.setdefault(found.source_id, {})
        if digest in same_id:
            reason = f"identical to conversation {same_id[digest]}"
            self.skipped.append(Skipped(place=place, reason=reason))
            return
        if same_id:
            note = "its id is also another conversation's; a derived one is used"
            found = replace(
                found,
                source_id=f"{found.source_id}~{digest[:16]}",
                notes=(*found.notes, note),
            )
        same_id[digest] = self.count
        self.conversations.append(found)

    def _read_settings(self, value: Any) -> None:
        try:
            while isinstance(value, str):
                inner = Cursor(value, label=f" of '{SETTINGS_KEY}'")
                value = inner.value()
                inner.end()
            if value is None:
                return
            if not isinstance(value, dict):
                self._skip("settings", "not an object")
                return
            settings, _ = storable(value, MAX_FREE_BYTES)
        except (NotJsonError, UnfitError) as error:
            self._skip("settings", error.reason)
            return
        known = {key: item for key, item in settings.items() if key in SETTINGS}
        if unknown := len(settings) - len(known):
            self.skipped.append(Skipped(place="settings", reason=f"{unknown} unknown"))
        preferences, wrong = read_settings(known)
        for key, reason in wrong.items():
            self._skip("settings", f"{key}: {reason}")
        if preferences or not wrong:
            self.preferences = preferences

    def _skip(self, place: str, reason: str) -> None:
        if not self.salvage:
            raise self._rejected(f"{place}: {reason}")
        self.skipped.append(Skipped(place=place, reason=reason))

    def _rejected(self, reason: str) -> ImportRejected:
        return ImportRejected(f"{self.name}: {reason}")


def _shown_id(raw: object) -> str:
    source_id = raw.get("id") if isinstance(raw, dict) else None
    if not isinstance(source_id, str) or not source_id:
        return ""
    shown = source_id if len(source_id) <= _SHOWN_ID else f"{source_id[:_SHOWN_ID]}…"
    return f' (id "{one_line(shown)}")'
