"""OpenAI's `messages`, one conversation a line, as it is used for training and by other tools."""

from chatvault.encoding import to_json
from chatvault.errors import Busy
from chatvault.exporting.records import Completeness, ExportedConversation, ExportedMessage
from chatvault.exporting.writer import Writer
from chatvault.replies.plan import to_wire


class OpenAIMessages(Writer):
    """Lines of `{"messages": […]}`; conversations without messages are left out."""

    media_type = "application/jsonl"
    suffix = ".jsonl"

    def __init__(self) -> None:
        self._system_prompt: str | None = None
        self._has_message = False

    def begin(self, conversation: ExportedConversation) -> bytes:
        """Return nothing: a conversation begins with its first message."""
        self._system_prompt = conversation.system_prompt
        self._has_message = False
        return b""

    def message(self, message: ExportedMessage) -> bytes:
        """Return a message with its calls of tools, and what came of them."""
        wires = to_wire({**message.stored, "role": message.role, "content": message.content})
        before = b","
        if not self._has_message:
            before, self._has_message = b'{"messages":[', True
            if self._system_prompt:
                wires.insert(0, {"role": "system", "content": self._system_prompt})
        return before + b",".join(map(to_json, wires))

    def end(self, completeness: Completeness) -> bytes:
        """Return the end of the line.

        Raises:
            Busy: the rest of the conversation is missing, and a line cannot tell that.
        """
        if completeness is Completeness.CUT:
            raise Busy("A conversation was replaced while it was exported; export it again.")
        return b"]}\n" if self._has_message else b""
