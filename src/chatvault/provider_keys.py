"""The environment variables of OpenAI's and Anthropic's own clients, as providers' settings."""

from collections.abc import Mapping
from typing import Any, Final

# The protocol, and the model that is used where a variable names no other.
DEFAULT_MODELS: Final = {"openai": "gpt-4o-mini", "anthropic": "claude-haiku-5-5"}


def providers_in(environment: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Return the providers that the variables name, by their protocol; none without a key."""
    return {
        protocol: {
            "protocol": protocol,
            "base_url": environment.get(f"{protocol.upper()}_BASE_URL") or None,
            "api_key": environment[key],
            "model": environment.get(f"{protocol.upper()}_MODEL") or model,
        }
        for protocol, model in DEFAULT_MODELS.items()
        if environment.get(key := f"{protocol.upper()}_API_KEY")
    }


def variables_in(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return the variables with keys, such as `OPENAI_API_KEY`."""
    return tuple(f"{protocol.upper()}_API_KEY" for protocol in providers_in(environment))
