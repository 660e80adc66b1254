"""PDF: nothing of a message is code, whatever it holds; long conversations come in parts."""

import asyncio
import io
import json
import re
import zipfile
from typing import Any

import pytest
from hypothesis import given, settings

from chatvault.exporting.pdf import code, files, typesetter
from chatvault.exporting.pdf.fonts import missing_scripts
from chatvault.exporting.pdf.markdown import Markdown
from chatvault.exporting.pdf.page import PRELUDE, Page, pieces_of, runs_of
from chatvault.exporting.pdf.typesetter import PdfFailed, Typesetter
from chatvault.exporting.records import Completeness, ExportedMessage
from conftest import HttpClient
from support.exporting import HOSTILE, exported_conversation, exported_message
from support.factories import begin, message

STRING = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
NUMBERS = re.compile(r"\b\d+\b")
WORDS = re.compile(r"[a-z][a-z0-9.-]*", re.IGNORECASE)
OURS = {
    *("par", "text", "raw", "set", "dir", "rtl", "lang", "linebreak", "strong", "emph", "strike"),
    *("list", "enum", "start", "rule", "listing", "quoted", "linked", "cell", "grid-of-text"),
    *(
        "columns",
        "align",
        "left",
        "center",
        "right",
        "table.header",
        "author-line",
        "rgb",
        "annotation",
    ),
    *("title-of", "notice", *(f"heading{level}" for level in range(1, 7))),
}
EVERYTHING = """# One `x`
**b** *i* ~~s~~ [l](https://example.org) <https://example.org/a>
> q

1. a
   - b

| l | r |
|:--|--:|
| 東京 | 2 |

```python
x = 1
```
---
$E = mc^2$ and \\(a\\) for $5

$$
\\frac{1}{2}
$$

مرحبا 한국어 日本語 👩‍👧
"""


def page_of(*messages: ExportedMessage, markdown: bool = True, **more: Any) -> Page:
    page = Page(exported_conversation(**more), 1, Markdown() if markdown else None)
    for each in messages:
        for number, piece in enumerate(pieces_of(each)):
            page.add(each, piece, is_first=number == 0)
    page.end(Completeness.CHANGED)
    return page


def outside_of_strings(source: bytes) -> str:
    """The code of the messages without its strings."""
    body = source.decode().partition("#{[]")[2]
    assert body
    return STRING.sub("", body)


