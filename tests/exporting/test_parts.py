"""What exports show of messages that hold more than words."""

import json
from typing import Any

from hypothesis import given

from chatvault.exporting.formats.html_page import HtmlPage
from chatvault.exporting.formats.json_document import JsonDocument
from chatvault.exporting.formats.markdown_note import MarkdownNote
from chatvault.exporting.formats.openai_messages import OpenAIMessages
from chatvault.exporting.formats.sharegpt import ShareGPT
from chatvault.exporting.pdf.files import _Parts
from chatvault.exporting.records import Completeness, Piece
from chatvault.exporting.writer import Writer
from support.exporting import HOSTILE, exported_conversation, exported_message, written

PARTS: list[dict[str, Any]] = [
    {"type": "thinking", "summary": ["Look it up."], "text": "All of it.", "duration_s": 2.5},
    {"type": "text", "text": "First."},
    {"type": "tool_call", "id": "c", "name": "maps.find", "input": {"q": "fjord"}},
    {
        "type": "tool_result",
        "call_id": "c",
        "name": "maps",
        "output": "```\nThere.",
        "is_error": True,
    },
    {"type": "file", "attachment_id": "a", "name": "map.png", "mime": "image/png", "size": 1024},
    {"type": "file", "attachment_id": "b", "text": "Of the file."},
    {"type": "text", "text": "Second."},
    {"type": "citation", "url": "https://example.org/a?b=1&c", "title": "Fjords [1]"},
    {"type": "citation", "url": "javascript:alert(1)", "title": "Bad"},
    {"type": "raw", "source_type": "widget", "value": {"unknown": 1}},
]
MESSAGE = exported_message("First.\n\nSecond.", "assistant", parts=PARTS, time_source="neighbour")
HIDDEN = exported_message("Unseen.", "system", hidden=True)


def text_of(writer: Writer, *messages: Any) -> str:
    return written(writer, (exported_conversation(), messages)).decode()


class TestMarkdown:
    def test_shows_every_part(self) -> None:
        note = text_of(MarkdownNote(), HIDDEN, MESSAGE).partition("# ")[2]

        assert note.partition("\n")[2] == (
            "\n> [!assistant] Assistant"
            "\n>\n> > [!quote]- Thoughts of 2\\.5 seconds\n> > Look it up.\n> >\n> > All of it."
            "\n>\n> First."
            '\n>\n> > [!tool]- maps\\.find\n> > ```json\n> > {"q":"fjord"}\n> > ```'
            "\n>\n> > [!tool]- Error of maps\n> > ````text\n> > ```\n> > There.\n> > ````"
            "\n>\n> *File: map\\.png\\, image\\/png\\, 1\\,024 bytes*"
            "\n>\n> *File: b*"
            "\n>\n> > [!quote]- Text of the file\n> > Of the file."
            "\n>\n> Second."
            "\n>\n> *Source: [Fjords \\[1\\]](<https://example.org/a?b=1&c>)*"
            "\n>\n> *Source: Bad*\n"
        )

    @given(words=HOSTILE)
    def test_keeps_any_part_inside_its_quotation(self, words: str) -> None:
        parts = [
            {"type": "thinking", "text": words},
            {"type": "tool_call", "name": words, "input": words},
            {"type": "tool_result", "output": words},
            {"type": "file", "attachment_id": words, "text": words},
            {"type": "citation", "url": f"https://{words}", "title": words},
        ]
        note = text_of(MarkdownNote(), exported_message("", "assistant", parts=parts))
        body = note.partition("# ")[2].split("\n")[1:]

        assert all(not line or line.startswith(">") for line in body)


class TestHtml:
    def test_shows_every_part(self) -> None:
        page = text_of(HtmlPage(), HIDDEN, MESSAGE)

        assert page.count("<article") == 1
        assert "Unseen" not in page
        assert "<summary>Thoughts of 2.5 seconds</summary>" in page
        assert "<p>First.</p>" in page
        assert "<summary>maps.find</summary>" in page
        assert "<p>File: map.png, image/png, 1,024 bytes</p>" in page
        assert '<a href="https://example.org/a?b=1&amp;c" rel="noreferrer noopener">' in page
        assert "javascript" not in page
        assert "2026-01-31T10:00:00.123Z" not in page.partition("<article")[2]

    @given(words=HOSTILE)
    def test_escapes_markup_of_parts(self, words: str) -> None:
        parts = [
            {"type": "thinking", "text": words},
            {"type": "tool_call", "name": words, "input": words},
            {"type": "file", "attachment_id": words},
            {"type": "citation", "url": f"https://{words}", "title": words},
        ]
        page = text_of(HtmlPage(), exported_message("", "assistant", parts=parts))

        assert "<script" not in page
        assert "<img" not in page


def test_shows_a_content_that_differs_from_the_parts() -> None:
    odd = exported_message("Content.", parts=[*PARTS[:2]])

    assert "> Content." in text_of(MarkdownNote(), odd)
    assert "First." not in text_of(MarkdownNote(), odd)


def test_json_has_every_part() -> None:
    raw = json.loads(text_of(JsonDocument(), HIDDEN, MESSAGE))
    hidden, shown = raw["conversations"][0]["messages"]

    assert hidden["hidden"] is True
    assert (shown["parts"], shown["time_source"]) == (PARTS, "neighbour")


def test_formats_for_models_have_only_what_models_get() -> None:
    line = json.loads(text_of(OpenAIMessages(), HIDDEN, MESSAGE, exported_message("Thanks.")))
    turns = json.loads(text_of(ShareGPT(), HIDDEN, MESSAGE))[0]["conversations"]

    assert [each["role"] for each in line["messages"]] == ["assistant", "tool", "user"]
    assert [each["from"] for each in turns] == ["gpt", "function_call", "observation"]
    assert text_of(OpenAIMessages(), HIDDEN) == ""


def test_pdf_shows_every_part() -> None:
    parts = _Parts(is_divided=True)
    whole = Piece(exported_conversation(), [HIDDEN, MESSAGE], is_first=True, end=Completeness.WHOLE)
    [part] = parts.add(whole)
    source = part.source.decode()

    for wanted in (
        '"Thoughts of 2.5 seconds"',
        '"First."',
        'annotation("maps.find")',
        'listing(lang: "json", "{\\"q\\":\\"fjord\\"}")',
        'annotation("File: map.png, image/png, 1,024 bytes")',
        'annotation("Source: Fjords [1] (https://example.org/a?b=1&c)")',
        'annotation("Source: Bad")',
    ):
        assert wanted in source, wanted
    assert "Unseen" not in source
    assert "10:00:00.123Z" not in source.partition("author-line(rgb")[2]
