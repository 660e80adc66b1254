"""Write ShareGPT's form: an array of conversations with `from` and `value`."""

from collections.abc import Iterator

from chatvault.conversations.shapes import MessageDoc
from chatvault.encoding import to_json
from chatvault.exporting.records import (
    About,
    Completeness,
    Counts,
    ExportedConversation,
    ExportedMessage,
)
from chatvault.exporting.writer import Writer
from chatvault.fields import Raw
from chatvault.replies.model_messages import ModelMessages, Wire

SPEAKERS = {"user": "human", "assistant": "gpt", "system": "system", "tool": "observation"}


class ShareGPT(Writer):
    """Writes one JSON array, which has no times and no models."""

    media_type = "application/json"
    suffix = ".json"

    def __init__(self) -> None:
        self._has_conversation = False
        self._before = b""
        self._messages = ModelMessages()

    def write_head(self, about: About) -> bytes:  # noqa: ARG002  # ShareGPT has no metadata of files
        """Return the beginning of the array."""
        return b"["

    def begin(self, conversation: ExportedConversation) -> bytes:
        """Return the beginning of the conversation, up to its first turn."""
        before = b",\n" if self._has_conversation else b"\n"
        self._has_conversation, self._before = True, b""
        self._messages = ModelMessages()
        known = {"id": conversation.id, "title": conversation.title}
        head = before + to_json(known)[:-1] + b',"conversations":['
        if conversation.system_prompt:
            head += self._turns([{"from": "system", "value": conversation.system_prompt}])
        return head

    def message(self, message: ExportedMessage) -> bytes:
        """Return the turns that are complete; a call of a tool is held until its result."""
        stored: MessageDoc = {**message.stored, "role": message.role, "content": message.content}
        return self._turns(_turns_of(self._messages.add(stored)))

    def end(self, completeness: Completeness) -> bytes:
        """Return the end of the conversation, marked if it changed or is incomplete."""
        rest = self._turns(_turns_of(self._messages.finish()))
        if completeness is Completeness.WHOLE:
            return rest + b"]}"
        return rest + b'],"completeness":"' + completeness.encode() + b'"}'

    def write_tail(self, counts: Counts) -> bytes:  # noqa: ARG002  # the same
        """Return the end of the array."""
        return b"\n]\n"

    def _turns(self, turns: list[Raw]) -> bytes:
        if not turns:
            return b""
        text = b"".join([self._before, b",".join(map(to_json, turns))])
        self._before = b","
        return text


def _turns_of(found: list[list[Wire]]) -> list[Raw]:
    return [turn for wires in found for wire in wires for turn in _turns_of_wire(wire)]


def _turns_of_wire(wire: Raw) -> Iterator[Raw]:
    if wire["content"] is not None:
        yield {"from": SPEAKERS.get(wire["role"], wire["role"]), "value": wire["content"]}
    for call in wire.get("tool_calls", ()):
        asked = {"name": call["function"]["name"], "arguments": call["function"]["arguments"]}
        yield {"from": "function_call", "value": to_json(asked).decode()}
