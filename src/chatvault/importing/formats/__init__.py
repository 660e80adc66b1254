"""The registry of import formats; each has a module and a line here."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from chatvault.importing.files.structure import Structure
from chatvault.importing.format import Format
from chatvault.importing.formats import (
    ai_studio,
    chatbot_ui,
    chatgpt,
    claude,
    claude_code,
    codex,
    deepseek,
    gemini_cli,
    gemini_takeout,
    grok,
    librechat,
    localstorage,
    open_webui,
    openai_messages,
    own_export,
    sharegpt,
    silly_tavern,
)

# Sorted by the number of users of the product.
FORMATS: Final[Mapping[str, Format]] = MappingProxyType(
    {
        each.name: each
        for each in (
            chatgpt.FORMAT,
            claude.FORMAT,
            open_webui.FORMAT,
            librechat.FORMAT,
            gemini_takeout.FORMAT,
            claude_code.FORMAT,
            deepseek.FORMAT,
            grok.FORMAT,
            sharegpt.FORMAT,
            openai_messages.FORMAT,
            silly_tavern.FORMAT,
            ai_studio.FORMAT,
            gemini_cli.FORMAT,
            codex.FORMAT,
            chatbot_ui.FORMAT,
            own_export.FORMAT,
            localstorage.FORMAT,
        )
    }
)


def detect(structure: Structure) -> list[tuple[Format, str]]:
    """Return the formats that match a structure, each with its variant."""
    found = ((each, each.detect(structure)) for each in FORMATS.values())
    return [(each, variant) for each, variant in found if variant is not None]
