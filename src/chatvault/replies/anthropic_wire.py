"""Convert a request in OpenAI's shape to one of Anthropic's Messages API."""

import hashlib
import re
from collections.abc import Iterator
from typing import Any, Final

import orjson

from chatvault.conversations.models import MessageRole
from chatvault.fields import Raw
from chatvault.replies import errors
from chatvault.replies.model_calls import ModelRequest, text_in

DEFAULT_MAX_TOKENS: Final = 4096
SYSTEM: Final = {"system", "developer"}
# The API wants a user's message first; the beginning of a long conversation is not sent.
EARLIER: Final = "(The beginning of the conversation is left out.)"
CHOICES: Final = {"auto": "auto", "none": "none", "required": "any"}
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_DATA: Final = re.compile(r"data:([\w.+-]+/[\w.+-]+);base64,(.*)", re.DOTALL)


def to_body(request: ModelRequest) -> Raw:
    """Return the parameters of the request; OpenAI's that have no counterpart are left out.

    The API accepts no temperature and nothing else that controls sampling.

    Raises:
        ModelRefused: a message has content that the API does not take, such as sound.
    """
    system = [text_in_parts(each) for each in request.messages if each.get("role") in SYSTEM]
    options = request.options
    body: Raw = {
        "model": request.model,
        "max_tokens": request.max_tokens or DEFAULT_MAX_TOKENS,
        "messages": to_messages(request.messages),
    }
    if said := "\n\n".join(filter(None, system)):
        body["system"] = said
    if tools := request.tools or options.get("tools"):
        body["tools"] = [_tool(each["function"]) for each in tools]
        if choice := _tool_choice(options):
            body["tool_choice"] = choice
    if stop := options.get("stop"):
        body["stop_sequences"] = [stop] if isinstance(stop, str) else stop
    wanted = options.get("response_format") or {}
    if wanted.get("type") == "json_schema":
        schema = wanted["json_schema"]["schema"]
        body["output_config"] = {"format": {"type": "json_schema", "schema": schema}}
    return body


def text_in_parts(message: Raw) -> str:
    """Return the text of a message, without its pictures."""
    content = message.get("content")
    if isinstance(content, list):
        return "\n".join(text_in(part["text"]) for part in content if part.get("type") == "text")
    return text_in(content)


def to_messages(wires: list[Raw]) -> list[Raw]:
    """Return the messages in Anthropic's shape: users' and assistants' in turn.

    Results of tools are a user's blocks there. Reasoning is given back with the calls since the
    newest words of the user, for which the API needs it, and not with earlier ones.
    """
    said = [wire for wire in wires if wire.get("role") not in SYSTEM]
    asked = max((at for at, wire in enumerate(said) if wire["role"] == MessageRole.USER), default=0)
    messages: list[Raw] = []
    for at, wire in enumerate(said):
        is_assistant = wire["role"] == MessageRole.ASSISTANT
        role = "assistant" if is_assistant else "user"
        blocks = list(_assistant(wire, with_thoughts=at > asked) if is_assistant else _user(wire))
        if not blocks:
            continue
        if messages and messages[-1]["role"] == role:
            messages[-1]["content"] += blocks
        else:
            messages.append({"role": role, "content": blocks})
    if not messages or messages[0]["role"] != "user":
        messages.insert(0, {"role": "user", "content": [{"type": "text", "text": EARLIER}]})
    return messages


def _assistant(wire: Raw, *, with_thoughts: bool) -> Iterator[Raw]:
    if with_thoughts:
        yield from wire.get("thinking_blocks") or ()
    yield from _text(text_in_parts(wire))
    for call in wire.get("tool_calls") or ():
        function = call["function"]
        yield {
            "type": "tool_use",
            "id": _id_of(call["id"]),
            "name": function["name"],
            "input": _input_of(function.get("arguments")),
        }


def _user(wire: Raw) -> Iterator[Raw]:
    if wire["role"] in {MessageRole.TOOL, "function"}:
        yield {
            "type": "tool_result",
            "tool_use_id": _id_of(wire.get("tool_call_id") or wire.get("name")),
            "content": text_in_parts(wire),
        }
        return
    content = wire.get("content")
    if not isinstance(content, list):
        yield from _text(text_in(content))
        return
    for part in content:
        yield from _text(text_in(part["text"])) if part["type"] == "text" else [_media(part)]


def _text(text: str) -> Iterator[Raw]:
    # The API refuses texts without any character but spaces.
    if text.strip():
        yield {"type": "text", "text": text}


def _media(part: Raw) -> Raw:
    """Return the block of a picture or of a PDF.

    Raises:
        ModelRefused: it is neither.
    """
    kind = part["type"]
    if kind == "image_url":
        given = part["image_url"]
        url = text_in(given["url"] if isinstance(given, dict) else given)
        found = _DATA.fullmatch(url)
        if found is None:
            return {"type": "image", "source": {"type": "url", "url": url}}
        return {"type": "image", "source": _base64(found[1], found[2])}
    found = _DATA.fullmatch(text_in((part.get("file") or {}).get("file_data")))
    if kind == "file" and found is not None and found[1] == "application/pdf":
        return {"type": "document", "source": _base64(found[1], found[2])}
    raise errors.ModelRefused("The model takes texts, pictures and PDFs, and nothing else.")


def _base64(media_type: str, data: str) -> Raw:
    return {"type": "base64", "media_type": media_type, "data": data}


def _id_of(call_id: Any) -> str:
    """Return an id of a call that the API accepts; the same one for its result."""
    given = text_in(call_id)
    if _ID.fullmatch(given):
        return given
    return f"call_{hashlib.sha256(given.encode('utf-8', 'surrogatepass')).hexdigest()[:24]}"


def _input_of(arguments: Any) -> Raw:
    try:
        given = orjson.loads(text_in(arguments) or "{}")
    except orjson.JSONDecodeError:
        given = arguments
    return given if isinstance(given, dict) else {"input": given}


def _tool(function: Raw) -> Raw:
    schema = {"type": "object", **(function.get("parameters") or {})}
    tool: Raw = {"name": function["name"], "input_schema": schema}
    if description := function.get("description"):
        tool["description"] = description
    return tool


def _tool_choice(options: Raw) -> Raw | None:
    wanted = options.get("tool_choice")
    choice: Raw = {"type": CHOICES.get(wanted, "auto") if isinstance(wanted, str) else "auto"}
    if isinstance(wanted, dict):
        choice = {"type": "tool", "name": wanted["function"]["name"]}
    if options.get("parallel_tool_calls") is False and choice["type"] != "none":
        choice["disable_parallel_tool_use"] = True
    return choice if wanted or len(choice) > 1 else None
