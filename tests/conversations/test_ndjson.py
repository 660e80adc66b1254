"""Streaming a whole conversation, one message a line."""

import asyncio
import tracemalloc
from typing import Any

import aiohttp
import orjson
import pytest

from chatvault.access import Access
from chatvault.conversations.commits.garbage import sweep
from chatvault.conversations.commits.queue import CommitQueue
from chatvault.conversations.reading import pages as reading
from chatvault.conversations.routes import COMMITS
from chatvault.conversations.schemas import ConversationCreate
from chatvault.conversations.service import create
from chatvault.conversations.store import MessageStore
from conftest import HttpClient
from support.answers import found
from support.factories import begin, message
from support.stored import somebody, tiny_bounds

NDJSON = {"Accept": "application/x-ndjson"}


def at(conversation: dict[str, Any]) -> str:
    return f"/conversations/{conversation['id']}/messages"


async def lines(answer: aiohttp.ClientResponse) -> list[dict[str, Any]]:
    assert answer.status == 200
    assert answer.content_type == "application/x-ndjson"
    return [orjson.loads(line) for line in (await answer.read()).splitlines()]


class TestStream:
    @pytest.mark.parametrize("count", [0, 1, 40, 1000])
    async def test_has_every_message_in_order(
        self, alice: HttpClient, database: Any, count: int
    ) -> None:
        begun = await begin(alice, messages=[message(f"{n}\n\u2028", n=n) for n in range(count)])
        assert await lines(await alice.get(at(begun), headers=NDJSON)) == begun["messages"]
        wanted = {"action": "conversation.list_messages"}
        [entry] = await database["audit_logs"].find(wanted).to_list()
        assert entry["details"] == {"messages": count, "streamed": True}

    async def test_leaves_out_removed_messages(
        self, alice: HttpClient, constants: pytest.MonkeyPatch
    ) -> None:
        tiny_bounds(constants)
        begun = await begin(alice, messages=[message(str(n), id=f"m{n}") for n in range(30)])
        for number in (0, 3, 4, 5, 6, 7, 8, 29):
            await alice.delete(f"{at(begun)}/m{number}")
        streamed = await lines(await alice.get(at(begun), headers=NDJSON))
        assert streamed == (await found(alice, begun["id"]))["messages"]
        assert len(streamed) == 22

    async def test_does_not_include_messages_that_arrive_meanwhile(
        self, http: HttpClient, alice: HttpClient, constants: pytest.MonkeyPatch
    ) -> None:
        tiny_bounds(constants)
        begun = await begin(alice, messages=[message(str(n)) for n in range(60)])
        done = asyncio.Event()

        async def write() -> None:
            for number in range(60, 140):
                await alice.post(at(begun), json=message(str(number)))
            done.set()

        async def read() -> None:
            while not done.is_set():
                streamed = await lines(await alice.get(at(begun), headers=NDJSON))
                assert [each["seq"] for each in streamed] == list(range(len(streamed)))
                assert [int(each["content"]) for each in streamed] == list(range(len(streamed)))

        await asyncio.gather(write(), read(), read())
        assert http.app is not None
        await http.app[COMMITS].drain()

    async def test_continues_after_a_replacement_until_the_garbage_collection(
        self, alice: HttpClient, database: Any, constants: pytest.MonkeyPatch
    ) -> None:
        tiny_bounds(constants)
        begun = await begin(alice, messages=[message(str(n)) for n in range(60)])
        walk = reading._walk
        replaced = False

        async def walk_slowly(*args: Any, **more: Any) -> Any:
            nonlocal replaced
            async for run in walk(*args, **more):
                yield run
                if not replaced:
                    replaced = True
                    path = f"/conversations/{begun['id']}"
                    await alice.put(path, json={"messages": [message("new")]})

        constants.setattr(reading, "_walk", walk_slowly)
        streamed = await lines(await alice.get(at(begun), headers=NDJSON))
        assert [each["content"] for each in streamed] == [str(n) for n in range(60)]

    async def test_is_aborted_if_it_cannot_be_completed(
        self, alice: HttpClient, database: Any, constants: pytest.MonkeyPatch
    ) -> None:
        tiny_bounds(constants)
        begun = await begin(alice, messages=[message(str(n)) for n in range(60)])
        walk = reading._walk
        runs = 0

        async def walk_into_the_sweeper(*args: Any, **more: Any) -> Any:
            nonlocal runs
            async for run in walk(*args, **more):
                yield run
                runs += 1
                if runs == 5:
                    gone = f"/conversations/{begun['id']}?permanent=true"
                    await alice.delete(gone)
                    await database["retired"].update_many({}, {"$currentDate": {"due_at": True}})
                    await asyncio.sleep(0.05)
                    await sweep(MessageStore())

        constants.setattr(reading, "_walk", walk_into_the_sweeper)
        answer = await alice.get(at(begun), headers=NDJSON)
        with pytest.raises(aiohttp.ClientError):
            await answer.read()
        mine = {"request_id": answer.headers["X-Request-ID"]}
        [entry] = await database["audit_logs"].find(mine).to_list()
        assert entry["outcome"] == "success"


class TestMemory:
    async def test_is_that_of_a_few_messages(self, http: HttpClient) -> None:
        actor, commits = somebody(), CommitQueue(MessageStore())
        content = "x" * 1024 * 1000
        wanted = ConversationCreate.model_validate({"messages": [message(content)] * 60})
        begun = await create(actor, commits, wanted=wanted)
        del wanted, content
        conversation = await commits.store.find_conversation(Access.of(actor), begun)
        assert conversation is not None
        tracemalloc.start()
        try:
            count = 0
            async for run in reading.stream(Access.of(actor), commits.store, conversation):
                count += len(run)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert count == 60
        assert peak < 12 * 1024**2
