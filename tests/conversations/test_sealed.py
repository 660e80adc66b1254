"""Sealed content: bound to its place, mixed with readable content, shown where it is damaged."""

import json
from typing import Any

import pytest
from aiohttp import web
from bson import ObjectId
from yarl import URL

from chatvault.conversations.codec import PlainCodec
from chatvault.conversations.commits.queue import CommitQueue
from chatvault.conversations.lists import ordered
from chatvault.conversations.lists.ordered import letters_of
from chatvault.conversations.routes import COMMITS, STORE
from chatvault.conversations.sealed import SealedCodec
from chatvault.conversations.store import MessageStore
from conftest import HttpClient
from support.answers import found, problem
from support.codecs import sealing
from support.factories import begin, message
from support.stored import stored, tiny_bounds


@pytest.fixture
def store(app: web.Application) -> MessageStore:
    return app[STORE]


@pytest.fixture
def commits(app: web.Application) -> CommitQueue:
    return app[COMMITS]


@pytest.fixture(autouse=True)
def codec(store: MessageStore, constants: pytest.MonkeyPatch) -> SealedCodec:
    tiny_bounds(constants)
    codec = sealing()
    constants.setattr(store, "codec", codec)
    return codec


def numbered(count: int) -> list[dict[str, Any]]:
    return [message(f"word {n}", id=f"m{n}", own="mine") for n in range(count)]


def contents(shown: dict[str, Any]) -> list[str]:
    return [each["content"] for each in shown["messages"]]


async def document_of(database: Any, one: dict[str, Any]) -> dict[str, Any]:
    document: dict[str, Any] = await database["conversations"].find_one(
        {"_id": ObjectId(one["id"])}
    )
    return document


async def set_in(database: Any, one: dict[str, Any], **fields: Any) -> None:
    """Change a conversation's document by hand."""
    which = {"_id": ObjectId(one["id"])}
    await database["conversations"].update_one(which, {"$set": fields})


