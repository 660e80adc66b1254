"""The newest messages that are kept as JSON: read once, and never shown once they have changed."""

from typing import Any

import pytest
from bson import ObjectId

from chatvault.conversations.kept_pages import KEPT_BYTES, MOST_BYTES, KeptPages, RenderedPage
from chatvault.conversations.store import MessageStore
from conftest import HttpClient
from support.factories import begin, message

SOME = [message(f"message {number}", id=f"m{number}") for number in range(6)]


def newest(conversation: dict[str, Any], limit: int = 4) -> str:
    return f"/conversations/{conversation['id']}/messages?before=latest&limit={limit}"


async def shown(http: HttpClient, path: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the page, and the headers that say where it is."""
    answer = await http.get(path)
    assert answer.status == 200, await answer.text()
    headers = {name: answer.headers[name] for name in ("ETag", "Link", "X-Total-Count")}
    return await answer.json(), headers


def contents(page: tuple[dict[str, Any], Any]) -> list[str]:
    return [each["content"] for each in page[0]["messages"]]


@pytest.fixture
def reads(http: Any, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The conversations whose documents are read with their messages."""
    seen, find = list[Any](), MessageStore.find_conversation

    async def find_conversation(store: Any, access: Any, conversation_id: Any) -> Any:
        seen.append(conversation_id)
        return await find(store, access, conversation_id)

    monkeypatch.setattr(MessageStore, "find_conversation", find_conversation)
    return seen


def rendered(size: int) -> RenderedPage:
    return RenderedPage(
        json=b"x" * size,
        count=1,
        oldest=0,
        newest=0,
        total=1,
        has_more=False,
        version=1,
        first_seq=0,
        limit=1,
    )


class TestNewestMessages:
    async def test_are_read_once_and_shown_identically(
        self, alice: HttpClient, reads: list[Any]
    ) -> None:
        conversation = await begin(alice, messages=SOME)
        first = await shown(alice, newest(conversation))
        reads.clear()

        again = await shown(alice, newest(conversation))

        assert again == first
        assert contents(again) == ["message 2", "message 3", "message 4", "message 5"]
        assert again[0]["pagination"] == {"total": 6, "limit": 4, "offset": None, "hasMore": True}
        assert not reads

    @pytest.mark.parametrize("place", ["here", "in another process"])
    async def test_show_each_change_at_once(
        self, alice: HttpClient, elsewhere: HttpClient, place: str
    ) -> None:
        conversation = await begin(alice, messages=SOME)
        path = f"/conversations/{conversation['id']}"
        await shown(alice, newest(conversation))
        other = alice if place == "here" else elsewhere

        await other.post(f"{path}/messages", json=message("more"))
        assert contents(await shown(alice, newest(conversation)))[-1] == "more"
        await other.patch(f"{path}/messages/m5", json={"content": "edited"})
        assert contents(await shown(alice, newest(conversation)))[-2] == "edited"
        await other.delete(f"{path}/messages/m4")
        assert contents(await shown(alice, newest(conversation)))[:2] == ["message 2", "message 3"]
        await other.delete(path)
        assert (await alice.get(newest(conversation))).status == 404

    async def test_are_as_many_as_are_wanted(self, alice: HttpClient) -> None:
        conversation = await begin(alice, messages=SOME)

        for limit in (4, 2, 4):
            page = await shown(alice, newest(conversation, limit))
            assert contents(page) == [each["content"] for each in SOME[-limit:]]
            assert page[0]["pagination"]["limit"] == limit

    async def test_of_another_user_stay_inaccessible(
        self, alice: HttpClient, bob: HttpClient
    ) -> None:
        conversation = await begin(alice, messages=SOME)
        await shown(alice, newest(conversation))

        assert (await bob.get(newest(conversation))).status == 404

    async def test_are_recorded_each_time(self, alice: HttpClient, database: Any) -> None:
        conversation = await begin(alice, messages=SOME)
        for _ in range(2):
            await shown(alice, newest(conversation))

        entries = await database.audit_logs.find(
            {"action": "conversation.list_messages", "resource_id": conversation["id"]}
        ).to_list()
        assert [each["details"] for each in entries] == [{"messages": 4}] * 2


class TestKeptPages:
    def test_have_a_limit(self) -> None:
        pages, owner, size = KeptPages(), ObjectId(), MOST_BYTES
        ids = [ObjectId() for _ in range(KEPT_BYTES // size + 1)]
        for each in ids:
            pages.keep(owner, each, rendered(size))

        kept = [each for each in ids if pages.find(owner, each, 1)]
        assert kept == ids[-len(kept) :]
        assert len(kept) == KEPT_BYTES // size - 1

    def test_leave_large_ones_out(self) -> None:
        pages, owner, conversation_id = KeptPages(), ObjectId(), ObjectId()
        pages.keep(owner, conversation_id, rendered(MOST_BYTES + 1))

        assert pages.find(owner, conversation_id, 1) is None

    def test_forget_those_of_one_owner(self) -> None:
        pages, owner, other, conversation_id = KeptPages(), ObjectId(), ObjectId(), ObjectId()
        for each in (owner, other):
            pages.keep(each, conversation_id, rendered(1))

        pages.forget_owner(owner)

        assert pages.find(owner, conversation_id, 1) is None
        assert pages.find(other, conversation_id, 1) is not None
