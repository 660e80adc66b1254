"""Searching conversations that others share."""

from datetime import timedelta
from typing import Any

import pytest

from chatvault.fields import format_instant, now
from conftest import HttpClient
from support.factories import begin, message
from support.granting import at, grant, revoke
from support.searching import everything, index_all, indexed, places, search, until

WORDS = "Zwetschgen und Knödel"


@pytest.fixture(params=["scanned", "indexed"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Messages are looked through, or all of them are in an index."""
    if request.param == "indexed":
        index_all(monkeypatch)
    return str(request.param)


async def test_finds_what_is_shared_and_no_more(
    way: str, alice: HttpClient, bob: HttpClient, database: Any
) -> None:
    shared = await begin(alice, title="Hers", tags=["secret"], messages=[message(WORDS)])
    await begin(alice, title="Hidden", messages=[message(WORDS)])
    own = await begin(bob, title="His", messages=[message(WORDS)])
    await grant(alice, shared, "bob")

    found = await indexed(bob, "knödel")

    both = {each["conversation"]["id"]: each["conversation"] for each in found["results"]}
    assert both.keys() == {shared["id"], own["id"]}
    assert both[own["id"]]["owner_id"] is None
    assert both[shared["id"]]["owner_id"] == shared["user_id"]
    assert both[shared["id"]]["tags"] == []
    assert (found["total"], found["about"]) == (2, False)
    actions = {"action": "conversation.search", "owner_id": {"$type": "objectId"}}
    entry = await database.audit_logs.find_one(actions)
    assert str(entry["owner_id"]) == shared["user_id"]
    assert entry["details"] == {"results": 1}


async def test_does_not_find_what_is_shared_no_more(
    way: str, alice: HttpClient, bob: HttpClient, elsewhere: HttpClient, database: Any
) -> None:
    ended, expired, trashed = [await begin(alice, messages=[message(WORDS)]) for _ in range(3)]
    soon = format_instant(now() + timedelta(hours=1))
    for conversation in (ended, expired, trashed):
        await grant(alice, conversation, "bob", expires_at=soon)
    assert len(places(await indexed(bob, "knödel"))) == 3

    await revoke(elsewhere, ended, "bob")
    assert len(places(await search(bob, "knödel"))) == 2
    await database.grants.update_one(
        {"conversation_id": {"$exists": True}}, {"$set": {"expires_at": now()}}
    )
    left = places(await search(bob, "knödel"))
    assert len(left) == 1
    for conversation in (expired, trashed):
        await alice.delete(at(conversation))
    assert places(await search(bob, "knödel")) == set()


async def test_finds_what_is_shared_while_one_searches(
    way: str, alice: HttpClient, bob: HttpClient
) -> None:
    conversation = await begin(alice, messages=[message(WORDS)])
    assert places(await search(bob, "knödel")) == set()

    await grant(alice, conversation, "bob")

    async def ask() -> Any:
        return places(await search(bob, "knödel"))

    assert await until(ask) == {(conversation["id"], 0)}
    await alice.post(at(conversation, "/messages"), json=message("Powidl"))

    async def ask_again() -> Any:
        return places(await search(bob, "powidl"))

    assert await until(ask_again) == {(conversation["id"], 1)}


async def test_does_not_tell_how_the_owner_keeps_it(alice: HttpClient, bob: HttpClient) -> None:
    conversation = await begin(alice, tags=["secret"], messages=[message(WORDS)])
    await grant(alice, conversation, "bob")

    assert places(await search(bob, "knödel", tag="secret")) == set()
    assert len(places(await search(bob, "knödel", status="active"))) == 1
    assert len(places(await search(bob, "knödel", conversation_id=conversation["id"]))) == 1


async def test_stays_out_of_reach_of_others(alice: HttpClient, bob: HttpClient) -> None:
    shared = await begin(alice, messages=[message(WORDS)])
    hidden = await begin(alice, messages=[message(WORDS)])
    await grant(alice, shared, "bob")

    assert places(await search(bob, "knödel", conversation_id=hidden["id"])) == set()


async def test_pages_through_several_owners(
    way: str, alice: HttpClient, bob: HttpClient, constants: pytest.MonkeyPatch
) -> None:
    constants.setattr("chatvault.search.service.FIRST_LIMIT", 4)
    wanted = set()
    for number in range(8):
        words = " ".join([WORDS] * (number % 3 + 1))
        hers = await begin(alice, messages=[message(f"{words} {number}")])
        his = await begin(bob, messages=[message(f"{number} {words} und mehr")])
        await grant(alice, hers, "bob")
        wanted |= {(hers["id"], 0), (his["id"], 0)}
    await indexed(bob, "knödel")

    assert await everything(bob, "knödel", limit=3) == wanted


async def test_asks_nothing_more_for_those_without_grants(
    alice: HttpClient, bob: HttpClient, constants: pytest.MonkeyPatch
) -> None:
    await begin(bob, messages=[message(WORDS)])
    await indexed(bob, "knödel")

    async def fail(*_: Any) -> Any:
        raise AssertionError("asked for grants")

    constants.setattr("chatvault.search.sources.list_held", fail)
    assert len(places(await search(bob, "knödel"))) == 1
