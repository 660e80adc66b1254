"""Lists of changes: what changed since a time, and what was deleted."""

import random
from datetime import timedelta
from typing import Any

from yarl import URL

from chatvault.fields import format_instant, now
from conftest import HttpClient
from support.answers import wrong_fields
from support.factories import begin, message


async def changes(http: HttpClient, since: str, limit: int = 200) -> list[dict[str, Any]]:
    """All entries since a time, over all pages."""
    entries: list[dict[str, Any]] = []
    address = str(URL("/conversations") % {"updated_since": since, "limit": str(limit)})
    while address:
        answer = await http.get(address)
        assert answer.status == 200, await answer.text()
        entries += await answer.json()
        link = answer.links.get("next")
        address = URL(str(link["url"]), encoded=True).raw_path_qs if link else ""
    return entries


class TestChanges:
    async def test_come_in_their_order_with_deletions(self, alice: HttpClient) -> None:
        one, two, three = [await begin(alice, title=title) for title in "abc"]
        since = three["updated_at"]
        await alice.delete(f"/conversations/{two['id']}")
        await alice.post(f"/conversations/{one['id']}/messages", json=message())
        found = await changes(alice, since)
        assert [each["id"] for each in found][-3:] == [three["id"], two["id"], one["id"]]
        gone = found[-2]
        assert gone == {"id": two["id"], "deleted": True, "deleted_at": gone["deleted_at"]}
        assert found[-1]["messages"][0]["content"] == "Hello"
        later = format_instant(now() + timedelta(seconds=1))
        assert await changes(alice, later) == []

    async def test_keep_a_copy_equal_in_a_random_history(
        self, alice: HttpClient, bob: HttpClient
    ) -> None:
        dice, copy = random.Random(7), dict[str, int]()
        since, told = "2024-01-01T00:00:00.000Z", list[str]()
        deleted = set[str]()
        await begin(bob)
        for _ in range(8):
            for _ in range(5):
                ids = [*copy.keys() - deleted]
                action = dice.choice(["begin", "append", "delete"]) if ids else "begin"
                if action == "begin":
                    await begin(alice)
                elif action == "append":
                    await alice.post(f"/conversations/{dice.choice(ids)}/messages", json=message())
                else:
                    gone = dice.choice(ids)
                    assert (await alice.delete(f"/conversations/{gone}")).status == 204
                    deleted.add(gone)
            began = format_instant(now())
            for each in await changes(alice, since, limit=dice.choice([1, 2, 200])):
                if each.get("deleted"):
                    copy.pop(each["id"], None)
                    told.append(each["id"])
                else:
                    copy[each["id"]] = each["version"]
            since = began
        listed = await (await alice.get("/conversations?view=summary&limit=200")).json()
        assert copy == {each["id"]: each["version"] for each in listed}
        assert {*told} == deleted
        everything = await changes(alice, "2024-01-01T00:00:00.000Z", limit=3)
        assert sorted(each["id"] for each in everything if each.get("deleted")) == sorted(deleted)

    async def test_tell_what_an_import_stored(self, alice: HttpClient, bob: HttpClient) -> None:
        work = {"name": "Work"}
        top = await (await alice.post("/categories", json=work)).json()
        within = {"name": "Clients", "parent_id": top["id"]}
        category = await (await alice.post("/categories", json=within)).json()
        await begin(alice, title="kept", category_id=category["id"], pinned=True, tags=["a"])
        text = await (await alice.get("/conversations/export?format=json")).text()
        assert '"category":["Work","Clients"]' in text
        old = text.replace(f'ed_at":"{now().year}', 'ed_at":"2020')
        since = format_instant(now())

        answer = await bob.post("/imports", data=old, headers={"Content-Type": "application/json"})

        assert answer.status == 200, await answer.text()
        [found] = await changes(bob, since)
        assert found["updated_at"].startswith("2020")
        assert (found["title"], found["pinned"], found["tags"]) == ("kept", True, ["a"])
        made = (await (await bob.get("/categories")).json())["categories"]
        assert [(each["name"], each["conversations"]) for each in made] == [
            ("Work", 0), ("Clients", 1),
        ]  # fmt: skip
        assert found["category_id"] == made[1]["id"] != category["id"]

    async def test_go_with_no_other_condition(self, alice: HttpClient) -> None:
        query = "updated_since=2024-01-01T00:00:00Z&tag=a"
        assert await wrong_fields(await alice.get(f"/conversations?{query}"))
        for _ in range(2):
            await begin(alice)
        answer = await alice.get("/conversations?limit=1&updated_since=2024-01-01T00:00:00Z")
        cursor = URL(str(answer.links["next"]["url"])).query["cursor"]
        assert await wrong_fields(await alice.get(f"/conversations?limit=1&cursor={cursor}"))
