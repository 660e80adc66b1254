"""HTML pages: nothing of a message is markup, and nothing comes from the net."""

import re
from html.parser import HTMLParser
from time import perf_counter
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatvault.exporting.formats.html_page import MOST_RENDERED, HtmlPage
from chatvault.exporting.records import Completeness
from support.exporting import HOSTILE, exported_conversation, exported_message, written

OURS = {
    *("html", "head", "meta", "title", "style", "body", "h1", "p", "article", "header", "details"),
    *("summary", "div", "strong"),
}
MARKDOWNS = {
    *("p", "em", "strong", "s", "code", "pre", "a", "br", "hr", "ul", "ol", "li", "blockquote"),
    *("h1", "h2", "h3", "h4", "h5", "h6", "table", "thead", "tbody", "tr", "th", "td"),
}
ATTRIBUTES = {
    *("class", "dir", "charset", "http-equiv", "content", "name", "href", "title", "start"),
    "style",
}
VOID = {"meta", "br", "hr"}
POISON = "<script>alert(1)</script><img src=x onerror=alert(1)>"


class Page(HTMLParser):
    """The tags of a page with their attributes, and what is open where an article ends."""

    def __init__(self, text: bytes) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.articles = 0
        self.texts: dict[str, list[str]] = {}
        self.feed(text.decode())
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        self.articles += tag == "article"
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in VOID
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open:
            self.texts.setdefault(self.open[-1], []).append(data)

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)


def page(*messages: Any, **fields: Any) -> bytes:
    return written(HtmlPage(), (exported_conversation(**fields), messages))


class TestPage:
    @settings(max_examples=50)
    @given(
        title=HOSTILE,
        contents=st.lists(st.tuples(HOSTILE, HOSTILE), max_size=3),
        tags=st.lists(HOSTILE, max_size=2),
    )
    def test_has_no_markup_of_messages(
        self, title: str, contents: list[tuple[str, str]], tags: list[str]
    ) -> None:
        command = {"tool": title, "arguments": title, "result": title}
        found = Page(
            page(
                *(
                    exported_message(content, "assistant", model=model, commands=[command])
                    for content, model in contents
                ),
                title=title,
                tags=tags,
                system_prompt=title,
            )
        )

        assert found.articles == len(contents)
        assert {tag for tag, _ in found.found} <= OURS | MARKDOWNS
        for _, attributes in found.found:
            assert attributes.keys() <= ATTRIBUTES
            href = attributes.get("href") or ""
            assert urlsplit(href).scheme in {"", "http", "https", "mailto"} or "%" in href, href
            style = attributes.get("style") or ""
            assert re.fullmatch(r"(text-align:(left|right|center))?", style)

    def test_runs_and_loads_nothing(self) -> None:
        text = page(exported_message(f"{POISON} [a](javascript:alert(1)) ![p](http://x/p.png)"))
        found = Page(text)
        policy = next(
            each["content"] for _, each in found.found if each.get("http-equiv") is not None
        )
        assert policy is not None
        assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; img-src data:")
        assert not {"script", "img", "link", "iframe"} & {tag for tag, _ in found.found}
        assert [each["href"] for tag, each in found.found if tag == "a"] == ["http://x/p.png"]

    def test_shows_markdown(self) -> None:
        text = page(exported_message("**bold**\n\n```python\nx < 1\n```\n\n| a |\n|---|\n| b |"))
        assert b"<strong>bold</strong>" in text
        assert b'<code class="language-python">x &lt; 1' in text
        assert b"<td>b</td>" in text

    @pytest.mark.parametrize(
        "content", ["x" * (MOST_RENDERED + 1), ">" * 500 + "deep", "- " * 300 + "x"]
    )
    def test_shows_long_and_deeply_nested_messages_as_text(self, content: str) -> None:
        text = page(exported_message(content)).decode()
        assert '<div class="plain">' in text
        assert content.replace(">", "&gt;") in text

    @pytest.mark.parametrize("part", ["[", "*a ", "[a](b", "`a``", "_a__b", "- a\n  ", "a\n"])
    def test_is_rendered_within_seconds(self, part: str) -> None:
        before = perf_counter()
        page(exported_message(part * (MOST_RENDERED // len(part))))
        assert perf_counter() - before < 30

    @pytest.mark.parametrize("end", [Completeness.CHANGED, Completeness.CUT])
    def test_warns_if_it_is_incomplete(self, end: Completeness) -> None:
        one = (exported_conversation(), [exported_message()])
        assert b"<strong>" in written(HtmlPage(), one, end=end)
        assert b"<strong>" not in written(HtmlPage(), one)
