"""The registry of export formats; each has a module and a line here."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from chatvault.exporting.formats.html_page import HtmlPage
from chatvault.exporting.formats.json_document import JsonDocument
from chatvault.exporting.formats.json_lines import JsonLines
from chatvault.exporting.formats.markdown_note import MarkdownNote
from chatvault.exporting.formats.openai_messages import OpenAIMessages
from chatvault.exporting.formats.sharegpt import ShareGPT
from chatvault.exporting.schemas import ConversationFormat
from chatvault.exporting.writer import Writer

WRITERS: Final[Mapping[ConversationFormat, type[Writer]]] = MappingProxyType(
    {
        ConversationFormat.JSON: JsonDocument,
        ConversationFormat.NDJSON: JsonLines,
        ConversationFormat.MARKDOWN: MarkdownNote,
        ConversationFormat.HTML: HtmlPage,
        ConversationFormat.OPENAI: OpenAIMessages,
        ConversationFormat.SHAREGPT: ShareGPT,
    }
)
