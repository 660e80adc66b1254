"""Words, queries and snippets."""

from contextlib import suppress

import hypothesis.strategies as st
import pytest
from bson import ObjectId
from hypothesis import given, settings

from chatvault.search import snippets, states, words
from chatvault.search.terms import InvalidQuery, Term, Words, parse


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello, World_1!", ["hello", "world_1"]),
        ("Zoë naïve ÅNGSTRÖM", ["zoe", "naive", "angstrom"]),
        ("Straße STRASSE", ["strasse", "strasse"]),
        ("日本語 go", ["日本", "本語", "語", "go"]),
        ("ガラス ｶﾞﾗｽ", ["ガラ", "ラス", "ス"] * 2),
        ("हिन्दी", ["हिन्दी"]),
        ("한국어", ["한국", "국어", "어"]),
        ("сёлка Ёлка", ["селка", "елка"]),
        ("مَرْحَبا", ["مرحبا"]),
        ("x" * 100, ["x" * 60]),
        ("", []),
    ],
)
def test_split(text: str, expected: list[str]) -> None:
    assert words.split(text) == expected


@settings(max_examples=30)
@given(st.text(max_size=40))
def test_ascii_is_split_as_other_text_is(text: str) -> None:
    plain = text.encode("ascii", "ignore").decode()
    assert words.split(f"{plain} é")[:-1] == words.split(plain)


@given(st.text(st.characters(max_codepoint=127), max_size=60))
@settings(max_examples=50)
def test_ascii_is_written_where_it_is_in_other_text(text: str) -> None:
    *others, _ = words.spans(f"{text} é")
    assert [*words.spans(text)] == others


@given(st.text(min_size=1))
def test_each_word_of_a_text_finds_it(text: str) -> None:
    found = Words.of(text)
    for part in text.split():
        try:
            query = parse(f'"{part}"'.replace('""', '"')[:200]) if '"' not in part else None
        except InvalidQuery:
            continue
        if query is not None and len(part) < 60:
            assert query.matches(found), (query, found.joined)


def test_parse() -> None:
    query = parse('one "two three" -four title:five -title:six sev* 日本語')
    assert query.terms == (
        Term(("one",)), Term(("two", "three")), Term(("sev",), is_prefix=True),
        Term(("日本", "本語")),
    )  # fmt: skip
    assert (query.without, query.title) == ((Term(("four",)),), (Term(("five",)),))
    assert query.title_without == (Term(("six",)),)
    assert parse("one tw", typing=True).terms[-1].is_prefix
    assert parse('"one tw', typing=True).terms == (Term(("one",)),)
    assert parse('"one two', typing=True).terms == (Term(("one", "two"), is_prefix=True),)
    assert not parse("one tw ", typing=True).terms[-1].is_prefix


@given(st.text(max_size=80), st.booleans())
def test_any_text_is_a_query_or_says_why_not(text: str, typing: bool) -> None:  # noqa: FBT001  # given
    with suppress(InvalidQuery):
        parse(text, typing=typing)


@given(st.text(max_size=1000), st.text(min_size=1, max_size=3))
def test_a_snippet_is_a_part_of_the_text(text: str, word: str) -> None:
    try:
        query = parse(f"{word}*")
    except InvalidQuery:
        return
    pieces = snippets.cut(text, query)
    shown = "".join(each["text"] for each in pieces)
    assert shown.removeprefix("…").removesuffix("…") in text or shown in text


def test_a_snippet_begins_before_the_word() -> None:
    text = "filler " * 100 + "needle " + "filler " * 100
    pieces = snippets.cut(text, parse("needle"))
    assert [each["text"] for each in pieces if each["mark"]] == ["needle"]
    assert sum(len(each["text"]) for each in pieces) <= snippets.LENGTH + 2


def test_states_are_packed() -> None:
    some = {ObjectId(): states.State(ObjectId(), 0, each, 2) for each in range(3)}
    assert states.unpack(states.pack(some)) == some
    with pytest.raises(ValueError, match="not the states"):
        states.unpack(b"nothing")
