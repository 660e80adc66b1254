"""JSON that is parsed in slices is what one call makes of it."""

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic_core import from_json

from chatvault import slices
from chatvault.errors import Malformed, TooLarge
from chatvault.http import json_slices
from chatvault.http.json_slices import BULK_WEIGHT, UNIT_WEIGHT, parse, weigh
from chatvault.slices import SliceQueue
from support.examples import examples

texts = st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(
    ['"', "\\", '\\"', "[{", "}],", '{"a":[', "\\\\", "x" * 40, "é😀"]
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | texts,
    lambda children: st.lists(children) | st.dictionaries(texts, children),
    max_leaves=30,
)
bodies = st.dictionaries(texts, st.lists(json_values) | json_values, max_size=4)


async def value_of(text: bytes) -> Any:
    await weigh(text, limit=BULK_WEIGHT)
    return await parse(bytearray(text), SliceQueue())


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "PAUSE", 0)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cuts wherever one can cut."""
    monkeypatch.setattr(json_slices, "_RUN", 12)
    monkeypatch.setattr(json_slices, "_WINDOW", 7)
    monkeypatch.setattr(json_slices, "_STRETCH", 5)


class TestParse:
    @pytest.mark.usefixtures("tiny")
    @settings(max_examples=examples(20, long=100))
    @given(bodies, st.booleans(), st.booleans())
    def test_returns_the_value(self, body: Any, ascii_only: bool, indented: bool) -> None:  # noqa: FBT001  # drawn
        text = json.dumps(body, ensure_ascii=ascii_only, indent=2 if indented else None).encode()

        assert asyncio.run(value_of(text)) == body

    @pytest.mark.usefixtures("tiny")
    @settings(max_examples=examples(20, long=100))
    @given(bodies, st.floats(0, 1), st.sampled_from(',[]{}"\\x '), st.integers(0, 2))
    def test_refuses_what_a_single_call_refuses(
        self, body: Any, where: float, inserted: str, removed: int
    ) -> None:
        text = json.dumps(body).encode()
        place = int(where * len(text))
        broken = text[:place] + inserted.encode() + text[place + removed :]

        try:
            expected = from_json(broken, allow_inf_nan=False)
        except ValueError:
            with pytest.raises(Malformed):
                asyncio.run(value_of(broken))
        else:
            assert asyncio.run(value_of(broken)) == expected

    async def test_parses_long_lists_in_slices(self) -> None:
        body = {
            "title": "x",
            "messages": [{"role": "user", "content": f'{n} [{{"\\'} for n in range(20_000)],
            "numbers": list(range(50_000)),
            "deep": [[[[[[[[[[n]]]]]]]]] for n in range(20_000)],
            "strings": ["y" * 100_000, "\\" * 300_001, 'z"' * 150_000, ""],
        }

        assert await value_of(json.dumps(body).encode()) == body

    async def test_keeps_the_last_of_duplicate_names(self) -> None:
        first, last = [{"a": "x" * 999}] * 200, [{"b": "y" * 999}] * 200
        text = b'{"l":%s,"l":%s}' % (json.dumps(first).encode(), json.dumps(last).encode())

        assert await value_of(text) == {"l": last}


class TestWeigh:
    @pytest.mark.parametrize(
        "body",
        [
            pytest.param(b'{"a":"' + b"[{,:" * 500_000 + b'"}', id="in a string"),
            pytest.param(b'{"a":"' + b'\\"[' * 500_000 + b'"}', id="behind an escape"),
            pytest.param(b'{"a":"' + b"\\\\" * 300_001 + b'","b":"[["}', id="backslashes"),
        ],
    )
    async def test_counts_little_for_strings(self, body: bytes) -> None:
        assert await weigh(body, limit=100) < 20

    @pytest.mark.parametrize(
        "body",
        [
            pytest.param(b'{"a":[' + b"[]," * 200_000 + b"1]}", id="lists"),
            pytest.param(b'{"a":[' + b"1," * 400_000 + b"1]}", id="numbers"),
            pytest.param(b'{"a":[' + b"9" * 6_000_000 + b"]}", id="digits"),
            pytest.param(b"{" + b'"a":1,' * 100_000 + b'"a":1}', id="names"),
            pytest.param(b"[" * 400_000, id="brackets"),
        ],
    )
    async def test_limits_the_structure(self, body: bytes) -> None:
        with pytest.raises(TooLarge):
            await weigh(body, limit=UNIT_WEIGHT)

    async def test_limits_each_element_separately(self) -> None:
        small, large = b'{"a":1},' * 10, b"[" + b"0," * UNIT_WEIGHT + b"0]"
        text = b'{"messages":[' + small * 2000 + large + b"]}"

        with pytest.raises(TooLarge):
            await value_of(text)
