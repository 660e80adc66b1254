"""OpenAI's protocol, `/chat/completions`: what a request is sent as, and how chunks are read."""

import importlib
from typing import Any
from urllib.parse import urlsplit

from chatvault.external import Provider
from chatvault.replies import errors
from chatvault.replies.model_calls import MAX_CALLS, Chunk, ModelRequest, text_in, token_counts

SDK = "openai"
URL = "https://api.openai.com/v1"
CONNECT_TIMEOUT = 10.0
# The names that providers have for reasoning; some send the same by two of them.
REASONING = ("reasoning_content", "reasoning")


def connect(provider: Provider, timeout: float) -> Any:
    """Return a client, with its connections."""
    sdk = importlib.import_module(SDK)
    return sdk.AsyncOpenAI(
        base_url=provider.base_url or URL,
        api_key=provider.key or "none",
        max_retries=0,
        timeout=sdk.Timeout(timeout, connect=CONNECT_TIMEOUT),
    )


async def list_models(client: Any) -> bytes:
    """Return the JSON that lists the provider's models."""
    answer = await client.models.with_raw_response.list()
    content: bytes = answer.content
    return content


def ask(client: Any, provider: Provider, request: ModelRequest) -> Any:
    """Return the context in which the answer is streamed."""
    # Passed on unchanged: openai walks through each message of `messages` by its type, which
    # takes a third of what a reply costs.
    body: dict[str, Any] = {**provider.options, "messages": _plain(request.messages)}
    if request.tools:
        body["tools"] = request.tools
    given: dict[str, Any] = {
        **request.options,
        "model": request.model,
        "messages": (),
        "stream": True,
        "stream_options": {"include_usage": True},
        "extra_body": body,
    }
    if request.temperature is not None:
        given["temperature"] = request.temperature
    if request.max_tokens is not None:
        given[_limit_name(provider)] = request.max_tokens
    return client.chat.completions.with_streaming_response.create(**given)


def _plain(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the messages without the reasoning that only Anthropic's models get back."""
    if not any("thinking_blocks" in message for message in messages):
        return messages
    return [
        {name: value for name, value in message.items() if name != "thinking_blocks"}
        for message in messages
    ]


def _limit_name(provider: Provider) -> str:
    # OpenAI's newer models refuse the old name; many other providers only know the old one.
    host = urlsplit(provider.base_url or URL).hostname
    return "max_completion_tokens" if host == "api.openai.com" else "max_tokens"


class Reader:
    """Reads the chunks of one answer.

    Args:
        request: the request that is answered.
    """

    def __init__(self, request: ModelRequest) -> None:
        """Begin to read an answer; OpenAI's chunks need nothing of the request."""

    @staticmethod
    def read(value: Any) -> tuple[Chunk]:
        """Return an event's chunk; raise, which counts as nonsense, if it is not understood."""
        return (_piece(value),)


def _piece(chunk: dict[str, Any]) -> Chunk:
    """Parse a chunk; raise, which counts as nonsense, if it is not understood."""
    if chunk.get("error"):
        raise errors.ModelUnavailable
    usage = chunk.get("usage")
    choices = chunk.get("choices")
    if choices is None and not usage:
        raise ValueError("no choices")
    if not choices:
        return Chunk(usage=token_counts(usage), raw=chunk, is_progress=bool(usage))
    choice = choices[0]
    delta = choice.get("delta") or {}
    return Chunk(
        text=text_in(delta.get("content")),
        thinking=_thinking(delta),
        calls=tuple(_call(part) for part in delta.get("tool_calls") or ()),
        finish_reason=text_in(choice.get("finish_reason")) or None,
        usage=token_counts(usage),
        raw=chunk,
        is_progress=_is_progress(choice, delta),
    )


def _thinking(delta: dict[str, Any]) -> str:
    """Return the reasoning in a chunk; what is no text, such as details of it, is none."""
    found = (delta.get(name) for name in REASONING)
    return next((text for text in found if isinstance(text, str) and text), "")


def _is_progress(choice: dict[str, Any], delta: dict[str, Any]) -> bool:
    """Return whether a chunk is progress: hidden reasoning counts, an empty chunk does not."""
    if delta.get("content") or choice.get("finish_reason"):
        return True
    return any(value for name, value in delta.items() if name != "role")


def _call(part: dict[str, Any]) -> dict[str, Any]:
    """Return the known fields of a part of a tool call."""
    index, function = part["index"], part.get("function") or {}
    if not isinstance(index, int) or not 0 <= index < MAX_CALLS:
        raise ValueError("no such tool call")
    said = {"name": text_in(function.get("name")), "arguments": text_in(function.get("arguments"))}
    return {"index": index, "id": text_in(part.get("id")), "function": said}
