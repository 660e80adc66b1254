"""Replacing all messages by many, and what others may do meanwhile."""

import asyncio
from typing import Any

import pytest
from pymongo.errors import AutoReconnect

from chatvault.conversations import creation, service
from chatvault.conversations.commits import bulk
from chatvault.conversations.commits.queue import CommitQueue
from chatvault.conversations.messages import append_service
from chatvault.conversations.messages.append_service import Appended
from chatvault.conversations.preconditions import Precondition
from chatvault.conversations.routes import COMMITS
from chatvault.conversations.schemas import ConversationCreate, ConversationUpdate, MessageIn
from chatvault.conversations.segments import Segment
from chatvault.conversations.store import MessageStore
from chatvault.errors import MessageIdTaken
from conftest import HttpClient
from support.answers import found, problem
from support.factories import begin, message
from support.stored import begin_large, large, somebody, stored, tiny_bounds

KILOBYTE = 1024


def at(conversation: dict[str, Any]) -> str:
    return f"/conversations/{conversation['id']}"


def numbered(count: int, *, start: int = 0) -> list[dict[str, Any]]:
    return [message(str(n), id=f"m{n}") for n in range(start, start + count)]


async def settled(http: HttpClient) -> None:
    assert http.app is not None
    await http.app[COMMITS].drain()


class TestReplace:
    async def test_stores_five_thousand_in_order_and_continues_the_numbering(
        self, http: HttpClient, alice: HttpClient, database: Any
    ) -> None:
        begun = await begin(alice, messages=numbered(3))
        answer = await alice.put(at(begun), **large({"messages": numbered(5000, start=3)}))
        shown = await answer.json()
        assert answer.status == 200
        assert [each["content"] for each in shown["messages"]] == [str(n) for n in range(3, 5003)]
        assert [each["seq"] for each in shown["messages"]] == list(range(3, 5003))
        assert (shown["total_messages"], shown["version"]) == (5000, 2)
        assert shown["last_message_at"] == shown["updated_at"]
        lies = await stored(database, begun["id"])
        assert len(lies.segments) == 20
        assert await database["retired"].count_documents({}) == 0
        wanted = {"action": "conversation.update", "outcome": "success"}
        [entry] = await database["audit_logs"].find(wanted).to_list()
        told = {"version": 2, "first_seq": 3, "count": 5000, "replaced": True}
        assert entry["details"] == {"fields": ["messages"], "messages": 5000, **told}

        appended = await (await alice.post(f"{at(begun)}/messages", json=message("on"))).json()
        assert appended["messages"][-1]["seq"] == 5003

    @pytest.mark.parametrize("before", [0, 3, 20])
    @pytest.mark.parametrize("after", [0, 1, 5, 6, 30])
    async def test_replaces_any_length_by_any_length(
        self,
        http: HttpClient,
        alice: HttpClient,
        database: Any,
        constants: pytest.MonkeyPatch,
        before: int,
        after: int,
    ) -> None:
        tiny_bounds(constants)
        begun = await begin(alice, messages=numbered(before))
        await settled(http)
        old = await stored(database, begun["id"])
        answer = await alice.put(at(begun), json={"messages": numbered(after, start=100)})
        await settled(http)
        lies = await stored(database, begun["id"])
        assert lies.contents == [str(n) for n in range(100, 100 + after)]
        assert list(lies.messages) == list(range(before, before + after))
        assert (await answer.json())["messages"] == (await found(alice, begun["id"]))["messages"]
        assert lies.document["generation"] != old.document["generation"]
        pending_deletions = await database["retired"].find({}).to_list()
        assert [each["generation"] for each in pending_deletions] == [
            old.document["generation"] for _ in old.segments[:1]
        ]

    async def test_takes_the_new_ids_and_frees_the_old_ones(
        self, alice: HttpClient, constants: pytest.MonkeyPatch
    ) -> None:
        tiny_bounds(constants)
        begun = await begin(alice, messages=numbered(20))
        await alice.put(at(begun), json={"messages": numbered(20, start=10)})
        for number, total in ((3, 21), (12, 21), (29, 21)):
            answer = await alice.post(f"{at(begun)}/messages", json=numbered(1, start=number)[0])
            assert (await answer.json())["total_messages"] == total
        other = await alice.post(f"{at(begun)}/messages", json=message("other", id="m15"))
        await problem(other, 409, "message_id_taken")
        edited = await alice.patch(f"{at(begun)}/messages/m15", json={"content": "edited"})
        assert (await edited.json())["seq"] == 25

    async def test_stores_fields_with_the_messages_or_not_at_all(
        self, alice: HttpClient, constants: pytest.MonkeyPatch
    ) -> None:
        tiny_bounds(constants)
        begun = await begin(alice)
        body = {"messages": numbered(20), "title": "T", "metadata": {"a": 1}}
        stale = await alice.put(at(begun), json=body, headers={"If-Match": '"9"'})
        await problem(stale, 412, "stale_version")
        assert await found(alice, begun["id"]) == begun
        shown = await (await alice.put(at(begun), json=body)).json()
        assert (shown["title"], shown["metadata"], shown["version"]) == ("T", {"a": 1}, 2)