class TestCode:
    @given(HOSTILE, HOSTILE)
    @settings(max_examples=100, deadline=None)
    def test_has_no_code_of_messages(self, content: str, title: str) -> None:
        command = {"tool": title, "arguments": content, "result": content}
        parts = [
            {"type": "thinking", "text": content},
            {"type": "file", "attachment_id": title, "text": content},
            {"type": "citation", "url": f"https://{content}", "title": title},
        ]
        source = page_of(
            exported_message(content, "assistant", commands=[command], model=title),
            exported_message("", "tool", parts=parts),
            title=title,
            system_prompt=content,
        ).source()
        found = outside_of_strings(source)
        assert set(WORDS.findall(found)) <= OURS
        assert not set(NUMBERS.sub("", WORDS.sub("", found))) - set("{}[](),:- \n")

    @given(HOSTILE)
    def test_keeps_all_text_in_one_string(self, value: str) -> None:
        made = code.text(value)
        assert STRING.fullmatch(made)
        back = {"\\n": "\n", '\\"': '"', "\\\\": "\\"}
        read = re.sub(r"\\.", lambda found: back[found[0]], made[1:-1])
        told = value.replace("\r\n", "\n").replace("\r", "\n").replace("\t", "    ")
        read = read.replace(code.BREAK, "")
        assert read == code.LEFT_OUT.sub("", told)

    def test_lets_long_words_break(self) -> None:
        assert code.text("x" * 130).count(code.BREAK) == 2
        assert code.BREAK not in code.text("東" * 130)

    @pytest.mark.parametrize(
        ("value", "found"),
        [("abc", None), ("東京", "zh"), ("東京です", "ja"), ("안녕", "ko"), ("", None)],
    )
    def test_names_the_language(self, value: str, found: str | None) -> None:
        assert code.language(value) == found

    @pytest.mark.parametrize(
        ("value", "found"),
        [("123 שלום abc", "rtl"), ("abc שלום", "ltr"), ("مرحبا", "rtl"), ("", "ltr")],
    )
    def test_finds_the_direction_by_the_first_letter(self, value: str, found: str) -> None:
        assert code.is_right_to_left(value) == (found == "rtl")

    def test_converts_markdown(self) -> None:
        made = Markdown().render(EVERYTHING)
        for wanted in (
            *("heading1(", "strong(", "emph(", "strike(", "quoted(", "enum(start: 1", "rule()"),
            'lang: "python", "x = 1"',
            "align: (left, right, )",
            'raw(lang: "latex", "$E = mc^2$")',
            'raw(lang: "latex", "\\\\(a\\\\)")',
            'listing(lang: "latex", "$$\\n\\\\frac{1}{2}\\n$$")',
            '" for $5"',
            '"https://example.org")',
            "set text(dir: rtl)",
        ):
            assert wanted in made, wanted
        # A link that shows where it leads says so once.
        assert made.count("https://example.org/a") == 1

    def test_splits_long_texts_between_lines(self) -> None:
        lines = "".join(f"line {n}\n" for n in range(1000))
        runs = runs_of(lines, 1000)
        assert "".join(runs) == lines
        assert all(run.endswith("\n") and len(run) <= 1000 for run in runs)
        assert [len(each) for each in runs_of("x" * 2500, 1000)] == [1000, 1000, 500]


