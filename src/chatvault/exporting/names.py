"""Build file names that every file system and Obsidian accept."""

import unicodedata
from datetime import UTC, datetime
from urllib.parse import quote

import regex

from chatvault.exporting.records import ExportedConversation

MAX_BYTES = 120
# Characters that Windows, macOS or a wiki link does not accept in a name.
FORBIDDEN = frozenset('[]#^|\\/:<>"?*%')
# Windows opens a device by each of these names, with any suffix.
RESERVED = regex.compile(
    r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$)[ ]*(\..*)?", regex.I
)
# They join characters in emoji and in some scripts.
JOINERS = frozenset("\u200c\u200d")
GRAPHEME = regex.compile(r"\X")


def safe_name(text: str, *, most: int = MAX_BYTES, instead: str = "Untitled") -> str:
    """Return the text in a form that may be part of a file's name.

    Args:
        text: anything.
        most: the limit in bytes of UTF-8.
        instead: the result if nothing is left of the text.
    """
    kept = "".join(map(_replace, unicodedata.normalize("NFC", text)))
    name = _cut(" ".join(kept.split()).strip(". "), most).strip(". ")
    if not name.strip("".join(JOINERS)):
        return instead
    return f"_{_cut(name, most - 1)}" if RESERVED.fullmatch(name) else name


def _replace(char: str) -> str:
    if char in JOINERS:
        return char
    if char in FORBIDDEN:
        return "-" if char in "/\\:|" else " "
    kind = unicodedata.category(char)
    # Control and format characters, lone surrogates, private use, unassigned characters.
    return " " if kind == "Cc" else "" if kind.startswith("C") else char


def _cut(text: str, most: int) -> str:
    """Return as many whole graphemes as fit."""
    if len(text.encode()) <= most:
        return text
    kept, size = [], 0
    for found in GRAPHEME.finditer(text):
        size += len(found[0].encode())
        if size > most:
            break
        kept.append(found[0])
    return "".join(kept)


def name_of(conversation: ExportedConversation, suffix: str, *, full_id: bool = False) -> str:
    """Return the name of a conversation's file: its day, its title and the end of its id."""
    day = _utc(conversation.created_at).strftime("%Y-%m-%d")
    mark = conversation.id if full_id else conversation.id[-8:]
    room = MAX_BYTES - len(f"{day}  ({mark}){suffix}")
    return f"{day} {safe_name(conversation.title, most=room)} ({mark}){suffix}"


def path_of(conversation: ExportedConversation, suffix: str, *, full_id: bool = False) -> str:
    """Return the path of a conversation's file in an archive, with folders by month."""
    folder = _utc(conversation.created_at).strftime("%Y/%m")
    return f"{folder}/{name_of(conversation, suffix, full_id=full_id)}"


def name_of_export(what: str, at: datetime, suffix: str) -> str:
    """Return the name of a file with many conversations."""
    return f"{what} {_utc(at).strftime('%Y-%m-%d')}{suffix}"


def link_to(path: str) -> str:
    """Return the relative link from a conversation's file in an archive to another file."""
    return f"../../{quote(path)}"


def _utc(at: datetime) -> datetime:
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
