"""Each field that is declared as words is sealed; the page says so."""

import re
from pathlib import Path

from chatvault.documents import HOLDS

PAGE = (Path(__file__).parent.parent.parent / "docs" / "privacy.md").read_text()
WORDS = {name: set(holds.words) for name, holds in HOLDS.items() if holds.words}
# What the codec of the message store seals.
OF_MESSAGES = ("content", "metrics", "extra", "parts", "tool_calls", "commands")
BY_CODEC = {
    "conversations": {
        *("title", "metadata", "system_prompt", "summary"),
        *(f"messages.{name}" for name in OF_MESSAGES),
    },
    "segments": {f"messages.{name}" for name in OF_MESSAGES},
    "revisions": {f"message.{name}" for name in OF_MESSAGES},
    # By a key that only the link's token gives, with master keys or without.
    "link_parts": {"c"},
}


def test_the_codec_seals_each_declared_word() -> None:
    """Those of other collections are sealed as they are declared: see test_collections.py."""
    found = {name: WORDS[name] for name, holds in HOLDS.items() if holds.has_codec}
    assert found == BY_CODEC


def test_the_page_lists_every_field_that_is_sealed() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \|", PAGE, re.MULTILINE)

    told = {name: set(re.findall(r"`([\w.]+)`", fields)) for name, fields in rows}
    assert told == {name: fields for name, fields in WORDS.items() if name not in BY_CODEC}
