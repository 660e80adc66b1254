"""Lists by conditions and in orders, against a plain list."""

import random
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from bson import ObjectId
from yarl import URL

from chatvault.access import Access, Need
from chatvault.conversations.lists import indexes
from chatvault.conversations.models import Conversation, drop_replaced_indexes
from chatvault.fields import format_instant
from conftest import HttpClient
from support.answers import problem, wrong_fields
from support.factories import begin, message

Raw = dict[str, Any]
START = datetime(2024, 1, 1, tzinfo=UTC)
TAGS = ("work", "home", "Work", "ärger")
AGENT = ObjectId("a" * 24)


def at(hours: int) -> datetime:
    return START + timedelta(hours=hours)


def some_conversation(owner: ObjectId, dice: random.Random, categories: list[str]) -> Raw:
    """Return a conversation as it is stored, with few different values of each field."""
    category = dice.choice([*categories, None])
    document = Conversation.begin(
        Access(owner, Need.MANAGE),
        title=dice.choice("abc") + dice.choice(["", "x", "10"]),
        tags=dice.sample(TAGS, dice.randrange(4)),
        metadata={},
        at=at(dice.randrange(8)),
        category_id=category and ObjectId(category),
        pinned_at=dice.choice([None, at(1)]),
        agent_id=dice.choice([None, AGENT]),
    )
    return {
        **document,
        "messages": [],
        "updated_at": at(dice.randrange(8)),
        "last_message_at": dice.choice([None, at(dice.randrange(8))]),
        "status": dice.choice(["active", "archived"]),
    }


def some_query(dice: random.Random, categories: list[str]) -> list[tuple[str, str]]:
    possible = {
        "status": ["active", "archived"],
        "agent_id": [str(AGENT), "0" * 24],
        "tag": [*TAGS],
        "any_tag": [*TAGS],
        "category": [*categories, "none"],
        "pinned": ["true", "false"],
        "has_attachments": ["true", "false"],
        **{
            f"{name}_{end}": [format_instant(at(hours)) for hours in range(8)]
            for name in ("created", "updated")
            for end in ("from", "to")
        },
    }
    query = [
        (name, dice.choice(possible[name])) for name in dice.sample([*possible], dice.randrange(3))
    ]
    for name in ("tag", "any_tag"):
        if name in dict(query) and dice.random() < 0.5:
            query.append((name, dice.choice(TAGS)))
    return query


def expected(
    stored: Iterable[Raw], query: list[tuple[str, str]], sort: str, within: dict[str, set[str]],
    attached: set[ObjectId],
) -> list[str]:  # fmt: skip
    """The ids of the conversations that a plain list has, in order."""
    wanted = dict(query)
    tests: dict[str, Callable[[Raw], bool]] = {
        "status": lambda each: each["status"] == wanted["status"],
        "agent_id": lambda each: str(each["agent_id"] or "0" * 24) == wanted["agent_id"],
        "tag": lambda each: {text for name, text in query if name == "tag"} <= {*each["tags"]},
        "any_tag": lambda each: bool(
            {text for name, text in query if name == "any_tag"} & {*each["tags"]}
        ),
        "category": lambda each: str(each.get("category_id")) in within[wanted["category"]],
        "pinned": lambda each: (each.get("pinned_at") is not None) == (wanted["pinned"] == "true"),
        "has_attachments": lambda each: (
            (each["_id"] in attached) == (wanted["has_attachments"] == "true")
        ),
        "created_from": lambda each: format_instant(each["created_at"]) >= wanted["created_from"],
        "created_to": lambda each: format_instant(each["created_at"]) < wanted["created_to"],
        "updated_from": lambda each: format_instant(each["updated_at"]) >= wanted["updated_from"],
        "updated_to": lambda each: format_instant(each["updated_at"]) < wanted["updated_to"],
    }
    found = [each for each in stored if all(tests[name](each) for name in wanted)]
    orders: dict[str, Callable[[Raw], Any]] = {
        "updated": lambda each: (each["updated_at"], each["_id"]),
        "created": lambda each: (each["created_at"], each["_id"]),
        "last_message": lambda each: (
            each["last_message_at"] is not None, each["last_message_at"] or START, each["_id"],
        ),
        "title": lambda each: (each["title"], each["_id"]),
    }  # fmt: skip
    found.sort(key=orders[sort], reverse=sort != "title")
    return [str(each["_id"]) for each in found]


