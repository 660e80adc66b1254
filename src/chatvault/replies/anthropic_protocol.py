"""Anthropic's protocol, `/v1/messages`: what a request is sent as, and how events are read.

The answer leaves here as chunks in OpenAI's shape, as the rest of the service knows it.
"""

import importlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, cast

from chatvault.conversations.parts import ThinkingPart
from chatvault.external import Provider
from chatvault.fields import Raw
from chatvault.replies import errors
from chatvault.replies.anthropic_wire import to_body
from chatvault.replies.model_calls import (
    MAX_CALLS,
    Chunk,
    ModelRequest,
    call_wire,
    text_in,
    thinking_block,
    token_counts,
)

SDK: Final = "anthropic"
URL: Final = "https://api.anthropic.com"
CONNECT_TIMEOUT: Final = 10.0
MAX_LISTED: Final = 1000
REASONS: Final = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
# What an error in the middle of a stream means; any other is the provider's own failure.
FAILURES: Final[dict[str, type[errors.ModelFailed]]] = {
    "rate_limit_error": errors.ModelRateLimited,
    "timeout_error": errors.ModelTimedOut,
    "invalid_request_error": errors.ModelRefused,
    "authentication_error": errors.ModelRefused,
    "billing_error": errors.ModelRefused,
    "permission_error": errors.ModelRefused,
    "not_found_error": errors.ModelRefused,
}
UNCLEAR: Final = "A message or a tool is not in the shape that OpenAI's API has for it."
DECLINED: Final = "The model declined to answer; change your message, or begin a new conversation."


def connect(provider: Provider, timeout: float) -> Any:
    """Return a client, with its connections."""
    sdk = importlib.import_module(SDK)
    return sdk.AsyncAnthropic(
        # Its paths begin with /v1, which addresses of other providers end with.
        base_url=(provider.base_url or URL).rstrip("/").removesuffix("/v1"),
        # Never empty: the SDK would look for a key in the environment and in files.
        api_key=provider.key or "none",
        max_retries=0,
        timeout=sdk.Timeout(timeout, connect=CONNECT_TIMEOUT),
        # Spans could have the words of requests and answers.
        open_telemetry=False,
    )


async def list_models(client: Any) -> bytes:
    """Return the JSON that lists the provider's models."""
    answer = await client.models.with_raw_response.list(limit=MAX_LISTED)
    content: bytes = await answer.read()
    return content


def ask(client: Any, provider: Provider, request: ModelRequest) -> Any:
    """Return the context in which the answer is streamed.

    Raises:
        ModelRefused: the request has something that this protocol has no counterpart for.
    """
    try:
        body = to_body(request)
    except (KeyError, TypeError, AttributeError) as error:
        raise errors.ModelRefused(UNCLEAR) from error
    return client.messages.with_streaming_response.create(
        model=body.pop("model"),
        max_tokens=body.pop("max_tokens"),
        messages=(),
        stream=True,
        extra_body={**body, **provider.options},
    )


@dataclass(slots=True)
class _Block:
    """A block of the answer while it comes.

    Attributes:
        call: the number of the tool call that it is.
        has_input: whether the call has arguments so far.
    """

    kind: str
    call: int = 0
    has_input: bool = False
    thinking: str = ""
    signature: str = ""
    redacted: str = ""


