"""The kept numbers of tags are those of a count of all conversations, whatever changes them."""

import asyncio
import random
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId

from chatvault.fields import now
from conftest import HttpClient
from support.factories import begin

TAGS = ("a", "b", "c", "x.y$z")


async def tags_of(http: HttpClient) -> dict[str, int]:
    """Return the answer to `GET /tags`."""
    answer = await (await http.get("/tags")).json()
    return {each["tag"]: each["conversations"] for each in answer["tags"]}


async def counted(database: Any, user_id: str) -> dict[str, int]:
    """Return the numbers of the stored conversations."""
    its = {"user_id": ObjectId(user_id), "status": {"$ne": "deleted"}}
    found = await database.conversations.find(its, {"tags": True}).to_list()
    return dict(Counter(tag for each in found for tag in {*each["tags"]}))


async def change(http: HttpClient, ids: list[str], dice: random.Random) -> None:
    """Change something that may have to do with tags; a refusal is as good."""
    path = f"/conversations/{dice.choice(ids)}"
    tags = dice.sample(TAGS, dice.randrange(4))
    match dice.randrange(8):
        case 0:
            ids.append((await begin(http, tags=tags))["id"])
        case 1:
            await http.put(path, json={"tags": tags})
        case 2:
            await http.patch(path, json={"tags": tags or None})
        case 3:
            await http.delete(path)
        case 4:
            await http.delete(f"{path}?permanent=true")
        case 5:
            await http.post(f"{path}/restore", json={})
        case 6:
            await http.post(f"{path}/fork", json={})
        case 7:
            await http.post("/tags/rename", json={"tag": dice.choice(TAGS), "to": "b"})


class TestKept:
    async def test_equal_a_count_after_changes_in_two_processes(
        self, alice: HttpClient, elsewhere: HttpClient, database: Any
    ) -> None:
        dice = random.Random(3)
        begun = [await begin(alice, tags=["a", "b"]) for _ in range(4)]
        ids = [each["id"] for each in begun]
        for _ in range(4):
            # They are counted anew, while others change them.
            await database.tag_counts.delete_one({"tag": ""})
            changes = [change(http, ids, dice) for http in (alice, elsewhere) * 4]
            await asyncio.gather(*changes, tags_of(alice))
            expected = await counted(database, begun[0]["user_id"])
            assert await tags_of(alice) == await tags_of(elsewhere) == expected

    async def test_are_made_of_conversations_of_earlier_versions(
        self, alice: HttpClient, database: Any
    ) -> None:
        one = await begin(alice, tags=["a", "b"])
        await begin(alice, tags=["b"])
        await database.tag_counts.delete_many({})
        await alice.patch(f"/conversations/{one['id']}", json={"tags": ["c"]})
        assert await tags_of(alice) == {"b": 1, "c": 1}
        await alice.patch(f"/conversations/{one['id']}", json={"tags": ["b"]})
        assert await tags_of(alice) == {"b": 2}

    async def test_are_made_again_after_a_day(self, alice: HttpClient, database: Any) -> None:
        await begin(alice, tags=["a"])
        assert await tags_of(alice) == {"a": 1}
        # As after a change by a process of an earlier version.
        await database.tag_counts.update_one({"tag": "a"}, {"$set": {"conversations": 7}})
        assert await tags_of(alice) == {"a": 7}
        passed = {"$set": {"counted_at": now() - timedelta(hours=25)}}
        await database.tag_counts.update_one({"tag": ""}, passed)
        assert await tags_of(alice) == {"a": 1}

    async def test_are_not_kept_of_too_many_tags(
        self, alice: HttpClient, database: Any, constants: pytest.MonkeyPatch
    ) -> None:
        constants.setattr("chatvault.conversations.tag_counts.MOST_KEPT", 1)
        one = await begin(alice, tags=["a", "b"])
        assert await tags_of(alice) == {"a": 1, "b": 1}
        mark = await database.tag_counts.find_one({"tag": ""})
        # They are counted for each answer, and the counts that are kept are not read.
        await database.tag_counts.update_one({"tag": "a"}, {"$set": {"conversations": 7}})
        assert await tags_of(alice) == {"a": 1, "b": 1}
        assert await database.tag_counts.find_one({"tag": ""}) == mark
        listed = await (await alice.get("/conversations?tag=a")).json()
        assert [each["id"] for each in listed] == [one["id"]]

    async def test_leave_nothing_of_a_tag_that_is_gone(
        self, alice: HttpClient, database: Any
    ) -> None:
        one = await begin(alice, tags=["a"])
        assert await tags_of(alice) == {"a": 1}
        await alice.delete(f"/conversations/{one['id']}")
        assert await tags_of(alice) == {}
        assert await database.tag_counts.distinct("tag") == [""]
        await alice.post(f"/conversations/{one['id']}/restore", json={})
        assert await tags_of(alice) == {"a": 1}

    async def test_are_not_written_by_an_append(self, alice: HttpClient, database: Any) -> None:
        one = await begin(alice, tags=["a"])
        await tags_of(alice)
        await database.tag_counts.update_one({"tag": "a"}, {"$set": {"conversations": 7}})
        message = {"role": "user", "content": "Hello"}
        await alice.post(f"/conversations/{one['id']}/messages", json=message)
        await alice.patch(f"/conversations/{one['id']}", json={"title": "Other"})
        assert await tags_of(alice) == {"a": 7}
