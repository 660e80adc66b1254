"""Build the typst source of one PDF: a conversation, or a part of a long one."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from chatvault.exporting.blocks import Block, Kind, blocks_of
from chatvault.exporting.formats.markdown_note import NAMES, NOTICES
from chatvault.exporting.pdf import code
from chatvault.exporting.pdf.fonts import MONOSPACE, used_families
from chatvault.exporting.pdf.markdown import MOST_RENDERED, Markdown, listing, plain
from chatvault.exporting.records import Completeness, ExportedConversation, ExportedMessage
from chatvault.fields import format_instant

# The functions that the code of pages calls, beside typst's own.
PRELUDE = """
#set page(paper: "a4", margin: (x: 20mm, y: 18mm), numbering: "1", footer-descent: 40%)
#set text(font: FAMILIES, size: 9.5pt, fallback: true)
#set par(leading: 0.62em, spacing: 0.85em)
#set enum(indent: 0.6em)
#set list(indent: 0.6em)
#show raw: set text(font: MONOSPACE, size: 8.4pt)
#let muted = rgb("#5f6368")
#let title-of(body) = { set text(17pt); heading(level: 1, body) }
#let annotation(body) = text(8pt, muted, body)
#let heading-of(level, size, body) = {
  set text(size)
  heading(level: level, outlined: false, bookmarked: false, body)
}
#let heading1(body) = heading-of(3, 13pt, body)
#let heading2(body) = heading-of(4, 12pt, body)
#let heading3(body) = heading-of(5, 11pt, body)
#let heading4(body) = heading-of(6, 10pt, body)
#let heading5(body) = heading-of(6, 9.5pt, body)
#let heading6(body) = heading-of(6, 9.5pt, body)
#let cell(body) = body
#let rule() = line(length: 100%, stroke: 0.5pt + muted)
#let listing(body, lang: none) = block(
  width: 100%, fill: rgb("#f3f4f6"), inset: 6pt, radius: 2pt,
  { set text(dir: ltr); raw(body, lang: lang, block: true) },
)
#let quoted(body) = block(
  width: 100%, inset: (left: 8pt, y: 2pt), stroke: (left: 2pt + luma(180)), body,
)
#let grid-of-text(columns: 1, align: start, ..cells) = table(
  columns: columns, align: align, stroke: 0.4pt + luma(160), inset: 4pt, ..cells,
)
#let linked(body, target) = {
  underline(body)
  if target != "" { text(8pt, muted, " (" + target + ")") }
}
#let author-line(color, name) = block(
  above: 1.6em, below: 0.7em, sticky: true, text(8.5pt, color, weight: "bold", name),
)
#let notice(body) = block(
  width: 100%, stroke: 0.6pt + rgb("#b45309"), inset: 6pt, radius: 2pt, body,
)
"""
COLOURS = {"user": "#1d4ed8", "assistant": "#047857", "system": "#6d28d9", "tool": "#b45309"}
# The limit of characters of thoughts, a file's text, and a tool's input or output.
MOST_SHOWN = 16 * 1024


class Piece(NamedTuple):
    """A block of a message, or a run of it.

    Attributes:
        is_whole: whether it is a whole block; a run begins and ends anywhere, also in
            the middle of an element of Markdown.
    """

    block: Block
    is_whole: bool


class Page:
    """Builds the code of messages.

    Args:
        conversation: the conversation of the messages.
        number: the number of this part of the conversation, from 1 on.
        markdown: renders messages; None shows them as plain text.

    Attributes:
        size: the number of characters of code.
        lines: the number of lines of code and of text in it, a measure of the layout's cost.
    """

    def __init__(
        self, conversation: ExportedConversation, number: int, markdown: Markdown | None
    ) -> None:
        self._conversation = conversation
        self._number = number
        self._markdown = markdown
        self._parts: list[str] = []
        self._shown: ExportedMessage | None = None
        self.size = 0
        self.lines = 0
        for part in self._head():
            self._append(part)

    def _head(self) -> list[str]:
        of = self._conversation
        told = [f"Created {format_instant(of.created_at)}"]
        told.append(f"changed {format_instant(of.updated_at)}")
        told.append(f"{of.total_messages} messages")
        if of.tags:
            told.append(f"tags: {', '.join(of.tags)}")
        title = of.shown_title if self._number == 1 else f"{of.shown_title} ({self._number})"
        parts = [code.paragraph(title, code.text(title), function="title-of")]
        parts.append(code.call("annotation", code.text("; ".join(told))))
        if of.system_prompt and self._number == 1:
            parts.append(code.call("author-line", _colour("system"), code.text("System prompt")))
            parts.append(self._render(of.system_prompt))
        return parts

    def add(self, message: ExportedMessage, piece: Piece, *, is_first: bool) -> None:
        """Add a piece of a message.

        Args:
            message: the whole message.
            piece: its next piece.
            is_first: whether the message begins with it.
        """
        if self._shown is not message:
            self._shown = message
            self._append(self._name_of(message, is_first=is_first))
        self._append(self._piece(piece))

    def _name_of(self, message: ExportedMessage, *, is_first: bool) -> str:
        told = [NAMES.get(message.role, "Message")]
        if message.exact_time is not None:
            told.append(format_instant(message.exact_time))
        if message.role != "user" and message.shown_model:
            told.append(message.shown_model)
        if not is_first:
            told.append("continued")
        return code.call("author-line", _colour(message.role), code.text(" · ".join(told)))

    def _piece(self, piece: Piece) -> str:
        block = piece.block
        match block.kind:
            case Kind.WORDS:
                text = block.texts[0][0]
                return self._render(text) if piece.is_whole else plain(text)
            case Kind.FILE:
                return code.call("annotation", code.text(f"File: {block.title}"))
            case Kind.SOURCE:
                shown = block.title if block.url is None else f"{block.title} ({block.url})"
                return code.call("annotation", code.text(f"Source: {shown}"))
        parts = [code.call("annotation", code.text(block.title))]
        if block.kind is Kind.TOOL:
            parts += [listing(text[:MOST_SHOWN], language) for text, language in block.texts]
        else:
            parts += [code.call("quoted", plain(text[:MOST_SHOWN])) for text, _ in block.texts]
        return code.block(parts)

    def _append(self, part: str) -> None:
        self._parts.append(part)
        self.size += len(part)
        self.lines += part.count("\n") + part.count("\\n")

    def end(self, completeness: Completeness) -> None:
        """Add a warning if the conversation changed or is incomplete."""
        if notice := NOTICES.get(completeness):
            self._append(code.call("notice", code.text(notice)))

    def source(self) -> bytes:
        """Return the source of the whole file."""
        prelude = PRELUDE.replace("FAMILIES", code.array(map(code.text, used_families())))
        prelude = prelude.replace("MONOSPACE", code.array(map(code.text, MONOSPACE)))
        title = code.text(self._conversation.shown_title)
        head = f"#set document(title: {title}, date: none)\n"
        return f"{head}{prelude}#{code.block(self._parts)}\n".encode()

    def _render(self, content: str) -> str:
        return plain(content) if self._markdown is None else self._markdown.render(content)


def _colour(role: str) -> str:
    return f'rgb("{COLOURS.get(role, "#5f6368")}")'


def pieces_of(message: ExportedMessage) -> Iterator[Piece]:
    """Yield the visible blocks of a message, long text in runs."""
    is_empty = True
    for block in blocks_of(message):
        is_empty = False
        if block.kind is not Kind.WORDS:
            yield Piece(block, is_whole=True)
            continue
        runs = runs_of(block.texts[0][0], MOST_RENDERED)
        for run in runs:
            yield Piece(replace(block, texts=((run, ""),)), is_whole=len(runs) == 1)
    if is_empty:
        yield Piece(Block(kind=Kind.WORDS, texts=(("", ""),)), is_whole=True)


def runs_of(content: str, most: int) -> Sequence[str]:
    """Split the text into runs of at most that many characters, between lines if possible."""
    runs = []
    while len(content) > most:
        at = content.rfind("\n", most // 2, most) + 1 or most
        runs.append(content[:at])
        content = content[at:]
    return [*runs, content]
