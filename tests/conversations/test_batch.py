"""Appending many messages in one atomic step."""

import asyncio
from typing import Any

import pytest

from chatvault.conversations.routes import COMMITS
from conftest import HttpClient
from support.answers import found, problem, wrong_fields
from support.factories import begin, message
from support.stored import large, stored, tiny_bounds

MEGABYTE = 1024 * 1024


def at(conversation: dict[str, Any]) -> str:
    return f"/conversations/{conversation['id']}/messages:batch"


def batch(*messages: dict[str, Any]) -> dict[str, Any]:
    return {"messages": list(messages)}


async def audited(database: Any) -> list[Any]:
    wanted = {"action": "conversation.append_messages", "outcome": "success"}
    return [
        each["details"] for each in await database["audit_logs"].find(wanted).sort("_id").to_list()
    ]


class TestBatch:
    async def test_answers_with_all_messages_as_stored(
        self, alice: HttpClient, database: Any
    ) -> None:
        begun = await begin(alice, messages=[message("0")])
        answer = await alice.post(at(begun), json=batch(message("1", mood="x"), message("2")))
        body = await answer.json()
        shown = await found(alice, begun["id"])
        assert answer.status == 200
        assert answer.headers["ETag"] == '"2"'
        assert body == {
            "messages": shown["messages"][1:],
            "repeated_count": 0,
            "total_messages": 3,
            "version": 2,
            "updated_at": shown["updated_at"],
        }
        assert shown["version"] == 2
        stored = {"messages": 2, "first_seq": 1, "count": 2, "version": 2}
        assert await audited(database) == [stored]

    async def test_stores_a_thousand_in_order(
        self, http: HttpClient, alice: HttpClient, database: Any
    ) -> None:
        begun = await begin(alice)
        answer = await alice.post(at(begun), json=batch(*(message(str(n)) for n in range(1000))))
        assert (await answer.json())["total_messages"] == 1000
        assert http.app is not None
        await http.app[COMMITS].drain()
        lies = await stored(database, begun["id"])
        assert lies.contents == [str(n) for n in range(1000)]
        assert len(lies.segments) == 4

    @pytest.mark.parametrize("count", [0, 1001])
    async def test_refuses_none_and_too_many(self, alice: HttpClient, count: int) -> None:
        begun = await begin(alice)
        answer = await alice.post(at(begun), json=batch(*(message() for _ in range(count))))
        assert await wrong_fields(answer) == [["body", "messages"]]

    async def test_refuses_more_than_four_megabytes(self, alice: HttpClient) -> None:
        begun = await begin(alice)
        fits = [message("x" * MEGABYTE) for _ in range(3)]
        answer = await alice.post(at(begun), **large(batch(*fits)))
        await answer.read()
        assert answer.status == 200
        refused = await alice.post(at(begun), **large(batch(*fits, message("x" * MEGABYTE))))
        assert "4 MB" in (await problem(refused, 413, "too_large"))["detail"]
        assert (await found(alice, begun["id"]))["total_messages"] == 3


class TestAllOrNothing:
    @pytest.mark.parametrize(
        "wrong",
        [
            {"role": "user"},
            {"role": "nobody", "content": "x"},
            message("x", id="same"),
            message("x", id="not plain"),
            message("x", metrics=[]),
        ],
    )
    async def test_one_invalid_message_stores_none(
        self, alice: HttpClient, wrong: dict[str, Any]
    ) -> None:
        begun = await begin(alice)
        answer = await alice.post(at(begun), json=batch(message("a", id="same"), wrong))
        await wrong_fields(answer)
        assert await found(alice, begun["id"]) == begun

    @pytest.mark.parametrize("place", [0, 3, 9])
    async def test_one_taken_id_stores_none(
        self, alice: HttpClient, place: int, constants: pytest.MonkeyPatch
    ) -> None:
        tiny_bounds(constants)
        begun = await begin(alice, messages=[message(str(n), id=f"m{n}") for n in range(10)])
        before = await found(alice, begun["id"])
        new = [message("new"), message("other", id=f"m{place}"), message("new")]
        await problem(await alice.post(at(begun), json=batch(*new)), 409, "message_id_taken")
        assert await found(alice, begun["id"]) == before

    async def test_concurrent_batches_do_not_interleave(
        self, alice: HttpClient, database: Any, constants: pytest.MonkeyPatch
    ) -> None:
        tiny_bounds(constants)
        begun = await begin(alice)
        posts = [
            alice.post(at(begun), json=batch(*(message(f"{n}.{k}") for k in range(7))))
            for n in range(20)
        ]
        assert {answer.status for answer in await asyncio.gather(*posts)} == {200}
        contents = (await stored(database, begun["id"])).contents
        assert len(contents) == 140
        for start in range(0, 140, 7):
            number = contents[start].split(".")[0]
            assert contents[start : start + 7] == [f"{number}.{k}" for k in range(7)]


class TestRepeated:
    async def test_a_repeat_changes_nothing(
        self, alice: HttpClient, database: Any, constants: pytest.MonkeyPatch
    ) -> None:
        tiny_bounds(constants)
        begun = await begin(alice)
        sent = batch(*(message(str(n), id=f"m{n}") for n in range(12)))
        first = await (await alice.post(at(begun), json=sent)).json()
        again = await (await alice.post(at(begun), json=sent)).json()
        assert again == first | {"repeated_count": 12}
        assert (await found(alice, begun["id"]))["version"] == 2
        first_entry, repeat = await audited(database)
        assert first_entry == {"messages": 12, "first_seq": 0, "count": 12, "version": 2}
        assert repeat == {"messages": 0, "repeated": 12, "first_seq": 12, "count": 0, "version": 2}

    async def test_only_the_new_are_stored_beside_the_repeated(
        self, alice: HttpClient, database: Any, constants: pytest.MonkeyPatch
    ) -> None:
        tiny_bounds(constants)
        begun = await begin(alice, messages=[message(str(n), id=f"m{n}") for n in range(12)])
        sent = [message(str(n), id=f"m{n}") for n in (0, 5, 11, 12, 13)]
        body = await (await alice.post(at(begun), json=batch(*sent))).json()
        assert (body["repeated_count"], body["total_messages"]) == (3, 14)
        assert [each["seq"] for each in body["messages"]] == [0, 5, 11, 12, 13]
        assert (await stored(database, begun["id"])).contents == [str(n) for n in range(14)]

    async def test_overlapping_batches_at_once_store_each_message_once(
        self, alice: HttpClient, database: Any, constants: pytest.MonkeyPatch
    ) -> None:
        tiny_bounds(constants)
        begun = await begin(alice)
        posts = [
            alice.post(
                at(begun), json=batch(*(message(str(n), id=f"m{n}") for n in range(k, k + 10)))
            )
            for k in range(20)
        ]
        assert {answer.status for answer in await asyncio.gather(*posts)} == {200}
        lies = await stored(database, begun["id"])
        assert sorted(map(int, lies.contents)) == list(range(29))
