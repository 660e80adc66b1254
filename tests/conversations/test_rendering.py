"""What is kept of segments as JSON: shown again, and never once it has changed."""

from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from chatvault.conversations.routes import COMMITS, STORE
from chatvault.conversations.store import (
    OVERHEAD,
    RENDERED_BYTES,
    MessageStore,
    RenderedSegments,
)
from conftest import HttpClient
from support.answers import found
from support.factories import begin, message

LONG = [message(f"message {number}", id=f"m{number}") for number in range(300)]


class Reads:
    """Counts how often whole segments are read."""

    def __init__(self) -> None:
        self.count = 0


@pytest.fixture
def reads(http: Any, monkeypatch: pytest.MonkeyPatch) -> Reads:
    counted, find = Reads(), MessageStore.list_segments

    async def list_segments(*args: Any) -> Any:
        counted.count += 1
        return await find(*args)

    monkeypatch.setattr(MessageStore, "list_segments", list_segments)
    return counted


def contents(conversation: dict[str, Any]) -> list[str]:
    return [each["content"] for each in conversation["messages"]]


class TestOlderMessages:
    async def test_are_read_once_and_shown_identically(
        self, app: web.Application, alice: HttpClient, reads: Reads
    ) -> None:
        conversation = await begin(alice, messages=LONG)
        await app[COMMITS].drain()
        first = await found(alice, conversation["id"])
        reads.count = 0

        again = await found(alice, conversation["id"])

        assert reads.count == 0
        assert again == first
        assert contents(again) == [each["content"] for each in LONG]
        assert [each["seq"] for each in again["messages"]] == list(range(300))
        assert again["messages_truncated"] is False

    async def test_are_read_once_for_lists_too(
        self, app: web.Application, alice: HttpClient, reads: Reads
    ) -> None:
        begun = [await begin(alice, messages=LONG) for _ in range(2)]
        await app[COMMITS].drain()
        shown = [await found(alice, each["id"]) for each in reversed(begun)]
        reads.count = 0

        listed = await (await alice.get("/conversations")).json()

        assert listed == shown
        assert reads.count == 0

    @pytest.mark.parametrize("place", [0, 100, 251, 299])
    async def test_show_an_edit_at_once(
        self, alice: HttpClient, elsewhere: HttpClient, place: int
    ) -> None:
        conversation = await begin(alice, messages=LONG)
        path = f"/conversations/{conversation['id']}"
        for browser in (alice, elsewhere):
            await found(browser, conversation["id"])

        await alice.patch(f"{path}/messages/m{place}", json={"content": "edited"})

        for browser in (alice, elsewhere):
            assert contents(await found(browser, conversation["id"]))[place] == "edited"

    async def test_lose_a_removed_message_at_once(
        self, alice: HttpClient, elsewhere: HttpClient
    ) -> None:
        conversation = await begin(alice, messages=LONG)
        for browser in (alice, elsewhere):
            await found(browser, conversation["id"])

        await alice.delete(f"/conversations/{conversation['id']}/messages/m7")

        for browser in (alice, elsewhere):
            shown = await found(browser, conversation["id"])
            assert "message 7" not in contents(shown)
            assert len(shown["messages"]) == shown["total_messages"] == 299
            assert shown["messages_truncated"] is False

    async def test_include_messages_that_move_to_segments(
        self, alice: HttpClient, elsewhere: HttpClient
    ) -> None:
        conversation = await begin(alice, messages=LONG)
        path = f"/conversations/{conversation['id']}/messages"
        expected = [each["content"] for each in LONG]
        for number in range(120):
            await alice.post(path, json=message(f"more {number}"))
            expected.append(f"more {number}")
            if number % 10 == 0:
                for browser in (alice, elsewhere):
                    assert contents(await found(browser, conversation["id"])) == expected

    async def test_are_read_again_after_a_replacement(
        self, alice: HttpClient, elsewhere: HttpClient
    ) -> None:
        conversation = await begin(alice, messages=LONG)
        await found(elsewhere, conversation["id"])
        replaced = [message(f"other {number}") for number in range(280)]

        path = f"/conversations/{conversation['id']}"
        await alice.put(path, json={"messages": replaced}, headers={"If-Match": "*"})

        shown = await found(elsewhere, conversation["id"])
        assert contents(shown) == [each["content"] for each in replaced]
        assert shown["messages"][0]["seq"] == 300

    async def test_of_another_user_stay_inaccessible(
        self, alice: HttpClient, bob: HttpClient
    ) -> None:
        conversation = await begin(alice, messages=LONG)
        await found(alice, conversation["id"])

        answer = await bob.get(f"/conversations/{conversation['id']}")

        assert answer.status == 404

    async def test_are_cached_up_to_a_limit(
        self, app: web.Application, alice: HttpClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = app[STORE]
        assert store.rendered.maxsize == RENDERED_BYTES
        monkeypatch.setattr(store.rendered, "_Cache__maxsize", 40_000)
        for _ in range(5):
            conversation = await begin(alice, messages=LONG)
            assert len((await found(alice, conversation["id"]))["messages"]) == 300

        kept = sum(len(each.json) + OVERHEAD for each in store.rendered.values())
        assert kept == store.rendered.currsize <= 40_000


class TestJoin:
    @given(st.lists(st.lists(st.integers(), max_size=3), max_size=5))
    def test_puts_commas_between_parts_that_are_not_empty(self, runs: list[list[int]]) -> None:
        parts = [RenderedSegments(",".join(map(str, run)).encode(), len(run)) for run in runs]

        joined = RenderedSegments.join(parts)

        every = [each for run in runs for each in run]
        assert joined == RenderedSegments(",".join(map(str, every)).encode(), len(every))
