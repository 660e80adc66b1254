"""What can be stored in BSON and come back as it was."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatvault.mongodb.storable import LONE_SURROGATE, MAX_DEPTH, MAX_KEY, check_storable

ROOMY = 2**30

keys = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda children: st.lists(children) | st.dictionaries(keys, children),
)


def nested(levels: int) -> Any:
    value: Any = "core"
    for level in range(levels):
        value = [value] if level % 2 else {"in": value}
    return value


@given(json_values)
def test_any_valid_json_value_is_accepted(value: Any) -> None:
    assert check_storable(value, max_bytes=ROOMY) is None


@given(json_values)
def test_size_is_that_of_compact_json(value: Any) -> None:
    size = len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())
    assert check_storable(value, max_bytes=size) is None
    assert check_storable(value, max_bytes=size - 1) == f"is larger than {size - 1:,} bytes"


@pytest.mark.parametrize("key", ["", ".", "a.b", "$set", "$", "x" * MAX_KEY, "é\n"])
def test_unusual_keys_are_accepted(key: str) -> None:
    assert check_storable({key: 1}, max_bytes=ROOMY) is None


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (2**63, "64 bits"),
        (-(2**63) - 1, "64 bits"),
        pytest.param(1 << 20_000, "64 bits", id="huge"),
        (float("nan"), "not finite"),
        (float("inf"), "not finite"),
        (float("-inf"), "not finite"),
        ("\ud800", LONE_SURROGATE),
        ("a\udfffb", LONE_SURROGATE),
        ({"\udc00": 1}, LONE_SURROGATE),
        ({"a\0b": 1}, "NUL"),
        ({"x" * (MAX_KEY + 1): 1}, f"longer than {MAX_KEY} characters"),
        ({1: 1}, "key that is not a text"),
        (b"bytes", "bytes, which JSON does not have"),
        ((1, 2), "tuple, which JSON does not have"),
    ],
)
def test_values_that_cannot_be_stored_are_named(value: Any, reason: str) -> None:
    for outer in (value, [1, value], {"a": {"b": [value]}}):
        found = check_storable(outer, max_bytes=ROOMY)
        assert found is not None
        assert reason in found


def test_nul_in_a_text_is_accepted() -> None:
    assert check_storable({"content": "a\0b"}, max_bytes=ROOMY) is None


def test_depth_is_limited() -> None:
    assert check_storable(nested(MAX_DEPTH), max_bytes=ROOMY) is None
    assert check_storable(nested(MAX_DEPTH + 1), max_bytes=ROOMY) == (
        f"is nested deeper than {MAX_DEPTH} levels"
    )


def test_neither_depth_nor_a_cycle_overflows_the_stack() -> None:
    circle: list[Any] = []
    circle += [circle, circle]
    for value in (nested(100_000), circle):
        assert check_storable(value, max_bytes=ROOMY) == (
            f"is nested deeper than {MAX_DEPTH} levels"
        )