async def walk(http: HttpClient, query: list[tuple[str, str]]) -> list[str]:
    """The ids on all pages."""
    ids: list[str] = []
    address = "/conversations?" + urlencode([*query, ("view", "summary")])
    while address:
        answer = await http.get(address)
        assert answer.status == 200, await answer.text()
        ids += [each["id"] for each in await answer.json()]
        link = answer.links.get("next")
        address = URL(str(link["url"]), encoded=True).raw_path_qs if link else ""
    return ids


async def make_category(http: HttpClient, name: str, parent_id: str | None = None) -> str:
    answer = await http.post("/categories", json={"name": name, "parent_id": parent_id})
    assert answer.status == 201, await answer.text()
    made: str = (await answer.json())["id"]
    return made


class TestProperty:
    @pytest.mark.parametrize(
        ("seed", "queries"),
        [(0, 25), *(pytest.param(each, 40, marks=pytest.mark.long) for each in (1, 2))],
    )
    async def test_equals_a_plain_list(
        self,
        alice: HttpClient,
        database: Any,
        constants: pytest.MonkeyPatch,
        seed: int,
        queries: int,
    ) -> None:
        dice = random.Random(seed)
        # Some categories, agents and tags have fewer conversations, and some have more.
        constants.setattr(indexes, "FEW", 15)
        constants.setattr(indexes, "FEW_TAGGED", 25)
        constants.setattr(indexes, "FEW_BY_LAST_MESSAGE", 20)
        owner = ObjectId((await begin(alice, title="b"))["user_id"])
        work = await make_category(alice, "Work")
        clients, home = await make_category(alice, "Clients", work), await make_category(alice, "H")
        categories = [work, clients, home]
        within = {work: {work, clients}, clients: {clients}, home: {home}, "none": {"None"}}
        made = [some_conversation(owner, dice, categories) for _ in range(60)]
        await database.conversations.insert_many(made)
        attached = {each["_id"] for each in dice.sample(made, 20)}
        await database.attachments.insert_many(
            {"user_id": owner, "conversation_id": each, "attachment_id": "a", "state": "absent"}
            for each in attached
        )
        stored = await database.conversations.find().to_list()
        # That of the first one may be sealed; the others were inserted as they are.
        next(each for each in stored if each["_id"] not in {m["_id"] for m in made})["title"] = "b"
        for _ in range(queries):
            query, sort = (
                some_query(dice, categories),
                dice.choice(["updated", "created", "last_message", "title"]),
            )
            order = [("sort", sort), ("limit", str(dice.choice([1, 3, 20, 200])))]
            start = dice.choice([[("cursor", "start")], []])

            found = await walk(alice, [*query, *order, *start])

            assert len(found) == len({*found}), (query, order, start)
            assert found == expected(stored, query, sort, within, attached), (query, order, start)
            counted = await alice.get(
                "/conversations?" + urlencode([*query, *order, ("count", "true")])
            )
            assert counted.headers["X-Total-Count"] == str(len(found))


