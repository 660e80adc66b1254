"""JSON Merge Patch (RFC 7396)."""

import json
from typing import Any

import pytest

from conftest import HttpClient
from support.answers import found, problem, wrong_fields
from support.factories import begin, message

MERGE = {"Content-Type": "application/merge-patch+json"}


def at(conversation: dict[str, Any]) -> str:
    return f"/conversations/{conversation['id']}"


class TestPatch:
    # The examples of RFC 7396, appendix A, that are objects.
    @pytest.mark.parametrize(
        ("before", "patch", "after"),
        [
            ({"a": "b"}, {"a": "c"}, {"a": "c"}),
            ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
            ({"a": "b"}, {"a": None}, {}),
            ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
            ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
            ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
            ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
            ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
            ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
            ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
            ({"a.b": {"$set": 1}}, {"a.b": {"$set": None, "": 2}}, {"a.b": {"": 2}}),
            ({"a": 1}, {}, {"a": 1}),
            ({"a": 1}, None, {}),
        ],
    )
    async def test_merges_metadata(
        self, alice: HttpClient, before: Any, patch: Any, after: Any
    ) -> None:
        begun = await begin(alice, metadata=before)
        answer = await alice.patch(at(begun), data=json.dumps({"metadata": patch}), headers=MERGE)
        assert answer.status == 200
        assert (await answer.json())["metadata"] == after
        assert (await found(alice, begun["id"]))["metadata"] == after

    async def test_resets_title_tags_and_status_by_null(self, alice: HttpClient) -> None:
        begun = await begin(alice, title="A", tags=["x"], metadata={"a": 1})
        await alice.put(at(begun), json={"status": "archived"})

        changed = await (await alice.patch(at(begun), json={"title": None, "tags": None})).json()

        assert (changed["title"], changed["tags"]) == ("New Conversation", [])
        assert (changed["status"], changed["metadata"]) == ("archived", {"a": 1})

    async def test_does_not_change_messages(self, alice: HttpClient) -> None:
        begun = await begin(alice, messages=[message()])
        changed = await (await alice.patch(at(begun), json={"title": "B", "tags": ["t"]})).json()
        assert changed["messages"] == begun["messages"]
        assert (changed["title"], changed["tags"]) == ("B", ["t"])
        assert changed["version"] == begun["version"] + 1
        assert changed["last_message_at"] == begun["last_message_at"]

    async def test_changes_nothing_if_empty(self, alice: HttpClient) -> None:
        begun = await begin(alice, metadata={"a": 1})
        assert await (await alice.patch(at(begun), json={})).json() == begun

    @pytest.mark.parametrize(
        ("patch", "where"),
        [
            ({"messages": []}, ["body", "messages"]),
            ({"title": "x" * 256}, ["body", "title"]),
            ({"status": "gone"}, ["body", "status"]),
            ({"tags": [""]}, ["body", "tags", 0]),
            ({"metadata": 5}, ["body", "metadata"]),
            ({"created_at": "2026-01-01T00:00:00Z"}, ["body", "created_at"]),
        ],
    )
    async def test_names_the_wrong_field_and_changes_nothing(
        self, alice: HttpClient, patch: Any, where: list[str | int]
    ) -> None:
        begun = await begin(alice, metadata={"a": 1})
        assert where in await wrong_fields(await alice.patch(at(begun), json=patch))
        assert await found(alice, begun["id"]) == begun

    async def test_is_refused_if_the_result_is_too_large(self, alice: HttpClient) -> None:
        begun = await begin(alice, metadata={"a": "x" * 200_000})
        answer = await alice.patch(at(begun), json={"metadata": {"b": "y" * 100_000}})
        assert await wrong_fields(answer) == [["body", "metadata"]]
        assert await found(alice, begun["id"]) == begun

    async def test_is_not_found_for_a_stranger(self, alice: HttpClient, bob: HttpClient) -> None:
        begun = await begin(alice)
        await problem(await bob.patch(at(begun), json={"title": "B"}), 404, "not_found")
        assert await found(alice, begun["id"]) == begun
