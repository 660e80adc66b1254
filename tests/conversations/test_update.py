"""Replacing fields by PUT, and the versions that guard it."""

import asyncio
from typing import Any

import pytest

from conftest import HttpClient
from support.answers import found, problem, wrong_fields
from support.factories import begin, message


def at(conversation: dict[str, Any]) -> str:
    return f"/conversations/{conversation['id']}"


class TestUpdate:
    async def test_replaces_only_what_is_named(self, alice: HttpClient) -> None:
        begun = await begin(
            alice, title="A", tags=["t"], metadata={"a": 1, "b": {"c": 2}}, messages=[message()]
        )

        answer = await alice.put(at(begun), json={"metadata": {"b": {"d": 3}}})

        changed = await answer.json()
        assert changed["metadata"] == {"b": {"d": 3}}
        assert changed["version"] == begun["version"] + 1
        assert changed["updated_at"] >= begun["updated_at"]
        for name in ("title", "tags", "status", "messages", "created_at", "last_message_at"):
            assert changed[name] == begun[name]
        assert answer.headers["ETag"] == f'"{changed["version"]}"'
        assert await found(alice, begun["id"]) == changed

    async def test_changes_nothing_if_empty(self, alice: HttpClient) -> None:
        begun = await begin(alice, title="A")
        answer = await alice.put(at(begun), json={})
        assert answer.status == 200
        assert await answer.json() == begun

    async def test_replaces_all_messages(self, alice: HttpClient) -> None:
        begun = await begin(alice, messages=[message(str(number)) for number in range(5)])

        changed = await (
            await alice.put(at(begun), json={"messages": [message("x"), message("y")]})
        ).json()

        assert [each["content"] for each in changed["messages"]] == ["x", "y"]
        assert changed["total_messages"] == 2
        seqs = [each["seq"] for each in changed["messages"]]
        assert seqs == sorted(set(seqs))
        appended = await (await alice.post(f"{at(begun)}/messages", json=message("z"))).json()
        assert [each["content"] for each in appended["messages"]] == ["x", "y", "z"]
        assert appended["messages"][2]["seq"] == seqs[-1] + 1

    async def test_leaves_no_last_message_when_all_are_removed(self, alice: HttpClient) -> None:
        begun = await begin(alice, messages=[message()])
        changed = await (await alice.put(at(begun), json={"messages": []})).json()
        assert (changed["messages"], changed["total_messages"]) == ([], 0)
        assert changed["last_message_at"] is None

    async def test_keeps_the_messages_that_a_client_sends_back(self, alice: HttpClient) -> None:
        begun = await begin(alice, messages=[message("a", mood={"x": [1]}), message("b")])
        changed = await (await alice.put(at(begun), json={"messages": begun["messages"]})).json()
        without_place = [
            [{name: value for name, value in each.items() if name != "seq"} for each in messages]
            for messages in (begun["messages"], changed["messages"])
        ]
        assert without_place[0] == without_place[1]

    @pytest.mark.parametrize(
        ("wanted", "where"),
        [
            ({"title": "x" * 256}, ["body", "title"]),
            ({"title": ""}, ["body", "title"]),
            ({"status": "deleted"}, ["body", "status"]),
            ({"metadata": "x"}, ["body", "metadata"]),
            ({"messages": [{}]}, ["body", "messages", 0, "role"]),
            ({"total_messages": 3}, ["body", "total_messages"]),
            ({"user_id": "507f1f77bcf86cd799439011"}, ["body", "user_id"]),
        ],
    )
    async def test_names_the_wrong_field_and_changes_nothing(
        self, alice: HttpClient, wanted: dict[str, Any], where: list[str | int]
    ) -> None:
        begun = await begin(alice, messages=[message()])
        fine = {"tags": ["not stored either"]}
        assert where in await wrong_fields(await alice.put(at(begun), json=fine | wanted))
        assert await found(alice, begun["id"]) == begun


class TestIfMatch:
    async def test_accepts_the_current_version(self, alice: HttpClient) -> None:
        answer = await alice.post("/conversations", json={})
        begun = await answer.json()
        for title in ("one", "two"):
            answer = await alice.put(
                at(begun), json={"title": title}, headers={"If-Match": answer.headers["ETag"]}
            )
            assert answer.status == 200
        assert (await answer.json())["title"] == "two"

    @pytest.mark.parametrize(
        "tags",
        ['"0"', '"2"', 'W/"1"', '"W/1"', '"abc"', '"2", "3"', '"99999999999999999999999999"', "1"],
    )
    @pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
    async def test_refuses_stale_weak_and_foreign_tags(
        self, alice: HttpClient, method: str, tags: str
    ) -> None:
        begun = await begin(alice, title="A")
        body = None if method == "DELETE" else {"title": "B"}

        answer = await alice.request(method, at(begun), json=body, headers={"If-Match": tags})

        await problem(answer, 412, "stale_version")
        assert await found(alice, begun["id"]) == begun

    @pytest.mark.parametrize("tags", ["*", '"1"', '"7", "1"', '"7","1"', ' "1" ', 'W/"1", "1"'])
    @pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
    async def test_accepts_any_of_several_tags(
        self, alice: HttpClient, method: str, tags: str
    ) -> None:
        begun = await begin(alice)
        body = None if method == "DELETE" else {"title": "B"}
        answer = await alice.request(method, at(begun), json=body, headers={"If-Match": tags})
        assert answer.status == (204 if method == "DELETE" else 200)

    @pytest.mark.parametrize("tags", ["", ",", '"1",,"2"'])
    async def test_refuses_an_empty_tag(self, alice: HttpClient, tags: str) -> None:
        begun = await begin(alice)
        answer = await alice.put(at(begun), json={"title": "B"}, headers={"If-Match": tags})
        assert await wrong_fields(answer) == [["header", "If-Match"]]

    async def test_accepts_a_star_for_an_existing_conversation(self, alice: HttpClient) -> None:
        begun = await begin(alice)
        await alice.delete(at(begun))
        answer = await alice.put(at(begun), json={"title": "B"}, headers={"If-Match": "*"})
        await problem(answer, 404, "not_found")

    async def test_is_stale_after_an_append(self, alice: HttpClient) -> None:
        begun = await begin(alice)
        await alice.post(f"{at(begun)}/messages", json=message())
        answer = await alice.put(
            at(begun), json={"messages": []}, headers={"If-Match": f'"{begun["version"]}"'}
        )
        await problem(answer, 412, "stale_version")
        assert len((await found(alice, begun["id"]))["messages"]) == 1

    async def test_lets_one_of_many_with_the_same_tag_win(self, alice: HttpClient) -> None:
        begun = await begin(alice)
        answers = await asyncio.gather(
            *(
                alice.put(at(begun), json={"title": str(number)}, headers={"If-Match": '"1"'})
                for number in range(20)
            )
        )
        won = [answer for answer in answers if answer.status == 200]
        assert len(won) == 1
        assert {answer.status for answer in answers} == {200, 412}
        assert (await found(alice, begun["id"])) == await won[0].json()
