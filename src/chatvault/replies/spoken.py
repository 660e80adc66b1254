"""What a model said, taken together from its pieces, and taken apart into pieces again."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable
from dataclasses import dataclass, field, replace
from typing import Any

from bson import ObjectId

from chatvault.actor import Actor
from chatvault.errors import ChatvaultError
from chatvault.fields import now
from chatvault.replies.errors import failure_of
from chatvault.replies.events import Event
from chatvault.replies.models import Kind, Raw
from chatvault.replies.provider import Ask, Piece
from chatvault.tokens import Tokenizer
from chatvault.usage.models import Usage


@dataclass(slots=True)
class Said:
    """What was said so far.

    Attributes:
        calls: what the model wants done, by index, in OpenAI's shape.
        usage: input and output tokens, where the provider gave them.
        last: the newest chunk as it came.
    """

    text: str = ""
    model: str = ""
    finish_reason: str = "stop"
    calls: dict[int, Raw] = field(default_factory=dict)
    usage: tuple[int, int] | None = None
    last: Raw = field(default_factory=dict)

    def take(self, piece: Piece) -> None:
        """Add what came."""
        self.last = piece.raw
        self.text += piece.text
        self.model = piece.raw.get("model") or self.model
        self.finish_reason = piece.finish_reason or self.finish_reason
        self.usage = piece.usage or self.usage
        for part in piece.calls:
            function = {"name": "", "arguments": ""}
            empty: Raw = {"id": "", "type": "function", "function": function}
            call = self.calls.setdefault(part["index"], empty)
            call["id"] = part.get("id") or call["id"]
            for name, value in (part.get("function") or {}).items():
                call["function"][name] += value or ""

    def events(self, tokens: tuple[int, int]) -> list[tuple[str, Raw]]:
        """The same as the events of a reply."""
        calls: list[tuple[str, Raw]] = [
            ("tool_call", {"id": call["id"], **call["function"]})
            for _, call in sorted(self.calls.items())
        ]
        usage = {"input_tokens": tokens[0], "output_tokens": tokens[1]}
        message = {"model": self.model, "finish_reason": self.finish_reason}
        return [
            ("delta", {"text": self.text}),
            *calls,
            ("usage", usage),
            ("completed", {"message": message}),
        ]


async def usage_of(actor: Actor, tokenizer: Tokenizer, ask: Ask, said: Said) -> Raw:
    """What a request that no conversation records used; counted here where nobody else did."""
    tokens = said.usage
    if tokens is None:
        asked = await asyncio.to_thread(tokenizer.count_context, ask.messages, ask.model)
        tokens = asked, await asyncio.to_thread(tokenizer.count, said.text, ask.model)
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
    """The failure that an `error` event tells of."""
    failure = failure_of(data["code"])
    failure.detail = data["detail"]
    failure.retry_after = data.get("retry_after")
    return failure


def signed(answer_id: ObjectId, piece: Piece) -> Piece:
    """The piece, whose chunk bears the answer's id: so a repeat is seen to be one."""
    head = {
        "id": f"chatcmpl-{answer_id}",
        "object": "chat.completion.chunk",
        "created": int(answer_id.generation_time.timestamp()),
    }
    return replace(piece, raw={**piece.raw, **head})


async def speak_again(
    answer_id: ObjectId, model: str, events: AsyncIterable[Event]
) -> AsyncGenerator[Piece, None]:
    """The pieces of an answer, made anew from its events.

    Raises:
        Unavailable: the model failed then, with a code that says how.
    """
    said = Said()
    async for event in events:
        if event.type == "error":
            raise failure_in(event.data)
        if event.type == "usage":
            said.usage = event.data["input_tokens"], event.data["output_tokens"]
        for delta, reason in _deltas(said, event):
            piece = _piece(model, delta, reason)
            said.take(piece)
            yield signed(answer_id, piece)
    if said.usage is not None:
        yield signed(answer_id, _usage_piece(model, said.usage))


def _deltas(said: Said, event: Event) -> list[tuple[Raw, str | None]]:
    """What an event adds to what was said, in OpenAI's shape."""
    if event.type == "delta":
        return [({"content": event.data["text"]}, None)]
    if event.type == "tool_call":
        return [(_call(len(said.calls), event.data), None)]
    if event.type != "completed":
        return []
    message = event.data["message"] or {}
    deltas: list[tuple[Raw, str | None]] = []
    # Where the earlier events are stored no more, the message has it all.
    if not said.text and message.get("content"):
        deltas.append(({"content": message["content"]}, None))
    if not said.calls:
        calls = message.get("tool_calls") or []
        deltas += [(_call(index, call), None) for index, call in enumerate(calls)]
    return [*deltas, ({}, message.get("finish_reason") or "stop")]


def _piece(model: str, delta: Raw, reason: str | None) -> Piece:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return Piece(
        text=delta.get("content", ""),
        calls=tuple(delta.get("tool_calls", ())),
        finish_reason=reason,
        raw={"model": model, "choices": [choice]},
    )


def _call(index: int, call: Raw) -> Raw:
    function = {"name": call["name"], "arguments": call["arguments"]}
    part: Raw = {"index": index, "id": call["id"], "type": "function", "function": function}
    return {"tool_calls": [part]}


def _usage_piece(model: str, usage: tuple[int, int]) -> Piece:
    counts: dict[str, Any] = {
        "prompt_tokens": usage[0],
        "completion_tokens": usage[1],
        "total_tokens": sum(usage),
    }
    return Piece(usage=usage, raw={"model": model, "choices": [], "usage": counts})
