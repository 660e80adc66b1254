"""Messages around a place, and the outline of a conversation."""

from typing import Any

import pytest
from yarl import URL

from conftest import HttpClient
from support.answers import wrong_fields
from support.factories import begin, message


async def begin_of(http: HttpClient, count: int) -> str:
    roles = ("user", "assistant")
    said = [message(f"word {n} " + "and more " * 30, roles[n % 2]) for n in range(count)]
    path: str = (await begin(http, messages=said))["id"]
    return f"/conversations/{path}/messages"


class TestAround:
    @pytest.mark.parametrize(
        ("around", "limit", "expected"),
        [(50, 5, range(48, 53)), (50, 4, range(48, 52)), (0, 5, range(5)), (99, 5, range(95, 100)),
         (50, 1, range(50, 51)), (98, 6, range(94, 100)), (500, 3, range(97, 100))],
    )  # fmt: skip
    async def test_is_in_the_middle(
        self, alice: HttpClient, around: int, limit: int, expected: range
    ) -> None:
        path = await begin_of(alice, 100)
        answer = await alice.get(f"{path}?around={around}&limit={limit}")
        body = await answer.json()
        assert [each["seq"] for each in body["messages"]] == [*expected]
        assert body["pagination"]["hasMore"] is (expected[-1] < 99)
        assert ("prev" in answer.links) is (expected[0] > 0)
        if "next" in answer.links:
            after = await alice.get(URL(str(answer.links["next"]["url"])).path_qs)
            assert (await after.json())["messages"][0]["seq"] == expected[-1] + 1

    async def test_goes_with_no_other_way(self, alice: HttpClient) -> None:
        path = await begin_of(alice, 2)
        assert await wrong_fields(await alice.get(f"{path}?around=1&before=2"))


class TestOutline:
    async def test_has_the_first_words_of_each_question(self, alice: HttpClient) -> None:
        path = await begin_of(alice, 7)
        found: list[dict[str, Any]] = []
        address = f"{path}/outline?limit=2"
        while address:
            answer = await alice.get(address)
            body = await answer.json()
            found += body["messages"]
            assert len(body["messages"]) <= 2
            assert ("next" in answer.links) is body["hasMore"]
            address = URL(str(answer.links["next"]["url"])).path_qs if body["hasMore"] else ""
        assert [each["seq"] for each in found] == [0, 2, 4, 6]
        assert found[1]["words"].startswith("word 2 and more")
        assert found[1]["words"].endswith("…")
        assert all(len(each["words"]) <= 120 for each in found)

    async def test_reads_a_bounded_part(
        self, alice: HttpClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("chatvault.conversations.reading.outline.MOST_READ", 4)
        monkeypatch.setattr("chatvault.conversations.reading.outline.AT_ONCE", 2)
        said = [message("q"), *[message("a", "assistant") for _ in range(6)], message("end")]
        begun = await begin(alice, messages=said)
        path = f"/conversations/{begun['id']}/messages/outline"
        first = await (await alice.get(path)).json()
        assert ([each["seq"] for each in first["messages"]], first["hasMore"]) == ([0], True)
        rest = await (await alice.get(f"{path}?after=3")).json()
        assert ([each["words"] for each in rest["messages"]], rest["hasMore"]) == (["end"], False)
