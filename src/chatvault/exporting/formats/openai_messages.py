"""Write OpenAI's `messages`, one conversation a line, for training and for other tools."""

from chatvault.conversations.shapes import MessageDoc
from chatvault.encoding import to_json
from chatvault.errors import Busy
from chatvault.exporting.records import Completeness, ExportedConversation, ExportedMessage
from chatvault.exporting.writer import Writer
from chatvault.fields import Raw
from chatvault.replies.model_messages import ModelMessages


class OpenAIMessages(Writer):
    """Writes lines of `{"messages": […]}`; conversations without messages are left out.

    Messages are written as a model gets them, without hidden ones, thoughts and files.
    """

    media_type = "application/jsonl"
    suffix = ".jsonl"

    def __init__(self) -> None:
        self._system_prompt: str | None = None
        self._has_message = False
        self._messages = ModelMessages()

    def begin(self, conversation: ExportedConversation) -> bytes:
        """Return nothing; the first message writes the beginning."""
        self._system_prompt = conversation.system_prompt
        self._has_message = False
        self._messages = ModelMessages()
        return b""

    def message(self, message: ExportedMessage) -> bytes:
        """Return the messages that are complete; a call of a tool is held until its result."""
        stored: MessageDoc = {**message.stored, "role": message.role, "content": message.content}
        return self._lines(self._messages.add(stored))

    def _lines(self, found: list[list[Raw]]) -> bytes:
        wires = [wire for each in found for wire in each]
        if not wires:
            return b""
        before = b","
        if not self._has_message:
            before, self._has_message = b'{"messages":[', True
            if self._system_prompt:
                wires.insert(0, {"role": "system", "content": self._system_prompt})
        return before + b",".join(map(to_json, wires))

    def end(self, completeness: Completeness) -> bytes:
        """Return the end of the line.

        Raises:
            Busy: the rest of the conversation is missing, which a line cannot express.
        """
        if completeness is Completeness.CUT:
            raise Busy("A conversation was replaced while it was exported; export it again.")
        rest = self._lines(self._messages.finish())
        return rest + b"]}\n" if self._has_message else b""