class TestDamage:
    """A value that was changed or copied does not open, and the rest does."""

    @pytest.fixture
    async def one(self, alice: HttpClient) -> dict[str, Any]:
        return await begin(alice, title="Mine", messages=numbered(3))

    async def test_by_a_copy_from_elsewhere(
        self, alice: HttpClient, bob: HttpClient, one: dict[str, Any], database: Any
    ) -> None:
        other = await begin(alice, title="Other", messages=numbered(3))
        foreign = await begin(bob, title="Theirs", messages=numbered(3))
        mine = await document_of(database, one)
        copies = [
            mine["messages"][0]["c"],
            (await document_of(database, other))["messages"][1]["c"],
            (await document_of(database, foreign))["messages"][1]["c"],
            b"",
            b"\1" * 200,
        ]
        for copy in copies:
            await set_in(database, one, **{"messages.1.c": copy})
            for _ in range(2):
                shown = await found(alice, one["id"])
                assert contents(shown) == ["word 0", "", "word 2"]
                assert shown["messages"][1]["unreadable"] is True
                assert shown["messages"][1].keys() == {
                    *("id", "seq", "role", "timestamp", "content", "unreadable")
                }
        entries = await database["audit_logs"].find({"action": "vault.damage"}).to_list()
        assert len(entries) == len(copies)
        assert {each["resource_id"] for each in entries} == {one["id"]}

    async def test_is_kept_as_it_is_and_can_be_deleted(
        self, commits: CommitQueue, alice: HttpClient, one: dict[str, Any], database: Any
    ) -> None:
        await set_in(database, one, **{"messages.1.c": b"\1" * 50})
        path = f"/conversations/{one['id']}/messages"
        answer = await alice.patch(f"{path}/m1", json={"content": "new"})
        await problem(answer, 409, "message_unreadable")
        assert (await alice.patch(f"{path}/m0", json={"content": "new"})).status == 200
        for n in range(3, 12):
            assert (await alice.post(path, json=message(f"word {n}", id=f"m{n}"))).status == 200
        await commits.drain()
        segment = await database["segments"].find_one({"messages.id": "m1"})
        [kept] = [each for each in segment["messages"] if each["id"] == "m1"]
        assert kept["c"] == b"\1" * 50
        expected = ["new", "", *(f"word {n}" for n in range(2, 12))]
        assert contents(await found(alice, one["id"])) == expected
        answer = await alice.patch(f"{path}/m0", json={"content": "newer"})
        assert answer.status == 200

        assert (await alice.delete(f"{path}/m1")).status == 204

        expected = ["newer", *(f"word {n}" for n in range(2, 12))]
        assert contents(await found(alice, one["id"])) == expected

    async def test_of_a_run_leaves_other_runs_readable(
        self, store: MessageStore, commits: CommitQueue, alice: HttpClient, database: Any
    ) -> None:
        one = await begin(alice, messages=numbered(12))
        await commits.drain()
        first, second = await database["segments"].find().sort("start", 1).limit(2).to_list()
        swapped = {"$set": {"runs": second["runs"]}}
        await database["segments"].update_one({"_id": first["_id"]}, swapped)
        store.rendered.clear()

        shown = await found(alice, one["id"])

        assert contents(shown) == ["", "", "", *(f"word {n}" for n in range(3, 12))]
        assert [each["unreadable"] for each in shown["messages"][:3]] == [True] * 3
        path = f"/conversations/{one['id']}/messages"
        await problem(
            await alice.patch(f"{path}/m1", json={"content": "x"}), 409, "message_unreadable"
        )
        assert (await alice.delete(f"{path}/m1")).status == 204
        assert [each["id"] for each in (await found(alice, one["id"]))["messages"]][:2] == [
            "m0",
            "m2",
        ]
        # A place within the run that names another message.
        await database["segments"].update_one(
            {"_id": second["_id"]}, {"$set": {"messages.0.id": "other"}}
        )
        answer = await alice.get(f"{path}?after=2&limit=2")
        page = (await answer.json())["messages"]
        assert [(each["id"], each["content"]) for each in page] == [("other", ""), ("m4", "word 4")]

    async def test_of_other_fields_and_of_revisions(
        self, alice: HttpClient, one: dict[str, Any], database: Any
    ) -> None:
        path = f"/conversations/{one['id']}"
        answer = await alice.patch(path, json={"metadata": {"a": 1}, "system_prompt": "Be kind"})
        assert answer.status == 200
        await alice.patch(f"{path}/messages/m1", json={"content": "new"})
        document = await document_of(database, one)
        assert {type(document[each]) for each in ("title", "metadata", "system_prompt")} == {bytes}
        copies = {"title": document["system_prompt"], "system_prompt": document["title"]}
        await set_in(database, one, metadata=b"", **copies)
        await database["revisions"].update_one({}, {"$set": {"seq": 0}})

        shown = await found(alice, one["id"])
        answer = await alice.get(f"{path}/messages/m1/revisions")

        assert (shown["title"], shown["metadata"], shown["system_prompt"]) == (
            "[unreadable]", {}, None,
        )  # fmt: skip
        [revision] = await answer.json()
        assert revision["message"]["unreadable"] is True
        assert (await alice.patch(path, json={"tags": ["a"]})).status == 200
        assert (await document_of(database, one))["title"] == copies["title"]


class TestWrites:
    async def test_leave_the_bytes_of_other_messages(
        self, alice: HttpClient, database: Any
    ) -> None:
        one = await begin(alice, messages=numbered(4))
        before = await document_of(database, one)

        path = f"/conversations/{one['id']}/messages"
        assert (await alice.patch(f"{path}/m2", json={"content": "new"})).status == 200

        after = await document_of(database, one)
        same = [
            old["c"] == new["c"]
            for old, new in zip(before["messages"], after["messages"], strict=True)
        ]
        assert same == [True, True, False, True]
        assert after["title"] == before["title"]

    async def test_leave_nothing_readable_of_what_was_deleted(
        self, commits: CommitQueue, alice: HttpClient, codec: SealedCodec, database: Any
    ) -> None:
        one = await begin(alice, messages=numbered(12))
        await commits.drain()
        path = f"/conversations/{one['id']}/messages"
        for name in ("m1", "m11"):
            assert (await alice.delete(f"{path}/{name}")).status == 204

        lies = await stored(database, one["id"], codec)

        assert lies.contents == [f"word {n}" for n in (0, *range(2, 11))]
        segment = await database["segments"].find_one({"messages.id": "m1"})
        codec.decode_segment(segment)
        assert segment["messages"][1] == {"id": "m1", "deleted": True}