class TestPrecondition:
    async def test_is_needed_to_replace_more_than_one_answer_shows(
        self, alice: HttpClient, database: Any
    ) -> None:
        many = [message(f"{n}" + "x" * 90 * KILOBYTE) for n in range(50)]
        begun = await begin_large(alice, many)
        assert begun["messages_truncated"] is True
        blind = await alice.put(at(begun), json={"messages": [message()]})
        await problem(blind, 428, "precondition_required")
        blind = await alice.put(at(begun), json={"messages": []})
        await problem(blind, 428, "precondition_required")
        assert (await found(alice, begun["id"]))["total_messages"] == 50

        for headers, status in (
            ({"If-Match": '"2"'}, 412),
            ({"If-Match": '"1"'}, 200),
            ({}, 200),
        ):
            answer = await alice.put(at(begun), json={"messages": [message()]}, headers=headers)
            assert answer.status == status
        titled = await alice.put(at(begun), json={"title": "x"})
        assert titled.status == 200

    async def test_is_not_needed_for_other_fields(
        self, alice: HttpClient, constants: pytest.MonkeyPatch
    ) -> None:
        begun = await begin(alice, messages=numbered(5))
        constants.setattr(service, "SURE_BYTES", 10)
        assert (await alice.put(at(begun), json={"title": "x"})).status == 200
        blind = await alice.put(at(begun), json={"messages": []})
        await problem(blind, 428, "precondition_required")
        star = await alice.put(at(begun), json={"messages": []}, headers={"If-Match": "*"})
        assert star.status == 200


class TestConcurrency:
    async def test_appends_and_replacements_lose_nothing_acknowledged(
        self,
        http: HttpClient,
        alice: HttpClient,
        database: Any,
        constants: pytest.MonkeyPatch,
    ) -> None:
        tiny_bounds(constants)
        begun = await begin(alice, messages=numbered(10))
        placed: dict[int, str] = {}

        async def append(number: int) -> None:
            answer = await alice.post(
                f"{at(begun)}/messages",
                json=message(f"a{number}"),
                headers={"Prefer": "return=minimal"},
            )
            shown = (await answer.json())["message"]
            placed[shown["seq"]] = shown["content"]

        async def put(number: int) -> int:
            body = {"messages": [message(f"p{number}.{k}") for k in range(12)]}
            return (await alice.put(at(begun), json=body)).status

        _, statuses = await asyncio.gather(
            asyncio.gather(*(append(n) for n in range(80))),
            asyncio.gather(*(put(n) for n in range(8))),
        )
        assert statuses == [200] * 8
        await settled(http)
        lies = await stored(database, begun["id"])
        first = lies.document["first_seq"]
        later = {seq: text for seq, text in placed.items() if seq >= first + 12}
        assert {seq: lies.messages[seq]["content"] for seq in later} == later
        assert lies.document["next_seq"] == 10 + 80 + 8 * 12
        assert len(lies.messages) == 12 + len(later)
        assert len(set(placed)) == 80

    async def test_an_id_added_by_the_same_batch_is_known(
        self, http: HttpClient, database: Any, constants: pytest.MonkeyPatch
    ) -> None:
        tiny_bounds(constants)
        commits, actor = CommitQueue(MessageStore(), max_batches=1), somebody()
        wanted = ConversationCreate.model_validate({"messages": numbered(3)})
        begun = await service.create(actor, commits, wanted=wanted)
        # Held up, so that all that follows comes into one group.
        blocker = asyncio.create_task(
            service.create(actor, commits, wanted=ConversationCreate.model_validate({}))
        )
        await asyncio.sleep(0)

        async def put() -> int:
            return await service.update(
                actor,
                commits,
                conversation_id=begun,
                wanted=ConversationUpdate.model_validate({"messages": numbered(20, start=50)}),
                precondition=Precondition(),
            )

        async def append(content: str) -> Appended:
            return await append_service.append(
                actor,
                commits,
                conversation_id=begun,
                wanted=[MessageIn.model_validate(message(content, id="m52"))],
            )

        written = bulk.write_generation

        async def write_and_wait(*args: Any) -> Any:
            prepared = await written(*args)
            commits._running.add(blocker)  # type: ignore[arg-type]  # nothing starts until it is out
            return prepared

        constants.setattr(creation, "write_generation", write_and_wait)
        putting = asyncio.create_task(put())
        for _ in range(100):
            await asyncio.sleep(0.002)
            if commits._waiting:
                break
        appending = [asyncio.create_task(append("52")), asyncio.create_task(append("other"))]
        await asyncio.sleep(0)
        await blocker
        commits._running.discard(blocker)
        await commits.drain()
        await putting
        appended = await appending[0]
        with pytest.raises(MessageIdTaken):
            await appending[1]
        assert appended.repeated == 1
        lies = await stored(database, begun)
        assert lies.contents == [str(n) for n in range(50, 70)]


class TestFailedWrite:
    async def test_changes_nothing_and_is_noted_for_deletion(
        self,
        alice: HttpClient,
        database: Any,
        constants: pytest.MonkeyPatch,
    ) -> None:
        tiny_bounds(constants)
        begun = await begin(alice, messages=numbered(10))
        segments = await database["segments"].count_documents({})
        collection = Segment.get_pymongo_collection()
        calls = 0

        class Breaking:
            async def insert_many(self, batch: Any) -> None:
                nonlocal calls
                calls += 1
                if calls == 3:
                    raise AutoReconnect("gone")
                await collection.insert_many(batch)

        with constants.context() as patched:
            patched.setattr(Segment, "get_pymongo_collection", Breaking)
            answer = await alice.put(at(begun), json={"messages": numbered(90, start=100)})
            await problem(answer, 503, "unavailable")

        assert await found(alice, begun["id"]) == begun
        assert await database["segments"].count_documents({}) > segments
        [note] = await database["retired"].find({}).to_list()
        assert (note["conversation_id"], note["swept"]) == (None, False)
        again = await alice.put(at(begun), json={"messages": numbered(90, start=100)})
        assert again.status == 200
