"""Requests to a model, and the pieces of its answer, whatever protocol it speaks."""

from dataclasses import dataclass, field
from typing import Any

from chatvault.conversations.parts import ThinkingPart
from chatvault.mongodb.storable import check_storable

MAX_CALLS = 128
MAX_TOKENS = 2**31
MAX_USAGE = 4096  # bytes of JSON that a provider's usage may have
COUNTS = ("prompt_tokens", "completion_tokens", "total_tokens")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRequest:
    """One request to a model.

    Attributes:
        provider: its name in the settings.
        messages: in OpenAI's shape.
        max_tokens: the limit of the answer.
        tools: in OpenAI's shape.
        options: further parameters of OpenAI's, as sent by the client.
    """

    provider: str
    model: str
    messages: list[dict[str, Any]]
    temperature: float | None = None
    max_tokens: int | None = None
    tools: list[dict[str, Any]] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Chunk:
    """One piece of a model's answer.

    Attributes:
        thinking: reasoning that may be shown, before the answer.
        thoughts: complete blocks of reasoning, as stored parts.
        calls: parts of tool calls, each with its `index`, and with `id` and `function` or without.
        usage: input and output tokens, if the provider gives them.
        raw: the chunk in OpenAI's shape; as received, if the provider speaks OpenAI's protocol.
        is_progress: whether it has anything of the answer; an empty chunk has not.
    """

    text: str = ""
    thinking: str = ""
    thoughts: tuple[ThinkingPart, ...] = ()
    calls: tuple[dict[str, Any], ...] = ()
    finish_reason: str | None = None
    usage: tuple[int, int] | None = None
    raw: dict[str, Any] = field(default_factory=dict)
    is_progress: bool = False

    @property
    def is_usage_only(self) -> bool:
        """Whether it has the usage, and no part of the answer."""
        return bool(self.raw.get("usage")) and not self.raw.get("choices")

    @property
    def size(self) -> int:
        """The bytes it adds to the answer."""
        said = [part["function"] for part in self.calls]
        return (
            len(self.text.encode())
            + len(self.thinking.encode())
            + sum(len(part["name"].encode()) + len(part["arguments"].encode()) for part in said)
        )


def add_calls(calls: dict[int, dict[str, Any]], chunk: Chunk) -> None:
    """Merge a chunk's parts of tool calls into the calls so far: id, name and arguments."""
    for part in chunk.calls:
        call = calls.setdefault(part["index"], {"id": "", "name": "", "arguments": ""})
        function = part.get("function") or {}
        call["id"] = part.get("id") or call["id"]
        call["name"] += function.get("name") or ""
        call["arguments"] += function.get("arguments") or ""


def call_wire(*, id: str, name: str, arguments: str) -> dict[str, Any]:  # noqa: A002  # the field's name
    """Return a tool call in OpenAI's shape."""
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def further_usage(usage: Any) -> dict[str, Any]:
    """Return the provider's usage fields beside the three counts, as far as they can be stored."""
    if not isinstance(usage, dict):
        return {}
    further = {name: value for name, value in usage.items() if name not in COUNTS}
    return further if check_storable(further, max_bytes=MAX_USAGE) is None else {}


def token_counts(usage: Any) -> tuple[int, int] | None:
    """Return input and output tokens of a usage in OpenAI's shape; None if they cannot be right."""
    if not isinstance(usage, dict):
        return None
    counted = usage.get("prompt_tokens"), usage.get("completion_tokens")
    known = [count for count in counted if isinstance(count, int) and 0 <= count < MAX_TOKENS]
    return (known[0], known[1]) if len(known) == len(counted) else None


def text_in(value: Any) -> str:
    """Return a text; the empty one for None."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value


def thoughts_of(text: str) -> list[ThinkingPart]:
    """Return reasoning without a signature as stored parts; none for an empty text."""
    return [{"type": "thinking", "text": text}] if text else []


def thinking_block(part: ThinkingPart) -> dict[str, Any]:
    """Return stored reasoning as Anthropic's API gave it, and as it has to get it back."""
    redacted = part.get("extra", {}).get("redacted_thinking")
    if redacted is not None:
        return {"type": "redacted_thinking", "data": redacted}
    return {
        "type": "thinking",
        "thinking": part.get("text", ""),
        "signature": part.get("signature", ""),
    }
