"""Lists by the last message of users with many conversations."""

import json
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId
from yarl import URL

from chatvault.access import Access, Need
from chatvault.conversations.lists import last_message
from chatvault.conversations.models import Conversation
from chatvault.conversations.routes import COMMITS
from conftest import HttpClient
from support.factories import begin, message
from support.imports import bring_in, stored

START = datetime(2024, 1, 1, tzinfo=UTC)
MANY = 400


def some(owner: ObjectId, number: int, changed_after: int) -> dict[str, Any]:
    """Return a conversation with a message in this hour, which changed so many hours later."""
    at = START + timedelta(hours=number)
    access = Access(owner, Need.MANAGE)
    document = Conversation.begin(access, title=f"{number}", tags=[], metadata={}, at=at)
    changed = at + timedelta(hours=changed_after)
    return {**document, "messages": [], "last_message_at": at, "updated_at": changed}


async def titles(http: HttpClient, pages: int = 1) -> list[str]:
    """Return the titles of the first pages of five."""
    found: list[str] = []
    address = "/conversations?view=summary&sort=last_message&limit=5&cursor=start"
    for _ in range(pages):
        answer = await http.get(address)
        assert answer.status == 200, await answer.text()
        found += [each["title"] for each in await answer.json()]
        if link := answer.links.get("next"):
            address = URL(str(link["url"]), encoded=True).raw_path_qs
    return found


async def owner_of(http: HttpClient) -> ObjectId:
    begun = await begin(http, title="empty")
    return ObjectId(begun["user_id"])


async def test_few_entries_of_the_index_are_read(alice: HttpClient, database: Any) -> None:
    owner, dice = await owner_of(alice), random.Random(1)
    made = [some(owner, number, dice.randrange(10)) for number in range(MANY)]
    await database.conversations.insert_many(made)
    assert await titles(alice) == ["399", "398", "397", "396", "395"]
    await database.command("profile", 2)
    try:
        found = await titles(alice, pages=3)
    finally:
        await database.command("profile", 0)
    profile = database["system.profile"]
    seen = await profile.find({"ns": f"{database.name}.conversations"}).to_list()
    await profile.drop()
    assert found == [str(number) for number in range(399, 384, -1)]
    assert sum(each["keysExamined"] for each in seen) < MANY / 2


@pytest.mark.parametrize("most", [0, 1_000])
async def test_others_changed_long_after_their_messages(
    alice: HttpClient, database: Any, constants: pytest.MonkeyPatch, most: int
) -> None:
    constants.setattr(last_message, "MOST_COUNTED", most)
    owner = await owner_of(alice)
    late = [some(owner, number, 1000) for number in range(50)]
    await database.conversations.insert_many(
        late + [some(owner, number, 1) for number in range(50, 60)]
    )
    found = await titles(alice, pages=13)
    assert found[:61] == [*[str(number) for number in range(59, -1, -1)], "empty"]


async def test_many_have_messages_of_the_same_time(alice: HttpClient, database: Any) -> None:
    owner = await owner_of(alice)
    same = [some(owner, 7, 1) | {"title": f"{number}"} for number in range(40)]
    await database.conversations.insert_many([*same, some(owner, 5, 1), some(owner, 99, 1)])
    found = await titles(alice, pages=9)
    by_id = sorted(same, key=lambda each: each["_id"], reverse=True)
    assert found == ["99", *[each["title"] for each in by_id], "5", "empty"]


async def test_messages_later_than_changes_are_found(
    alice: HttpClient, database: Any, app: Any
) -> None:
    owner = await owner_of(alice)
    await database.conversations.insert_many(
        [*[some(owner, number, 0) for number in range(40)], some(owner, 99, -99)]
    )
    assert (await titles(alice))[:3] == ["99", "39", "38"]
    assert app[COMMITS].store.leads[owner] == timedelta(hours=99)


async def test_appends_of_another_process_are_found(
    alice: HttpClient, elsewhere: HttpClient, database: Any
) -> None:
    owner = await owner_of(alice)
    made = [some(owner, number, 2) for number in range(40)]
    await database.conversations.insert_many(made)
    assert (await titles(alice))[:2] == ["39", "38"]
    await elsewhere.post(f"/conversations/{made[7]['_id']}/messages", json=message())
    await elsewhere.delete(f"/conversations/{made[38]['_id']}")
    assert (await titles(alice))[:3] == ["7", "39", "37"]


async def test_an_import_stores_no_message_later_than_the_change(alice: HttpClient) -> None:
    conversation = {
        "title": "Early",
        "created_at": "2024-01-01T00:00:00Z",
        "updated_at": "2024-01-02T00:00:00Z",
        "last_message_at": "2024-03-01T00:00:00Z",
        "messages": [{"id": "m", "role": "user", "content": "a"}],
    }
    held = {"chatvault": {"version": 1}, "conversations": [conversation]}
    await bring_in(alice, json.dumps(held).encode())
    [found] = await stored(alice)
    assert found["last_message_at"] == found["updated_at"]
