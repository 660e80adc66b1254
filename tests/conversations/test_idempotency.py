"""Idempotency-Key: a repeat is answered as the first was, and does nothing."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import bson
import pytest
from aiohttp import ClientResponse, web

from chatvault.conversations.commits.queue import CommitQueue
from conftest import HttpClient
from support.answers import found, problem, wrong_fields
from support.factories import begin, message
from support.stored import tiny_bounds

KEY = {"Idempotency-Key": "11f0-key"}
MINIMAL = {"Prefer": "return=minimal"}


def at(conversation: dict[str, Any], suffix: str = "") -> str:
    return f"/conversations/{conversation['id']}/messages{suffix}"


async def entries(database: Any, action: str) -> list[Any]:
    found = (
        await database["audit_logs"]
        .find({"action": action, "outcome": "success"})
        .sort("_id")
        .to_list()
    )
    return [each["details"] for each in found]


async def left_by(database: Any, answer: ClientResponse) -> list[tuple[str, str | None]]:
    """The outcomes and codes of the entries that a request left."""
    mine = {"request_id": answer.headers["X-Request-ID"]}
    found = await database["audit_logs"].find(mine).sort("_id").to_list()
    return [(entry["outcome"], entry["code"]) for entry in found]


class TestCreate:
    async def test_a_repeat_creates_nothing(self, alice: HttpClient, database: Any) -> None:
        body = {"title": "T", "messages": [message("a"), message("b")]}
        first = await alice.post("/conversations", json=body, headers=KEY)
        again = await alice.post("/conversations", json=body, headers=KEY)
        assert (first.status, again.status) == (201, 201)
        assert await again.json() == await first.json()
        assert again.headers["Location"] == first.headers["Location"]
        assert again.headers["ETag"] == first.headers["ETag"]
        assert await database["conversations"].count_documents({}) == 1
        details = await entries(database, "conversation.create")
        told = {"version": 1, "first_seq": 0, "count": 2}
        assert details == [{"messages": 2, **told}, {"replayed": True}]

    async def test_a_repeat_of_a_large_one_leaves_only_garbage(
        self, alice: HttpClient, database: Any, constants: pytest.MonkeyPatch
    ) -> None:
        tiny_bounds(constants)
        body = {"messages": [message(str(n)) for n in range(30)]}
        first = await (await alice.post("/conversations", json=body, headers=KEY)).json()
        again = await (await alice.post("/conversations", json=body, headers=KEY)).json()
        assert first == again
        assert await database["conversations"].count_documents({}) == 1
        assert await database["retired"].count_documents({}) == 1

    async def test_a_repeat_after_the_deletion_answers_404_with_one_entry(
        self, alice: HttpClient, database: Any
    ) -> None:
        first = await (await alice.post("/conversations", json={}, headers=KEY)).json()
        await alice.delete(f"/conversations/{first['id']}")
        again = await alice.post("/conversations", json={}, headers=KEY)
        await problem(again, 404, "not_found")
        assert await (await alice.get("/conversations")).json() == []
        assert await left_by(database, again) == [("denied", "not_found")]

    async def test_a_repeat_does_not_need_its_agent_any_more(self, alice: HttpClient) -> None:
        agent = await (await alice.post("/agents", json={"name": "A"})).json()
        body = {"agent_id": agent["id"]}
        first = await alice.post("/conversations", json=body, headers=KEY)
        await alice.delete(f"/agents/{agent['id']}")
        again = await alice.post("/conversations", json=body, headers=KEY)
        assert again.status == 201
        assert await again.json() == await first.json()
        other = await alice.post("/conversations", json=body, headers={"Idempotency-Key": "x"})
        await problem(other, 404, "not_found")


class TestAppend:
    @pytest.mark.parametrize("headers", [{}, MINIMAL])
    async def test_a_repeat_stores_nothing(
        self, alice: HttpClient, database: Any, headers: dict[str, str]
    ) -> None:
        begun = await begin(alice)
        first = await alice.post(at(begun), json=message("once"), headers=KEY | headers)
        again = await alice.post(at(begun), json=message("once"), headers=KEY | headers)
        assert (first.status, again.status) == (200, 200)
        assert await again.json() == await first.json()
        assert again.headers["ETag"] == first.headers["ETag"]
        assert (await found(alice, begun["id"]))["total_messages"] == 1
        details = await entries(database, "conversation.append_message")
        told = {"version": 2, "first_seq": 0, "count": 1}
        assert details == [{"messages": 1, **told}, {"replayed": True}]

    async def test_a_repeat_after_more_messages_returns_the_first(
        self, alice: HttpClient, constants: pytest.MonkeyPatch
    ) -> None:
        tiny_bounds(constants)
        begun = await begin(alice)
        first = await alice.post(at(begun), json=message("once"), headers=KEY | MINIMAL)
        for number in range(30):
            await alice.post(at(begun), json=message(str(number)))
        again = await alice.post(at(begun), json=message("once"), headers=KEY | MINIMAL)
        assert await again.json() == await first.json()
        assert again.headers["ETag"] == first.headers["ETag"]
        assert (await found(alice, begun["id"]))["total_messages"] == 31

    async def test_a_repeat_with_a_client_id_answers_as_the_first_time(
        self, alice: HttpClient
    ) -> None:
        begun = await begin(alice)
        body = {"messages": [message("a", id="a"), message("b", id="b")]}
        first = await (await alice.post(at(begun, ":batch"), json=body, headers=KEY)).json()
        again = await (await alice.post(at(begun, ":batch"), json=body, headers=KEY)).json()
        assert again == first
        assert again["repeated_count"] == 0

    async def test_a_repeat_of_a_regeneration_replaces_nothing_again(
        self, alice: HttpClient
    ) -> None:
        begun = await begin(alice, messages=[message("q"), message("old", "assistant", id="a")])
        new = message("new", "assistant", replaces="a")
        first = await alice.post(at(begun), json=new, headers=KEY | MINIMAL)
        again = await alice.post(at(begun), json=new, headers=KEY | MINIMAL)
        assert await again.json() == await first.json()
        assert len(await (await alice.get(at(begun, "/a/revisions"))).json()) == 1

    @pytest.mark.parametrize("headers", [{}, MINIMAL])
    async def test_a_repeat_after_the_deletion_leaves_one_entry(
        self, alice: HttpClient, database: Any, headers: dict[str, str]
    ) -> None:
        begun = await begin(alice)
        await alice.post(at(begun), json=message("once"), headers=KEY | headers)
        await alice.delete(f"/conversations/{begun['id']}")
        again = await alice.post(at(begun), json=message("once"), headers=KEY | headers)
        await problem(again, 404, "not_found")
        assert await left_by(database, again) == [("denied", "not_found")]

    async def test_a_repeat_of_an_older_message_is_audited_correctly(
        self, alice: HttpClient, database: Any, constants: pytest.MonkeyPatch
    ) -> None:
        tiny_bounds(constants)
        begun = await begin(alice)
        body = message("once", id="a")
        await alice.post(at(begun), json=body, headers=KEY)
        for number in range(12):
            await alice.post(at(begun), json=message(str(number)))
        assert await database["segments"].count_documents({"messages.id": "a"}) == 1
        there = await alice.post(at(begun), json=body, headers=KEY | MINIMAL)
        await alice.delete(at(begun, "/a"))
        gone = await alice.post(at(begun), json=body, headers=KEY | MINIMAL)
        assert (there.status, gone.status) == (200, 404)
        assert await left_by(database, there) == [("success", None)]
        assert await left_by(database, gone) == [("denied", "not_found")]

    @pytest.mark.parametrize("way", ["removed", "replaced"])
    async def test_a_repeat_does_not_restore_a_removed_message(
        self, alice: HttpClient, database: Any, way: str
    ) -> None:
        begun = await begin(alice)
        body = message("once", id="a")
        await alice.post(at(begun), json=body, headers=KEY | MINIMAL)
        if way == "removed":
            await alice.delete(at(begun, "/a"))
        else:
            await alice.put(f"/conversations/{begun['id']}", json={"messages": []})
        minimal = await alice.post(at(begun), json=body, headers=KEY | MINIMAL)
        await problem(minimal, 404, "not_found")
        assert await left_by(database, minimal) == [("denied", "not_found")]
        full = await alice.post(at(begun), json=body, headers=KEY)
        assert (await full.json())["messages"] == []
        assert await left_by(database, full) == [("success", None)]

    async def test_a_repeat_during_a_replacement_leaves_one_entry(
        self, alice: HttpClient, database: Any, constants: pytest.MonkeyPatch
    ) -> None:
        begun = await begin(alice)
        body = message("once", id="a")
        await alice.post(at(begun), json=body, headers=KEY | MINIMAL)
        submit = CommitQueue.submit

        async def replace_after(commits: CommitQueue, change: Any) -> Any:
            answer = await submit(commits, change)
            if change.idempotent is not None:
                await alice.put(f"/conversations/{begun['id']}", json={"messages": []})
            return answer

        constants.setattr(CommitQueue, "submit", replace_after)
        again = await alice.post(at(begun), json=body, headers=KEY | MINIMAL)
        assert again.status == 200
        shown = (await again.json())["message"]
        assert (shown["id"], shown["content"], shown["seq"]) == ("a", "once", 0)
        assert await left_by(database, again) == [("success", None)]

    async def test_a_repeat_of_a_batch_returns_the_remaining_messages(
        self, alice: HttpClient, constants: pytest.MonkeyPatch
    ) -> None:
        tiny_bounds(constants)
        begun = await begin(alice)
        body = {"messages": [message(str(n), id=f"m{n}") for n in range(20)]}
        first = await (await alice.post(at(begun, ":batch"), json=body, headers=KEY)).json()
        await alice.delete(at(begun, "/m3"))
        again = await (await alice.post(at(begun, ":batch"), json=body, headers=KEY)).json()
        del first["messages"][3]
        assert again == first

    async def test_a_refusal_is_not_remembered(self, alice: HttpClient) -> None:
        begun = await begin(alice, messages=[message("x", id="a")])
        refused = await alice.post(at(begun), json=message("y", id="a"), headers=KEY)
        await problem(refused, 409, "message_id_taken")
        answer = await alice.post(at(begun), json=message("z", id="b"), headers=KEY)
        assert answer.status == 200


class TestOnce:
    @pytest.mark.parametrize("suffix", ["", ":batch"])
    async def test_twenty_concurrent_repeats_store_one_message(
        self, alice: HttpClient, elsewhere: HttpClient, database: Any, suffix: str
    ) -> None:
        begun = await begin(alice)
        body = message("once") if not suffix else {"messages": [message("once"), message("x")]}
        posts = [
            (alice, elsewhere)[n % 2].post(at(begun, suffix), json=body, headers=KEY | MINIMAL)
            for n in range(20)
        ]
        answers = await asyncio.gather(*posts)
        assert {answer.status for answer in answers} == {200}
        bodies = [await answer.json() for answer in answers]
        assert all(each == bodies[0] for each in bodies)
        assert len((await found(alice, begun["id"]))["messages"]) == (2 if suffix else 1)
        action = f"conversation.append_message{'s' if suffix else ''}"
        details = await entries(database, action)
        assert len(details) == 20
        assert details.count({"replayed": True}) == 19

    async def test_twenty_concurrent_repeats_create_one_conversation(
        self, alice: HttpClient, elsewhere: HttpClient, database: Any
    ) -> None:
        body = {"messages": [message("once")]}
        posts = [
            (alice, elsewhere)[n % 2].post("/conversations", json=body, headers=KEY)
            for n in range(20)
        ]
        answers = await asyncio.gather(*posts)
        assert {answer.status for answer in answers} == {201}
        assert len({(await answer.json())["id"] for answer in answers}) == 1
        assert await database["conversations"].count_documents({}) == 1
        assert await database["idempotency_records"].count_documents({}) == 1

    async def test_another_process_recognises_a_repeat(
        self, alice: HttpClient, elsewhere: HttpClient
    ) -> None:
        begun = await begin(alice)
        first = await alice.post(at(begun), json=message("once"), headers=KEY | MINIMAL)
        again = await elsewhere.post(at(begun), json=message("once"), headers=KEY | MINIMAL)
        assert await again.json() == await first.json()


class TestKey:
    async def test_with_another_body_is_refused(self, alice: HttpClient, database: Any) -> None:
        begun = await begin(alice)
        for path, one, other in (
            ("/conversations", {}, {"title": "x"}),
            (at(begun), message("a"), message("b")),
            (at(begun, ":batch"), {"messages": [message("a")]}, {"messages": [message("b")]}),
        ):
            first = await alice.post(path, json=one, headers=KEY)
            assert first.status in {200, 201}
            refused = await alice.post(path, json=other, headers=KEY)
            await problem(refused, 422, "idempotency_key_reused")
        assert (await found(alice, begun["id"]))["total_messages"] == 2
        assert await database["conversations"].count_documents({}) == 2

    async def test_is_valid_for_its_route_and_conversation_only(self, alice: HttpClient) -> None:
        one, two = await begin(alice), await begin(alice)
        assert (await alice.post(at(one), json=message("a"), headers=KEY)).status == 200
        assert (await alice.post(at(two), json=message("b"), headers=KEY)).status == 200
        batch = {"messages": [message("c")]}
        assert (await alice.post(at(one, ":batch"), json=batch, headers=KEY)).status == 200
        assert (await alice.post("/conversations", json={}, headers=KEY)).status == 201
        assert (await found(alice, one["id"]))["total_messages"] == 2
        assert (await found(alice, two["id"]))["total_messages"] == 1

    async def test_is_valid_for_its_owner_only(
        self, alice: HttpClient, bob: HttpClient, database: Any
    ) -> None:
        hers = await (await alice.post("/conversations", json={"title": "a"}, headers=KEY)).json()
        his = await (await bob.post("/conversations", json={"title": "b"}, headers=KEY)).json()
        assert (hers["title"], his["title"]) == ("a", "b")
        assert hers["user_id"] != his["user_id"]

    async def test_gives_a_stranger_no_access(self, alice: HttpClient, bob: HttpClient) -> None:
        begun = await begin(alice)
        await alice.post(at(begun), json=message("a"), headers=KEY)
        await problem(await bob.post(at(begun), json=message("a"), headers=KEY), 404, "not_found")

    async def test_may_be_quoted_as_in_the_draft(self, alice: HttpClient) -> None:
        begun = await begin(alice)
        for key in ("k1", '"k1"'):
            await alice.post(at(begun), json=message("a"), headers={"Idempotency-Key": key})
        assert (await found(alice, begun["id"]))["total_messages"] == 1

    @pytest.mark.parametrize("key", ["", " ", "a b", "é", "x" * 256])
    async def test_must_be_plain(self, alice: HttpClient, key: str) -> None:
        answer = await alice.post("/conversations", json={}, headers={"Idempotency-Key": key})
        assert await wrong_fields(answer) == [["header", "Idempotency-Key"]]
        assert await (await alice.get("/conversations")).json() == []


class TestRecord:
    async def test_contains_no_message_text(self, alice: HttpClient, database: Any) -> None:
        secret = "ZEBRA-WORDS"
        body = {
            "title": secret,
            "metadata": {secret: secret},
            "tags": [secret],
            "messages": [message(secret, mood=secret, model=secret)],
        }
        begun = await (await alice.post("/conversations", json=body, headers=KEY)).json()
        await alice.post(at(begun), json=message(secret, mood=secret), headers=KEY)
        batch = {"messages": [message(secret), message(secret, metrics={secret: 1})]}
        await alice.post(at(begun, ":batch"), json=batch, headers=KEY)
        records = await database["idempotency_records"].find({}).to_list()
        assert len(records) == 3
        for record in records:
            assert secret.encode() not in bson.encode(record)
            assert record.keys() == {
                "_id",
                "user_id",
                "route",
                "key",
                "body_hash",
                "result",
                "expires_at",
            }
            assert len(record["body_hash"]) == 32
            left = record["expires_at"] - datetime.now(UTC)
            assert timedelta(hours=23) < left <= timedelta(days=1)

    async def test_is_removed_by_a_ttl_index(self, http: HttpClient, database: Any) -> None:
        indexes = await database["idempotency_records"].index_information()
        assert [
            index["key"] for index in indexes.values() if index.get("expireAfterSeconds") == 0
        ] == [[("expires_at", 1)]]
        assert indexes["key_unique"]["unique"] is True

    async def test_is_only_stored_with_the_change(self, alice: HttpClient, database: Any) -> None:
        begun = await begin(alice, messages=[message("x", id="a")])
        await alice.post(at(begun), json=message("y", id="a"), headers=KEY)
        await alice.post(at(begun), json={"role": "user"}, headers=KEY)
        assert await database["idempotency_records"].count_documents({}) == 0


class TestApp:
    async def test_the_second_instance_has_its_own_queue(
        self, app: web.Application, elsewhere: HttpClient
    ) -> None:
        assert elsewhere.app is not app
