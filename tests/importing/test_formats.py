"""Every format: known by its structure, read without loss, the same each time, never a crash."""

import io
import json
import zipfile
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatvault.importing.conversations import ImportFile, ImportRejected
from chatvault.importing.files.structure import HEAD, look_at
from chatvault.importing.formats import FORMATS, detect
from chatvault.importing.neutral import NeutralConversation
from chatvault.mongodb.storable import check_storable
from support import imports
from support.counting import COUNTERS, count
from support.exports import exported
from support.foreign import FILES, gemini

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
NAMES = sorted(FILES)
ALL = FILES | {"localstorage": json.dumps([exported(1), exported(2)]).encode()}


def read(data: bytes, *, salvage: bool = False, format: str | None = None) -> ImportFile:  # noqa: A002  # as the command calls it
    return imports.read(data, name="export", salvage=salvage, now=NOW, format=format)


def everything(conversation: NeutralConversation) -> str:
    return "\n".join(
        text
        for message in conversation.messages
        for text in (message.content, json.dumps(message.parts, ensure_ascii=False))
    )


class TestDetection:
    def test_is_tested_with_every_format(self) -> None:
        assert ALL.keys() == FORMATS.keys()
        assert FILES.keys() == COUNTERS.keys()

    @pytest.mark.parametrize("name", sorted(ALL))
    def test_finds_exactly_one_format(self, name: str) -> None:
        found = detect(look_at(ALL[name][:HEAD]))
        assert [each.name for each, _ in found] == [name]

    @pytest.mark.parametrize("name", sorted(ALL))
    @pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
    def test_works_in_any_encoding(self, name: str, encoding: str) -> None:
        data = ALL[name].decode().encode(encoding)
        assert read(data).conversations == read(ALL[name]).conversations

    @pytest.mark.parametrize("name", sorted(ALL))
    def test_ignores_white_space(self, name: str) -> None:
        if name in {"claude-code", "codex", "openai-messages", "sillytavern"}:
            data = b"\r\n" + ALL[name].replace(b"\n", b"\r\n\r\n") + b"\r\n"
        else:
            data = b"\n\n " + json.dumps(json.loads(ALL[name]), indent=4).encode()
        assert read(data).conversations == read(ALL[name]).conversations

    @pytest.mark.parametrize(
        ("data", "seen"),
        [
            (b"", "it is empty"),
            (b"\x89PNG\r\n", "it is neither JSON of conversations nor HTML or ZIP"),
            (b"<html><body>Hello", "it is HTML"),
            (b"[1, 2]", "it is JSON without objects"),
            (b'{"a\\u001b": 1, "b": 2}', "it is an object with 'a�', 'b'"),
            (b'[{"user_id": 1}]', "it is a list of objects with 'user_id'"),
        ],
    )
    def test_describes_an_unknown_structure(self, data: bytes, seen: str) -> None:
        with pytest.raises(ImportRejected) as caught:
            read(data)
        assert f"{seen}. Known are ChatGPT, Claude.ai," in caught.value.detail
        assert len(caught.value.detail.splitlines()) == 1

    def test_refuses_ambiguous_files(self) -> None:
        both = json.loads(FILES["chatbot-ui"]) | json.loads(FILES["gemini-cli"])
        with pytest.raises(ImportRejected, match="may be gemini-cli or chatbot-ui; say which with"):
            read(json.dumps(both).encode())
        assert read(json.dumps(both).encode(), format="chatbot-ui").count_formats() == {
            "chatbot-ui": 1
        }

    def test_refuses_an_unknown_format(self) -> None:
        with pytest.raises(ImportRejected, match="there is no format 'word'; Known are"):
            read(b"[]", format="word")


class TestReading:
    @pytest.mark.parametrize("name", NAMES)
    def test_finds_the_same_as_an_independent_script(self, name: str) -> None:
        found = read(FILES[name]).conversations
        counted = count(name, FILES[name])

        if name != "gemini":  # which puts records of one conversation together
            assert len(found) == counted.conversations
            assert sum(each.count_branches() for each in found) == counted.branch_points
        assert sum(len(each.messages) for each in found) == counted.messages
        assert sum(len(each.active_path()) for each in found) == counted.on_path
        words = "\n".join(map(everything, found))
        for said in counted.said:
            assert said in words or json.dumps(said, ensure_ascii=False)[1:-1] in words

    @pytest.mark.parametrize("name", NAMES)
    def test_finds_the_same_each_time(self, name: str) -> None:
        assert read(FILES[name]) == read(FILES[name])

    @pytest.mark.parametrize("name", NAMES)
    def test_finds_the_same_in_a_zip_of_any_name(self, name: str) -> None:
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("Export/whatever it is.json", FILES[name])
        found = read(file.getvalue())
        assert found.conversations == read(FILES[name]).conversations

    @pytest.mark.parametrize("name", ["chatgpt", "claude"])
    def test_finds_the_same_in_another_order(self, name: str) -> None:
        backwards = json.dumps(json.loads(FILES[name])[::-1]).encode()
        assert read(backwards).conversations[::-1] == read(FILES[name]).conversations

    @pytest.mark.parametrize("name", NAMES)
    def test_makes_trees_that_can_be_stored(self, name: str) -> None:
        for conversation in read(FILES[name]).conversations:
            is_sound(conversation)

    def test_gives_ids_that_do_not_depend_on_earlier_conversations(self) -> None:
        newer = {"header": "Gemini Apps", "title": "Prompted New", "time": "2026-04-01T08:00:00Z"}
        later = read(json.dumps([newer | {"products": ["Gemini Apps"]}, *gemini()]).encode())
        before = read(FILES["gemini"])
        assert {each.source for each in before.found} < {each.source for each in later.found}


