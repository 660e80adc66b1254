"""Searching over HTTP: what is found, shown and counted."""

import asyncio
from typing import Any

import pytest

from chatvault.conversations.reading import ranges
from chatvault.cursors import encode_name_cursor
from chatvault.search import index, searcher, service
from chatvault.search.feed import Feed
from chatvault.search.ranking import Ranked
from chatvault.search.sources import Source
from chatvault.search.verifying import LONG, Wanted
from conftest import HttpClient
from support.answers import problem
from support.factories import begin, message
from support.searching import everything, index_all, indexed, places, search, until
from support.stored import tiny_bounds


@pytest.fixture(params=["scanned", "indexed"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Messages are looked through, or all of them are in an index."""
    if request.param == "indexed":
        index_all(monkeypatch)
    return str(request.param)


async def test_finds_messages_with_marks(way: str, alice: HttpClient) -> None:
    body = await begin(
        alice, title="Trip", messages=[message("Where is the Café in New York?"), message("Ask Bo")]
    )
    found = await indexed(alice, "cafe york")
    [result] = found["results"]
    assert result["conversation"]["id"] == body["id"]
    [hit] = result["hits"]
    assert hit["message_id"] == body["messages"][0]["id"]
    assert [each["text"] for each in hit["snippet"] if each["mark"]] == ["Café", "York"]
    assert "".join(each["text"] for each in hit["snippet"]) == "Where is the Café in New York?"
    assert (found["total"], found["about"]) == (1, False)


CONTENTS = [
    "the quick brown fox",
    "the brown quick fox",
    "quick-witted Zoë",
    "日本語を話します",
    "ガラスの靴",
    "don't panic",
    "हिन्दी में लिखें",
    "x = snake_case(1)",
]
QUERIES = {
    "quick": {0, 1, 2},
    '"quick brown"': {0},
    "quick -brown": {2},
    "qui*": {0, 1, 2},
    '"quick bro*"': {0},
    "zoe": {2},
    "日本": {3},
    "日": {3},
    "本語を": {3},
    "カラス": set(),
    "ガラス": {4},
    "don't": {5},
    "हिन्दी": {6},
    "snake_case": {7},
    "snake": set(),
    "nothing": set(),
}


async def test_understands_each_kind_of_query(way: str, alice: HttpClient) -> None:
    body = await begin(alice, messages=[message(each) for each in CONTENTS])
    await indexed(alice, "quick")
    for query, expected in QUERIES.items():
        found = {seq for _, seq in await everything(alice, query)}
        assert found == expected, query
    assert places(await search(alice, "snake", typing="true")) == {(body["id"], 7)}
    assert places(await search(alice, '"quick bro', typing="true")) == {(body["id"], 0)}


@pytest.mark.parametrize("others", [1, 12])
async def test_finds_phrases_whose_last_word_begins_many(
    others: int, alice: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Few or most of those with both words have them side by side."""
    index_all(monkeypatch)
    monkeypatch.setattr(index, "EXPANSIONS", 1)
    asked = list[bool]()
    ranking = Source.rank

    def rank(source: Source, wanted: Wanted, most: int, is_exact: bool) -> Ranked:  # noqa: FBT001  # as there
        asked.append(is_exact)
        return ranking(source, wanted, most, is_exact)

    monkeypatch.setattr(Source, "rank", rank)
    apart = [f"red then apex, number {number}" for number in range(others)]
    texts = ["a red apple", "a red apricot", *apart]
    body = await begin(alice, messages=[message(each) for each in texts])
    await indexed(alice, "red")
    asked.clear()
    found = await search(alice, '"red ap*"')
    assert places(found) == {(body["id"], 0), (body["id"], 1)}
    assert found["total"] == 2
    assert asked == [False, others == 12]


@pytest.mark.parametrize("query", ["-word", "!!!", '"open', "a b c d e f g h i j k l m n o p q"])
async def test_refuses_what_cannot_be_read(query: str, alice: HttpClient) -> None:
    answer = await alice.get("/search", params={"q": query})
    assert answer.status == 422
    problem = await answer.json()
    assert problem["code"] == "invalid_query"
    assert "at character" in problem["detail"]


async def test_finds_titles(alice: HttpClient) -> None:
    body = await begin(alice, title="Garden plans", messages=[message("Tulips")])
    await begin(alice, title="Other", messages=[message("Tulips, too")])
    [result] = (await search(alice, "garden"))["results"]
    assert (result["conversation"]["id"], result["hits"]) == (body["id"], [])
    assert result["conversation"]["title_marks"][0] == {"text": "Garden", "mark": True}
    assert places(await search(alice, "tulips title:garden")) == {(body["id"], 0)}
    assert len((await search(alice, "title:plans"))["results"]) == 1


async def test_filters(way: str, alice: HttpClient) -> None:
    at = {"timestamp": "2020-05-01T00:00:00Z"}
    top = await (await alice.post("/categories", json={"name": "Fruit"})).json()
    within = {"name": "Red", "parent_id": top["id"]}
    red = await (await alice.post("/categories", json=within)).json()
    both = [message("apple", **at), message("apple")]
    one = await begin(alice, tags=["a"], category_id=red["id"], messages=both)
    two = await begin(alice, messages=[message("apple", "assistant")])
    await alice.post(f"/conversations/{two['id']}/archive", json={"archived": True})
    await indexed(alice, "apple")

    async def found(**params: str) -> set[tuple[str, int]]:
        return await everything(alice, "apple", **params)

    assert await found() == {(one["id"], 0), (one["id"], 1), (two["id"], 0)}
    assert await found(role="assistant") == {(two["id"], 0)}
    assert await found(tag="a") == {(one["id"], 0), (one["id"], 1)}
    for category in (top, red):
        assert await found(category=category["id"]) == {(one["id"], 0), (one["id"], 1)}
    assert await found(category=two["id"]) == set()
    assert await found(conversation_id=two["id"]) == {(two["id"], 0)}
    assert await found(to="2020-05-02T00:00:00Z") == {(one["id"], 0)}
    assert (one["id"], 0) not in await found(**{"from": "2020-05-02T00:00:00Z"})

    async def ask() -> bool:
        return await found(status="archived") == {(two["id"], 0)}

    await until(ask)


async def test_shows_each_hit_once_on_pages(way: str, alice: HttpClient) -> None:
    for number in range(7):
        await begin(alice, messages=[message(f"pear {number}")] * 2)
    body = await indexed(alice, "pear", limit=3)
    assert (len(body["results"]), body["total"]) == (3, 14)
    assert len(await everything(alice, "pear", limit=3)) == 14
    one = body["results"][0]["conversation"]["id"]
    assert await everything(alice, "pear", conversation_id=one, limit=1) == {(one, 0), (one, 1)}


@pytest.mark.parametrize("offset", ["8", "999999999"])
async def test_ends_pages_after_the_most_that_are_ranked(
    alice: HttpClient, constants: pytest.MonkeyPatch, offset: str
) -> None:
    index_all(constants)
    constants.setattr(service, "FIRST_LIMIT", 2)
    constants.setattr(service, "MOST_RANKED", 8)
    for number in range(20):
        await begin(alice, messages=[message(f"pear {number}")])
    await indexed(alice, "pear")
    found = await everything(alice, "pear", limit=3)
    assert 8 <= len(found) <= 8 + 3
    body = await search(alice, "pear", cursor=encode_name_cursor(offset))
    assert (body["results"], body["next_cursor"]) == ([], None)


async def test_finds_what_is_new_and_nothing_that_is_gone(way: str, alice: HttpClient) -> None:
    body = await begin(alice, messages=[message(f"plum {number}") for number in range(4)])
    ids = [each["id"] for each in body["messages"]]
    path = f"/conversations/{body['id']}/messages"
    await indexed(alice, "plum")
    answer = await alice.patch(f"{path}/{ids[0]}", json={"content": "cherry"})
    assert answer.status == 200
    assert (await alice.delete(f"{path}/{ids[1]}")).status == 204
    # From the next request on.
    gone = await search(alice, "plum")
    assert places(gone) == {(body["id"], 2), (body["id"], 3)}
    assert gone["total"] == 2
    await alice.post(path, json=message("plum again"))

    async def ask() -> bool:
        found = await search(alice, "plum"), await search(alice, "cherry")
        return places(found[0]) == {(body["id"], each) for each in (2, 3, 4)} and bool(
            places(found[1])
        )

    await until(ask)
    await alice.delete(f"/conversations/{body['id']}")
    assert (await search(alice, "plum"))["total"] == 0


async def test_finds_nothing_of_strangers(way: str, alice: HttpClient, bob: HttpClient) -> None:
    body = await begin(alice, title="secret", messages=[message("secret")])
    assert (await indexed(alice, "secret"))["total"] == 2
    for params in ({}, {"conversation_id": body["id"]}):
        assert (await indexed(bob, "secret", **params))["results"] == []


async def test_asks_who_it_is(http: HttpClient) -> None:
    assert (await http.get("/search", params={"q": "word"})).status == 401


async def test_is_unavailable_while_changes_cannot_be_followed(
    alice: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searcher, "FEED_SECONDS", 0.01)
    monkeypatch.setattr(Feed, "opened", lambda _: asyncio.sleep(60))
    await problem(await alice.get("/search", params={"q": "x"}), 503, "unavailable")


async def test_is_audited_without_words(alice: HttpClient, database: Any) -> None:
    await begin(alice, messages=[message("walnut")])
    await search(alice, "walnut")
    [entry] = await database["audit_logs"].find({"action": "conversation.search"}).to_list()
    assert entry["details"] == {"results": 1, "total": 1}
    assert "walnut" not in str(entry)


async def test_without_tantivy_the_newest_messages_are_searched(
    alice: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chatvault.search.index.tantivy", None)
    monkeypatch.setattr("chatvault.search.searcher.MOST_WAITING", 2)
    body = await begin(alice, title="fig", messages=[message("fig")] * 4)
    found = await search(alice, "fig")
    assert places(found) == {(body["id"], 2), (body["id"], 3)}
    assert (found["indexed"], found["results"][0]["conversation"]["title"]) == (0.5, "fig")


async def test_many_characters_are_indexed_instead_of_looked_through(
    alice: HttpClient, constants: pytest.MonkeyPatch
) -> None:
    constants.setattr(searcher, "MOST_CHARACTERS", 300)
    for number in range(5):
        await begin(alice, messages=[message(f"plum {number} " + "x" * 200)])
    found = await search(alice, "plum")
    assert (len(places(found)), found["indexed"]) == (2, 0.4)
    assert len(places(await indexed(alice, "plum"))) == 5


async def test_shows_the_words_of_a_long_message(way: str, alice: HttpClient) -> None:
    long = "x " * LONG + "the quince of the end " + "y " * LONG
    await begin(alice, messages=[message(long)])
    found = await indexed(alice, "quince")
    [hit] = found["results"][0]["hits"]
    assert [each["text"] for each in hit["snippet"] if each["mark"]] == ["quince"]
    assert sum(len(each["text"]) for each in hit["snippet"]) < 300


async def test_finds_the_messages_of_many_segments(
    way: str, alice: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny_bounds(monkeypatch)
    monkeypatch.setattr(ranges, "SEGMENTS_AT_ONCE", 2)
    body = await begin(alice, messages=[message(f"medlar {number}") for number in range(60)])
    await indexed(alice, "medlar")
    found = await everything(alice, "medlar", conversation_id=body["id"])
    assert found == {(body["id"], number) for number in range(60)}
