"""Markdown notes: no words of a message or title are more than words."""

import importlib
import re
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from chatvault.exporting.formats.markdown_note import LINE_END, MarkdownNote, yaml_text
from chatvault.exporting.records import Completeness
from support.exporting import HOSTILE, TEXT, exported_conversation, exported_message, written

CALLOUT = re.compile(r"> \[!(\w+)\]-? ")


def read_yaml(text: str) -> dict[str, Any]:
    yaml = importlib.import_module("yaml")  # it carries no annotations
    found: dict[str, Any] = yaml.safe_load(text)
    return found


def split_note(text: str) -> tuple[dict[str, Any], str, list[tuple[str, str]]]:
    """A note as its front matter, its title, and its messages by kind, as we write them."""
    start, front, body = text.split("---\n", 2)
    assert start == ""
    lines = body.split("\n")
    messages: list[tuple[str, list[str]]] = []
    title = ""
    for before, line in zip(["", *lines], lines, strict=False):
        if line.startswith("# "):
            title = re.sub(r"\\(.)", r"\1", line[2:])
        elif not before and (found := CALLOUT.match(line)):
            messages.append((found[1], []))
        elif line:
            assert line == ">" or line.startswith("> "), line
            messages[-1][1].append(line[2:])
    return read_yaml(front), title, [(kind, "\n".join(each)) for kind, each in messages]


def note(*messages: Any, **fields: Any) -> str:
    return written(MarkdownNote(), (exported_conversation(**fields), messages)).decode()


class TestNote:
    @given(
        title=HOSTILE,
        tags=st.lists(HOSTILE, max_size=3),
        contents=st.lists(st.tuples(st.sampled_from(["user", "assistant"]), HOSTILE), max_size=4),
    )
    def test_holds_the_text_of_the_messages(
        self, title: str, tags: list[str], contents: list[tuple[str, str]]
    ) -> None:
        text = note(
            *(exported_message(content, role, model_used=title) for role, content in contents),
            title=title,
            tags=tags,
        )

        front, heading, messages = split_note(text)
        assert (front["title"], front["tags"]) == (title, tags)
        assert front["id"] == "65a5158ac8d8e8a8b8c8d8e8"
        assert heading == exported_conversation(title=title).shown_title
        assert messages == [
            (role, "\n".join(LINE_END.split(content))) for role, content in contents
        ]

    @given(title=HOSTILE, contents=st.lists(HOSTILE, min_size=1, max_size=4))
    def test_consists_of_a_title_and_quotations(self, title: str, contents: list[str]) -> None:
        text = note(*map(exported_message, contents), title=title)
        body = text.split("---\n", 2)[2]

        top = [token.type for token in MarkdownIt().parse(body) if token.level == 0]

        assert top == ["heading_open", "heading_close"] + [
            "blockquote_open",
            "blockquote_close",
        ] * len(contents)

    @given(result=HOSTILE, arguments=HOSTILE, tool=HOSTILE)
    @example(result="\r", arguments="", tool="")
    def test_fences_the_output_of_tools(self, result: str, arguments: str, tool: str) -> None:
        command = {"tool": tool, "arguments": arguments, "result": result}
        text = note(exported_message("x", "assistant", commands=[command]))

        fences = [each for each in MarkdownIt().parse(text) if each.type == "fence"]

        shown = [each.content.removesuffix("\n") for each in fences if each.info == "text"]
        expected = "\n".join(LINE_END.split(result)).replace("\x00", "\ufffd")
        assert shown == ([expected] if result else [])

    def test_matches_the_example(self) -> None:
        text = note(
            exported_message("What time is it?\n\nIn Tokyo."),
            exported_message("Ten.", "assistant", model_used="gpt-5", model="other"),
            title="The *time*",
            tags=["travel"],
            source="localstorage:1",
            system_prompt="Be short.",
        )
        assert text == (
            '---\nid: "65a5158ac8d8e8a8b8c8d8e8"\ntitle: "The *time*"\n'
            "created: 2026-01-31T10:00:00.123Z\nupdated: 2026-01-31T10:00:00.123Z\n"
            'status: "active"\ntags: ["travel"]\nmessages: 1\nsource: "localstorage:1"\n---\n\n'
            "# The \\*time\\*\n\n> [!system]- System prompt\n> Be short.\n\n"
            "> [!user] User · 2026-01-31T10:00:00.123Z\n> What time is it?\n>\n> In Tokyo.\n\n"
            "> [!assistant] Assistant · 2026-01-31T10:00:00.123Z · gpt\\-5\n> Ten.\n"
        )

    @pytest.mark.parametrize("end", [Completeness.CHANGED, Completeness.CUT])
    def test_warns_if_it_is_incomplete(self, end: Completeness) -> None:
        one = (exported_conversation(), [exported_message()])
        assert "> [!warning] Export" in written(MarkdownNote(), one, end=end).decode()


class TestYaml:
    @given(text=HOSTILE | TEXT)
    def test_is_parsed_to_the_same_text(self, text: str) -> None:
        assert read_yaml(f"key: {yaml_text(text)}") == {"key": text}
