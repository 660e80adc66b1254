"""The list of fields with somebody's words that are sealed, and of those that are not yet."""

from collections.abc import Mapping
from typing import Final

import structlog

from chatvault.vault.masters import MasterKeys

log = structlog.get_logger()
# By collection, the fields that are declared as words and that a codec seals.
SEALED: Final[Mapping[str, frozenset[str]]] = {
    "conversations": frozenset({
        "title", "metadata", "system_prompt", "summary", "messages.content", "messages.metrics",
        "messages.extra", "messages.parts", "messages.tool_calls", "messages.commands",
    }),
    "segments": frozenset({
        "messages.content", "messages.metrics", "messages.extra", "messages.parts",
        "messages.tool_calls", "messages.commands",
    }),
    "revisions": frozenset({
        "message.content", "message.metrics", "message.extra", "message.parts",
        "message.tool_calls", "message.commands",
    }),
}  # fmt: skip
# The collections whose words are stored readably in spite of master keys.
READABLE_YET: Final[tuple[str, ...]] = (
    "agents", "api_keys", "attachment_parts", "attachments", "categories", "export_parts",
    "import_uploads", "imports", "notes", "preferences", "reply_events", "search_files",
    "templates",
)  # fmt: skip


def warn_of_readable(masters: MasterKeys | None) -> None:
    """Log what is stored readably in spite of master keys."""
    if masters is not None and READABLE_YET:
        log.warning("sealing_is_incomplete", readable=READABLE_YET, see="docs/privacy.md")
