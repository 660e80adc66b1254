"""Convert stored messages to those of a model's request, in OpenAI's shape."""

import hashlib
import re
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from chatvault.commands.tools import cut
from chatvault.conversations.models import MessageRole
from chatvault.conversations.parts import Part, ToolCallPart, ToolResultPart
from chatvault.conversations.shapes import MessageDoc
from chatvault.encoding import to_json
from chatvault.fields import Raw
from chatvault.replies.model_calls import call_wire, thinking_block

NO_RESULT = "There is no result: the call was not carried out."
# The text that a model gets for a call without output, by its status.
RESULT_BY_STATUS = {
    "pending": NO_RESULT,
    "approved": "There is no result yet: the call is being carried out.",
    "rejected": "The user rejected this call.",
    "superseded": "The user went on without this call.",
}
TRUNCATED = "\n[The output was longer; this is its beginning.]"
# A call waits for its result for at most this many messages.
MAX_DISTANCE: Final = 32
MAX_NAME: Final = 64
_NO_NAME: Final = re.compile(r"[^A-Za-z0-9_-]")

Wire = dict[str, Any]


@dataclass(slots=True)
class _PairedMessage:
    """A message with the results of its calls, some of which may still be missing."""

    message: MessageDoc
    said: list[Wire]
    calls: list[ToolCallPart] = field(default_factory=list)
    results: dict[int, str] = field(default_factory=dict)

    def take(self, result: ToolResultPart) -> bool:
        """Add a result if it belongs to a call without one; return whether it does.

        It belongs to the call with its id, or, without one, to the first call of its name.
        """
        own_id, name = result.get("call_id"), result.get("name")
        for number, call in enumerate(self.calls):
            if number in self.results:
                continue
            if own_id and call.get("id"):
                is_same = own_id == call.get("id")
            else:
                is_same = not name or name == call["name"]
            if is_same:
                self.results[number] = _shorten(_text_of(result["output"]))
                return True
        return False

    @property
    def is_waiting(self) -> bool:
        """Whether a call has no result yet."""
        return len(self.results) < len(self.calls)

    def wires(self) -> list[Wire]:
        """Return the messages for the model: the text, the calls, and a result for each call."""
        if not self.calls:
            return self.said
        ids = [_call_id(self.message["id"], number) for number in range(len(self.calls))]
        asked = [
            call_wire(id=call_id, name=_name_of(call), arguments=_arguments_of(call))
            for call_id, call in zip(ids, self.calls, strict=True)
        ]
        told = [
            _tool_message(call_id, self.results.get(number, NO_RESULT))
            for number, call_id in enumerate(ids)
        ]
        first: Wire = {
            "role": "assistant",
            "content": self.message["content"] or None,
            "tool_calls": asked,
        }
        return [first, *told, *self.said]


class ModelMessages:
    """Converts stored messages, in order, to those of a request, and pairs calls with results.

    Calls of imported messages are sent as calls, each directly followed by its result, as OpenAI's
    API requires; ids and names are converted to ones that it accepts. Hidden messages, thoughts and
    results without a call are left out.
    """

    def __init__(self) -> None:
        self._waiting: deque[_PairedMessage] = deque()

    def add(self, message: MessageDoc) -> list[list[Wire]]:
        """Add the next message; return the messages that are complete, a list for each."""
        role = message["role"]
        if not self._waiting and role != MessageRole.TOOL and not is_special(message):
            return [to_wire(message)]
        pairs, results = _divide(message)
        for result in results:
            any(waiting.take(result) for waiting in (pairs, *self._waiting))
        ended = role in {MessageRole.USER, MessageRole.SYSTEM} and bool(pairs.said)
        done = self.finish() if ended else []
        self._waiting.append(pairs)
        while self._waiting and (
            not self._waiting[0].is_waiting or len(self._waiting) > MAX_DISTANCE
        ):
            done.append(self._waiting.popleft().wires())
        return done

    def finish(self) -> list[list[Wire]]:
        """Return the remaining messages, as no further result can come."""
        done = [pairs.wires() for pairs in self._waiting]
        self._waiting.clear()
        return done


def pair_up(messages: Sequence[MessageDoc]) -> list[list[Wire]]:
    """Return for each message those that the model gets; none for messages that are left out."""
    turned = ModelMessages()
    done = [wires for message in messages for wires in turned.add(message)]
    return [*done, *turned.finish()]


def is_special(message: MessageDoc) -> bool:
    """Whether a message is more than text, or is not sent at all."""
    return "parts" in message or bool(message.get("hidden"))