class TestOrder:
    async def test_by_title_is_one_of_letters(self, alice: HttpClient) -> None:
        for title in ("banana", "Zebra", "apple", "Émile", "Apple", "zoo", "élan"):
            await begin(alice, title=title)
        listed = await (await alice.get("/conversations?sort=title")).json()
        assert [each["title"] for each in listed] == [
            "apple", "Apple", "banana", "élan", "Émile", "Zebra", "zoo",
        ]  # fmt: skip

    async def test_by_last_message_leaves_other_changes_aside(self, alice: HttpClient) -> None:
        first, second, empty = [await begin(alice, title=title) for title in "abc"]
        for each in (first, second):
            await alice.post(f"/conversations/{each['id']}/messages", json=message())
        await alice.patch(f"/conversations/{first['id']}", json={"tags": ["late"]})
        listed = await (await alice.get("/conversations?sort=last_message")).json()
        assert [each["title"] for each in listed] == ["b", "a", "c"]
        assert listed[2]["id"] == empty["id"]

    @pytest.mark.parametrize("sort", ["updated", "created", "last_message", "title"])
    async def test_stays_right_while_it_changes(self, alice: HttpClient, sort: str) -> None:
        made = [await begin(alice, title=f"{n}", messages=[message()]) for n in range(10, 20)]
        address = f"/conversations?view=summary&limit=3&cursor=start&sort={sort}"
        seen: list[str] = []
        changing = iter([made[9], made[0], made[5], made[6]])
        while address:
            answer = await alice.get(address)
            seen += [each["id"] for each in await answer.json()]
            link = answer.links.get("next")
            address = URL(str(link["url"]), encoded=True).raw_path_qs if link else ""
            if (one := next(changing, None)) is not None:
                path = f"/conversations/{one['id']}"
                await alice.post(f"{path}/messages", json=message())
                await alice.patch(path, json={"title": f"new {one['title']}"})
        unchanged = [each["id"] for n, each in enumerate(made) if n in {1, 2, 3, 4, 7, 8}]
        assert sorted(each for each in seen if each in unchanged) == sorted(unchanged)


class TestCount:
    @pytest.mark.parametrize(
        ("query", "is_counted"),
        [
            ("limit=1", True),
            ("cursor=start&limit=1&status=active", True),
            ("limit=1&count=false", False),
            ("cursor=start&count=false&limit=1", False),
            ("sort=title&limit=1", False),
            ("tag=a&limit=1", False),
            ("sort=created&limit=1&count=true", True),
        ],
    )
    async def test_is_unasked_only_for_what_always_had_it(
        self, alice: HttpClient, query: str, *, is_counted: bool
    ) -> None:
        for _ in range(2):
            await begin(alice, tags=["a"])
        answer = await alice.get(f"/conversations?{query}")
        assert ("X-Total-Count" in answer.headers) is is_counted
        assert "next" in answer.links

    async def test_leads_to_all_pages_without(self, alice: HttpClient) -> None:
        made = {(await begin(alice))["id"] for _ in range(5)}
        assert {*await walk(alice, [("limit", "2"), ("count", "false")])} == made


class TestRefusals:
    @pytest.mark.parametrize(
        ("query", "name"),
        [("sort=size", "sort"), ("pinned=perhaps", "pinned"), ("tag=", "tag"),
         ("count=1x", "count"), ("category=all", "category"), ("created_from=x", "created_from")],
    )  # fmt: skip
    async def test_name_the_parameter(self, alice: HttpClient, query: str, name: str) -> None:
        assert name in str(await wrong_fields(await alice.get(f"/conversations?{query}")))

    async def test_of_a_cursor_of_another_order(self, alice: HttpClient) -> None:
        for _ in range(2):
            await begin(alice)
        answer = await alice.get("/conversations?sort=title&limit=1&cursor=start")
        other = str(answer.links["next"]["url"]).replace("sort=title", "sort=created")
        await problem(await alice.get(URL(other).path_qs), 422, "invalid_input")


class TestStrangers:
    async def test_list_nothing_of_others(self, alice: HttpClient, bob: HttpClient) -> None:
        category = await make_category(alice, "Mine")
        await begin(alice, tags=["a"], category_id=category, pinned=True)
        for query in ("tag=a", "pinned=true", f"category={category}", "sort=title"):
            assert await (await bob.get(f"/conversations?{query}")).json() == []
        await problem(
            await bob.patch(f"/categories/{category}", json={"name": "x"}), 404, "not_found"
        )
        refused = await bob.post("/conversations", json={"category_id": category})
        await problem(refused, 404, "not_found")


