"""What a message holds beside its words: parts, `hidden` and `time_source`."""

import io
import json
from typing import Any

import pytest

from conftest import HttpClient
from support.answers import JSON, found, wrong_fields
from support.factories import begin, message
from support.stored import stored

PARTS: list[dict[str, Any]] = [
    {"type": "thinking", "summary": ["Which fjord?"], "duration_s": 1.5},
    {"type": "text", "text": "The Geirangerfjord.", "extra": {"language": "en"}},
    {"type": "tool_call", "id": "c1", "name": "maps.find", "input": {"q": "Geiranger", "n": 3}},
    {"type": "tool_result", "call_id": "c1", "output": [{"lat": 62.1}], "is_error": False},
    {"type": "file", "attachment_id": "a1", "name": "map.png", "mime": "image/png", "size": 9},
    {"type": "citation", "url": "https://example.org", "title": "Fjords", "start": 4, "end": 9},
    {"type": "raw", "source_type": "widget", "value": {"a": [None, 1]}},
]
# What clients of earlier versions keep under the names of ours; all but the last two as other
# programs do.
FOREIGN: list[dict[str, Any]] = [
    {"parts": [{"type": "text", "text": "Hi", "state": "done"}, {"type": "step-start"}]},
    {"parts": [{"type": "file", "mediaType": "image/png", "url": "data:,"}]},
    {"parts": [{"type": "reasoning", "text": "…"}, {"type": "text", "text": "Hi"}]},
    {"parts": [{"text": "Hi"}]},
    {"parts": [{"type": "tool_call", "tool_call": {"id": 1}}, {"type": "think", "think": "…"}]},
    {"parts": []},
    {"parts": None, "hidden": None, "time_source": None},
    {"parts": "two", "hidden": "yes", "time_source": "client"},
    {"parts": {"type": "text"}, "hidden": 0, "time_source": ["exact"]},
]
REFUSED: list[tuple[list[dict[str, Any]], str]] = [
    ([*PARTS, {"type": "video", "url": "x"}], "parts.7"),
    ([PARTS[0], {"type": "tool_call", "input": {}}], "parts.1.tool_call.name"),
    ([PARTS[0], {"type": "text", "text": 1}], "parts.1.text.text"),
    ([PARTS[0], {"type": "text", "text": "x", "state": "done"}], "parts.1.text.state"),
    ([PARTS[0]] * 1001, "parts"),
    ([PARTS[0], {"type": "raw", "source_type": "x", "value": 2**63}], "parts"),
    ([PARTS[0], {"type": "raw", "source_type": "x", "value": "x" * 1024**2}], "parts"),
]


async def _stored(database: Any) -> dict[str, Any]:
    document = await database.conversations.find_one()
    kept: dict[str, Any] = (await stored(database, document["_id"])).messages[document["first_seq"]]
    return kept


class TestParts:
    async def test_are_returned_unchanged(self, alice: HttpClient, database: Any) -> None:
        held = {"parts": PARTS, "hidden": True, "time_source": "neighbour"}
        begun = await begin(alice, messages=[message("The Geirangerfjord.", "assistant", **held)])
        shown = (await found(alice, begun["id"]))["messages"][0]

        assert json.dumps({name: shown[name] for name in held}) == json.dumps(held)
        assert {name: (await _stored(database))[name] for name in held} == held
        assert "extra" not in await _stored(database)

    async def test_are_accepted_on_every_route(self, alice: HttpClient) -> None:
        begun = await begin(alice)
        path = f"/conversations/{begun['id']}"
        sent = message("", "tool", id="m1", parts=PARTS, hidden=False)
        posted = await (await alice.post(f"{path}/messages", json=sent)).json()
        read = await (await alice.get(f"{path}/messages")).json()
        put = await (await alice.put(path, json={"messages": read["messages"]})).json()

        for shown in (posted, read, put):
            only = shown["messages"][0]
            assert (only["role"], only["parts"], only["hidden"]) == ("tool", PARTS, False)

    @pytest.mark.parametrize("foreign", FOREIGN)
    async def test_of_a_clients_own_shape_are_kept_as_further_fields(
        self, alice: HttpClient, database: Any, foreign: dict[str, Any]
    ) -> None:
        begun = await begin(alice, messages=[message(own=1, **foreign)])
        shown = (await found(alice, begun["id"]))["messages"][0]

        assert json.dumps({name: shown[name] for name in foreign}) == json.dumps(foreign)
        assert (await _stored(database))["extra"] == {"own": 1, **foreign}
        assert not foreign.keys() & (await _stored(database)).keys()

    @pytest.mark.parametrize(("parts", "place"), REFUSED)
    async def test_are_refused_with_the_position_of_the_error(
        self, alice: HttpClient, parts: list[Any], place: str
    ) -> None:
        begun = await begin(alice)
        body = io.BytesIO(json.dumps(message(parts=parts)).encode())
        answer = await alice.post(f"/conversations/{begun['id']}/messages", data=body, headers=JSON)

        [where] = await wrong_fields(answer)
        assert ".".join(map(str, where)) == f"body.{place}"

    async def test_of_a_client_count_as_further_fields(self, alice: HttpClient) -> None:
        own: dict[str, Any] = {"parts": ["x" * 150_000], "more": "x" * 150_000}
        answer = await alice.post("/conversations", json={"messages": [message(**own)]})

        assert answer.status == 422

    async def test_make_a_message_differ_from_a_repeat(self, alice: HttpClient) -> None:
        begun = await begin(alice)
        path = f"/conversations/{begun['id']}/messages"
        first = message("", "tool", id="m1", parts=PARTS[3:4])

        statuses = [
            (await alice.post(path, json=sent)).status
            for sent in (first, first, {**first, "parts": PARTS[2:3]})
        ]

        assert statuses == [200, 200, 409]


class TestEditedContent:
    @pytest.mark.parametrize(
        ("before", "after"),
        [
            (
                [PARTS[0], PARTS[1], PARTS[2], {"type": "text", "text": "More."}],
                [PARTS[0], {"type": "text", "text": "new"}, PARTS[2]],
            ),
            ([PARTS[0]], [{"type": "text", "text": "new"}, PARTS[0]]),
            (
                [PARTS[5]],
                [
                    {"type": "text", "text": "new"},
                    {"type": "citation", "url": "https://example.org", "title": "Fjords"},
                ],
            ),
            ([PARTS[1]], None),
        ],
    )
    async def test_replaces_the_text_of_the_parts(
        self, alice: HttpClient, before: list[Any], after: list[Any] | None
    ) -> None:
        begun = await begin(alice, messages=[message("old", "assistant", id="m1", parts=before)])
        path = f"/conversations/{begun['id']}/messages/m1"
        await alice.patch(path, json={"content": "new"})
        shown = await (await alice.get(path)).json()

        assert (shown["content"], shown.get("parts")) == ("new", after)

    async def test_leaves_a_clients_own_parts(self, alice: HttpClient) -> None:
        begun = await begin(alice, messages=[message("old", id="m1", parts=[{"text": "old"}])])
        path = f"/conversations/{begun['id']}/messages/m1"
        await alice.patch(path, json={"content": "new"})

        assert (await (await alice.get(path)).json())["parts"] == [{"text": "old"}]
