"""Lists: pages, their links, views and filters."""

import re
from typing import Any

import pytest
from bson import ObjectId
from yarl import URL

from chatvault.conversations.models import Conversation
from conftest import HttpClient
from support.answers import problem, wrong_fields
from support.factories import begin, message


def ids(conversations: list[dict[str, Any]]) -> list[str]:
    return [each["id"] for each in conversations]


def link(header: str, name: str) -> str | None:
    match = re.search(rf'<([^>]*)>; rel="{name}"', header)
    return match and match[1]


async def walk(http: HttpClient, path: str | None, name: str) -> list[list[dict[str, Any]]]:
    """All pages that the links of one name lead to."""
    pages = []
    while path is not None:
        answer = await http.get(path)
        assert answer.status == 200
        pages.append(await answer.json())
        path = link(answer.headers.get("Link", ""), name)
    return pages


class TestList:
    async def test_has_the_newest_change_first(self, alice: HttpClient) -> None:
        first, second, third = [await begin(alice, title=title) for title in "abc"]
        await alice.post(f"/conversations/{first['id']}/messages", json=message())
        await alice.put(f"/conversations/{second['id']}", json={"metadata": {"a": 1}})
        listed = await (await alice.get("/conversations")).json()
        assert ids(listed) == ids([second, first, third])

    async def test_includes_messages_unless_a_summary_is_requested(self, alice: HttpClient) -> None:
        begun = await begin(alice, messages=[message("a"), message("b")], metadata={"x": {}})
        full = await (await alice.get("/conversations?view=full")).json()
        assert full == [begun] == await (await alice.get("/conversations")).json()
        summary = await (await alice.get("/conversations?view=summary")).json()
        assert summary == [
            {
                name: value
                for name, value in begun.items()
                if name not in {"messages", "messages_truncated"}
            }
        ]
        assert summary[0]["total_messages"] == 2

    async def test_filters_by_status(self, alice: HttpClient) -> None:
        one, two, three = [await begin(alice, title=title) for title in "abc"]
        for each in (one, three):
            await alice.put(f"/conversations/{each['id']}", json={"status": "archived"})

        archived = await alice.get("/conversations?status=archived&limit=1")
        assert archived.headers["X-Total-Count"] == "2"
        pages = await walk(alice, "/conversations?status=archived&limit=1", "next")
        assert [ids(page) for page in pages] == [[three["id"]], [one["id"]]]
        active = await alice.get("/conversations?status=active")
        assert ids(await active.json()) == [two["id"]]
        assert active.headers["X-Total-Count"] == "1"
        assert (await alice.get("/conversations")).headers["X-Total-Count"] == "3"

    async def test_has_each_once_if_all_changed_at_the_same_time(
        self, alice: HttpClient, database: Any
    ) -> None:
        begun = [await begin(alice) for _ in range(23)]
        at = (await database["conversations"].find_one())["updated_at"]
        await database["conversations"].update_many({}, {"$set": {"updated_at": at}})

        pages = await walk(alice, "/conversations?limit=5&view=summary", "next")

        assert [len(page) for page in pages] == [5, 5, 5, 5, 3]
        seen = [each for page in pages for each in ids(page)]
        assert len(seen) == len(set(seen)) == 23
        assert set(seen) == set(ids(begun))
        back = await walk(alice, "/conversations?limit=5&offset=20&view=summary", "prev")
        assert [ids(page) for page in reversed(back)] == [ids(page) for page in pages]

    async def test_links_to_existing_pages_only(self, alice: HttpClient) -> None:
        for _ in range(4):
            await begin(alice)
        expected = {
            "limit=4": set(),
            "limit=2": {"next"},
            "limit=2&offset=2": {"prev"},
            "limit=2&offset=1": {"prev", "next"},
            "limit=2&offset=9": {"prev"},
        }
        for query, names in expected.items():
            answer = await alice.get(f"/conversations?{query}")
            header = answer.headers.get("Link", "")
            assert set(re.findall('rel="([a-z]+)"', header)) == names
            assert answer.headers["X-Total-Count"] == "4"
        answer = await alice.get("/conversations?limit=2&offset=1")
        assert link(answer.headers["Link"], "prev") == "/conversations?limit=2&offset=0"
        answer = await alice.get("/conversations?limit=2&offset=9")
        assert await answer.json() == []

    async def test_defaults_to_a_hundred(self, alice: HttpClient) -> None:
        for _ in range(101):
            await begin(alice)
        answer = await alice.get("/conversations?view=summary")
        assert len(await answer.json()) == 100
        assert answer.headers["X-Total-Count"] == "101"
        assert len(await (await alice.get("/conversations?limit=200")).json()) == 101

    @pytest.mark.parametrize(
        ("query", "name"),
        [
            ("limit=0", "limit"),
            ("limit=-1", "limit"),
            ("limit=201", "limit"),
            ("limit=1.5", "limit"),
            ("limit=", "limit"),
            ("limit=9999999999999999999999", "limit"),
            ("limit=1&limit=2", "limit"),
            ("offset=-1", "offset"),
            ("offset=9223372036854775808", "offset"),
            ("status=gone", "status"),
            ("status=", "status"),
            ("view=tiny", "view"),
            ("user_id=507f1f77bcf86cd799439011", "user_id"),
            ("$where=1", "$where"),
        ],
    )
    async def test_names_the_wrong_parameter(
        self, alice: HttpClient, query: str, name: str
    ) -> None:
        assert [["query", name]] == await wrong_fields(await alice.get(f"/conversations?{query}"))

    async def test_count_refuses_unknown_parameters(
        self, alice: HttpClient, bob: HttpClient
    ) -> None:
        await begin(alice)
        assert await (await bob.get("/conversations/stats/count")).json() == {"count": 0}
        assert await (await alice.get("/conversations/stats/count")).json() == {"count": 1}


