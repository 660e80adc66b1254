"""Convert the messages of a completion's request to messages to store."""

import json
import uuid
from collections.abc import Iterator, Sequence
from typing import Any, cast

from pydantic import ValidationError

from chatvault.conversations.models import DEFAULT_TITLE, MessageRole
from chatvault.conversations.parts import Part
from chatvault.conversations.schemas import MessageIn
from chatvault.encoding import to_json
from chatvault.errors import FieldError, InvalidInput
from chatvault.fields import Raw

ROLES = {
    **{role.value: role for role in MessageRole},
    "developer": MessageRole.SYSTEM,
    "function": MessageRole.TOOL,
}
# Of pictures and other content than text only what is smaller is stored.
MAX_BLOCK = 4 * 1024  # bytes of JSON
MAX_WORDS = 80  # characters of a title


def text_of(message: Raw) -> str:
    """Return the text of a message, without its pictures."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    return "\n".join(block["text"] for block in _blocks(message) if _is_text(block))


def title_of(messages: Sequence[Raw]) -> str:
    """Return the first words of the user's first message with text."""
    for message in messages:
        if message.get("role") == MessageRole.USER and (words := text_of(message).split()):
            return " ".join(words)[:MAX_WORDS].strip()
    return DEFAULT_TITLE


def to_messages(messages: Sequence[Raw]) -> list[MessageIn]:
    """Return the messages as they are stored, with ids, and calls and results of tools as parts.

    Raises:
        InvalidInput: one cannot be stored.
        TooLarge: one is too long.
    """
    return [_to_message(number, message) for number, message in enumerate(messages)]


def _to_message(number: int, message: Raw) -> MessageIn:
    role = ROLES.get(str(message.get("role")), MessageRole.SYSTEM)
    parts = [*_parts(message, role)]
    fields: Raw = {
        "id": str(uuid.uuid4()),
        "role": role,
        "content": "" if role is MessageRole.TOOL else text_of(message),
    }
    if any(part["type"] != "text" for part in parts):
        fields["parts"] = parts
    try:
        return MessageIn.model_validate(fields)
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False, include_context=False)[0]
        place = FieldError(("body", "messages", number), found["msg"], found["type"])
        raise InvalidInput(f"messages.{number}: {found['msg']}", errors=(place,)) from None


def _parts(message: Raw, role: MessageRole) -> Iterator[Part]:
    if role is MessageRole.TOOL:
        yield _result(message)
        return
    content = message.get("content")
    if isinstance(content, str) and content:
        yield {"type": "text", "text": content}
    for block in _blocks(message):
        if _is_text(block):
            yield {"type": "text", "text": block["text"]}
        else:
            yield _other(block)
    for call in message.get("tool_calls") or ():
        if isinstance(call, dict) and isinstance(call.get("function"), dict):
            yield _call(call, call["function"])


def _blocks(message: Raw) -> list[Raw]:
    content = message.get("content")
    listed = content if isinstance(content, list) else []
    return [block for block in listed if isinstance(block, dict)]


def _is_text(block: Raw) -> bool:
    return isinstance(block.get("text"), str)


def _other(block: Raw) -> Part:
    size = len(to_json(block))
    value: Any = block if size <= MAX_BLOCK else {"bytes": size}
    return {"type": "raw", "source_type": str(block.get("type", "")), "value": value}


def _call(call: Raw, function: Raw) -> Part:
    part: Raw = {
        "type": "tool_call",
        "name": str(function.get("name", "")),
        "input": _parse(function.get("arguments")),
    }
    if isinstance(call.get("id"), str):
        part["id"] = call["id"]
    return cast("Part", part)


def _parse(arguments: Any) -> Any:
    """Return the arguments as JSON, or as they came."""
    try:
        parsed = json.loads(arguments) if isinstance(arguments, str) else arguments
    except ValueError:
        return arguments
    return parsed if isinstance(parsed, dict) else arguments


def _result(message: Raw) -> Part:
    part: Raw = {"type": "tool_result", "output": text_of(message)}
    named = {"call_id": message.get("tool_call_id"), "name": message.get("name")}
    part |= {name: value for name, value in named.items() if isinstance(value, str)}
    return cast("Part", part)
