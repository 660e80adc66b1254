"""Reading JSON through a window: the same as at once, in bounded memory, with the right places."""

import io
import json
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from chatvault.importing.files import jsontext
from chatvault.importing.files.jsondeep import DeepError, outline, parse_deep
from chatvault.importing.files.jsontext import Cursor
from chatvault.importing.files.streams import NotJsonError, read_text

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=12,
)


def pieces(text: str, size: int) -> Iterator[str]:
    return (text[at : at + size] for at in range(0, len(text), size))


class TestCursor:
    @settings(max_examples=40)
    @given(st.lists(JSON), st.integers(1, 9), st.booleans(), st.sampled_from([None, 2]))
    @example(values=[12, 34.5, -1e10, True], size=1, ascii_only=True, indent=None)
    @example(values=['\\"\\', "\u2028", "\U0001f389"], size=1, ascii_only=True, indent=None)
    def test_reads_the_same_in_blocks(
        self,
        values: list[Any],
        size: int,
        ascii_only: bool,  # noqa: FBT001  # drawn
        indent: int | None,
    ) -> None:
        text = json.dumps(values, ensure_ascii=ascii_only, indent=indent)
        cursor = Cursor(pieces(text, size))
        assert [*cursor.elements()] == [*Cursor(text).elements()]
        cursor.end()

    @settings(max_examples=40)
    @given(JSON, st.integers(0, 60), st.text(max_size=2), st.integers(1, 9))
    def test_stops_at_the_same_place_in_blocks(
        self, value: Any, at: int, wrong: str, size: int
    ) -> None:
        text = json.dumps([value, value], indent=1)
        text = text[:at] + wrong + text[at + 1 :]
        assert _stop(Cursor(pieces(text, size))) == _stop(Cursor(text))

    def test_frees_the_text_that_was_read(self) -> None:
        element = json.dumps({"a": "lorem ipsum " * 1000})
        count = 4000

        def blocks() -> Iterator[str]:
            yield "["
            for number in range(count):
                yield element + ("," if number < count - 1 else "]")

        tracemalloc.start()
        try:
            found = sum(1 for _ in Cursor(blocks()).elements())
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert found == count
        assert peak < 1024**2, f"{count * len(element):,} characters took {peak:,}"

    def test_refuses_a_value_that_is_too_large(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(jsontext, "MAX_VALUE", 3 * 1024**2)
        text = '["a",\n "' + "x" * 4 * 1024**2 + '"]'
        cursor = Cursor(pieces(text, 1024))
        with pytest.raises(NotJsonError, match="one value is larger than 3 MB at line 2 column 2"):
            [*cursor.elements()]

    def test_reads_deep_nesting_if_allowed(self) -> None:
        depth = 6000
        text = '{"a":[' * (depth // 2) + '"\\"\\u00e9\\\\"' + "]}" * (depth // 2)
        with pytest.raises(NotJsonError, match="nested deeper than 100 levels at line 1 column 1"):
            Cursor(text).value()
        for source in (text, pieces(text, 7)):
            value = Cursor(source, deep=True).value()
            found = 0
            while not isinstance(value, str):
                value = value["a"] if isinstance(value, dict) else value[0]
                found += 1
            assert (found, value) == (depth, '"é\\')

    def test_refuses_nesting_that_is_too_deep(self) -> None:
        with pytest.raises(NotJsonError, match="nested deeper than"):
            Cursor("[" * 100_000, deep=True).value()

    def test_names_the_element_of_an_error(self) -> None:
        with pytest.raises(NotJsonError) as caught:
            [*Cursor("[1, 2, ?]").numbered("record")]
        assert caught.value.place == "record 3"


def _stop(cursor: Cursor) -> tuple[str, bool] | None:
    try:
        [*cursor.elements()]
        cursor.end()
    except NotJsonError as stop:
        return stop.reason, stop.cut
    return None


class TestDeep:
    @settings(max_examples=40)
    @given(JSON)
    def test_reads_as_the_standard_library_does(self, value: Any) -> None:
        text = f" {json.dumps(value)} ,"
        assert parse_deep(text, 0)[0] == json.loads(json.dumps(value))

    @settings(max_examples=40)
    @given(JSON, st.integers(0, 50), st.text(max_size=2))
    def test_refuses_what_the_standard_library_refuses(
        self, value: Any, at: int, wrong: str
    ) -> None:
        text = json.dumps(value)
        text = text[:at] + wrong + text[at + 1 :]
        try:
            expected, end = json.JSONDecoder().raw_decode(text.lstrip(" \t\r\n"))
        except ValueError:
            with pytest.raises(json.JSONDecodeError):
                parse_deep(text, 0)
            return
        if isinstance(expected, list | dict):
            assert parse_deep(text.lstrip(" \t\r\n"), 0) == (expected, end)

    def test_counts_levels(self) -> None:
        assert parse_deep("[[1]]", 0, most=2)[0] == [[1]]
        with pytest.raises(DeepError):
            parse_deep("[[1]]", 0, most=1)


class TestOutline:
    @settings(max_examples=40)
    @given(JSON, st.integers(0, 80))
    def test_is_partial_for_a_partial_text(self, value: Any, at: int) -> None:
        text = json.dumps([value])
        found, end, is_whole = outline(text[:at], most=1000)
        assert end <= at
        assert is_whole == (at >= len(text))
        assert found is None or isinstance(found, list)

    def test_shortens_strings_without_cutting_an_escape(self) -> None:
        for length in range(1, 20):
            text = json.dumps("\\\\é\n🎉" * 4)
            found, _, _ = outline(text, most=1, longest=length)
            assert ("\\\\é\n🎉" * 4).startswith(found.rstrip("\ud83c"))


class TestText:
    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
    @pytest.mark.parametrize("block", [2, 3, 7])
    def test_is_read_in_blocks(self, encoding: str, block: int) -> None:
        data = "Hällo • 🎉".encode(encoding)
        # The first block holds the byte order mark.
        assert "".join(read_text(io.BytesIO(data), block=max(block, 3))) == "Hällo • 🎉"

    def test_is_read_up_to_an_invalid_byte(self) -> None:
        found: list[str] = []
        with pytest.raises(NotJsonError, match=r"\(byte 11\)"):
            found.extend(read_text(io.BytesIO(b'["abcdef",\xff]'), block=4))
        assert "".join(found) == '["abcdef",'

    def test_is_marked_if_cut_inside_a_character(self) -> None:
        data = '"é'.encode()[:-1]
        assert "".join(read_text(io.BytesIO(data))) == '"�'


class TestManyParts:
    @pytest.mark.parametrize("part", ["[1],", "{},", "1,"])
    def test_of_one_value_are_refused_before_parsing(
        self, monkeypatch: pytest.MonkeyPatch, part: str
    ) -> None:
        monkeypatch.setattr(jsontext, "MAX_BRACKETS", 100_000)
        monkeypatch.setattr(jsontext, "MAX_COMMAS", 400_000)
        text = f"[[{part * 1_500_000}0]]"
        cursor = Cursor(text)
        with pytest.raises(NotJsonError, match="one value has too many parts at line 1 column 2"):
            list(cursor.elements())

    def test_of_many_values_are_read(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(jsontext, "MAX_BRACKETS", 100_000)
        assert len(list(Cursor(f"[{'[1],' * 300_000}0]").elements())) == 300_001
