"""Write Markdown for programs such as Obsidian: a note a conversation, with YAML front matter.

Each message is a callout, a quotation with a title: no text of a message can end it or begin
another one.
"""

import re
from collections.abc import Iterator

from chatvault.exporting.blocks import Kind, blocks_of
from chatvault.exporting.names import link_to
from chatvault.exporting.records import (
    Completeness,
    ExportedAttachment,
    ExportedConversation,
    ExportedMessage,
)
from chatvault.exporting.writer import Writer
from chatvault.fields import format_instant

# The line ends of CommonMark, in which Unicode's separators are ordinary characters.
LINE_END = re.compile(r"\r\n|\r|\n")
BACKTICKS = re.compile(r"`{3,}")
MARKUP = re.compile(r"([!-/:-@\[-`{-~])")
NAMES = {"user": "User", "assistant": "Assistant", "system": "System", "tool": "Tool"}
NOTICES = {
    Completeness.CHANGED: "The conversation changed while it was exported: some messages are from "
    "before the change, and some from after it.",
    Completeness.CUT: "The rest of the messages is missing: they were replaced while the "
    "conversation was exported.",
}


class MarkdownNote(Writer):
    """Writes one conversation as a note."""

    media_type = "text/markdown; charset=utf-8"
    suffix = ".md"
    is_document = True

    def __init__(self) -> None:
        self._files: dict[str, ExportedAttachment] = {}
        self._others: dict[str, ExportedAttachment] = {}

    def begin(self, conversation: ExportedConversation) -> bytes:
        """Return the front matter, the title and the system prompt."""
        self._files = {each.id: each for each in conversation.attachments if each.path is not None}
        self._others = dict(self._files)
        lines = ["---", *_front_matter(conversation), "---", ""]
        lines += [f"# {escape(conversation.shown_title)}"]
        if conversation.system_prompt:
            lines += [_callout("[!system]- System prompt", conversation.system_prompt)]
        return "\n".join([*lines, ""]).encode()

    def message(self, message: ExportedMessage) -> bytes:
        """Return a message as a callout, with thoughts and tools in nested callouts."""
        if message.is_hidden:
            return b""
        parts = [NAMES.get(message.role, "Message")]
        if message.exact_time is not None:
            parts.append(format_instant(message.exact_time))
        if message.role != "user" and message.shown_model:
            parts.append(escape(" ".join(message.shown_model.split())))
        kind = message.role if message.role in NAMES else "note"
        heading = f"[!{kind}] {' · '.join(parts)}"
        body = "\n".join(self._body(message))
        return f"{_callout(heading, body)}\n".encode()

    def end(self, completeness: Completeness) -> bytes:
        """Return files that no message shows, and a warning if the note is incomplete."""
        found = self._others.values()
        others = "\n\n".join(_link(each, escape(each.name or each.id)) for each in found)
        text = f"{_callout('[!note] Files', others)}\n" if others else ""
        notice = NOTICES.get(completeness)
        text += "" if notice is None else f"{_callout('[!warning] Export', notice)}\n"
        return text.encode()

    def _body(self, message: ExportedMessage) -> Iterator[str]:
        for number, block in enumerate(blocks_of(message)):
            title = escape(" ".join(block.title.split()))
            match block.kind:
                case Kind.WORDS:
                    yield ("\n" if number else "") + LINE_END.sub("\n", block.texts[0][0])
                case Kind.FOLDED:
                    yield _callout(f"[!quote]- {title}", block.texts[0][0])
                case Kind.TOOL:
                    fences = "\n".join(_fenced(text, language) for text, language in block.texts)
                    yield _callout(f"[!tool]- {title}", fences)
                case Kind.FILE:
                    yield self._file(block.attachment_id or "", title)
                case Kind.SOURCE:
                    shown = title if block.url is None else f"[{title}](<{block.url}>)"
                    yield f"\n*Source: {shown}*"

    def _file(self, attachment_id: str, title: str) -> str:
        self._others.pop(attachment_id, None)
        found = self._files.get(attachment_id)
        return f"\n*File: {title}*" if found is None else f"\n{_link(found, title)}"


def escape(text: str) -> str:
    """Return a line of text with all markup escaped."""
    return MARKUP.sub(r"\\\1", text)


def yaml_text(text: str) -> str:
    """Return the text as a YAML string on one line."""
    return '"' + "".join(map(_yaml_char, text)) + '"'


def _yaml_char(char: str) -> str:
    if char in '"\\':
        return f"\\{char}"
    if char.isprintable():
        return char
    code = ord(char)
    return f"\\U{code:08X}" if code > 0xFFFF else f"\\u{code:04X}"  # noqa: PLR2004  # 16 bits


def _front_matter(conversation: ExportedConversation) -> Iterator[str]:
    yield f"id: {yaml_text(conversation.id)}"
    yield f"title: {yaml_text(conversation.title)}"
    yield f"created: {format_instant(conversation.created_at)}"
    yield f"updated: {format_instant(conversation.updated_at)}"
    yield f"status: {yaml_text(conversation.status)}"
    yield f"tags: [{', '.join(map(yaml_text, conversation.tags))}]"
    yield f"messages: {conversation.total_messages}"
    if conversation.source:
        yield f"source: {yaml_text(conversation.source)}"
    if conversation.summary:
        yield f"summary: {yaml_text(conversation.summary)}"


def _callout(heading: str, text: str) -> str:
    """Return an empty line and a callout."""
    lines = [f"> {line}" if line else ">" for line in LINE_END.split(text)] if text else []
    return "\n".join(["", f"> {heading}", *lines])


def _link(attachment: ExportedAttachment, title: str) -> str:
    """Return a link to a file of the same archive; a picture is shown."""
    is_picture = (attachment.mime or "").startswith("image/")
    # Line breaks of a name are none of the note's.
    shown = " ".join(title.split())
    return f"{'!' * is_picture}[{shown}](<{link_to(attachment.path or '')}>)"


def _fenced(text: str, language: str) -> str:
    """Return the text in a fence that is longer than any fence in the text."""
    # A carriage return at its end would join with the line feed after it.
    text = LINE_END.sub("\n", text)
    longest = max((len(each) for each in BACKTICKS.findall(text)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"
