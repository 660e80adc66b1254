"""Convert HTML to Markdown, so that imported HTML is never shown as HTML."""

import html
import re
from html.parser import HTMLParser
from typing import Final

_SILENT: Final = frozenset({"script", "style", "head", "title", "template"})
_BLOCKS: Final = frozenset(
    {
        "p", "div", "section", "article", "ul", "ol", "table", "blockquote", "pre", "hr",
        "h1", "h2", "h3", "h4", "h5", "h6",
    }
)  # fmt: skip
_MARKS: Final = {"b": "**", "strong": "**", "i": "*", "em": "*", "s": "~~", "del": "~~"}
_SPACE = re.compile(r"[ \t\r\n\f]+")
_GAPS = re.compile(r"\n{3,}")
_TRAILING = re.compile(r"[ \t]+(?=\n)")


def to_markdown(source: str) -> str:
    """Return the text of HTML as Markdown, without scripts and styles."""
    reader = _Reader()
    reader.feed(source)
    reader.close()
    text = "".join(reader.pieces)
    return _GAPS.sub("\n\n", _TRAILING.sub("", text)).strip()


def to_line(source: str) -> str:
    """Return the text of HTML as one line without markup."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", source)).split())


class _Reader(HTMLParser):
    """Writes Markdown while HTML is parsed."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []
        self._silent = 0
        self._pre = 0
        self._lists: list[int | None] = []
        self._links: list[str] = []
        self._cells = 0
        self._is_head = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _SILENT:
            self._silent += 1
        elif tag in _BLOCKS:
            self._block(tag)
        elif tag in _MARKS and not self._pre:
            self.pieces.append(_MARKS[tag])
        elif tag == "br":
            self.pieces.append("\n")
        elif tag == "li":
            self._item()
        elif tag == "code" and not self._pre:
            self.pieces.append("`")
        elif tag == "a":
            self._links.append(dict(attrs).get("href") or "")
            self.pieces.append("[")
        elif tag == "tr":
            self.pieces.append("\n|")
            self._cells = 0
        elif tag in {"td", "th"}:
            self._cells += 1
            self._is_head = tag == "th"
            self.pieces.append(" ")

    def handle_endtag(self, tag: str) -> None:
        if tag in _SILENT:
            self._silent = max(0, self._silent - 1)
        elif tag in _BLOCKS:
            self._end_block(tag)
        elif tag in _MARKS and not self._pre:
            self.pieces.append(_MARKS[tag])
        elif tag == "code" and not self._pre:
            self.pieces.append("`")
        elif tag == "a" and self._links:
            link = self._links.pop()
            is_safe = link.startswith(("https://", "http://", "mailto:"))
            self.pieces.append(f"]({link})" if is_safe else "]")
        elif tag in {"td", "th"}:
            self.pieces.append(" |")
        elif tag == "tr" and self._is_head:
            self.pieces.append("\n|" + " --- |" * self._cells)
            self._is_head = False

    def handle_data(self, data: str) -> None:
        if self._silent:
            return
        if not self._pre:
            data = _SPACE.sub(" ", data)
            if not self.pieces or self.pieces[-1].endswith("\n"):
                data = data.lstrip(" ")
        self.pieces.append(data)

    def _block(self, tag: str) -> None:
        if tag in {"ul", "ol"}:
            self.pieces.append("" if self._lists else "\n\n")
            self._lists.append(1 if tag == "ol" else None)
        elif tag == "pre":
            self._pre += 1
            self.pieces.append("\n\n```\n")
        elif tag == "hr":
            self.pieces.append("\n\n---\n\n")
        elif tag == "blockquote":
            self.pieces.append("\n\n> ")
        elif tag.startswith("h"):
            self.pieces.append("\n\n" + "#" * int(tag[1]) + " ")
        elif not (self._lists and self.pieces and self.pieces[-1].endswith((". ", "- "))):
            self.pieces.append("\n\n")

    def _end_block(self, tag: str) -> None:
        if tag in {"ul", "ol"} and self._lists:
            self._lists.pop()
        elif tag == "pre" and self._pre:
            self._pre -= 1
            self.pieces.append("\n```")
        # The next item of a list begins on a new line.
        self.pieces.append("" if self._lists else "\n\n")

    def _item(self) -> None:
        indent = "  " * (len(self._lists) - 1)
        if self._lists and (number := self._lists[-1]) is not None:
            self.pieces.append(f"\n{indent}{number}. ")
            self._lists[-1] = number + 1
        else:
            self.pieces.append(f"\n{indent}- ")