class TestBothForms:
    async def test_are_read_and_written_message_by_message(
        self,
        store: MessageStore,
        commits: CommitQueue,
        alice: HttpClient,
        codec: SealedCodec,
        database: Any,
    ) -> None:
        off = SealedCodec(codec.keys, seals=False)
        plain: Any
        for first, second in ((PlainCodec(), codec), (codec, off)):
            store.codec = plain = first
            one = await begin(alice, title="A title", messages=numbered(5))
            await commits.drain()
            store.codec = plain = second
            path = f"/conversations/{one['id']}/messages"
            for n in range(5, 12):
                answer = await alice.post(path, json=message(f"word {n}", id=f"m{n}", own="mine"))
                assert answer.status == 200
            await commits.drain()
            for name in ("m1", "m3", "m7", "m11", "m1"):
                answer = await alice.patch(f"{path}/{name}", json={"content": f"new {name}"})
                assert answer.status == 200, await answer.text()
            shown = await found(alice, one["id"])
            edited = {1, 3, 7, 11}
            expected = [f"new m{n}" if n in edited else f"word {n}" for n in range(12)]
            assert contents(shown) == expected
            assert {each["own"] for each in shown["messages"]} == {"mine"}
            assert shown["title"] == "A title"
            assert (await stored(database, one["id"], plain)).contents == expected
            answer = await alice.get(f"{path}/m1/revisions")
            assert [each["message"]["content"] for each in await answer.json()] == [
                "word 1",
                "new m1",
            ]

    async def test_of_another_process_are_read_at_once(
        self, store: MessageStore, alice: HttpClient
    ) -> None:
        one = await begin(alice, messages=numbered(2))
        store.codec = sealing()

        assert contents(await found(alice, one["id"])) == ["word 0", "word 1"]


class TestMetadata:
    async def test_keeps_the_order_of_its_names(self, alice: HttpClient, database: Any) -> None:
        free = {"z": 1, "_id": {"b": 1, "_id": 2}, "a": 3}

        one = await begin(alice, metadata=free)

        assert isinstance((await document_of(database, one))["metadata"], bytes)
        assert json.dumps((await found(alice, one["id"]))["metadata"]) == json.dumps(free)


class TestTitles:
    async def test_are_sorted_by_letters(self, alice: HttpClient) -> None:
        titles = ["zebra", "Äpfel", "apple", "Apple", "banana", "Zoo", "10", "éclair", ""]
        for title in titles:
            await begin(alice, title=title or "x")
        listed: list[str] = []
        path: URL | None = URL("/conversations?sort=title&limit=4")
        while path:
            answer = await alice.get(path)
            assert answer.status == 200
            listed += [each["title"] for each in await answer.json()]
            following = answer.links.get("next")
            path = URL(following["url"]).relative() if following else None

        expected = ["10", "Äpfel", "apple", "Apple", "banana", "éclair", "x", "zebra", "Zoo"]
        assert sorted(listed) == sorted(expected)
        assert listed == sorted(expected, key=letters_of)
        assert [each for each in listed if each.lower() == "apple"] == ["apple", "Apple"]

    async def test_are_refused_if_they_are_too_many(
        self, alice: HttpClient, constants: pytest.MonkeyPatch
    ) -> None:
        constants.setattr(ordered, "MOST_TITLES", 1)
        for _ in range(2):
            await begin(alice)

        await problem(await alice.get("/conversations?sort=title"), 422, "too_many_to_sort")
