"""Beginning a conversation."""

from typing import Any

import pytest

from conftest import HttpClient
from support.answers import JSON, found, problem, wrong_fields
from support.factories import begin, message


class TestCreate:
    async def test_answers_with_location_and_version(self, alice: HttpClient) -> None:
        answer = await alice.post("/conversations", json={"title": "Trip"})
        body = await answer.json()
        assert answer.status == 201
        assert answer.headers["Location"] == f"/conversations/{body['id']}"
        assert answer.headers["ETag"] == f'"{body["version"]}"'
        assert await found(alice, body["id"]) == body

    async def test_stores_the_messages_in_order(self, alice: HttpClient) -> None:
        given = [message("Hi"), message("Hello!", "assistant", model="m"), message("", "system")]

        begun = await begin(alice, messages=given)

        assert [(each["role"], each["content"]) for each in begun["messages"]] == [
            ("user", "Hi"),
            ("assistant", "Hello!"),
            ("system", ""),
        ]
        assert [each["seq"] for each in begun["messages"]] == [0, 1, 2]
        assert len({each["id"] for each in begun["messages"]}) == 3
        assert begun["total_messages"] == 3
        assert begun["version"] == 1
        assert begun["last_message_at"] == begun["updated_at"] == begun["created_at"]
        assert begun["messages_truncated"] is False

    async def test_an_empty_one_has_no_last_message(self, alice: HttpClient) -> None:
        begun = await begin(alice)
        assert begun["last_message_at"] is None
        assert (begun["total_messages"], begun["version"], begun["tags"]) == (0, 1, [])

    async def test_null_and_missing_titles_get_the_default(self, alice: HttpClient) -> None:
        assert (await begin(alice, title=None))["title"] == "New Conversation"
        assert (await begin(alice))["title"] == "New Conversation"

    async def test_the_longest_title_is_255_characters(self, alice: HttpClient) -> None:
        longest = "é🎉" * 127 + "x"
        assert (await begin(alice, title=longest))["title"] == longest
        answer = await alice.post("/conversations", json={"title": f"{longest}x"})
        assert await wrong_fields(answer) == [["body", "title"]]

    async def test_keeps_tags(self, alice: HttpClient) -> None:
        tags = ["work", "größe", "x" * 64]
        assert (await begin(alice, tags=tags))["tags"] == tags

    @pytest.mark.parametrize(
        ("wanted", "where"),
        [
            ({"title": 5}, ["body", "title"]),
            ({"title": ""}, ["body", "title"]),
            ({"tags": ["x" * 65]}, ["body", "tags", 0]),
            ({"tags": "work"}, ["body", "tags"]),
            ({"tags": ["t"] * 65}, ["body", "tags"]),
            ({"metadata": [1]}, ["body", "metadata"]),
            ({"messages": {}}, ["body", "messages"]),
            ({"messages": [message(role="robot")]}, ["body", "messages", 0, "role"]),
            ({"messages": [message(), {"role": "user"}]}, ["body", "messages", 1, "content"]),
            ({"messages": [message(timestamp="soon")]}, ["body", "messages", 0, "timestamp"]),
            ({"messages": [message(id="a b")]}, ["body", "messages", 0, "id"]),
            ({"messages": [message(id="a"), message(id="a")]}, ["body", "messages"]),
            ({"user_id": "507f1f77bcf86cd799439011"}, ["body", "user_id"]),
            ({"version": 7}, ["body", "version"]),
        ],
    )
    async def test_names_the_wrong_field_and_stores_nothing(
        self, alice: HttpClient, wanted: dict[str, Any], where: list[str | int]
    ) -> None:
        answer = await alice.post("/conversations", json=wanted)
        assert where in await wrong_fields(answer)
        assert await (await alice.get("/conversations")).json() == []

    @pytest.mark.parametrize(
        "body",
        [b"", b"{", b"\xff", b'{"title": "\xff"}', b'{"metadata": {"a": NaN}}', b"title=x"],
    )
    async def test_refuses_malformed_json(self, alice: HttpClient, body: bytes) -> None:
        answer = await alice.post("/conversations", data=body, headers=JSON)
        assert "not JSON" in (await problem(answer, 400, "malformed"))["detail"]

    @pytest.mark.parametrize("body", [b"[]", b"null", b'"x"', b"5"])
    async def test_refuses_json_that_is_no_object(self, alice: HttpClient, body: bytes) -> None:
        answer = await alice.post("/conversations", data=body, headers=JSON)
        assert await wrong_fields(answer) == [["body"]]

    async def test_refuses_another_content_type(self, alice: HttpClient) -> None:
        answer = await alice.post("/conversations", data={"title": "x"})
        await problem(answer, 415, "unsupported_media_type")