class TestIndexes:
    async def test_an_append_changes_one(self, alice: HttpClient, database: Any) -> None:
        begun = await begin(alice, tags=["a"], pinned=True, messages=[message()])
        more = {"agent_id": AGENT, "status": "archived"}
        await database.conversations.update_one({}, {"$set": more})
        await database.command("profile", 2)
        try:
            await alice.post(f"/conversations/{begun['id']}/messages", json=message())
        finally:
            await database.command("profile", 0)
        which = {"ns": f"{database.name}.conversations", "op": "update"}
        [update] = await database["system.profile"].find(which).to_list()
        await database["system.profile"].drop()
        assert (update["keysInserted"], update["keysDeleted"]) == (1, 1)

    @pytest.mark.parametrize(
        "query",
        [
            "tag=rare&sort=title",
            "tag=common&tag=rare",
            "tag=common&tag=rare&sort=last_message",
            "any_tag=rare&any_tag=none&sort=created",
            f"agent_id={AGENT}",
            f"agent_id={AGENT}&sort=title",
            "status=archived",
            "status=archived&sort=last_message",
        ],
    )
    async def test_of_few_are_not_looked_for_among_all(
        self, alice: HttpClient, database: Any, query: str
    ) -> None:
        some = {"agent_id": AGENT, "status": "archived", "archived_at": at(1)}
        for number in range(12):
            begun = await begin(alice, tags=["common", "rare"] if number == 0 else ["common"])
            if number == 0:
                which = {"_id": ObjectId(begun["id"])}
                await database.conversations.update_one(which, {"$set": some})
        await alice.get("/tags")
        await database.command("profile", 2)
        path = f"/conversations?cursor=start&count=false&view=summary&{query}"
        try:
            answer = await alice.get(path)
        finally:
            await database.command("profile", 0)
        mine = {"ns": f"{database.name}.conversations", "docsExamined": {"$exists": True}}
        read = await database["system.profile"].find(mine).to_list()
        await database["system.profile"].drop()
        assert len(await answer.json()) == 1
        # Some lists read ids first.
        assert 1 <= sum(each["docsExamined"] for each in read) <= 2, read

    async def test_of_changes_has_the_pages_of_a_large_category(
        self, alice: HttpClient, database: Any, constants: pytest.MonkeyPatch
    ) -> None:
        constants.setattr(indexes, "FEW", 3)
        home = await (await alice.post("/categories", json={"name": "Home"})).json()
        ids = [
            (await begin(alice, **({"category_id": home["id"]} if number % 2 else {})))["id"]
            for number in range(8)
        ]
        path = f"/conversations?cursor=start&view=summary&limit=2&category={home['id']}"
        await database.command("profile", 2)
        try:
            first = await alice.get(path)
            after = URL(str(first.links["next"]["url"]), encoded=True)
            second = await alice.get(after.raw_path_qs)
        finally:
            await database.command("profile", 0)
        found = database["system.profile"].find({"op": "query", "nreturned": {"$gte": 2}})
        read = [
            each["docsExamined"]
            for each in await found.to_list()
            if each["ns"].endswith(".conversations")
        ]
        await database["system.profile"].drop()
        shown = [each["id"] for page in (first, second) for each in await page.json()]
        assert shown == ids[7::-2]
        # The last one of the page before is read again; those of no category are passed over.
        assert read == [2, 3]

    async def test_the_replaced_one_goes(self, alice: HttpClient, database: Any) -> None:
        await begin(alice)
        old = [("user_id", 1), ("updated_at", -1), ("_id", -1), ("status", 1), ("agent_id", 1)]
        for name in Conversation.REPLACED:
            await database.conversations.create_index([*old, (name, 1)], name=name)
        await drop_replaced_indexes()
        names = {*await database.conversations.index_information()}
        assert not {*Conversation.REPLACED} & names
        assert {Conversation.BY_CHANGE, "by_tag", "by_title"} <= names
