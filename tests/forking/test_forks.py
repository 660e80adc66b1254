"""Forks: conversations made from a branch of another one."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from chatvault.actor import Actor
from chatvault.errors import Throttled
from chatvault.forking.queue import AT_ONCE, ForkQueue
from chatvault.mongodb.rates import CounterStorage, Rate
from conftest import HttpClient
from support.answers import problem
from support.factories import begin, message
from support.stored import somebody


async def fork(http: HttpClient, conversation_id: str, **body: Any) -> dict[str, Any]:
    answer = await http.post(f"/conversations/{conversation_id}/fork", json=body)
    assert answer.status == 201, await answer.text()
    made: dict[str, Any] = await answer.json()
    assert answer.headers["Location"] == f"/conversations/{made['id']}"
    return made


def words(conversation: dict[str, Any]) -> list[str]:
    return [each["content"] for each in conversation["messages"]]


async def begin_branched(http: HttpClient) -> str:
    """Begin a conversation of the branches a b c and a b d e, of which the second is shown."""
    begun = await begin(http, title="tree", tags=["t"], metadata={"colour": "red"}, messages=[
        message("a", id="a"), message("b", "assistant", id="b"), message("c", id="c"),
        message("d", id="d", parent_id="b"), message("e", "assistant", id="e"),
    ])  # fmt: skip
    conversation_id: str = begun["id"]
    return conversation_id


class TestFork:
    async def test_has_the_branch_that_is_shown(self, alice: HttpClient) -> None:
        source = await begin_branched(alice)
        made = await fork(alice, source)
        assert words(made) == ["a", "b", "d", "e"]
        assert (made["title"], made["tags"], made["branched"]) == ("tree", ["t"], False)
        link = {"conversation_id": source, "message_id": "e"}
        assert made["metadata"] == {"colour": "red", "forked_from": link}
        assert made["id"] != source
        assert words(await (await alice.get(f"/conversations/{source}")).json()) == words(made)

    async def test_has_another_branch_or_a_part(self, alice: HttpClient) -> None:
        source = await begin_branched(alice)
        assert words(await fork(alice, source, leaf="c")) == ["a", "b", "c"]
        assert words(await fork(alice, source, up_to="d", title="short")) == ["a", "b", "d"]
        assert words(await fork(alice, source, leaf="c", up_to="b")) == ["a", "b"]
        assert words(await fork(alice, source, up_to="c")) == ["a", "b", "c"]
        for body in ({"leaf": "c", "up_to": "d"}, {"up_to": "x"}, {"leaf": "x"}):
            answer = await alice.post(f"/conversations/{source}/fork", json=body)
            await problem(answer, 404, "not_found")

    async def test_continues_by_itself(self, alice: HttpClient) -> None:
        begun = await begin(alice, messages=[message("a", id="a"), message("b", id="b")])
        made = await fork(alice, begun["id"], up_to="a")
        await alice.post(f"/conversations/{made['id']}/messages", json=message("own"))
        await alice.delete(f"/conversations/{begun['id']}")
        left = await (await alice.get(f"/conversations/{made['id']}")).json()
        assert words(left) == ["a", "own"]

    async def test_of_a_long_one_is_written_in_bulk(self, alice: HttpClient, database: Any) -> None:
        many = [message(f"{number}", id=f"m{number}") for number in range(1500)]
        begun = await begin(alice, messages=many)
        made = await fork(alice, begun["id"], up_to="m1299")
        assert made["total_messages"] == 1300
        path = f"/conversations/{made['id']}/messages?before=latest&limit=2"
        page = await (await alice.get(path)).json()
        assert [each["content"] for each in page["messages"]] == ["1298", "1299"]
        [entry] = await database.audit_logs.find({"action": "conversation.fork"}).to_list()
        assert (entry["details"]["first_seq"], entry["details"]["count"]) == (0, 1300)

    async def test_keeps_the_files_that_are_shown(self, alice: HttpClient) -> None:
        begun = await begin(alice)
        files = f"/conversations/{begun['id']}/attachments"
        file = await (await alice.post(files, params={"name": "a.txt"}, data=b"bytes")).json()
        parts = [{"type": "text", "text": "see"}, {"type": "file", "attachment_id": file["id"]}]
        said = message("see", parts=parts)
        await alice.post(f"/conversations/{begun['id']}/messages", json=said)
        made = await fork(alice, begun["id"])
        await alice.delete(f"/conversations/{begun['id']}")
        read = await alice.get(f"/conversations/{made['id']}/attachments/{file['id']}")
        assert await read.read() == b"bytes"

    async def test_is_made_once_for_a_key(self, alice: HttpClient) -> None:
        begun = await begin(alice, messages=[message("a")])
        path, headers = f"/conversations/{begun['id']}/fork", {"Idempotency-Key": "one"}
        first, second = [await alice.post(path, json={}, headers=headers) for _ in range(2)]
        assert (await first.json())["id"] == (await second.json())["id"]

    async def test_of_a_strangers_is_not_found(self, alice: HttpClient, bob: HttpClient) -> None:
        begun = await begin(alice, messages=[message("a")])
        answer = await bob.post(f"/conversations/{begun['id']}/fork", json={})
        await problem(answer, 404, "not_found")


class TestQueue:
    async def test_admits_one_fork_of_a_user_and_few_of_all(self, database: Any) -> None:
        queue = ForkQueue(Rate(CounterStorage(database.counters), name="fork", per_minute=100))
        users = [somebody() for _ in range(AT_ONCE + 2)]
        made: Counter[Actor] = Counter()
        most_of_one = most_of_all = 0

        async def make(user: Actor) -> None:
            nonlocal most_of_one, most_of_all
            async with queue.take(user):
                made[user] += 1
                most_of_one = max(most_of_one, made[user])
                most_of_all = max(most_of_all, made.total())
                await asyncio.sleep(0.001)
                made[user] -= 1

        await asyncio.gather(*(make(user) for user in users * 3))
        assert (most_of_one, most_of_all) == (1, AT_ONCE)

    async def test_refuses_more_than_its_rate(self, database: Any) -> None:
        queue = ForkQueue(Rate(CounterStorage(database.counters), name="fork", per_minute=1))
        one, other = somebody(), somebody()
        async with queue.take(one), queue.take(other):
            pass
        with pytest.raises(Throttled):
            await queue.take(one).__aenter__()