@dataclass(slots=True)
class Reader:
    """Reads the events of one answer.

    Args:
        request: the request that is answered.
    """

    request: ModelRequest
    _blocks: dict[int, _Block] = field(default_factory=dict)
    _calls: int = 0
    _has_text: bool = False
    _head: Raw = field(default_factory=dict)
    _usage: Raw = field(default_factory=dict)

    def read(self, event: Any) -> Iterator[Chunk]:
        """Yield the chunks of an event; raise, which counts as nonsense, if it is not understood.

        Raises:
            ModelFailed: the event reports a failure, or that the model declines to answer.
        """
        match event["type"]:
            case "message_start":
                self._begin(event["message"])
            case "content_block_start":
                yield from self._open(event["index"], event["content_block"])
            case "content_block_delta":
                yield from self._go_on(self._blocks[event["index"]], event["delta"])
            case "content_block_stop":
                yield from self._close(self._blocks[event["index"]])
            case "message_delta":
                yield from self._end(event)
            case "error":
                error = event.get("error") or {}
                raise FAILURES.get(str(error.get("type")), errors.ModelUnavailable)

    def _begin(self, message: Raw) -> None:
        self._head = {
            "id": f"chatcmpl-{text_in(message.get('id'))}",
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": text_in(message.get("model")) or self.request.model,
        }
        self._usage = dict(message.get("usage") or {})

    def _open(self, index: int, given: Raw) -> Iterator[Chunk]:
        block = self._blocks[index] = _Block(given["type"])
        if block.kind == "text":
            # Empty as a rule.
            yield from self._go_on(block, {"type": "text_delta", "text": given.get("text")})
        elif block.kind == "thinking":
            block.signature = text_in(given.get("signature"))
            said = {"type": "thinking_delta", "thinking": given.get("thinking")}
            yield from self._go_on(block, said)
        elif block.kind == "redacted_thinking":
            block.redacted = text_in(given["data"])
        elif block.kind == "tool_use":
            if self._calls == MAX_CALLS:
                raise ValueError("too many tool calls")
            block.call = self._calls
            self._calls += 1
            yield self._called(block, text_in(given["id"]), text_in(given["name"]), "")

    def _go_on(self, block: _Block, delta: Raw) -> Iterator[Chunk]:
        match delta["type"]:
            case "text_delta" if text := text_in(delta["text"]):
                self._has_text = True
                yield self._said({"content": text}, text=text)
            case "thinking_delta" if text := text_in(delta["thinking"]):
                block.thinking += text
                yield self._said({"reasoning_content": text}, thinking=text)
            case "signature_delta":
                block.signature += text_in(delta["signature"])
            case "input_json_delta" if text := text_in(delta["partial_json"]):
                if block.kind == "tool_use":
                    block.has_input = True
                    yield self._called(block, "", "", text)

    def _close(self, block: _Block) -> Iterator[Chunk]:
        if block.kind == "tool_use" and not block.has_input:
            yield self._called(block, "", "", "{}")
        part: Raw = {"type": "thinking"}
        if block.kind == "thinking":
            part |= {"text": block.thinking} if block.thinking else {}
            part |= {"signature": block.signature} if block.signature else {}
        elif block.kind == "redacted_thinking":
            part["extra"] = {"redacted_thinking": block.redacted}
        if len(part) > 1:
            thought = cast("ThinkingPart", part)
            blocks = [thinking_block(thought)]
            yield self._said({"thinking_blocks": blocks}, thoughts=(thought,))

    def _end(self, event: Raw) -> Iterator[Chunk]:
        self._usage |= {name: n for name, n in (event.get("usage") or {}).items() if n is not None}
        reason = (event.get("delta") or {}).get("stop_reason")
        if reason is None:
            return
        usage = _usage_wire(self._usage)
        declined = reason == "refusal" and not (self._has_text or self._calls)
        if not declined:
            yield self._said({}, finish_reason=REASONS.get(reason, "stop"))
        if usage:
            raw = {**self._head, "choices": [], "usage": usage}
            yield Chunk(usage=token_counts(usage), raw=raw, is_progress=True)
        if declined:
            raise errors.ModelRefused(DECLINED)

    def _called(self, block: _Block, call_id: str, name: str, arguments: str) -> Chunk:
        part = {"index": block.call, **call_wire(id=call_id, name=name, arguments=arguments)}
        shown = {name: value for name, value in part.items() if value or name == "index"}
        return self._said({"tool_calls": [shown]}, calls=(part,))

    def _said(self, delta: Raw, *, finish_reason: str | None = None, **more: Any) -> Chunk:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        raw = {**self._head, "choices": [choice]}
        return Chunk(raw=raw, finish_reason=finish_reason, is_progress=True, **more)


def _usage_wire(usage: Raw) -> Raw:
    """Return the usage in OpenAI's shape: there, tokens of the cache are among the input's.

    It is empty if it cannot be right, so that we count: some gateways say 0.
    """
    cached = [usage.get(f"cache_{how}_input_tokens") or 0 for how in ("read", "creation")]
    counts = [usage.get("input_tokens"), *cached, usage.get("output_tokens")]
    if not all(isinstance(count, int) and count >= 0 for count in counts):
        return {}
    given, output = sum(cast("list[int]", counts[:-1])), cast("int", counts[-1])
    if not given:
        return {}
    thought = (usage.get("output_tokens_details") or {}).get("thinking_tokens")
    shown: Raw = {
        "prompt_tokens": given,
        "completion_tokens": output,
        "total_tokens": given + output,
        "prompt_tokens_details": {"cached_tokens": cached[0], "cache_creation_tokens": cached[1]},
    }
    if isinstance(thought, int):
        shown["completion_tokens_details"] = {"reasoning_tokens": thought}
    return shown
