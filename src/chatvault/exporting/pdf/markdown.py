"""Convert Markdown to typst code, token by token."""

import re
from collections.abc import Callable, Sequence

from markdown_it import MarkdownIt
from markdown_it.token import Token

from chatvault.exporting.pdf import code
from chatvault.exporting.pdf.tex import add_tex

# A longer message is shown as plain text, as the cost of rendering grows faster than its length.
MOST_RENDERED = 32 * 1024
# Deeper content is shown as plain text: typst fails at 72 nested layouts.
MOST_NESTED = 20
LANGUAGE = re.compile(r"[A-Za-z0-9+#_.-]{1,30}")
ALIGNMENT = re.compile(r"text-align:\s*(left|center|right)")
SPANS = {"strong_open": "strong", "em_open": "emph", "s_open": "strike"}


class Markdown:
    """Converts messages to code."""

    def __init__(self) -> None:
        self._parser = MarkdownIt(
            "commonmark", {"html": False, "breaks": True, "maxNesting": MOST_NESTED + 10}
        )
        self._parser.enable(["table", "strikethrough"]).disable("image")
        add_tex(self._parser)

    def render(self, value: str) -> str:
        """Return the code of a message."""
        if len(value) > MOST_RENDERED:
            return plain(value)
        tokens = self._parser.parse(value)
        if any(token.level >= MOST_NESTED for token in tokens):
            return plain(value)
        return code.block(_Blocks(tokens).until(None))


def plain(value: str) -> str:
    """Return the code of plain text, with its lines kept and no markup."""
    return code.block(
        code.paragraph(each, code.text(each)) for each in value.split("\n\n") if each.strip()
    )


def listing(value: str, language: str = "") -> str:
    """Return a block of program text, with syntax highlighting for known languages."""
    found = LANGUAGE.fullmatch(language)
    named = {"lang": code.text(found[0].lower())} if found else {}
    return code.call("listing", code.text(value.rstrip("\n")), **named)


class _Blocks:
    """Converts the tokens of blocks."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self._tokens = tokens
        self._next = 0

    def until(self, closing: str | None) -> list[str]:
        """Return the blocks up to a closing token, and skip it."""
        parts: list[str] = []
        while self._next < len(self._tokens):
            token = self._tokens[self._next]
            self._next += 1
            if token.type == closing:
                break
            parts.append(self._block(token))
        return parts

    def _block(self, token: Token) -> str:
        makers: dict[str, Callable[[Token], str]] = {
            "paragraph_open": lambda _: self._inline("par", "paragraph_close"),
            "heading_open": self._heading,
            "bullet_list_open": self._list,
            "ordered_list_open": self._list,
            "table_open": self._table,
            "blockquote_open": self._quotation,
            "fence": lambda it: listing(it.content, it.info.strip().partition(" ")[0]),
            "tex_block": lambda it: listing(it.content, "latex"),
            "hr": lambda _: "rule()",
        }
        make = makers.get(token.type)
        return listing(token.content) if make is None else make(token)

    def _quotation(self, _token: Token) -> str:
        return code.call("quoted", code.block(self.until("blockquote_close")))

    def _inline(self, function: str, closing: str) -> str:
        """Return a paragraph with the content of the next token, an inline one."""
        [token] = self._pass(closing)
        return code.paragraph(token.content, inline(token.children or ()), function=function)

    def _pass(self, closing: str) -> list[Token]:
        """Return the tokens up to a closing one, and skip it."""
        start = self._next
        while self._tokens[self._next].type != closing:
            self._next += 1
        self._next += 1
        return list(self._tokens[start : self._next - 1])

    def _heading(self, token: Token) -> str:
        return self._inline(f"heading{token.tag[1]}", "heading_close")

    def _list(self, token: Token) -> str:
        is_ordered = token.type == "ordered_list_open"
        closing = "ordered_list_close" if is_ordered else "bullet_list_close"
        ahead = self._tokens[self._next :]
        first = next((each.content for each in ahead if each.type == "inline"), "")
        items = []
        while self._tokens[self._next].type != closing:
            self._next += 1
            items.append(code.block(self.until("list_item_close")))
        self._next += 1
        start = {"start": str(int(token.attrs.get("start", 1)))} if is_ordered else {}
        made = code.call("enum" if is_ordered else "list", *items, **start)
        right = ["set text(dir: rtl)"] if code.is_right_to_left(first) else []
        return code.block([*right, made])

    def _table(self, _token: Token) -> str:
        inside = self._pass("table_close")
        columns: list[str] = []
        rows: list[list[str]] = []
        for number, token in enumerate(inside):
            if token.type == "tr_open":
                rows.append([])
            elif token.type in {"th_open", "td_open"}:
                if token.type == "th_open":
                    found = ALIGNMENT.search(str(token.attrs.get("style", "")))
                    columns.append(found[1] if found else "start")
                cell = inside[number + 1]
                body = inline(cell.children or ())
                rows[-1].append(code.block([code.paragraph(cell.content, body, function="cell")]))
        head, *others = rows
        return code.call(
            "grid-of-text",
            code.call("table.header", *head),
            *(cell for row in others for cell in row),
            columns=str(len(columns)),
            align=code.array(columns),
        )


def inline(tokens: Sequence[Token]) -> str:
    """Return the code of inline content."""
    # The last list is the innermost open span.
    spans: list[list[str]] = [[]]
    for token in tokens:
        match token.type:
            case "text" | "text_special" | "html_inline":
                spans[-1].append(code.text(token.content))
            case "code_inline":
                spans[-1].append(code.call("raw", code.text(token.content)))
            case "tex":
                spans[-1].append(code.call("raw", code.text(token.content), lang='"latex"'))
            case "softbreak" | "hardbreak":
                spans[-1].append("linebreak()")
            case "strong_open" | "em_open" | "s_open" | "link_open":
                spans.append([])
            case "strong_close" | "em_close" | "s_close":
                made = code.block(spans.pop())
                spans[-1].append(
                    code.call(SPANS[f"{token.type.removesuffix('_close')}_open"], made)
                )
            case "link_close":
                made, target = code.block(spans.pop()), code.text(_target(tokens, token))
                is_shown = target in made
                spans[-1].append(code.call("linked", made, '""' if is_shown else target))
    return code.block(spans[0])


def _target(tokens: Sequence[Token], closing: Token) -> str:
    """Return the target of the link that ends with this token."""
    target = ""
    for token in tokens:
        if token is closing:
            break
        if token.type == "link_open":
            target = str(token.attrs.get("href", ""))
    return target
