"""Choosing what a link shows of a conversation: what was said, and more only if it is asked for."""

from collections.abc import Collection, Mapping
from typing import Any, Final, cast

from chatvault.conversations.links import Include
from chatvault.conversations.parts import Part
from chatvault.conversations.shapes import ConversationDoc, MessageDoc
from chatvault.fields import Raw

# The fields of each kind of part that are shown; others, such as a file's source, are not.
SHOWN: Final[Mapping[str, tuple[str, ...]]] = {
    "text": ("type", "text"),
    "thinking": ("type", "text", "summary", "duration_s"),
    "tool_call": ("type", "id", "name", "input"),
    "tool_result": ("type", "call_id", "name", "output", "is_error"),
    "file": ("type", "attachment_id", "name", "mime", "size", "width", "height"),
    "citation": ("type", "url", "title", "quote", "start", "end"),
}
# The kinds that are shown only if they are asked for.
ASKED: Final[Mapping[str, Include]] = {
    "thinking": Include.THINKING,
    "tool_call": Include.TOOL_RESULTS,
    "tool_result": Include.TOOL_RESULTS,
}
# The roles of messages that are shown only if they are asked for.
ROLES: Final[Mapping[str, Include]] = {
    "system": Include.SYSTEM_PROMPT,
    "tool": Include.TOOL_RESULTS,
}
# Fields of messages that tell about the model and the work, not what was said.
FACTS: Final = (
    "model", "model_used", "llm_provider", "temperature", "input_tokens", "output_tokens",
    "total_tokens", "response_time_ms", "finish_reason", "metrics", "extra",
)  # fmt: skip


def project_conversation(conversation: ConversationDoc, include: Collection[Include]) -> Raw:
    """Return what a link shows of a conversation beside its messages."""
    shown: Raw = {"title": conversation["title"]}
    if Include.SYSTEM_PROMPT in include and conversation.get("system_prompt"):
        shown["system_prompt"] = conversation["system_prompt"]
    if Include.METADATA in include:
        shown |= {"tags": conversation["tags"], "metadata": conversation.get("metadata", {})}
    return shown


def project_message(message: MessageDoc, include: Collection[Include]) -> Raw | None:
    """Return what a link shows of a message; None if it shows nothing of it.

    It has no id, as clients choose ids, and an id may be a word of somebody's.
    """
    role = message.get("role", "user")
    asked = ROLES.get(role)
    if message.get("hidden") or (asked is not None and asked not in include):
        return None
    shown: Raw = {"role": role, "content": message.get("content", "")}
    if (parts := _project_parts(message.get("parts", []), include)) is not None:
        shown["parts"] = parts
    if "timestamp" in message and message.get("time_source", "exact") == "exact":
        shown["timestamp"] = message["timestamp"]
    if message.get("unreadable"):
        shown["unreadable"] = True
    if Include.TOOL_RESULTS in include:
        shown["parts"] = [*shown.get("parts", _text_of(shown)), *_commands_of(message)]
        if all(part["type"] == "text" for part in shown["parts"]):
            del shown["parts"]
    if Include.METADATA in include:
        shown |= {name: value for name, value in message.items() if name in FACTS}
    return shown if shown["content"] or "parts" in shown or "unreadable" in shown else None


def _project_parts(parts: list[Part], include: Collection[Include]) -> list[Raw] | None:
    """Return the parts that are shown; None if nothing but text is left of them."""
    found = [
        {name: value for name, value in cast("Raw", part).items() if name in SHOWN[part["type"]]}
        for part in parts
        if part["type"] in SHOWN and (ASKED.get(part["type"]) in {None, *include})
    ]
    return None if all(part["type"] == "text" for part in found) else found


def _text_of(shown: Raw) -> list[Raw]:
    return [{"type": "text", "text": shown["content"]}] if shown["content"] else []


def _commands_of(message: MessageDoc) -> list[Raw]:
    """Return the calls of tools that ran here, as parts."""
    found: list[Raw] = []
    for command in message.get("commands", []):
        call_id = str(command["id"])
        call: dict[str, Any] = {"id": call_id, "name": command["tool"]}
        found.append({"type": "tool_call", **call, "input": command.get("arguments")})
        if command.get("result") is not None:
            told = {"call_id": call_id, "output": command["result"]}
            is_error = command.get("status") == "failed"
            found.append({"type": "tool_result", **told, "is_error": is_error})
    return found
