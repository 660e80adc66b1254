"""Accumulating a model's chunks, and making chunks from a stored answer again."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterable
from dataclasses import dataclass, field, replace
from typing import Any

from bson import ObjectId

from chatvault.actor import Actor
from chatvault.errors import ChatvaultError
from chatvault.fields import Raw, now
from chatvault.replies.errors import Stopping, failure_of
from chatvault.replies.events import Event
from chatvault.replies.model_calls import Chunk, ModelRequest, add_calls, call_wire, further_usage
from chatvault.replies.models import Kind
from chatvault.tokens import Tokenizer
from chatvault.usage.models import Usage

# Fields that all chunks of an answer share, beside its model.
HEAD = ("id", "object", "created")


@dataclass(slots=True)
class ChunkAccumulator:
    """The text, calls and usage of an answer's chunks so far.

    Attributes:
        calls: the tool calls, by index: id, name and arguments.
        usage: input and output tokens, if the provider gave them.
        further: the provider's further fields of the usage.
        last: the newest chunk, unchanged.
        began: when the model was called, by `perf_counter`.
    """

    text: str = ""
    model: str = ""
    finish_reason: str = "stop"
    calls: dict[int, Raw] = field(default_factory=dict)
    usage: tuple[int, int] | None = None
    further: Raw = field(default_factory=dict)
    last: Raw = field(default_factory=dict)
    began: float = field(default_factory=time.perf_counter)

    def take(self, chunk: Chunk) -> None:
        """Add a chunk."""
        self.last = chunk.raw
        self.text += chunk.text
        self.model = chunk.raw.get("model") or self.model
        self.finish_reason = chunk.finish_reason or self.finish_reason
        self.usage = chunk.usage or self.usage
        self.further = further_usage(chunk.raw.get("usage")) or self.further
        add_calls(self.calls, chunk)

    def account(self, tokens: tuple[int, int]) -> Chunk:
        """Return the chunk with the usage, the last one of a complete answer."""
        shown = shown_usage(tokens, self.further, time.perf_counter() - self.began)
        head = {name: self.last[name] for name in HEAD if name in self.last}
        return _usage_piece(self.model, tokens, shown, **head)

    def events(self, tokens: tuple[int, int], shown: Raw) -> list[tuple[str, Raw]]:
        """Return the answer as the events of a reply.

        Args:
            tokens: the input and output tokens.
            shown: the usage in OpenAI's shape, as the client was sent it.
        """
        calls: list[tuple[str, Raw]] = [
            ("tool_call", dict(call)) for _, call in sorted(self.calls.items())
        ]
        usage = {"input_tokens": tokens[0], "output_tokens": tokens[1], "shown": shown}
        message = {"model": self.model, "finish_reason": self.finish_reason}
        return [
            ("delta", {"text": self.text}),
            *calls,
            ("usage", usage),
            ("completed", {"message": message}),
        ]


def shown_usage(tokens: tuple[int, int], further: Raw, seconds: float) -> Raw:
    """Return the usage in OpenAI's shape, with the provider's further fields and the duration.

    Args:
        tokens: the input and output tokens.
        further: the provider's further fields; its own durations are not changed.
        seconds: the duration of the answer.
    """
    took = max(seconds, 0.001)
    measured = {"total_duration": round(took, 3), "tokens_per_second": round(tokens[1] / took, 2)}
    missing = {name: value for name, value in measured.items() if further.get(name) is None}
    return {**_counts(tokens), **further, **missing}


def _counts(tokens: tuple[int, int]) -> Raw:
    return {
        "prompt_tokens": tokens[0],
        "completion_tokens": tokens[1],
        "total_tokens": sum(tokens),
    }


async def usage_of(
    actor: Actor, tokenizer: Tokenizer, ask: ModelRequest, said: ChunkAccumulator
) -> Raw:
    """Return the usage of a request that no conversation records.

    It is counted here if the provider gave none.
    """
    tokens = said.usage
    if tokens is None:
        asked = await asyncio.to_thread(tokenizer.count_context, ask.messages, ask.model)
        calls = [call["arguments"] for call in said.calls.values()]
        answer = said.text + "".join(calls)
        tokens = asked, await asyncio.to_thread(tokenizer.count, answer, ask.model)
    return Usage.of(
        actor,
        conversation_id=None,
        agent_id=None,
        purpose=Kind.COMPLETION.value,
        provider=ask.provider,
        model=ask.model,
        tokens=tokens,
        at=now(),
        counted_here=said.usage is None,
    )


def failure_in(data: Raw) -> ChatvaultError:
    """Return the failure in an `error` event."""
    failure = failure_of(data["code"])
    failure.detail = data["detail"]
    failure.retry_after = data.get("retry_after")
    return failure


def signed(answer_id: ObjectId, chunk: Chunk) -> Chunk:
    """Return the chunk with the answer's id, by which a repeat is recognised."""
    head = {
        "id": f"chatcmpl-{answer_id}",
        "object": "chat.completion.chunk",
        "created": int(answer_id.generation_time.timestamp()),
    }
    return replace(chunk, raw={**chunk.raw, **head})