def _divide(message: MessageDoc) -> tuple[_PairedMessage, list[ToolResultPart]]:
    """Return the message's text and calls, and the results in it."""
    role = message["role"]
    if message.get("hidden"):
        return _PairedMessage(message, []), []
    if "parts" not in message and role != MessageRole.TOOL:
        return _PairedMessage(message, to_wire(message)), []
    parts = message.get("parts", ())
    results = [part for part in parts if part["type"] == "tool_result"]
    if role == MessageRole.TOOL:
        if not results and message["content"]:
            results = [{"type": "tool_result", "output": message["content"]}]
        return _PairedMessage(message, []), results
    calls = [part for part in parts if part["type"] == "tool_call"]
    if role != MessageRole.ASSISTANT:
        calls = []
    if calls:
        # Commands that people ran on the message come after its calls.
        said = to_wire(message)[1:] if message.get("commands") else []
        return _PairedMessage(message, said, calls), results
    content = message["content"] or _substitute_text(parts)
    if not content and not message.get("commands") and not message.get("tool_calls"):
        return _PairedMessage(message, []), results
    return _PairedMessage(message, to_wire({**message, "content": content})), results


def _tool_message(call_id: str, content: str) -> Wire:
    return {"role": "tool", "tool_call_id": call_id, "content": content}


def _substitute_text(parts: Iterable[Part]) -> str:
    """Return transcripts or the names of files, for a message without text."""
    return "\n\n".join(
        part.get("transcript") or f"[File: {part.get('name') or 'without a name'}]"
        for part in parts
        if part["type"] == "file"
    )


def _call_id(message_id: str, number: int) -> str:
    # OpenAI accepts at most 40 characters, and sources may repeat ids or have none.
    return f"call_{hashlib.sha256(f'{message_id}:{number}'.encode()).hexdigest()[:24]}"


def _name_of(call: ToolCallPart) -> str:
    return _NO_NAME.sub("_", call["name"])[:MAX_NAME] or "tool"


def _arguments_of(call: ToolCallPart) -> str:
    given = call["input"]
    text = to_json(given if isinstance(given, dict) else {"input": given}).decode()
    found = cut(text)
    return to_json({"beginning": found.text}).decode() if found.truncated else text


def _text_of(output: Any) -> str:
    return output if isinstance(output, str) else to_json(output).decode()


def _shorten(text: str) -> str:
    found = cut(text)
    return f"{found.text}{TRUNCATED}" if found.truncated else found.text


def to_wire(message: MessageDoc) -> list[Wire]:
    """Return a stored message in OpenAI's shape; with commands, it becomes several messages."""
    commands: list[Raw] = message.get("commands") or []
    calls: list[Raw] = message.get("tool_calls") or []
    if message["role"] != MessageRole.ASSISTANT:
        calls = []
    said: Wire = {"role": message["role"], "content": message["content"]}
    wires = [said]
    if calls:
        said["content"] = message["content"] or None
        paired = _pair(calls, commands)
        said["tool_calls"] = [
            call_wire(id=call_id, name=call["name"], arguments=call["arguments"])
            for call_id, call, _ in paired
        ]
        if thoughts := _thoughts(message):
            said["thinking_blocks"] = thoughts
        wires += [_result(call_id, command) for call_id, _, command in paired]
    for command in commands:
        if command["call_id"] is None:
            # A command that a person ran is sent as the model's own call, so that the output counts
            # as a tool's and not as anybody's text.
            call_id = f"call_{command['id']}"
            asked = call_wire(id=call_id, name=command["tool"], arguments=command["arguments"])
            wires.append({"role": "assistant", "content": None, "tool_calls": [asked]})
            wires.append(_result(call_id, command))
    return wires


def _thoughts(message: MessageDoc) -> list[Wire]:
    """Return the reasoning before the calls that Anthropic's models get back with the results."""
    return [
        thinking_block(part)
        for part in message.get("parts", ())
        if part["type"] == "thinking"
        and ("signature" in part or "redacted_thinking" in part.get("extra", {}))
    ]


def _pair(calls: list[Raw], commands: list[Raw]) -> list[tuple[str, Raw, Raw | None]]:
    """Pair each call with an id of its own and with its command.

    Messages stored before ids were checked may have calls with the same id, or without one;
    their commands are in the order of the calls.
    """
    left = [command for command in commands if command["call_id"] is not None]
    paired: list[tuple[str, Raw, Raw | None]] = []
    seen: set[str] = set()
    for position, call in enumerate(calls):
        command = next((each for each in left if each["call_id"] == call["id"]), None)
        if command is not None:
            left.remove(command)
        call_id = call["id"]
        while not call_id or call_id in seen:
            call_id = f"{call_id or 'call'}-{position}"
        seen.add(call_id)
        paired.append((call_id, call, command))
    return paired


def _result(call_id: str, command: Raw | None) -> Wire:
    content = NO_RESULT
    if command is not None:
        standing = command.get("code") or command["status"]
        content = command["result"] or RESULT_BY_STATUS.get(standing, "")
        if command["truncated"]:
            content += TRUNCATED
    return {"role": "tool", "tool_call_id": call_id, "content": content}