class TestIndex:
    @pytest.mark.parametrize(
        "which", [{}, {"status": "archived"}, {"agent_id": ObjectId("a" * 24)}]
    )
    async def test_serves_order_and_filter(
        self, alice: HttpClient, database: Any, which: dict[str, Any]
    ) -> None:
        begun = [await begin(alice) for _ in range(6)]
        await database.conversations.update_one(
            {"_id": ObjectId(begun[2]["id"])},
            {"$set": {"status": "archived", "agent_id": ObjectId("a" * 24)}},
        )
        owner = ObjectId(begun[0]["user_id"])
        query = {"user_id": owner, **which}
        found = database.conversations.find(query, hint=Conversation.BY_CHANGE)
        explained = await found.sort([("updated_at", -1), ("_id", -1)]).explain()
        assert '"SORT"' not in str(explained["queryPlanner"]["winningPlan"]).replace("'", '"')
        assert "newest_change" in str(explained["queryPlanner"]["winningPlan"])
        # What the filter leaves out is not even fetched.
        assert explained["executionStats"]["totalDocsExamined"] == (1 if which else 6)


class TestCursor:
    async def walk(self, client: HttpClient, change: Any = None) -> list[str]:
        """Titles of all pages; between two of them something changes."""
        titles: list[str] = []
        address = "/conversations?view=summary&limit=3&cursor=start"
        while address:
            answer = await client.get(address)
            assert answer.status == 200, await answer.text()
            titles += [each["title"] for each in await answer.json()]
            link = answer.links.get("next")
            address = URL(str(link["url"])).path_qs if link else ""
            if change:
                await change()
        return titles

    async def test_neither_skips_nor_repeats(self, alice: HttpClient) -> None:
        made = [await begin(alice, title=f"{number}") for number in range(10)]
        assert await self.walk(alice) == [f"{number}" for number in reversed(range(10))]

        # An offset would show some twice as others come to the top, and skip as others go.
        rest = iter(made)

        async def change() -> None:
            if (one := next(rest, None)) is not None:
                await alice.patch(f"/conversations/{one['id']}", json={"tags": ["moved"]})
            await begin(alice, title="new")

        titles = await self.walk(alice, change)
        unmoved = [f"{number}" for number in reversed(range(5, 10))]
        assert [title for title in titles if title in unmoved] == unmoved
        assert len(titles) == len(set(titles))

    async def test_comes_with_the_total_count(self, alice: HttpClient) -> None:
        for number in range(4):
            await begin(alice, title=f"{number}")
        answer = await alice.get("/conversations?limit=2&cursor=start")
        answer = await alice.get(URL(str(answer.links["next"]["url"])).path_qs)
        assert answer.headers["X-Total-Count"] == "4"
        assert "next" in answer.links

    @pytest.mark.parametrize("query", ["cursor=nonsense", "cursor=start&offset=1"])
    async def test_is_refused_if_invalid(self, alice: HttpClient, query: str) -> None:
        await problem(await alice.get(f"/conversations?{query}"), 422, "invalid_input")
