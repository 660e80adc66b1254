"""What an append answers and stores: ids that make retries harmless, limits, extras."""

import asyncio
import io
import json
import uuid
from typing import Any

import pytest

from conftest import HttpClient
from support.answers import INSTANT, JSON, found, problem, wrong_fields
from support.factories import begin, message

MEGABYTE = 1024 * 1024
MINIMAL = {"Prefer": "return=minimal"}


def at(conversation: dict[str, Any]) -> str:
    return f"/conversations/{conversation['id']}/messages"


class TestMessageId:
    async def test_twenty_concurrent_retries_store_one(
        self, alice: HttpClient, database: Any
    ) -> None:
        begun = await begin(alice)
        sent = message("once", id=str(uuid.uuid4()))

        answers = await asyncio.gather(*(alice.post(at(begun), json=sent) for _ in range(20)))

        assert {answer.status for answer in answers} == {200}
        stored = await found(alice, begun["id"])
        assert [(each["id"], each["content"]) for each in stored["messages"]] == [
            (sent["id"], "once")
        ]
        assert (stored["total_messages"], stored["version"]) == (1, 2)
        entries = (
            await database["audit_logs"].find({"action": "conversation.append_message"}).to_list()
        )
        assert len(entries) == 20
        repeat = {"messages": 0, "repeated": 1, "version": 2, "first_seq": 1, "count": 0}
        assert [entry["details"] for entry in entries].count(repeat) == 19

    async def test_a_retry_returns_the_first_message(self, alice: HttpClient) -> None:
        begun = await begin(alice)
        sent = message("once", id="my-id_1", mood="x")
        first = await (await alice.post(at(begun), json=sent, headers=MINIMAL)).json()
        await alice.post(at(begun), json=message("another"))
        again = await (await alice.post(at(begun), json=sent, headers=MINIMAL)).json()
        assert again["message"] == first["message"]
        assert again["total_messages"] == 2

    async def test_a_retry_after_more_than_a_hundred_messages_still_stores_one(
        self, alice: HttpClient
    ) -> None:
        sent = message("early", id="early")
        begun = await begin(alice, messages=[sent, *(message(str(n)) for n in range(300))])
        answer = await alice.post(at(begun), json=sent, headers=MINIMAL)
        assert (await answer.json())["total_messages"] == 301
        other = await alice.post(at(begun), json=message("late", id="early"))
        await problem(other, 409, "message_id_taken")

    @pytest.mark.parametrize("other", [message("other"), message("once", role="assistant")])
    async def test_other_content_under_the_same_id_is_refused(
        self, alice: HttpClient, other: dict[str, Any]
    ) -> None:
        begun = await begin(alice)
        await alice.post(at(begun), json=message("once", id="a"))
        before = await found(alice, begun["id"])

        refused = await alice.post(at(begun), json=other | {"id": "a"})

        await problem(refused, 409, "message_id_taken")
        assert await found(alice, begun["id"]) == before

    async def test_is_unique_within_its_conversation_only(self, alice: HttpClient) -> None:
        for _ in range(2):
            begun = await begin(alice)
            answer = await alice.post(at(begun), json=message("x", id="same"))
            assert (await answer.json())["total_messages"] == 1

    async def test_is_made_if_none_is_given(self, alice: HttpClient) -> None:
        begun = await begin(alice)
        for _ in range(2):
            await alice.post(at(begun), json=message("same words"))
        stored = await found(alice, begun["id"])
        assert len({uuid.UUID(each["id"]) for each in stored["messages"]}) == 2

    @pytest.mark.parametrize("wrong", ["", "a b", "x" * 65, "a.b", "$a", 7, "é", "a\n", "a\u0000"])
    async def test_must_be_plain(self, alice: HttpClient, wrong: object) -> None:
        begun = await begin(alice)
        answer = await alice.post(at(begun), json=message("x", id=wrong))
        assert await wrong_fields(answer) == [["body", "id"]]
        assert await found(alice, begun["id"]) == begun


class TestPreferMinimal:
    async def test_answers_the_message_and_the_counters(self, alice: HttpClient) -> None:
        begun = await begin(alice, messages=[message()])
        answer = await alice.post(at(begun), json=message("b", mood="x"), headers=MINIMAL)
        body = await answer.json()
        stored = await found(alice, begun["id"])
        assert answer.headers["Preference-Applied"] == "return=minimal"
        assert answer.headers["ETag"] == f'"{stored["version"]}"'
        assert body == {
            "message": stored["messages"][1],
            "total_messages": 2,
            "version": stored["version"],
            "updated_at": stored["updated_at"],
        }

    @pytest.mark.parametrize(
        "prefer", ["respond-async, return=minimal", "return=minimal; foo=bar", 'Return="minimal"']
    )
    async def test_is_recognised_among_other_preferences(
        self, alice: HttpClient, prefer: str
    ) -> None:
        begun = await begin(alice)
        answer = await alice.post(at(begun), json=message(), headers={"Prefer": prefer})
        assert answer.headers["Preference-Applied"] == "return=minimal"

    @pytest.mark.parametrize("prefer", ["return=representation", "minimal", ""])
    async def test_answers_in_full_for_anything_else(self, alice: HttpClient, prefer: str) -> None:
        begun = await begin(alice)
        answer = await alice.post(at(begun), json=message(), headers={"Prefer": prefer})
        assert "Preference-Applied" not in answer.headers
        assert await answer.json() == await found(alice, begun["id"])


