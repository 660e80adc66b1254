"""Gemini in Takeout: what is a chat, what belongs together, and what a page says."""

from datetime import UTC, datetime
from typing import Any

import pytest

from chatvault.importing.files.htmltext import to_line, to_markdown
from chatvault.importing.format import Group
from support.foreign import as_json, gemini
from support.imports import path_of, read, read_all

ANSWER = "<p>Deep &amp; blue</p>"


def page(*cells: str) -> bytes:
    return f"<html><body><div>{''.join(cells)}</div></body></html>".encode()


def cell(content: str, product: str = "Gemini Apps") -> str:
    return (
        '<div class="outer-cell mdl-cell mdl-cell--12-col mdl-shadow--2dp"><div class="mdl-grid">'
        '<div class="header-cell mdl-cell mdl-cell--12-col"><p class="mdl-typography--title">'
        f"{product}<br></p></div>"
        '<div class="content-cell mdl-cell mdl-cell--6-col mdl-typography--body-1">'
        f"{content}</div>"
        '<div class="content-cell mdl-cell mdl-cell--6-col mdl-typography--body-1 '
        'mdl-typography--text-right"></div>'
        '<div class="content-cell mdl-cell mdl-cell--12-col mdl-typography--caption">'
        f"<b>Products:</b><br>&emsp;{product}<br></div></div></div>"
    )


class TestJson:
    def test_reads_prompts_and_no_other_activities(self) -> None:
        found = read(as_json(gemini()), format=None)
        assert [path_of(each) for each in found.conversations] == [
            ["Wann?", "Um 8 & 9."],
            ["No answer"],
            ["What first?", "- sun", "And then?", "Then **sea**."],
        ]
        assert [each.reason for each in found.skipped] == [
            "holds no prompt",
            "of another product",
        ]

    def test_does_not_group_by_time(self) -> None:
        apart = [each | {"titleUrl": "https://gemini.google.com/app"} for each in gemini()]
        assert len(read_all(apart)) == 4

    def test_groups_by_day_on_request(self) -> None:
        one, two = gemini()[2], gemini()[2] | {"safeHtmlItem": [{"html": "Um 10."}]}
        later = gemini()[2] | {"title": "Prompted Later?", "time": "2026-02-01T00:00:00.000Z"}
        records = [*gemini(), two, later]
        by_day = read_all(records, group=Group.DAY)
        days = {each.source: path_of(each) for each in by_day if ":day:" in each.source}

        assert days["gemini:day:2026-02-01"] == ["Later?", "Um 8 & 9."]
        both = [path for path in days.values() if path.count("Wann?") == 2]
        assert [sorted(path) for path in both] == [
            ["No answer", "Um 10.", "Um 8 & 9.", "Wann?", "Wann?"]
        ]
        assert "gemini:day:2026-02-01" not in {each.source for each in read_all(records)}
        assert len(read_all([one, *records], group=Group.DAY)) == len(by_day)

    def test_separates_records_with_the_same_time(self) -> None:
        twice = [gemini()[2], gemini()[2] | {"safeHtmlItem": [{"html": "Um 10."}]}]
        assert [path_of(each)[1] for each in read_all(twice)] == ["Um 8 & 9.", "Um 10."]

    def test_recognises_the_product_in_any_language(self) -> None:
        names: dict[str, Any] = {"header": "Gemini アプリ", "products": ["Gemini アプリ"]}
        assert read_all([gemini()[2] | names])
        by_url = {"header": "?", "products": ["?"], "titleUrl": "https://gemini.google.com/app/x"}
        assert read_all([gemini()[2] | by_url])

    def test_keeps_the_whole_title_in_an_unknown_language(self) -> None:
        [found] = read_all([gemini()[2] | {"title": "Vous avez demandé : quand ?"}])
        assert path_of(found)[0] == "Vous avez demandé : quand ?"

    def test_uses_the_time_of_import_for_an_invalid_time(self) -> None:
        [found] = read_all([gemini()[3] | {"time": "not a time"}])
        assert found.messages[0].time_source == "import"


