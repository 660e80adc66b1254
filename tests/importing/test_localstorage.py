"""The file shapes of localStorage: what is read, what is refused, what a cut file still gives."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatvault.importing.conversations import ImportFile, ImportRejected, Skipped
from chatvault.importing.formats.localstorage import CONVERSATIONS_KEY, SETTINGS_KEY
from support.imports import read

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
SETTINGS = {"theme": "dark", "language": "en", "autoSave": True, "showTimestamps": False}


def message(text: str = "Hi", **fields: Any) -> dict[str, Any]:
    stamp = "2026-11-20T08:10:19.044Z"
    return {"id": "m1", "type": "user", "content": text, "timestamp": stamp} | fields


def conversation(name: str = "a", **fields: Any) -> dict[str, Any]:
    return {
        "id": f"mwop8gsv{name}",
        "title": f"About {name}",
        "messages": [
            message(f'"{name}" \\ • é 🎉\n'),
            message("Hello!", type="assistant", metrics={"totalTime": 0.8}),
        ],
        "createdAt": "2026-11-20T08:10:18.511Z",
        "updatedAt": "2026-11-20T08:10:23.105Z",
        "isLoading": False,
        "thinkingTimes": [4.055],
        "averageThinkingTime": 4.06,
        "totalThinkingTime": 4.055,
        "responseCount": 1,
    } | fields


def dump_of(value: Any, *, ascii_only: bool = False) -> str:
    return json.dumps(value, ensure_ascii=ascii_only, separators=(",", ":"))


def parse(source: Any, *, salvage: bool = False) -> ImportFile:
    """Read bytes, a text, or any other value as JSON."""
    if not isinstance(source, bytes | str):
        source = dump_of(source)
    data = source if isinstance(source, bytes) else source.encode()
    return read(data, name="my.json", salvage=salvage, now=NOW)


def refusal(source: Any, *, salvage: bool = False) -> str:
    with pytest.raises(ImportRejected) as caught:
        parse(source, salvage=salvage)
    assert len(caught.value.detail.splitlines()) == 1
    return caught.value.detail.removeprefix("my.json: ")


THREE = [conversation("a"), conversation("b"), conversation("c")]
COMPACT = dump_of(THREE)
SHAPES: dict[str, str] = {
    "export": json.dumps(THREE, indent=2),
    "raw value": COMPACT,
    "raw value, ASCII": dump_of(THREE, ascii_only=True),
    "string": dump_of(COMPACT),
    "string in a string": dump_of(dump_of(COMPACT)),
    "dump": dump_of({"user": "1", CONVERSATIONS_KEY: COMPACT, "z": "["}),
    "dump, ASCII": dump_of({CONVERSATIONS_KEY: COMPACT, "z": "["}, ascii_only=True),
    "dump of a string in a string": dump_of({CONVERSATIONS_KEY: dump_of(COMPACT)}),
    "dump of an array": dump_of({"z": [{}], CONVERSATIONS_KEY: THREE}),
    "dump in a string": dump_of(dump_of({CONVERSATIONS_KEY: COMPACT})),
}
EXPECTED = parse(COMPACT).conversations


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_every_shape_gives_the_same_conversations(shape: str, encoding: str) -> None:
    found = parse(SHAPES[shape].encode(encoding))
    assert found == ImportFile(conversations=EXPECTED)
    assert [one.title for one in found.conversations] == ["About a", "About b", "About c"]


def test_big_endian_utf_16_is_read() -> None:
    assert parse(b"\xfe\xff" + COMPACT.encode("utf-16-be")).conversations == EXPECTED


@pytest.mark.parametrize(
    "shape",
    [
        {SETTINGS_KEY: dump_of(SETTINGS)},
        {SETTINGS_KEY: dump_of(dump_of(SETTINGS))},
        {SETTINGS_KEY: SETTINGS, CONVERSATIONS_KEY: "[]"},
        {SETTINGS_KEY: SETTINGS, CONVERSATIONS_KEY: None, "other": float("nan")},
        SETTINGS,
    ],
)
def test_settings_are_read(shape: Any) -> None:
    assert parse(shape) == ImportFile(preferences=SETTINGS)


def test_unknown_settings_are_counted_not_kept() -> None:
    found = parse({SETTINGS_KEY: {"theme": "light", "secret": 1}})
    assert found.preferences == {"theme": "light"}
    assert found.skipped == (Skipped(place="settings", reason="1 unknown"),)


@pytest.mark.parametrize("nothing", ["[]", '"[]"', {CONVERSATIONS_KEY: None}, {SETTINGS_KEY: None}])
def test_a_file_may_hold_nothing(nothing: Any) -> None:
    assert parse(nothing) == ImportFile()


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (b"", "not JSON at line 1 column 1: the file seems cut off; no whole conversation stands"),
        (b"caf\xe9 []", "neither UTF-8 nor UTF-16 with a byte order mark (byte 4)"),
        ("12", "neither conversations nor settings"),
        ("null", "neither conversations nor settings"),
        ("{}", f"holds neither '{CONVERSATIONS_KEY}' nor '{SETTINGS_KEY}'"),
        ({"theme": "dark", "mapping": {}}, "holds neither"),
        ({CONVERSATIONS_KEY: {"a": 1}}, f"'{CONVERSATIONS_KEY}' is not a list"),
        ({CONVERSATIONS_KEY: "7"}, f"'{CONVERSATIONS_KEY}' is not a list"),
        ({SETTINGS_KEY: [1]}, "settings: not an object"),
        ({SETTINGS_KEY: "{'a'}"}, f"settings: not JSON at line 1 column 2 of '{SETTINGS_KEY}'"),
        ({SETTINGS_KEY: {"theme": 2**64}}, "settings: holds an integer of more than 64 bits"),
        ({SETTINGS_KEY: {"language": "?"}}, "settings: language: "),
        ({"theme": "blue", "language": "en"}, "settings: theme: "),
        ("[1]", "conversation 1: not an object"),
        ("[{,}, 2]", "conversation 1: not JSON at line 1 column 3"),
        ("{1: 2}", "not JSON at line 1 column 2"),
        ('{"a" 2, "b": 3, "c": "much more"}', "not JSON at line 1 column 6"),
        (f"{COMPACT} []", "something follows the end of the JSON at line 1 column"),
        ('"[]\\x, and so on and so on"', "not JSON at line 1 column 4"),
        ({CONVERSATIONS_KEY: "[{}, x and so on]"}, "conversation 1: no 'messages'"),
        ({CONVERSATIONS_KEY: "[:, and so on]"}, f"line 1 column 2 of '{CONVERSATIONS_KEY}'"),
        ("[" * 100_000, "conversation 1: nested deeper than 100 levels at line 1 column 2"),
    ],
)
def test_another_file_is_refused_with_the_place(source: Any, reason: str) -> None:
    assert reason in refusal(source)


def test_a_bad_conversation_refuses_the_file() -> None:
    bad = conversation("abc", messages=[message(), message(timestamp="yesterday")])
    assert refusal([*THREE, bad]) == (
        "conversation 4 (id \"mwop8gsvabc\"), message 2: 'timestamp' is not a time"
    )


def test_salvage_skips_a_bad_conversation() -> None:
    bad = conversation("x\n" * 50, title=1)
    found = parse([THREE[0], bad, *THREE[1:]], salvage=True)
    assert found.conversations == EXPECTED
    assert not found.truncated
    shown = "mwop8gsv" + "x�" * 16 + "…"
    place = f'conversation 2 (id "{shown}")'
    assert found.skipped == (Skipped(place=place, reason="'title' is not a text"),)


def test_salvage_skips_bad_settings() -> None:
    found = parse({SETTINGS_KEY: "{", CONVERSATIONS_KEY: THREE}, salvage=True)
    assert found.conversations == EXPECTED
    assert [entry.place for entry in found.skipped] == ["settings"]


def test_salvage_leaves_out_a_bad_setting_and_keeps_the_others() -> None:
    bad = SETTINGS | {"theme": "ZEBRA", "showTimestamps": [1]}
    found = parse({CONVERSATIONS_KEY: THREE, SETTINGS_KEY: dump_of(bad)}, salvage=True)
    assert found.conversations == EXPECTED
    assert found.preferences == {"language": "en", "autoSave": True}
    assert [entry.place for entry in found.skipped] == ["settings", "settings"]
    assert [entry.reason.partition(":")[0] for entry in found.skipped] == [
        "theme", "showTimestamps",
    ]  # fmt: skip
    assert "ZEBRA" not in str(found.skipped)


@pytest.mark.parametrize("theme", ["blue", 5, {"a": 1}])
def test_salvage_imports_no_settings_if_all_are_bad(theme: object) -> None:
    found = parse({SETTINGS_KEY: {"theme": theme}, CONVERSATIONS_KEY: THREE}, salvage=True)
    assert (found.conversations, found.preferences) == (EXPECTED, None)


def test_the_name_of_the_file_stays_on_one_line() -> None:
    with pytest.raises(ImportRejected, match=r"^a�b�\.json: ") as caught:
        read(b"{}", name="a\nb\udcff.json", now=NOW)
    assert caught.value.code == "import_rejected"


def test_a_cut_file_is_refused_with_what_can_be_salvaged() -> None:
    cut = COMPACT[: COMPACT.index("About c")]
    assert refusal(cut) == (
        f"not JSON at line 1 column {len(cut) + 1}: the file seems cut off;"
        " --salvage imports the 2 whole conversations before the cut"
    )
    assert "the 1 whole conversation before" in refusal(COMPACT[: COMPACT.index("About b")])
    assert parse(cut, salvage=True) == ImportFile(
        conversations=EXPECTED[:2],
        skipped=(Skipped(place="conversation 3", reason="cut off"),),
        truncated=True,
    )


def test_a_file_cut_between_two_conversations_is_recognised() -> None:
    cut = dump_of(THREE[:2])[:-1] + ","
    assert parse(cut, salvage=True).skipped == (
        Skipped(place="the rest of the file", reason="cut off"),
    )


def test_conversations_before_an_error_can_be_salvaged() -> None:
    wrong = COMPACT.replace('"About c"', "\0 and more that is no JSON")
    assert refusal(wrong).startswith("conversation 3: not JSON at line 1 column")
    assert refusal(wrong).endswith("; --salvage imports the 2 whole conversations before it")
    found = parse(wrong, salvage=True)
    assert found.conversations == EXPECTED[:2]
    assert found.skipped[0].reason.startswith("not JSON at line 1 column")


def test_a_wrong_inner_text_does_not_hide_the_settings() -> None:
    inner = COMPACT[: COMPACT.index("About c")]
    found = parse({CONVERSATIONS_KEY: inner, SETTINGS_KEY: SETTINGS}, salvage=True)
    assert found.conversations == EXPECTED[:2]
    assert found.preferences == SETTINGS
    assert found.truncated


def test_an_inner_text_may_be_whole_in_a_cut_dump() -> None:
    cut = dump_of({CONVERSATIONS_KEY: COMPACT})[:-2]
    assert "imports the 3 whole conversations" in refusal(cut)
    assert parse(cut, salvage=True).conversations == EXPECTED


def test_salvage_that_finds_nothing_is_refused() -> None:
    assert "no whole conversation stands before the cut" in refusal(COMPACT[:40], salvage=True)
    assert "neither UTF-8" in refusal(b"\xff[]", salvage=True)


@given(st.sampled_from(sorted(SHAPES)), st.sampled_from(["utf-8", "utf-16"]), st.data())
def test_a_file_cut_anywhere_gives_its_first_conversations(
    shape: str, encoding: str, data: st.DataObject
) -> None:
    whole = SHAPES[shape].encode(encoding)
    # One byte of a byte order mark tells nothing.
    cut = whole[: data.draw(st.integers(2, len(whole) - 1))]
    assert "the file seems cut off" in refusal(cut)
    try:
        found = parse(cut, salvage=True)
    except ImportRejected as error:
        assert "no whole conversation" in error.detail  # noqa: PT017  # either outcome is right
        return
    assert found.truncated
    assert found.conversations == EXPECTED[: len(found.conversations)]


@given(st.binary(), st.booleans())
def test_bytes_of_any_kind_are_read_or_refused(data: bytes, salvage: bool) -> None:  # noqa: FBT001  # drawn
    read_or_refuse(data, salvage=salvage)


@given(
    st.sampled_from(sorted(SHAPES)),
    st.lists(st.tuples(st.integers(0, 5000), st.binary(max_size=4)), max_size=4),
    st.booleans(),
)
def test_files_with_wrong_bytes_are_read_or_refused(
    shape: str,
    changes: list[tuple[int, bytes]],
    salvage: bool,  # noqa: FBT001  # drawn
) -> None:
    data = bytearray(SHAPES[shape].encode())
    for at, change in changes:
        place = at % len(data) if data else 0
        data[place : place + 1] = change
    read_or_refuse(bytes(data), salvage=salvage)


def read_or_refuse(data: bytes, *, salvage: bool) -> None:
    try:
        assert isinstance(parse(data, salvage=salvage), ImportFile)
    except ImportRejected as error:
        assert len(error.detail.splitlines()) == 1  # noqa: PT017  # either outcome is right