class TestAppended:
    async def test_counters_are_right_at_once(self, alice: HttpClient) -> None:
        begun = await begin(alice)
        before = begun["updated_at"]
        for number in range(1, 6):
            stored = await (await alice.post(at(begun), json=message(str(number)))).json()
            assert stored["total_messages"] == len(stored["messages"]) == number
            assert stored["version"] == number + 1
            assert INSTANT.fullmatch(stored["last_message_at"])
            assert before <= stored["last_message_at"] == stored["updated_at"]
            before = stored["updated_at"]

    async def test_keeps_unknown_fields(self, alice: HttpClient) -> None:
        extras: dict[str, Any] = {
            "weird": {"any": ["field", None, 1.5, {"": {"a.b": "$c"}}]},
            "extra": {"extra": 1},
            "_id": "mine",
            "user_id": "not a user",
            "$inc": {"version": 100},
            "messages.0.content": "no path",
            "isLoading": False,
            "nothing": None,
        }
        begun = await begin(alice)
        stored = await (await alice.post(at(begun), json=message("x", **extras))).json()
        kept = stored["messages"][0]
        assert {name: kept[name] for name in extras} == extras
        assert stored["version"] == 2

    async def test_keeps_metrics_model_and_cancelled(self, alice: HttpClient) -> None:
        given = message("x", "assistant", metrics={"a.b": 1.25}, model="m:1", cancelled=True)
        begun = await begin(alice)
        stored = await (await alice.post(at(begun), json=given)).json()
        assert given.items() <= stored["messages"][0].items()

    @pytest.mark.parametrize(
        ("given", "shown"),
        [
            ("2024-01-15T10:30:00.000Z", "2024-01-15T10:30:00.000Z"),
            ("2024-01-15T10:30:00.1239Z", "2024-01-15T10:30:00.123Z"),
            ("2024-01-15T12:30:00+02:00", "2024-01-15T10:30:00.000Z"),
            ("2024-01-15T10:30:00", "2024-01-15T10:30:00.000Z"),
            ("1969-12-31T23:59:59.999Z", "1969-12-31T23:59:59.999Z"),
            ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000Z"),
            ("9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z"),
        ],
    )
    async def test_times_end_in_milliseconds_and_z(
        self, alice: HttpClient, given: str, shown: str
    ) -> None:
        begun = await begin(alice)
        stored = await (await alice.post(at(begun), json=message("x", timestamp=given))).json()
        assert stored["messages"][0]["timestamp"] == shown
        assert await found(alice, begun["id"]) == stored

    @pytest.mark.parametrize("given", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"])
    async def test_times_beyond_the_calendar_are_refused(
        self, alice: HttpClient, given: str
    ) -> None:
        begun = await begin(alice)
        answer = await alice.post(at(begun), json=message("x", timestamp=given))
        assert await wrong_fields(answer) == [["body", "timestamp"]]

    async def test_order_is_that_of_arrival_not_of_the_times(self, alice: HttpClient) -> None:
        begun = await begin(alice)
        for year in (2026, 2020, 2030):
            await alice.post(
                at(begun), json=message(str(year), timestamp=f"{year}-01-01T00:00:00Z")
            )
        stored = await found(alice, begun["id"])
        assert [each["content"] for each in stored["messages"]] == ["2026", "2020", "2030"]


def large(body: dict[str, Any]) -> dict[str, Any]:
    """How a large body is sent, so that aiohttp's client does not warn of it."""
    return {"data": io.BytesIO(json.dumps(body).encode()), "headers": JSON}


class TestSize:
    async def test_a_megabyte_is_stored(self, alice: HttpClient) -> None:
        begun = await begin(alice)
        largest = "é" * (MEGABYTE // 2)
        stored = await (await alice.post(at(begun), **large(message(largest)))).json()
        assert stored["messages"][0]["content"] == largest

    @pytest.mark.parametrize("content", ["x" * (MEGABYTE + 1), "é" * (MEGABYTE // 2) + "x"])
    async def test_refuses_more_and_names_the_limit(self, alice: HttpClient, content: str) -> None:
        begun = await begin(alice)
        for path, body in (
            (at(begun), message(content)),
            ("/conversations", {"messages": [message(content)]}),
        ):
            answer = await alice.post(path, **large(body))
            assert "1 MB" in (await problem(answer, 413, "too_large"))["detail"]
        assert await (await alice.get("/conversations")).json() == [begun]

    async def test_a_body_over_the_limit_is_refused(self, alice: HttpClient) -> None:
        answer = await alice.post("/conversations", **large({"title": "x" * 33 * MEGABYTE}))
        assert "32 MB" in (await problem(answer, 413, "too_large"))["detail"]
