"""The oddities of stored conversations: what is mended, with which note, and what is refused."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chatvault.importing.drafts import UnfitError
from chatvault.importing.files.values import parse_time
from chatvault.importing.formats.localstorage_fields import read_conversation
from chatvault.importing.neutral import NeutralConversation, NeutralMessage
from support.imports import read

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
EIGHT = datetime(2026, 11, 20, 8, tzinfo=UTC)
NINE = EIGHT + timedelta(hours=1)
TEN = EIGHT + timedelta(hours=2)


def message(**fields: Any) -> dict[str, Any]:
    stamp = "2026-11-20T08:00:00.000Z"
    return {"id": "m1", "type": "user", "content": "Hi", "timestamp": stamp} | fields


def conversation(*messages: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {
        "id": "abc",
        "title": "A talk",
        "messages": list(messages),
        "createdAt": "2026-11-20T08:00:00.000Z",
        "updatedAt": "2026-11-20T10:00:00.000Z",
    } | fields


def read_one(*messages: dict[str, Any], **fields: Any) -> NeutralConversation:
    return read_conversation(conversation(*messages, **fields), now=NOW)


def read_message(**fields: Any) -> tuple[NeutralMessage, tuple[str, ...]]:
    found = read_one(message(**fields))
    return found.messages[0], found.notes


def unfit(raw: object) -> str:
    with pytest.raises(UnfitError) as caught:
        read_conversation(raw, now=NOW)
    return f"{caught.value.place}: {caught.value.reason}".removeprefix(": ")


def test_an_intact_conversation_is_kept_unchanged() -> None:
    thoughts = {"thinkingTimes": [1, 2.5], "averageThinkingTime": 1.75, "totalThinkingTime": 3.5}
    metrics = {"totalTime": 0.8, "tokens": 3}
    found = read_one(
        message(id="w", type="assistant", content="Welcome!", isLoading=False),
        message(metrics=metrics, model="llama", cancelled=False, mood="good", role="user"),
        isLoading=False,
        responseCount=7,
        pinned=None,
        **thoughts,
    )
    assert found == NeutralConversation(
        source_id="abc",
        title="A talk",
        messages=(
            NeutralMessage(
                source_id="w",
                role="assistant",
                content="Welcome!",
                timestamp=EIGHT,
                model=None,
                metrics=None,
                cancelled=None,
                extra={},
            ),
            NeutralMessage(
                source_id="m1",
                role="user",
                content="Hi",
                timestamp=EIGHT,
                model="llama",
                metrics=metrics,
                cancelled=False,
                extra={"mood": "good"},
            ),
        ),
        created_at=EIGHT,
        updated_at=TEN,
        metadata={**thoughts, "responseCount": 7, "pinned": None},
    )


def test_neither_messages_nor_thinking_fields_are_needed() -> None:
    found = read_one()
    assert (found.messages, found.metadata, found.notes) == ((), {}, ())


@pytest.mark.parametrize(
    ("fields", "role", "extra"),
    [
        ({"type": "system"}, "system", {}),
        ({"type": "AI"}, "assistant", {}),
        ({"type": "bot", "role": "assistant"}, "assistant", {}),
        ({"type": "human", "role": None}, "user", {}),
        ({"type": None, "role": "assistant"}, "assistant", {}),
        ({"type": "text", "role": "assistant"}, "assistant", {"type": "text"}),
        ({"type": "user", "role": "assistant"}, "user", {"role": "assistant"}),
    ],
)
def test_the_role_is_found(fields: dict[str, Any], role: str, extra: dict[str, Any]) -> None:
    found, notes = read_message(**fields)
    assert (found.role, found.extra) == (role, extra)
    assert len(notes) == len(extra)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ({"text": "Hi", "content": "no"}, "Hi"),
        ({"text": "", "message": "Hi"}, "Hi"),
        ({"text": ""}, ""),
        ({"message": {"a": 1}}, '{"message":{"a":1}}'),
        (["é", 1], '["é",1]'),
        (12, "12"),
        (False, "false"),
    ],
)
def test_content_that_is_no_text_is_converted_and_kept(content: Any, text: str) -> None:
    found, notes = read_message(content=content, originalContent="taken")
    assert found.content == text
    assert found.extra == {"originalContent": "taken", "_originalContent": content}
    assert notes == ("1 message: content was no text; the original is kept beside it",)


def test_missing_content_becomes_an_empty_text() -> None:
    found, notes = read_message(content=None)
    assert found.content == ""
    assert notes == ("1 message: had no content",)


def test_an_answer_left_by_a_crash_is_kept_as_a_stopped_one() -> None:
    found, notes = read_message(type="assistant", content="", isLoading=True)
    assert (found.content, found.cancelled, found.extra) == ("", True, {})
    assert notes == ("1 message: was left unfinished",)
    assert read_message(type="assistant", isLoading=True, cancelled=False)[0].cancelled is False
    assert read_message(isLoading=True)[0].cancelled is None
    assert read_one(isLoading=True).notes == ("'isLoading' was left on",)


def test_fields_of_another_type_are_kept_separately() -> None:
    odd = {"metrics": [1], "model": {"name": "x"}, "cancelled": "no", "isLoading": 1, "id": True}
    found, _ = read_message(**odd)
    assert found.extra == odd
    assert (found.metrics, found.model, found.cancelled, found.source_id) == (None,) * 4
    assert read_message(id=7)[0].source_id == "7"
    assert read_message(id=None)[0].source_id is None


def test_a_message_without_time_gets_its_neighbours() -> None:
    texts = "abcd"
    stamps = [None, "2026-11-20T10:00:00Z", None, "2026-11-20T09:00:00Z"]
    found = read_one(*(message(content=c, timestamp=t) for c, t in zip(texts, stamps, strict=True)))
    assert [one.content for one in found.messages] == list(texts)
    assert [one.timestamp for one in found.messages] == [TEN, TEN, TEN, NINE]
    assert found.notes == ("2 messages: had no time; a neighbour's or the conversation's is used",)
    assert read_one(message(timestamp=None)).messages[0].timestamp == EIGHT


@pytest.mark.parametrize("nothing", [None, "Invalid Date", float(10**300), {}])
def test_times_of_creation_and_change_are_derived_if_missing(nothing: Any) -> None:
    gone = {"createdAt": nothing, "updatedAt": nothing}
    messages = (message(timestamp="2026-11-20T09:00:00Z"), message(timestamp=1_795_168_800_000))
    found = read_one(*messages, **gone)
    assert (found.created_at, found.updated_at) == (NINE, TEN)
    assert found.notes == (
        "'createdAt' was no time; the first message's time is used",
        "'updatedAt' was no time; derived",
    )
    found = read_one(id="mwop8gsvfzgcne6fhu8", **gone)
    assert found.created_at == found.updated_at == datetime(2026, 11, 20, 8, 10, 18, 511000, UTC)
    for no_time in ("abc", "zzzzzzzzzzzz", "000000001111"):
        assert read_one(id=no_time, **gone).created_at == NOW


def test_missing_ids_are_derived_from_the_content() -> None:
    first, again, other = (
        read_one(title=title, id=missing)
        for title, missing in (("x", None), ("x", None), ("y", ""))
    )
    assert first.source_id == again.source_id != other.source_id
    assert first.source_id.startswith("sha256:")
    assert first.notes == ("had no id; derived from the content",)
    assert read_one(id=12).source_id == "12"


def test_titles_are_repaired() -> None:
    for empty in (None, "", " \n"):
        assert read_one(title=empty).title == "New Conversation"
    assert read_one(title="x" * 255).title == "x" * 255
    found = read_one(title="x" * 256)
    assert found.title == "x" * 254 + "…"
    assert found.metadata == {"originalTitle": "x" * 256}
    assert found.notes == ("title cut to 255 characters; whole in the metadata",)


def test_lone_surrogates_are_replaced() -> None:
    found = read_one(
        message(content="a\ud83d", tags=["\udc00"]), message(content="🎉"), title="t\ud800"
    )
    assert [one.content for one in found.messages] == ["a�", "🎉"]
    assert found.messages[0].extra == {"tags": ["�"]}
    assert found.title == "t�"
    assert found.notes == ("broken characters replaced", "1 message: broken characters replaced")


def nested(levels: int) -> Any:
    value: Any = "\ud800"
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ([], "not an object"),
        ({"id": "a", "mapping": {}}, "no 'messages'"),
        ({"id": "a", "messages": None}, "'messages' is not a list"),
        (conversation(id=[]), "'id' is neither a text nor an integer"),
        (conversation(id=True), "'id' is neither a text nor an integer"),
        (conversation(id="x" * 256), "'id' is longer than 255 characters"),
        (conversation(title=5), "'title' is not a text"),
        (conversation(x=float("nan")), "holds a number that is not finite"),
        (conversation(x="y" * 2**18), "is larger than 262,144 bytes"),
        (conversation(message(), message(type="tool")), "message 2: 'type' is neither"),
        (conversation(message(type=3)), "message 1: 'type' is neither"),
        (conversation("Hi"), "message 1: not an object"),  # type: ignore[arg-type]  # that is the point
        (conversation(message(timestamp="")), "message 1: 'timestamp' is not a time"),
        (conversation(message(metrics={"n": 2**63})), "message 1: holds an integer"),
        (conversation(message(metrics={"\ud800": 1})), "message 1: holds half of a surrogate"),
        (conversation(message(metrics={"\0": 1})), "message 1: has a key with a NUL"),
        (conversation(message(content=nested(100))), "message 1: is nested deeper"),
        (conversation(message(content="x" * 2**23)), "message 1: is larger than 8,388,608"),
    ],
)
def test_conversations_that_cannot_be_stored_are_refused(raw: object, reason: str) -> None:
    assert unfit(raw).startswith(reason)


def test_repeated_ids_are_derived() -> None:
    data = (
        b'[{"id":"a","messages":[]}, {"id":"a","messages":[],"title":"x"},'
        b'{"messages":[],"id":"a"}, {"title":"x","id":"a","messages":[]}, {"messages":[]},'
        b'{"messages":[]}]'
    )
    found = read(data, name="f", now=NOW)
    assert found == read(data, name="f", now=NOW)
    ids = [one.source_id for one in found.conversations]
    assert ids[0] == "a"
    assert ids[1].startswith("a~")
    assert ids[2].startswith("sha256:")
    assert "derived one" in found.conversations[1].notes[-1]
    assert [(entry.place, entry.reason) for entry in found.skipped] == [
        ('conversation 3 (id "a")', "identical to conversation 1"),
        ('conversation 4 (id "a")', "identical to conversation 2"),
        ("conversation 6", "identical to conversation 5"),
    ]


@given(st.text(min_size=1, max_size=255))
def test_ids_are_kept(source_id: str) -> None:
    assert read_one(id=source_id).source_id == source_id


@given(st.datetimes(timezones=st.timezones(), allow_imaginary=False))
@example(datetime(1, 1, 1, tzinfo=UTC))
def test_iso_times_are_kept_to_the_millisecond(time: datetime) -> None:
    try:
        expected = time.astimezone(UTC)
    except OverflowError:
        assert parse_time(time.isoformat()) is None
        return
    expected = expected.replace(microsecond=expected.microsecond // 1000 * 1000)
    zoned = time.isoformat()
    if time.utcoffset() == expected.utcoffset():
        zoned = f"{time.replace(tzinfo=None).isoformat()}Z"
    assert parse_time(zoned) == expected


@given(st.datetimes(min_value=datetime(1974, 1, 1), max_value=datetime(5000, 1, 1)))  # noqa: DTZ001  # hypothesis wants them bare
def test_epoch_times_are_kept(bare: datetime) -> None:
    time = bare.replace(microsecond=bare.microsecond // 1000 * 1000, tzinfo=UTC)
    milliseconds = (time - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    assert parse_time(milliseconds) == time
    assert parse_time(milliseconds / 1000) == time


def test_a_time_without_zone_is_utc() -> None:
    assert parse_time("2026-11-20T08:00:00") == parse_time("2026-11-20 08:00:00.0009Z") == EIGHT
    assert parse_time("2026-11-20") == EIGHT.replace(hour=0)


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        "",
        "20261120",
        "1763626218511",
        "2026-13-01",
        "2026-11-20T25:00:00Z",
        float("nan"),
        float("inf"),
        10**400,
        -(10**18),
        [],
        "+275760-09-13T00:00:00.000Z",
        "0001-01-01T00:00:00+14:00",
    ],
)
def test_invalid_times_are_none(value: object) -> None:
    assert parse_time(value) is None
