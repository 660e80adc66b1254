"""Random histories: what is found is what a plain look through all messages finds.

At any moment nothing else is found; and once changes have been seen, all of it.
"""

import random
import re
from typing import Any

import pytest

from conftest import HttpClient
from support.factories import begin, message
from support.searching import everything, index_all, search, until
from support.stored import tiny_bounds

VOCABULARY = ["red", "green", "greens", "blue", "Blau", "bleu", "café", "日本語", "日本"]
QUERIES = (
    "red", "green*", "red blue", '"red green"', "blue -red", "cafe", "日本", "日", '"red gre*"',
    "bl*", '"日本 red"', "-blau green red",
)  # fmt: skip
STEPS = 18


def split(text: str) -> list[str]:
    """Split as the service does, for this vocabulary."""
    found = []
    for word in re.findall(r"\w+", text.lower().replace("é", "e")):
        pairs = [word[place : place + 2] for place in range(len(word) - 1)]
        found += [*pairs, word[-1]] if word[0] == "日" else [word]
    return found


def matches(query: str, text: str) -> bool:
    words = split(text)
    for without, phrase, word in re.findall(r'(-?)(?:"([^"]*)"|(\S+))', query):
        wanted = (phrase or word).rstrip("*").split()
        is_prefix = (phrase or word).endswith("*") or (phrase or word) == "日"
        parts = [split(each) for each in wanted]
        if parts[-1][0].startswith("日") and len(parts[-1]) > 1:
            parts[-1].pop()
        flat = [each for part in parts for each in part]
        size = len(flat)
        is_in = any(
            words[place : place + size - 1] == flat[:-1]
            and (
                words[place + size - 1].startswith(flat[-1])
                if is_prefix
                else words[place + size - 1] == flat[-1]
            )
            for place in range(len(words) - size + 1)
        )
        if is_in == bool(without):
            return False
    return True


class World:
    """One user's conversations, changed at random."""

    def __init__(self, http: HttpClient, chosen: random.Random) -> None:
        self.http = http
        self.chosen = chosen
        self.ids: list[str] = []

    def text(self) -> str:
        return " ".join(self.chosen.choices(VOCABULARY, k=self.chosen.randrange(1, 5)))

    async def messages(self, conversation: str) -> list[Any]:
        answer = await self.http.get(f"/conversations/{conversation}")
        body: list[Any] = (await answer.json())["messages"]
        return body

    async def step(self) -> None:
        if not self.ids or self.chosen.random() < 0.15:
            many = [message(self.text()) for _ in range(self.chosen.randrange(12))]
            self.ids.append((await begin(self.http, title="-", messages=many))["id"])
            return
        one = self.chosen.choice(self.ids)
        path = f"/conversations/{one}"
        some = await self.messages(one)
        match self.chosen.choice(["append", "append", "edit", "edit", "remove", "put", "delete"]):
            case "edit" if some:
                each = self.chosen.choice(some)["id"]
                await self.http.patch(f"{path}/messages/{each}", json={"content": self.text()})
            case "remove" if some:
                await self.http.delete(f"{path}/messages/{self.chosen.choice(some)['id']}")
            case "put":
                many = [message(self.text()) for _ in range(self.chosen.randrange(8))]
                version = (await self.http.get(path)).headers["ETag"]
                await self.http.put(path, json={"messages": many}, headers={"If-Match": version})
            case "delete" if len(self.ids) > 2:
                await self.http.delete(path)
                self.ids.remove(one)
            case _:
                many = [message(self.text()) for _ in range(self.chosen.randrange(1, 6))]
                await self.http.post(f"{path}/messages:batch", json={"messages": many})

    async def scan(self, query: str) -> set[tuple[str, int]]:
        return {
            (one, each["seq"])
            for one in self.ids
            for each in await self.messages(one)
            if matches(query, each["content"])
        }


@pytest.mark.parametrize(
    "seed", [1, *(pytest.param(each, marks=pytest.mark.long) for each in (2, 3, 4))]
)
@pytest.mark.parametrize("waiting", [0, 10])
async def test_hits_equal_those_of_a_scan(
    seed: int, waiting: int, alice: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny_bounds(monkeypatch)
    index_all(monkeypatch)
    monkeypatch.setattr("chatvault.search.searcher.MOST_WAITING", waiting)
    monkeypatch.setattr("chatvault.search.service.FIRST_LIMIT", 3)
    monkeypatch.setattr("chatvault.search.updating.PUBLISH_SECONDS", 0.0)
    world = World(alice, random.Random(seed))  # the same in each run
    for number in range(STEPS):
        await world.step()
        query = world.chosen.choice(QUERIES)
        expected = await world.scan(query)
        assert await everything(alice, query, limit=2) <= expected
        if number % 6 == 5:
            for each in world.chosen.sample(QUERIES, 5):
                await until_equal(world, each)


async def until_equal(world: World, query: str) -> None:
    expected = await world.scan(query)
    wanted = {one for one, _ in expected}

    async def ask() -> bool:
        body = await search(world.http, query)
        found = await everything(world.http, query, limit=3)
        assert found <= expected, query
        is_paged = {one for one, _ in found} == wanted
        # A result has the best hits only; within one conversation there are pages of them.
        for one in wanted:
            found |= await everything(world.http, query, conversation_id=one, limit=3)
        return is_paged and found == expected and body["total"] == len(expected)

    await until(ask)