async def replay_chunks(
    answer_id: ObjectId, model: str, events: AsyncIterable[Event]
) -> AsyncGenerator[Chunk, None]:
    """Yield the chunks of an answer, made from its stored events.

    Raises:
        Unavailable: the model failed then, with a code for how; or the events ended before the
            answer did, as this process is stopping.
    """
    said, usage, is_whole = ChunkAccumulator(), None, False
    async for event in events:
        if event.type == "error":
            raise failure_in(event.data)
        if event.type == "usage":
            usage = usage_in(model, event.data)
        is_whole = is_whole or event.type == "completed"
        for delta, reason in _deltas(said, event):
            chunk = _piece(model, delta, reason)
            said.take(chunk)
            yield signed(answer_id, chunk)
    if not is_whole:
        raise Stopping
    if usage is not None:
        yield signed(answer_id, usage)


def usage_in(model: str, data: Raw) -> Chunk:
    """Return the chunk with the usage, from a `usage` event."""
    tokens = data["input_tokens"], data["output_tokens"]
    return _usage_piece(model, tokens, data.get("shown") or _counts(tokens))


def _deltas(said: ChunkAccumulator, event: Event) -> list[tuple[Raw, str | None]]:
    """Return what an event adds to the answer, in OpenAI's shape."""
    if event.type == "delta":
        return [({"content": event.data["text"]}, None)]
    if event.type == "tool_call":
        return [(_call(len(said.calls), event.data), None)]
    if event.type != "completed":
        return []
    message = event.data["message"] or {}
    deltas: list[tuple[Raw, str | None]] = []
    # If the earlier events are not stored any more, the message has the whole text.
    if not said.text and message.get("content"):
        deltas.append(({"content": message["content"]}, None))
    if not said.calls:
        calls = message.get("tool_calls") or []
        deltas += [(_call(index, call), None) for index, call in enumerate(calls)]
    return [*deltas, ({}, message.get("finish_reason") or "stop")]


def _piece(model: str, delta: Raw, reason: str | None) -> Chunk:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return Chunk(
        text=delta.get("content", ""),
        calls=tuple(delta.get("tool_calls", ())),
        finish_reason=reason,
        raw={"model": model, "choices": [choice]},
    )


def _call(index: int, call: Raw) -> Raw:
    wire = call_wire(id=call["id"], name=call["name"], arguments=call["arguments"])
    return {"tool_calls": [{"index": index, **wire}]}


def _usage_piece(model: str, tokens: tuple[int, int], shown: Raw, **head: Any) -> Chunk:
    return Chunk(usage=tokens, raw={**head, "model": model, "choices": [], "usage": shown})
