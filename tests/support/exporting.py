"""Records that formats are tried with, and what is read back from what they write."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from bson import ObjectId
from hypothesis import strategies as st

from chatvault.conversations.shapes import ConversationDoc, StoredMessage
from chatvault.exporting.records import (
    About,
    Completeness,
    Counts,
    ExportedConversation,
    ExportedMessage,
    Piece,
)
from chatvault.exporting.writer import Writer

AT = datetime(2026, 1, 31, 10, 0, 0, 123000)  # noqa: DTZ001  # as it is read from MongoDB
ABOUT = About(exported_at=AT, program="chatvault 0.1.0")
# What BSON holds as text: anything but half a surrogate pair.
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
# Pieces of texts that mean something to Markdown, HTML, YAML, file systems or JSON.
_PIECES = (
    *("\n", "\r\n", "\r", "\n\n", " ", "    ", "\t", "---", "...", "```", "~~~", "> ", ">", "# "),
    *(
        "<script>alert(1)</script>",
        "<!--",
        "-->",
        "</style>",
        "</article>",
        "<img src=x onerror=x>",
    ),
    *("[a](javascript:alert(1))", "<javascript:x>", "[[x]]", "![[x]]", "![a](http://x/y.png)"),
    *("[!user] User", "> [!user] User", '"', "'", "\\", ": ", "- a", "&amp;", "&#0;", "\x00"),
    *("\x1b", "\u2028", "\u2029", "\x85", "\u202e", "\ufeff", "🏳️‍🌈", "e\u0301", "क्ष", "CON"),
    *("nul.txt", "../", "/", "C:\\", ".", "| a | b |\n|---|---|\n| c | d |", "*" * 5, "`" * 7),
    *("[x]: <http://a>", "{{", "<%", "%%"),
)
HOSTILE = st.lists(st.sampled_from(_PIECES) | TEXT, max_size=8).map("".join)


def stored_message(content: str = "Hello", role: str = "user", **more: Any) -> StoredMessage:
    message: Any = {"id": "m0", "role": role, "content": content, "timestamp": AT, **more}
    return StoredMessage(more.pop("seq", 0), message)


def exported_message(content: str = "Hello", role: str = "user", **more: Any) -> ExportedMessage:
    return ExportedMessage.of(stored_message(content, role, **more))


def stored_conversation(**more: Any) -> ConversationDoc:
    """As version 0.1.0 stored it before agents came: nothing but what has always been there."""
    document: Any = {
        "_id": ObjectId("65a5158ac8d8e8a8b8c8d8e8"),
        "title": "The time in Tokyo",
        "status": "active",
        "tags": [],
        "created_at": AT,
        "updated_at": AT,
        "last_message_at": AT,
        "total_messages": 1,
        "version": 1,
        **more,
    }
    return document  # type: ignore[no-any-return]  # a test's own document


def exported_conversation(**more: Any) -> ExportedConversation:
    return ExportedConversation.of(stored_conversation(**more))


def written(
    writer: Writer,
    *conversations: tuple[ExportedConversation, Sequence[ExportedMessage]],
    end: Completeness = Completeness.WHOLE,
    run: int = 2,
) -> bytes:
    """Write conversations with an export writer, from messages in runs."""
    counts, parts = Counts(), [writer.write_head(ABOUT)]
    for conversation, messages in conversations:
        runs = [list(messages[at : at + run]) for at in range(0, len(messages), run)] or [[]]
        for number, each in enumerate(runs):
            is_last = number == len(runs) - 1
            piece = Piece(conversation, each, number == 0, end if is_last else None)
            counts.count(piece)
            parts.append(writer.write(piece))
    return b"".join([*parts, writer.write_tail(counts)])
