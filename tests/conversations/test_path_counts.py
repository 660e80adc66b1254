"""What is kept of the branches of conversations between the pages of a reader."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from cachetools import LRUCache

from chatvault.conversations.paths import RUNS_KEPT, RUNS_MOVED
from chatvault.conversations.reading import older_runs
from chatvault.conversations.routes import COMMITS
from conftest import HttpClient
from support.factories import begin, message

QUESTIONS = RUNS_KEPT + 3 * RUNS_MOVED


async def begin_branched(alice: HttpClient) -> str:
    """Begin a conversation in which each question has two answers; return its messages' path."""
    messages = []
    for number in range(QUESTIONS):
        parent = {"parent_id": f"b{number - 1}"} if number else {}
        messages += [
            message(f"q{number}", id=f"q{number}", **parent),
            message("other", id=f"a{number}", parent_id=f"q{number}"),
            message(f"b{number}", id=f"b{number}", parent_id=f"q{number}"),
        ]
    return f"/conversations/{(await begin(alice, messages=messages))['id']}/messages"


async def contents(alice: HttpClient, path: str, **place: int) -> list[str]:
    params = {name: str(value) for name, value in place.items()}
    answer = await alice.get(path, params={"limit": "3", **params})
    assert answer.status == 200, await answer.text()
    return [each["content"] for each in (await answer.json())["messages"]]


async def test_are_read_once_for_the_pages_of_a_version(alice: HttpClient, app: Any) -> None:
    path, kept = await begin_branched(alice), app[COMMITS].store.path_counts
    kept.clear()

    assert await contents(alice, path, offset=101) == ["b50", "q51", "b51"]
    [counts] = kept.values()
    assert kept.currsize == len(counts) + 1 > 2
    assert await contents(alice, path, offset=301) == ["b150", "q151", "b151"]
    assert [*kept.values()] == [counts]

    await alice.delete(f"{path}/q0")
    assert await contents(alice, path, offset=101) == ["q51", "b51", "q52"]


async def test_are_not_kept_beyond_the_limit(alice: HttpClient, app: Any) -> None:
    path, store = await begin_branched(alice), app[COMMITS].store
    usual = store.path_counts
    store.path_counts = LRUCache(2, getsizeof=usual.getsizeof)
    try:
        assert await contents(alice, path, offset=101) == ["b50", "q51", "b51"]
        assert store.path_counts.currsize == 0
    finally:
        store.path_counts = usual


@asynccontextmanager
async def queries(database: Any) -> AsyncIterator[list[str]]:
    """Yield a list that has the queries for older runs of the block once it has ended."""
    seen: list[str] = []
    await database.command("profile", 2)
    try:
        yield seen
    finally:
        await database.command("profile", 0)
        found = database["system.profile"].find({"ns": f"{database.name}.paths"})
        seen += [each["op"] for each in await found.to_list()]
        await database["system.profile"].drop()


class TestRuns:
    async def test_are_read_once_for_pages_that_follow_each_other(
        self, alice: HttpClient, app: Any, database: Any
    ) -> None:
        path = await begin_branched(alice)
        app[COMMITS].store.path_runs.clear()
        async with queries(database) as first:
            assert await contents(alice, path, after=182) == ["q61", "b61", "q62"]
        async with queries(database) as following:
            assert await contents(alice, path, after=186) == ["b62", "q63", "b63"]
            assert await contents(alice, path, before=183) == ["b59", "q60", "b60"]
            assert await contents(alice, path, after=188) == ["q63", "b63", "q64"]
            assert await contents(alice, path, around=183) == ["b60", "q61", "b61"]
        assert (first, following) == (["query"], [])

    async def test_are_read_where_they_are_missing(
        self, alice: HttpClient, app: Any, database: Any
    ) -> None:
        path = await begin_branched(alice)
        app[COMMITS].store.path_runs.clear()
        last = 3 * (QUESTIONS - RUNS_KEPT - 1)
        assert await contents(alice, path, after=last - 2) == ["b190", "q191", "b191"]
        async with queries(database) as seen:
            assert await contents(alice, path, after=0) == ["b0", "q1", "b1"]
        assert seen == ["query"]
        assert await contents(alice, path, before=last) == ["b189", "q190", "b190"]

    async def test_are_those_of_the_branch_that_another_process_chose(
        self, alice: HttpClient, elsewhere: HttpClient
    ) -> None:
        path = await begin_branched(alice)
        assert await contents(alice, path, after=298) == ["b99", "q100", "b100"]
        leaf = path.replace("/messages", "/active-leaf")
        answer = await elsewhere.put(leaf, json={"message_id": "a100"})
        assert answer.status == 200, await answer.text()
        assert await contents(alice, path, after=298) == ["b99", "q100", "other"]
        await elsewhere.delete(f"{path}/b99")
        assert await contents(alice, path, after=298) == ["q100", "other"]
        assert await contents(alice, path, before=300) == ["q98", "b98", "q99"]

    async def test_are_hidden_from_others(self, alice: HttpClient, bob: HttpClient) -> None:
        path = await begin_branched(alice)
        assert await contents(alice, path, after=298)
        assert (await bob.get(path, params={"after": "298"})).status == 404

    async def test_are_not_kept_beyond_the_limit(
        self, alice: HttpClient, app: Any, constants: pytest.MonkeyPatch
    ) -> None:
        path, store = await begin_branched(alice), app[COMMITS].store
        constants.setattr(older_runs, "MOST_DOCUMENTS", 2)
        usual = store.path_runs
        store.path_runs = LRUCache(2, getsizeof=usual.getsizeof)
        try:
            for after in (10, 200, 400, 500):
                await alice.post(path, json=message())
                assert len(await contents(alice, path, after=after)) == 3
                assert 1 <= store.path_runs.currsize <= 2
        finally:
            store.path_runs = usual
