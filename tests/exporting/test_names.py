"""Names of files: every file system takes them, whatever the title."""

import re
import unicodedata
from datetime import datetime

import pytest
from hypothesis import given

from chatvault.exporting.names import MAX_BYTES, name_of, path_of, safe_name
from chatvault.http.attachments import content_disposition
from support.exporting import HOSTILE, TEXT, exported_conversation

NOT_IN_NAMES = re.compile(r'[\[\]#^|\\/:<>"?*%\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\ufeff]')


def check(name: str) -> None:
    assert 0 < len(name.encode()) <= MAX_BYTES
    assert not NOT_IN_NAMES.search(name), ascii(name)
    assert name == unicodedata.normalize("NFC", name)
    assert name == name.strip(" .")


class TestNames:
    @given(title=HOSTILE)
    def test_are_safe_whatever_the_title(self, title: str) -> None:
        check(safe_name(title))
        name = name_of(exported_conversation(title=title), ".md")
        check(name)
        assert name.startswith("2026-01-31 ")
        assert name.endswith("(b8c8d8e8).md")
        assert path_of(exported_conversation(title=title), ".md") == f"2026/01/{name}"

    @pytest.mark.parametrize("title", ["CON", "con", "nul.txt", "Com1", "lpt¹", "aux ", "PRN .md"])
    def test_avoid_device_names_of_windows(self, title: str) -> None:
        assert safe_name(title).startswith("_")

    @pytest.mark.parametrize(
        ("title", "name"),
        [
            ("", "Untitled"),
            ("...", "Untitled"),
            ("\u200d\u200c", "Untitled"),
            ("a/b\\c: d|e", "a-b-c- d-e"),
            ("[[wiki]] #tag ^block", "wiki tag block"),
            ("cafe\u0301", "café"),
            ("gpj\u202eexe", "gpjexe"),
            ("line\nbreak\x00", "line break"),
            ("👩‍👩‍👧 family", "👩‍👩‍👧 family"),
            ("../../etc/passwd", "-..-etc-passwd"),
        ],
    )
    def test_keep_the_title(self, title: str, name: str) -> None:
        assert safe_name(title) == name

    def test_are_cut_between_graphemes(self) -> None:
        assert safe_name("👩‍👩‍👧" * 20) == "👩‍👩‍👧" * (MAX_BYTES // len("👩‍👩‍👧".encode()))

    def test_begin_with_the_day_of_the_conversation(self) -> None:
        old = exported_conversation(title="x", created_at=datetime(1969, 12, 31, 23))  # noqa: DTZ001  # as it is read from MongoDB
        assert path_of(old, ".md") == "1969/12/1969-12-31 x (b8c8d8e8).md"


class TestContentDisposition:
    @given(name=HOSTILE | TEXT)
    def test_is_one_line_of_ascii_for_any_name(self, name: str) -> None:
        value = content_disposition(name)
        assert re.fullmatch(r"attachment; filename=\"[^\"\\%\x00-\x1f\x7f-\uffff]*\"(; .*)?", value)
        assert value.isascii()
        assert value.isprintable()

    def test_has_the_name_in_unicode_if_needed(self) -> None:
        assert content_disposition("a b.md") == 'attachment; filename="a b.md"'
        encoded = "Z%C3%BCrich%20%E6%9D%B1%E4%BA%AC.md"
        assert content_disposition("Zürich 東京.md") == (
            f"attachment; filename=\"Zurich .md\"; filename*=UTF-8''{encoded}"
        )