class TestTypesetter:
    async def test_makes_a_pdf_only_of_valid_source(self) -> None:
        content = EVERYTHING + "\n\n" + "> " * 60 + "deep\n\n" + "- " * 15 + "x"
        command = {"tool": "t", "arguments": '{"a": 1}', "result": "#panic()"}
        async with Typesetter() as ours:
            made = await ours.make(page_of(exported_message(content, commands=[command])).source())
            assert made.startswith(b"%PDF-")
            assert made.rstrip().endswith(b"%%EOF")
            first = ours._program._process
            # Errors end nothing but their own file; neither files nor packages are there.
            for source in (b'#read("/etc/passwd")', b'#import "@preview/a:1.0.0"', b"#panic()"):
                with pytest.raises(PdfFailed):
                    await ours.make(source)
            assert await ours.make(b"x")
            assert ours._program._process is not first
        assert ours._program._process is None

    @pytest.mark.parametrize(
        ("name", "value"), [("MEGABYTES", 300), ("SECONDS", 0), ("TIMEOUT", 0.5)]
    )
    async def test_enforces_the_limits_of_a_file(
        self, name: str, value: float, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(typesetter, name, value)
        endless = b"#let f(n) = range(0, n).map(i => f(n - 1))\n#let a = f(40)"
        source = (
            b"#let a = range(0, 100000000).map(i => str(i))" if name == "MEGABYTES" else endless
        )
        async with Typesetter() as ours:
            with pytest.raises(PdfFailed):
                await ours.make(source)

    async def test_ends_its_subprocess_when_idle(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(typesetter, "IDLE_SECONDS", 0)
        monkeypatch.setattr(typesetter, "MOST_FILES", 2)
        async with Typesetter() as ours:
            assert all(await asyncio.gather(*(ours.make(b"x") for _ in range(3))))
            process = ours._program._process
            assert process is not None
            assert await process.wait() == 0
            assert await ours.make(b"x")

    def test_finds_scripts_without_a_font(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert missing_scripts(["Noto Sans", "Noto Sans Arabic", "Noto Sans Hebrew"]) == [
            *("Devanagari", "Thai", "Chinese, Japanese and Korean", "emoji")
        ]
        assert set(typesetter.find_missing_scripts()) <= set(missing_scripts([]))

    def test_defines_only_known_functions(self) -> None:
        names = set(re.findall(r"#let ([a-z0-9-]+)", PRELUDE))
        assert names - {"muted", "message-of", "heading-of"} <= OURS


class FakeTypesetter(Typesetter):
    """Keeps what it gets, and refuses what holds some words, as typst might."""

    def __init__(self) -> None:
        super().__init__()
        self.sources: list[str] = []

    async def make(self, source: bytes) -> bytes:
        self.sources.append(source.decode())
        if b"heading1({" in source.partition(b"#{[]")[2]:
            raise PdfFailed
        return b"%PDF"


class TestFiles:
    async def test_split_a_long_conversation(
        self, alice: HttpClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fake = FakeTypesetter()
        monkeypatch.setattr(Typesetter, "make", lambda _, source: fake.make(source))
        monkeypatch.setattr(files, "MOST_MESSAGES", 3)
        begun = await begin(alice, title="Long", messages=[message(f"words {n}") for n in range(8)])
        answer = await alice.get(f"/conversations/{begun['id']}/export?format=pdf")
        assert answer.status == 200
        archive = zipfile.ZipFile(io.BytesIO(await answer.read()))
        *names, last = archive.namelist()
        assert last == "export.json"
        assert json.loads(archive.read(last))["end"]["messages"] == 8
        mark = begun["id"][-8:]
        assert [each.partition(mark)[2] for each in names] == [").pdf", ") 2.pdf", ") 3.pdf"]
        assert [each.count('"words ') for each in fake.sources] == [3, 3, 2]
        assert all("Long" in each for each in fake.sources)

    async def test_split_a_long_message(
        self, alice: HttpClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fake = FakeTypesetter()
        monkeypatch.setattr(Typesetter, "make", lambda _, source: fake.make(source))
        monkeypatch.setattr(files, "MOST_BYTES", 50_000)
        begun = await begin(alice, messages=[message("a word " * 20_000)])
        answer = await alice.get(f"/conversations/{begun['id']}/export?format=pdf")
        assert answer.content_type == "application/zip"
        await answer.read()
        assert len(fake.sources) == 3
        assert "continued" in fake.sources[1]

    async def test_fall_back_to_plain_text(
        self, alice: HttpClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fake = FakeTypesetter()
        monkeypatch.setattr(Typesetter, "make", lambda _, source: fake.make(source))
        begun = await begin(alice, messages=[message("# heading **bold**")])
        answer = await alice.get(f"/conversations/{begun['id']}/export?format=pdf")
        assert await answer.read() == b"%PDF"
        assert '"# heading **bold**"' in fake.sources[1]


class TestRoutes:
    async def test_return_a_conversation_as_pdf(
        self, alice: HttpClient, bob: HttpClient, database: Any
    ) -> None:
        begun = await begin(alice, title="東京", messages=[message(EVERYTHING)])
        path = f"/conversations/{begun['id']}/export?format=pdf"
        assert (await bob.get(path)).status == 404
        answer = await alice.get(path)
        assert answer.content_type == "application/pdf"
        assert ".pdf" in answer.headers["Content-Disposition"]
        assert (await answer.read()).startswith(b"%PDF-")
        query = {"action": "conversation.export", "details.format": "pdf"}
        [entry] = await database.audit_logs.find(query).to_list()
        assert entry["details"] == {"format": "pdf", "conversations": 1, "messages": 1}

    async def test_report_that_typst_is_missing(
        self, alice: HttpClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        begun = await begin(alice)
        monkeypatch.setattr(typesetter, "is_installed", lambda: False)
        for path in (f"/conversations/{begun['id']}/export", "/conversations/export"):
            answer = await alice.get(f"{path}?format=pdf")
            assert answer.status == 422
            assert (await answer.json())["code"] == "pdf_not_installed"
