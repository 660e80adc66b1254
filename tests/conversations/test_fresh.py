"""Messages that were just appended are shown to followers without reading them again."""

import json
from typing import Any

import pytest
from aiohttp import web
from bson import ObjectId

from chatvault.access import Access, Need
from chatvault.conversations import fresh
from chatvault.conversations.fresh import FreshMessages
from chatvault.conversations.reading.places import PlaceReader, Places
from chatvault.conversations.reading.wire import messages_wire
from chatvault.conversations.routes import STORE
from chatvault.conversations.shapes import StoredMessage
from chatvault.conversations.store import MessageStore
from chatvault.encoding import to_json
from conftest import HttpClient
from support.factories import begin, message


@pytest.fixture
def store(app: web.Application, constants: pytest.MonkeyPatch) -> MessageStore:
    constants.setattr(fresh, "KEPT_SECONDS", 1e6)
    constants.setattr(app[STORE], "fresh", FreshMessages())
    return app[STORE]


@pytest.fixture
async def begun(alice: HttpClient) -> dict[str, Any]:
    return await begin(alice, messages=[message("0", id="m0")])


def find(store: MessageStore, one: dict[str, Any], version: int, places: range) -> Any:
    owner_id = ObjectId(one["user_id"])
    return store.fresh.find(owner_id, ObjectId(one["id"]), version, places)


async def append(http: HttpClient, one: dict[str, Any], *contents: str) -> int:
    """Append messages; return the conversation's version."""
    batch = {"messages": [message(each, id=f"m{each}") for each in contents]}
    answer = await http.post(f"/conversations/{one['id']}/messages:batch", json=batch)
    assert answer.status == 200, await answer.text()
    version: int = (await answer.json())["version"]
    return version


async def test_are_as_they_would_be_read(
    store: MessageStore, alice: HttpClient, begun: dict[str, Any]
) -> None:
    find(store, begun, 1, range(1))  # somebody follows
    version = await append(alice, begun, "1", "2")

    found = find(store, begun, version, range(1, 3))

    access = Access(ObjectId(begun["user_id"]), Need.MANAGE)
    places = Places(access, ObjectId(begun["id"]), range(1, 3))
    read = await PlaceReader(MessageStore(store.codec)).read(places)
    assert read
    # Sealed fields come after the readable ones.
    one, other = (json.loads(to_json(messages_wire(each))) for each in (found, read))
    assert one == other


async def test_are_shown_to_readers_of_that_version_only(
    store: MessageStore, alice: HttpClient, begun: dict[str, Any], constants: pytest.MonkeyPatch
) -> None:
    find(store, begun, 1, range(1))
    version = await append(alice, begun, "1")
    asked = list[Any]()
    read = PlaceReader._find_newest

    async def watched(self: PlaceReader, wanted: list[Places]) -> Any:
        asked.append(wanted)
        return await read(self, wanted)

    constants.setattr(PlaceReader, "_find_newest", watched)
    reader, access = PlaceReader(store), Access(ObjectId(begun["user_id"]), Need.MANAGE)
    for wanted in (version, version - 1, version + 1, None):
        places = Places(access, ObjectId(begun["id"]), range(1, 2), wanted)
        shown: list[StoredMessage] = await reader.read(places) or []
        assert [each.message["content"] for each in shown] == ["1"]
        assert bool(asked) is (wanted != version)
        asked.clear()


async def test_are_forgotten_with_the_next_change(
    store: MessageStore, alice: HttpClient, begun: dict[str, Any]
) -> None:
    path = f"/conversations/{begun['id']}"
    for content, method, where, body in (
        ("1", "PATCH", f"{path}/messages/m1", {"content": "other"}),
        ("2", "DELETE", f"{path}/messages/m2", None),
        ("3", "DELETE", path, None),
    ):
        find(store, begun, 1, range(1))
        version = await append(alice, begun, content)
        held = store.fresh._kept
        assert len(held) == 1
        answer = await alice.request(method, where, json=body)
        assert answer.status in {200, 204}, await answer.text()
        assert find(store, begun, version, range(1, 2)) is None
        assert not held


async def test_are_not_kept_where_nobody_follows(
    store: MessageStore, alice: HttpClient, begun: dict[str, Any], constants: pytest.MonkeyPatch
) -> None:
    find(store, begun, 1, range(1))
    constants.setattr(fresh, "ASKED_SECONDS", 0.0)
    version = await append(alice, begun, "1")
    assert find(store, begun, version, range(1, 2)) is None
