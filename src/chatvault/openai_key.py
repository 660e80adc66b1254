"""The environment variables of OpenAI's own clients, as a provider's settings."""

from collections.abc import Mapping
from typing import Any

KEY = "OPENAI_API_KEY"
URL = "OPENAI_BASE_URL"
MODEL = "OPENAI_MODEL"
DEFAULT_MODEL = "gpt-4o-mini"


def provider_in(environment: Mapping[str, str]) -> dict[str, Any] | None:
    """Return the provider that the variables name, or None without a key."""
    if not environment.get(KEY):
        return None
    return {
        "base_url": environment.get(URL) or None,
        "api_key": environment[KEY],
        "model": environment.get(MODEL) or DEFAULT_MODEL,
    }