class TestPage:
    @pytest.mark.parametrize(
        ("content", "asked", "at"),
        [
            (
                f"Prompted\xa0How deep?<br>Mar 10, 2026, 6:12:05\u202fPM CET<br>{ANSWER}",
                "How deep?",
                datetime(2026, 3, 10, 17, 12, 5, tzinfo=UTC),
            ),
            (
                f"Eingegebener Prompt: Wie tief?<br>a.png<br>10.3.2026, 18:12:05 MESZ<br>{ANSWER}",
                "Wie tief?",
                datetime(2026, 3, 10, 16, 12, 5, tzinfo=UTC),
            ),
            (
                f"Prompted How deep?<br>10 Mar 2026, 18:12:05 GMT+01:00<br>{ANSWER}",
                "How deep?",
                datetime(2026, 3, 10, 17, 12, 5, tzinfo=UTC),
            ),
        ],
    )
    def test_has_prompts_and_times(self, content: str, asked: str, at: datetime) -> None:
        [found] = read_all(page(cell(content)))
        assert path_of(found) == [asked, "Deep & blue"]
        assert found.messages[0].timestamp == at

    def test_skips_other_products(self) -> None:
        content = "Searched for <a href='x'>gemini</a><br>Mar 10, 2026, 6:12:05 PM UTC<br>"
        mine = "Prompted A<br>Mar 10, 2026, 6:12:05 PM UTC<br><p>B</p>"
        found = read(page(cell(content, "Search"), cell(mine)), format=None)
        assert len(found.conversations) == 1
        assert [each.reason for each in found.skipped] == ["of another product"]

    def test_is_reported_if_cut_off(self) -> None:
        mine = "Prompted {}<br>Mar 10, 2026, 6:12:05 PM UTC<br><p>B</p>"
        whole = page(*(cell(mine.format(number)) for number in range(5)))
        found = read(whole[:-300], format=None, salvage=True)
        assert found.truncated
        assert len(found.conversations) == 4

    def test_keeps_a_time_in_an_unknown_notation(self) -> None:
        mine = "Prompted A<br>2026年3月10日 18:12:05 JST<br><p>B</p>"
        [found] = read_all(page(cell(mine)))
        assert found.messages[1].extra == {"time": "2026年3月10日 18:12:05 JST"}
        assert found.messages[0].time_source == "import"


class TestHtml:
    @pytest.mark.parametrize(
        ("source", "expected"),
        [
            ("<p>a<br>b</p><p>c</p>", "a\nb\n\nc"),
            ("<ul><li>a</li><li><p>b</p></li></ul>", "- a\n- b"),
            ("<ol><li>a<ul><li>x</li></ul></li><li>b</li></ol>", "1. a\n  - x\n2. b"),
            ("<h2>T</h2><pre><code>a  &lt; b\n</code></pre>", "## T\n\n```\na  < b\n\n```"),
            ("<b>x</b> <em>y</em> <code>z</code>", "**x** *y* `z`"),
            ("<a href='https://x.example'>x</a><a href='javascript:y'>y</a>",
             "[x](https://x.example)[y]"),
            ("<style>p{}</style><script>alert(1)</script>ok", "ok"),
            ("<table><tr><th>A</th><th>B</th></tr><tr><td>1</td><td>2</td></tr></table>",
             "| A | B |\n| --- | --- |\n| 1 | 2 |"),
            ("a <unknown>b</unknown> &copy;", "a b ©"),
        ],
    )  # fmt: skip
    def test_becomes_markdown(self, source: str, expected: str) -> None:
        assert to_markdown(source) == expected

    def test_becomes_a_line(self) -> None:
        assert to_line("a<br>\n<b>b</b>&nbsp;c") == "a b c"