def is_sound(conversation: NeutralConversation) -> None:
    seen = set()
    for message in conversation.messages:
        # A list may hold messages without ids; a tree may not.
        assert conversation.active_leaf is None or message.source_id not in seen
        assert message.parent_id is None or message.parent_id in seen
        seen.add(message.source_id)
        assert message.timestamp is not None
        assert message.timestamp.tzinfo is UTC
        held = [message.content, list(message.parts), message.extra, message.model]
        assert check_storable(held, max_bytes=9 * 1024**2) is None
    assert not conversation.messages or conversation.active_leaf in {None, *seen}
    assert check_storable(conversation.metadata, max_bytes=256 * 1024) is None
    assert conversation.title
    assert conversation.created_at <= NOW
    conversation.active_path()


# What a value of a foreign file may be instead of what it should be.
ODD: list[Any] = [
    None,
    "",
    "x",
    0,
    -1,
    2**70,
    1e300,
    True,
    [],
    {},
    [None],
    [[]],
    {"": {}},
    "\ud800",
]


@st.composite
def changed(draw: st.DrawFn, value: Any) -> Any:
    """The value with one thing in it replaced, left out or put twice."""
    if isinstance(value, dict) and value and draw(st.integers(0, 5)):
        key = draw(st.sampled_from(sorted(value)))
        if draw(st.integers(0, 9)) == 0:
            return {name: each for name, each in value.items() if name != key}
        return value | {key: draw(changed(value[key]))}
    if isinstance(value, list) and value and draw(st.integers(0, 5)):
        at = draw(st.integers(0, len(value) - 1))
        if draw(st.integers(0, 9)) == 0:
            return [*value[:at], value[at], *value[at:]]
        return [*value[:at], draw(changed(value[at])), *value[at + 1 :]]
    return draw(st.sampled_from(ODD))


def values_of(name: str) -> list[Any]:
    """Each line of a file of lines, or the one value of another."""
    try:
        return [json.loads(ALL[name])]
    except ValueError:
        return [json.loads(line) for line in ALL[name].splitlines()]


class TestDamage:
    @pytest.mark.parametrize("name", sorted(ALL))
    @settings(max_examples=25)
    @given(data=st.data())
    def test_of_a_value_is_read_or_refused(self, name: str, data: st.DataObject) -> None:
        values = data.draw(changed(values_of(name)))
        text = "\n".join(map(json.dumps, values)) if isinstance(values, list) else "{}"
        for format_name in (None, name):
            found = read_or_refuse(text.encode(), format_name)
            for conversation in found.conversations if found else ():
                is_sound(conversation)

    @pytest.mark.parametrize("name", sorted(ALL))
    @settings(max_examples=15)
    @given(data=st.data(), salvage=st.booleans())
    def test_of_bytes_is_read_or_refused(
        self,
        name: str,
        data: st.DataObject,
        salvage: bool,  # noqa: FBT001  # drawn
    ) -> None:
        damaged = bytearray(ALL[name])
        for _ in range(data.draw(st.integers(1, 3))):
            at = data.draw(st.integers(0, len(damaged) - 1))
            damaged[at : at + 1] = data.draw(st.binary(max_size=3))
        read_or_refuse(bytes(damaged), None, salvage=salvage)

    @pytest.mark.parametrize("name", ["chatgpt", "claude", "localstorage", "sharegpt", "grok"])
    @settings(max_examples=12)
    @given(data=st.data())
    def test_of_a_cut_file_keeps_conversations_before_the_cut(
        self, name: str, data: st.DataObject
    ) -> None:
        whole = read(ALL[name]).conversations
        cut = ALL[name][: data.draw(st.integers(len(ALL[name]) // 3, len(ALL[name]) - 1))]
        with pytest.raises(ImportRejected, match="the file seems cut off"):
            read(cut, format=name)
        try:
            found = read(cut, format=name, salvage=True)
        except ImportRejected as error:
            assert "no whole conversation" in error.detail  # noqa: PT017  # either outcome is right
            return
        assert found.truncated
        assert found.conversations == whole[: len(found.conversations)]

    @pytest.mark.parametrize("name", NAMES)
    @pytest.mark.parametrize("depth", [150, 900, 100_000])
    def test_of_deep_nesting_is_read_or_refused(self, name: str, depth: int) -> None:
        text = ALL[name].replace(
            b'"title"', b'"deep": ' + b"[" * depth + b"]" * depth + b', "title"'
        )
        text = text.replace(b'"text"', b'"deep": ' + b"[" * depth + b"]" * depth + b', "text"')
        for each in (text, text[: len(text) // 2]):
            read_or_refuse(each, name, salvage=True)


def read_or_refuse(
    data: bytes, format_name: str | None, *, salvage: bool = False
) -> ImportFile | None:
    try:
        return read(data, format=format_name, salvage=salvage)
    except ImportRejected as error:
        assert len(error.detail.splitlines()) == 1  # noqa: PT017  # either outcome is right
        return None
