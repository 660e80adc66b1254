"""An activity of Gemini's from Takeout's JSON or HTML: a prompt with its answer."""

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from urllib.parse import urlsplit

from chatvault.fields import Raw

# The label before a prompt, in the languages of known exports.
_PREFIXES: Final = (
    "Prompted ",
    "Asked ",
    "Said ",
    "Eingegebener Prompt: ",
    "Eingegebener Prompt:",
)
PRODUCT = re.compile(r"\b(gemini|bard)\b", re.IGNORECASE)
HOSTS: Final = frozenset({"gemini.google.com", "bard.google.com"})
_CONVERSATION = re.compile(r"/(?:u/\d+/)?(?:app|gem/[^/]+)/([0-9a-f]{8,})/?")


@dataclass(slots=True, kw_only=True)
class Record:
    """A prompt with its answer."""

    prompt: str
    answer: str
    time: datetime | None
    url: str | None
    source: Raw = field(default_factory=dict)
    files: list[str] = field(default_factory=list)


def without_prefix(title: str) -> tuple[str, bool]:
    """Return a prompt without its label, and whether it had a known one."""
    for prefix in _PREFIXES:
        if title.startswith(prefix):
            return title[len(prefix) :].strip(), True
    return title, False


def host(url: object) -> str:
    """Return the host of a URL; empty for no URL."""
    try:
        return urlsplit(url).netloc if isinstance(url, str) else ""
    except ValueError:
        return ""


def conversation_of(url: str | None) -> str | None:
    """Return the id of the conversation in a URL."""
    if url is None or host(url) not in HOSTS:
        return None
    match = _CONVERSATION.fullmatch(urlsplit(url).path)
    return match[1] if match else None
