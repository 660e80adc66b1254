"""Reads beside edits and removals: each shows one version, whole, whatever comes in between."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from chatvault.conversations.routes import COMMITS
from chatvault.conversations.store import MessageStore
from conftest import HttpClient
from support.answers import found
from support.factories import begin, message
from support.stored import tiny_bounds

ScriptedAnswer = Callable[[], Awaitable[Any]]
COUNT = 40


@pytest.fixture
async def long(
    http: HttpClient, alice: HttpClient, constants: pytest.MonkeyPatch
) -> dict[str, Any]:
    """Forty messages of the same length in many segments and a tail."""
    tiny_bounds(constants)
    some = [message(f"{n:02}", id=f"m{n}") for n in range(COUNT)]
    begun = await begin(alice, messages=some)
    assert http.app is not None
    await http.app[COMMITS].drain()
    # From its first edit on, a message has a field more.
    for number in (0, 30):
        body = {"content": f"{number:02}"}
        await alice.patch(f"/conversations/{begun['id']}/messages/m{number}", json=body)
    return await found(alice, begun["id"])


@pytest.fixture
def between(constants: pytest.MonkeyPatch) -> list[ScriptedAnswer]:
    """What is done, one a read, when a document was read and its segments were not yet."""
    acts: list[ScriptedAnswer] = []

    def interrupted(find: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def read(*args: Any) -> Any:
            conversation = await find(*args)
            if acts:
                await acts.pop(0)()
            return conversation

        return read

    for name in ("find_conversation", "find_conversations"):
        constants.setattr(MessageStore, name, interrupted(getattr(MessageStore, name)))
    return acts


def at(conversation: dict[str, Any], suffix: str = "") -> str:
    return f"/conversations/{conversation['id']}{suffix}"


def removal(http: HttpClient, conversation: dict[str, Any], number: int) -> ScriptedAnswer:
    return lambda: http.delete(at(conversation, f"/messages/m{number}"))


def edit(
    http: HttpClient, conversation: dict[str, Any], number: int, content: str
) -> ScriptedAnswer:
    path = at(conversation, f"/messages/m{number}")
    return lambda: http.patch(path, json={"content": content})


def contents(shown: dict[str, Any]) -> list[str]:
    return [each["content"] for each in shown["messages"]]


class TestConversation:
    async def test_is_complete_during_a_removal(
        self, alice: HttpClient, long: dict[str, Any], between: list[ScriptedAnswer]
    ) -> None:
        between += [removal(alice, long, 3), removal(alice, long, 25)]

        answer = await alice.get(at(long))

        shown = await answer.json()
        assert len(shown["messages"]) == shown["total_messages"]
        assert shown["messages_truncated"] is False
        assert "Link" not in answer.headers
        assert answer.headers["ETag"] == f'"{shown["version"]}"'
        assert shown == await found(alice, long["id"])

    @pytest.mark.parametrize("number", [0, 30])
    async def test_has_one_content_for_an_etag(
        self, alice: HttpClient, long: dict[str, Any], between: list[ScriptedAnswer], number: int
    ) -> None:
        by_tag = {f'"{long["version"]}"': contents(long)}
        between.append(edit(alice, long, number, "XX"))
        for _ in range(3):
            answer = await alice.get(at(long))
            shown = contents(await answer.json())
            assert by_tag.setdefault(answer.headers["ETag"], shown) == shown
        assert len(by_tag) == 2

    async def test_in_a_list_is_complete_during_a_removal(
        self, alice: HttpClient, long: dict[str, Any], between: list[ScriptedAnswer]
    ) -> None:
        between.append(removal(alice, long, 3))
        [shown] = await (await alice.get("/conversations")).json()
        assert len(shown["messages"]) == shown["total_messages"] == COUNT - 1
        assert shown["messages_truncated"] is False
        assert shown == await found(alice, long["id"])

    async def test_in_a_list_has_the_messages_of_its_version(
        self, alice: HttpClient, long: dict[str, Any], between: list[ScriptedAnswer]
    ) -> None:
        between.append(edit(alice, long, 0, "XX"))
        [shown] = await (await alice.get("/conversations")).json()
        assert shown == await found(alice, long["id"])

    async def test_in_a_list_has_its_newest_messages_if_it_keeps_changing(
        self, alice: HttpClient, long: dict[str, Any], between: list[ScriptedAnswer]
    ) -> None:
        between += [edit(alice, long, 0, f"{n:02}") for n in range(50)]
        [shown] = await (await alice.get("/conversations")).json()
        between.clear()
        assert contents(shown) == ["38", "39"]
        assert shown["messages_truncated"] is True

    async def test_is_complete_while_everything_is_removed(
        self, alice: HttpClient, long: dict[str, Any]
    ) -> None:
        done = asyncio.Event()

        async def remove() -> None:
            for number in range(COUNT - 1):
                answer = await alice.delete(at(long, f"/messages/m{number}"))
                assert answer.status == 204
            done.set()

        async def read(path: str) -> int:
            reads = 0
            while not done.is_set():
                answer = await alice.get(path)
                body = await answer.json()
                assert answer.status == 200, body
                for shown in body if isinstance(body, list) else [body]:
                    count = shown["total_messages"]
                    assert contents(shown) == [f"{n:02}" for n in range(COUNT - count, COUNT)]
                    assert shown["messages_truncated"] is False
                reads += 1
            return reads

        _, *reads = await asyncio.gather(remove(), read(at(long)), read("/conversations"))
        assert min(reads) > 3


class TestPages:
    async def test_have_the_content_of_their_etag(
        self,
        alice: HttpClient,
        long: dict[str, Any],
        between: list[ScriptedAnswer],
        constants: pytest.MonkeyPatch,
    ) -> None:
        """Whatever is edited and removed, a page is that of one version."""
        # Where a page is kept, there is nothing to read and nothing in between.
        constants.setattr("chatvault.conversations.kept_pages.MOST_BYTES", 0)
        queries = ["offset=0", "offset=7", "after=4", "before=latest", "before=30"]
        paths = [at(long, f"/messages?{each}&limit={n}") for each in queries for n in (9, 1000)]
        for number, path in enumerate(paths):
            by_tag: dict[str, Any] = {}

            async def look(path: str = path, by_tag: dict[str, Any] = by_tag) -> None:
                answer = await alice.get(path)
                page = await answer.json()
                assert answer.status == 200
                assert by_tag.setdefault(answer.headers["ETag"], page) == page, path
                assert page["pagination"]["total"] == int(answer.headers["X-Total-Count"])

            await look()
            for act in (
                edit(alice, long, 0, f"{number:02}"),
                removal(alice, long, 1 + number),
            ):
                between.append(act)
                await look()
                await look()
            assert len(by_tag) == 3

    async def test_after_a_conversation_repeat_no_message(
        self,
        alice: HttpClient,
        long: dict[str, Any],
        between: list[ScriptedAnswer],
        constants: pytest.MonkeyPatch,
    ) -> None:
        constants.setattr("chatvault.conversations.reading.rendering.WHOLE_BYTES", 900)
        between += [removal(alice, long, 37), removal(alice, long, 36)]
        answer = await alice.get(at(long))
        shown = await answer.json()
        assert shown["messages_truncated"] is True
        path = answer.headers["Link"].partition(">")[0].strip("<")
        older = await (await alice.get(f"{path}&limit=1000")).json()
        assert contents(older) + contents(shown) == [f"{n:02}" for n in (*range(36), 38, 39)]
        assert shown["total_messages"] == 38

    async def test_are_answered_while_messages_keep_being_edited(
        self, alice: HttpClient, long: dict[str, Any]
    ) -> None:
        done = asyncio.Event()

        async def change() -> None:
            for number in range(30):
                body = {"content": f"e{number}"}
                await alice.patch(at(long, f"/messages/m{number % COUNT}"), json=body)
            done.set()

        async def read() -> None:
            while not done.is_set():
                for query in ("offset=3", "after=3", "before=30"):
                    answer = await alice.get(at(long, f"/messages?{query}&limit=20"))
                    assert answer.status == 200, await answer.text()
                streamed = await alice.get(
                    at(long, "/messages"), headers={"Accept": "application/x-ndjson"}
                )
                assert len((await streamed.text()).splitlines()) == COUNT

        await asyncio.gather(change(), read())
