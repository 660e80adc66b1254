"""Write a conversation as one self-contained web page without scripts or external resources."""

import html

from markdown_it import MarkdownIt

from chatvault.exporting.blocks import Block, Kind, blocks_of
from chatvault.exporting.formats.markdown_note import NAMES, NOTICES
from chatvault.exporting.names import link_to
from chatvault.exporting.records import (
    Completeness,
    ExportedAttachment,
    ExportedConversation,
    ExportedMessage,
)
from chatvault.exporting.writer import Writer
from chatvault.fields import format_instant

# A longer message is shown as plain text, as the cost of rendering grows faster than its length.
MOST_RENDERED = 32 * 1024
MOST_NESTED = 50
POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
    "form-action 'none'"
)
STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 48rem; margin: 2rem auto; padding: 0 1rem; }
article, details { margin: 1rem 0; padding: .5rem 1rem; border-left: .25rem solid #8888; }
article.user { border-color: #2563eb; background: #2563eb14; }
article header, .about { color: #767676; font-size: .875rem; }
pre { overflow-x: auto; padding: .75rem; background: #8881; }
pre, .plain { white-space: pre-wrap; overflow-wrap: anywhere; }
p, li { overflow-wrap: anywhere; }
table { border-collapse: collapse; display: block; overflow-x: auto; }
td, th { border: 1px solid #8886; padding: .25rem .5rem; }
@media print { article { break-inside: avoid-page; } pre { white-space: pre-wrap; } }
"""


class HtmlPage(Writer):
    """Writes one conversation as a page; only Markdown in a message becomes markup."""

    media_type = "text/html; charset=utf-8"
    suffix = ".html"
    is_document = True

    def __init__(self) -> None:
        self._markdown = MarkdownIt(
            "commonmark", {"html": False, "breaks": True, "maxNesting": MOST_NESTED}
        )
        self._markdown.enable(["table", "strikethrough"]).disable("image")
        self._files: dict[str, ExportedAttachment] = {}
        self._others: dict[str, ExportedAttachment] = {}

    def begin(self, conversation: ExportedConversation) -> bytes:
        """Return the page up to its first message."""
        self._files = {each.id: each for each in conversation.attachments if each.path is not None}
        self._others = dict(self._files)
        title = html.escape(conversation.shown_title)
        told = [f"Created {format_instant(conversation.created_at)}"]
        told.append(f"changed {format_instant(conversation.updated_at)}")
        told.append(f"{conversation.total_messages} messages")
        if conversation.tags:
            told.append(f"tags: {', '.join(conversation.tags)}")
        text = (
            '<!doctype html>\n<html dir="auto">\n<head>\n<meta charset="utf-8">\n'
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            '<meta name="referrer" content="no-referrer">\n'
            f"<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
            f'<h1>{title}</h1>\n<p class="about">{html.escape("; ".join(told))}</p>\n'
        )
        if conversation.system_prompt:
            text += _details("System prompt", conversation.system_prompt)
        return text.encode()

    def message(self, message: ExportedMessage) -> bytes:
        """Return a message as an article; nothing for a hidden one."""
        if message.is_hidden:
            return b""
        told = [NAMES.get(message.role, "Message")]
        if message.exact_time is not None:
            told.append(format_instant(message.exact_time))
        if message.role != "user" and message.shown_model:
            told.append(message.shown_model)
        kind = message.role if message.role in NAMES else "other"
        head = html.escape(" · ".join(told))
        body = "".join(map(self._block, blocks_of(message)))
        return (
            f'<article class="{kind}" dir="auto">\n<header>{head}</header>\n{body}</article>\n'
        ).encode()

    def end(self, completeness: Completeness) -> bytes:
        """Return files that no message shows, and a warning if the conversation is incomplete."""
        told = "".join(map(_file, self._others.values()))
        notice = NOTICES.get(completeness)
        told += "" if notice is None else f"<p><strong>{html.escape(notice)}</strong></p>\n"
        return f"{told}</body>\n</html>\n".encode()

    def _block(self, block: Block) -> str:
        title = html.escape(block.title)
        match block.kind:
            case Kind.WORDS:
                return self._render(block.texts[0][0])
            case Kind.FILE:
                self._others.pop(block.attachment_id or "", None)
                return _file(self._files.get(block.attachment_id or ""), title)
            case Kind.SOURCE if block.url is not None:
                url = html.escape(block.url)
                return f'<p>Source: <a href="{url}" rel="noreferrer noopener">{title}</a></p>\n'
            case Kind.SOURCE:
                return f"<p>Source: {title}</p>\n"
            case _:
                return _details(block.title, "\n\n".join(text for text, _ in block.texts))

    def _render(self, text: str) -> str:
        plain = f'<div class="plain">{html.escape(text)}</div>\n'
        if len(text) > MOST_RENDERED:
            return plain
        tokens = self._markdown.parse(text)
        # The parser omits deeper content; an item of a list takes two levels.
        if any(token.level >= MOST_NESTED - 2 for token in tokens):
            return plain
        rendered: str = self._markdown.renderer.render(tokens, self._markdown.options, {})
        return rendered


def _file(attachment: ExportedAttachment | None, title: str = "") -> str:
    """Return the name of a file, as a link to it where it is in the same archive."""
    if attachment is None:
        return f"<p>File: {title}</p>\n"
    link = html.escape(link_to(attachment.path or ""))
    shown = title or html.escape(attachment.name or attachment.id)
    return f'<p>File: <a href="{link}">{shown}</a></p>\n'


def _details(summary: str, text: str) -> str:
    return (
        f"<details><summary>{html.escape(summary)}</summary>"
        f'<div class="plain">{html.escape(text)}</div></details>\n'
    )
