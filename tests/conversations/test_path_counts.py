"""What is kept of the branches of conversations between the pages of a reader."""

from typing import Any

from cachetools import LRUCache

from chatvault.conversations.paths import RUNS_KEPT, RUNS_MOVED
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


async def contents(alice: HttpClient, path: str, offset: int) -> list[str]:
    answer = await alice.get(path, params={"offset": str(offset), "limit": "3"})
    assert answer.status == 200, await answer.text()
    return [each["content"] for each in (await answer.json())["messages"]]


async def test_are_read_once_for_the_pages_of_a_version(alice: HttpClient, app: Any) -> None:
    path, kept = await begin_branched(alice), app[COMMITS].store.path_counts
    kept.clear()

    assert await contents(alice, path, 101) == ["b50", "q51", "b51"]
    [counts] = kept.values()
    assert kept.currsize == len(counts) + 1 > 2
    assert await contents(alice, path, 301) == ["b150", "q151", "b151"]
    assert [*kept.values()] == [counts]

    await alice.delete(f"{path}/q0")
    assert await contents(alice, path, 101) == ["q51", "b51", "q52"]


async def test_are_not_kept_beyond_the_limit(alice: HttpClient, app: Any) -> None:
    path, store = await begin_branched(alice), app[COMMITS].store
    usual = store.path_counts
    store.path_counts = LRUCache(2, getsizeof=usual.getsizeof)
    try:
        assert await contents(alice, path, 101) == ["b50", "q51", "b51"]
        assert store.path_counts.currsize == 0
    finally:
        store.path_counts = usual
