"""Indexes as they are stored: lost, old, half written, of several processes, and removed."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web
from bson import ObjectId

from chatvault.access import Access
from chatvault.actor import Actor, Door
from chatvault.conversations.commits import garbage
from chatvault.fields import now
from chatvault.search import files, opened, updating
from chatvault.search.files import IndexFiles, Overtaken
from chatvault.search.routes import SEARCHER
from chatvault.search.writer import IndexWriter
from conftest import HttpClient
from support.factories import begin, message
from support.searching import everything, index_all, indexed, places, search, until


@pytest.fixture(autouse=True)
def all_indexed(monkeypatch: pytest.MonkeyPatch) -> None:
    index_all(monkeypatch)


async def fill(http: HttpClient, count: int = 3, word: str = "grape") -> str:
    body = await begin(http, messages=[message(f"{word} {each}") for each in range(count)])
    await indexed(http, word)
    return str(body["id"])


async def test_an_old_index_put_back_shows_no_removed_word(
    app: web.Application, alice: HttpClient, database: Any
) -> None:
    conversation = await fill(alice, 30)
    index = await database["search_indexes"].find_one()
    parts = await database["search_files"].find().to_list()
    path = f"/conversations/{conversation}/messages"
    body = await (await alice.get(path)).json()
    for each in body["messages"]:
        await alice.patch(f"{path}/{each['id']}", json={"content": "raisin"})
    await indexed(alice, "raisin")
    # By hand, as somebody who restores a part of a backup.
    await database["search_indexes"].replace_one({"_id": index["_id"]}, index)
    await database["search_files"].delete_many({})
    await database["search_files"].insert_many(parts)
    for known in app[SEARCHER].feed:
        app[SEARCHER].feed.remove(known)
    for query in ("grape", "gra*", '"grape 1"'):
        found = await search(alice, query)
        assert (found["results"], found["total"]) == ([], 0)
    await indexed(alice, "raisin")
    assert len(await everything(alice, "raisin", conversation_id=conversation)) == 30


async def test_removed_words_are_in_no_estimate(
    alice: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chatvault.search.service.EXACT", 5)
    body = await begin(alice, messages=[message(f"grape {each}") for each in range(20)])
    found = await indexed(alice, "grape")
    assert (found["total"], found["about"]) == (20, True)
    await alice.put(f"/conversations/{body['id']}", json={"messages": [message("raisin")]})
    assert (await search(alice, "grape"))["total"] == 0


@pytest.mark.parametrize("harm", ["lost", "changed", "cut"])
async def test_a_harmed_index_is_built_again(
    harm: str, app: web.Application, alice: HttpClient, database: Any
) -> None:
    conversation = await fill(alice)
    stored = database["search_files"]
    if harm == "lost":
        await stored.delete_many({})
    else:
        data = b"nonsense" if harm == "changed" else b""
        await stored.update_many({}, {"$set": {"data": data}})
    for known in app[SEARCHER].feed:
        app[SEARCHER].feed.remove(known)
    found = await indexed(alice, "grape")
    assert places(found) == {(conversation, each) for each in range(3)}


async def test_a_failed_writing_is_done_again(
    alice: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures: list[int] = []
    write = IndexWriter.write

    async def fail_once(self: IndexWriter, *args: Any) -> None:
        if not failures:
            failures.append(1)
            await self._program._start()
            assert self._program._process is not None
            self._program._process.kill()
        await write(self, *args)

    monkeypatch.setattr(IndexWriter, "write", fail_once)
    await fill(alice)
    assert failures


async def test_a_stop_before_the_exchange_leaves_nothing(
    alice: HttpClient, database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    stops: list[int] = []
    publish = IndexFiles.publish

    async def stop_once(self: IndexFiles, *args: Any) -> Any:
        if not stops:
            stops.append(1)
            raise OSError("stopped")
        return await publish(self, *args)

    monkeypatch.setattr(IndexFiles, "publish", stop_once)
    await fill(alice)
    orphans = await database["search_pending"].count_documents({})
    assert orphans > 0
    await _let_time_pass(database)
    assert await files.collect() == orphans
    index = await database["search_indexes"].find_one()
    kept = {each["file"] for each in index["files"]}
    assert set(await database["search_files"].distinct("file")) == kept
    assert await database["search_pending"].count_documents({}) == 0


async def test_who_was_overtaken_changes_nothing(alice: HttpClient, database: Any) -> None:
    await fill(alice)
    index = await database["search_indexes"].find_one()
    access = Access.of(Actor(door=Door.CLI, user_id=index["user_id"]))
    for before in (None, {**index, "version": 0}):
        with pytest.raises(Overtaken):
            await IndexFiles().publish(access, before, [], 0)
    assert await database["search_indexes"].find_one() == index


async def test_another_process_uses_the_same_index(
    alice: HttpClient, elsewhere: HttpClient, database: Any
) -> None:
    conversation = await fill(alice)
    found = await indexed(elsewhere, "grape")
    assert places(found) == {(conversation, each) for each in range(3)}
    await asyncio.gather(
        *(elsewhere.post(f"/conversations/{conversation}/messages", json=message("grape"))
          for _ in range(3))
    )  # fmt: skip

    async def ask() -> bool:
        answers = await asyncio.gather(*(search(each, "grape") for each in (alice, elsewhere)))
        return all(len(places(each)) == 5 and each["total"] == 6 for each in answers)

    await until(ask)


async def test_grows_in_steps_and_drops_merged_files(
    alice: HttpClient, database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(updating, "PUBLISH_SECONDS", 0.0)
    for number in range(4):
        await begin(alice, messages=[message(f"grape {number}")] * 10)
    await indexed(alice, "grape")
    index = await database["search_indexes"].find_one()
    assert (index["messages"], index["version"] > 1) == (40, True)
    assert {each["name"] for each in index["files"]} >= {"meta.json", opened.STATES}


async def test_goes_with_deleted_words_and_with_disuse(alice: HttpClient, database: Any) -> None:
    conversation = await fill(alice)
    indexes = database["search_indexes"]
    assert (await indexes.find_one()).get("purge_at") is None
    await alice.delete(f"/conversations/{conversation}?permanent=true")
    owner = (await indexes.find_one())["user_id"]
    await files.release(owner)
    assert (await indexes.find_one())["purge_at"] > now()
    await files.collect()
    assert await indexes.count_documents({}) == 1
    await indexes.update_one({}, {"$set": {"purge_at": now() - timedelta(seconds=1)}})
    await _collect_all(database)
    for name in ("search_indexes", "search_files", "search_pending"):
        assert await database[name].count_documents({}) == 0
    await fill(alice)
    await indexes.update_one({}, {"$set": {"used_at": now() - timedelta(days=31)}})
    await _collect_all(database)
    assert await database["search_files"].count_documents({}) == 0


async def test_the_sweeper_has_the_index_of_a_deleted_conversation_removed(
    app: web.Application, alice: HttpClient, database: Any
) -> None:
    conversation = await fill(alice)
    await alice.delete(f"/conversations/{conversation}?permanent=true")
    await database["retired"].update_many({}, {"$set": {"due_at": now()}})

    async def release(owner_id: ObjectId, _conversation: ObjectId) -> None:
        await files.release(owner_id)

    await garbage.sweep(app[SEARCHER].store, (), release)
    assert (await database["search_indexes"].find_one())["purge_at"] > now()


async def _let_time_pass(database: Any) -> None:
    await database["search_pending"].update_many({}, {"$set": {"due_at": now()}})


async def _collect_all(database: Any) -> None:
    await files.collect()
    await _let_time_pass(database)
    await files.collect()
