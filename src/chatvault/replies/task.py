"""A reply while it is written."""

import asyncio
import time
import uuid
from dataclasses import dataclass, field

from chatvault.actor import Actor
from chatvault.conversations.parts import ThinkingPart
from chatvault.fields import Raw
from chatvault.replies.events import Live
from chatvault.replies.model_calls import (
    Chunk,
    ModelRequest,
    add_calls,
    further_usage,
    thoughts_of,
)
from chatvault.replies.models import ReplyDoc, State

NEVER = float("-inf")


class FlushTimer:
    """Sets events at regular moments; it is idle while nobody waits for one.

    Args:
        every: the least seconds between two moments.
    """

    def __init__(self, every: float) -> None:
        self._every = every
        self._due: list[asyncio.Event] = []
        self._last = NEVER

    def set(self, event: asyncio.Event) -> None:
        """Set an event at the next moment; almost at once if the last one was long ago."""
        self._due.append(event)
        if len(self._due) == 1:
            loop = asyncio.get_running_loop()
            loop.call_at(max(loop.time(), self._last + self._every), self._fire)

    def _fire(self) -> None:
        self._last = asyncio.get_running_loop().time()
        due, self._due = self._due, []
        for event in due:
            event.set()


MAX_CALL_ID = 256  # characters


@dataclass(slots=True, eq=False)
class ReplyTask:
    """A reply while it is written.

    Attributes:
        thinking: all reasoning that was shown.
        blocks: complete blocks of reasoning, as stored parts, if the provider tells blocks apart.
        pending: text that is not stored yet.
        pending_thinking: reasoning that is not stored yet.
        unsure: events whose storing seemed to fail.
        dirty: set when something is to be stored, or the answer is complete.
        is_due: whether `dirty` will be set soon.
        stopped: the state with which it was ended before the model ended.
        chunks: receives the chunks, then None once the end is stored.
        further: the provider's further fields of the usage.
    """

    actor: Actor
    reply: ReplyDoc
    ask: ModelRequest
    live: Live
    summarize: bool = False
    text: str = ""
    calls: dict[int, Raw] = field(default_factory=dict)
    usage: tuple[int, int] | None = None
    further: Raw = field(default_factory=dict)
    finish_reason: str | None = None
    stopped: State | None = None
    began: float = field(default_factory=time.perf_counter)
    thinking: str = ""
    blocks: list[ThinkingPart] = field(default_factory=list)
    pending: str = ""
    pending_thinking: str = ""
    unsure: list[tuple[str, Raw]] = field(default_factory=list)
    dirty: asyncio.Event = field(default_factory=asyncio.Event)
    is_due: bool = False
    reading: "asyncio.Task[None] | None" = None
    chunks: "asyncio.Queue[Chunk | None] | None" = None

    def take(self, chunk: Chunk) -> None:
        """Add a chunk."""
        if self.chunks is not None:
            self.chunks.put_nowait(chunk)
        self.text += chunk.text
        self.pending += chunk.text
        self.thinking += chunk.thinking
        self.pending_thinking += chunk.thinking
        self.blocks += chunk.thoughts
        if "usage" in chunk.raw:
            self.usage = chunk.usage or self.usage
            self.further = further_usage(chunk.raw["usage"]) or self.further
        self.finish_reason = chunk.finish_reason or self.finish_reason
        add_calls(self.calls, chunk)

    @property
    def thoughts(self) -> list[ThinkingPart]:
        """The reasoning as stored parts; the last one may have been cut off."""
        known = sum(len(block.get("text", "")) for block in self.blocks)
        return [*self.blocks, *thoughts_of(self.thinking[known:])]

    def identify_calls(self) -> None:
        """Give each tool call an id of its own, by which its result is found.

        Some providers send no ids, or the same one for all calls of an answer.
        """
        seen: set[str] = set()
        for _, call in sorted(self.calls.items()):
            if not call["id"] or call["id"] in seen or len(call["id"]) > MAX_CALL_ID:
                call["id"] = f"call_{uuid.uuid4().hex[:24]}"
            seen.add(call["id"])

    def rest(self) -> list[tuple[str, Raw]]:
        """Return the events that only the end of the reply stores."""
        if self.unsure:
            # Nothing may be published after a gap; the last event has the whole answer.
            return []
        calls: list[tuple[str, Raw]] = [
            ("tool_call", dict(call)) for _, call in sorted(self.calls.items())
        ]
        return self.take_pending() + calls

    def take_pending(self) -> list[tuple[str, Raw]]:
        """Return the events of what is not stored yet; it counts as stored from then on."""
        thought, self.pending_thinking = self.pending_thinking, ""
        said, self.pending = self.pending, ""
        events: list[tuple[str, Raw]] = [("thinking", {"text": thought})] if thought else []
        return events + ([("delta", {"text": said})] if said else [])

    def stop(self, state: State) -> None:
        """End it before the model does."""
        if self.stopped is None:
            self.stopped = state
            if self.reading is not None:
                self.reading.cancel()
