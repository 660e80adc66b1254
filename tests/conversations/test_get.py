"""Reading one conversation."""

from typing import Any

import pytest

from conftest import HttpClient
from support.answers import found, problem
from support.factories import begin, message


class TestGet:
    @pytest.mark.parametrize(
        "wrong",
        [
            "notanid", "507f1f77bcf86cd799439011", "507f1f77bcf86cd79943901", "0" * 25, "%00",
            "507f1f77bcf86cd79943901g", "..%2Fusers", "%F0%9F%8E%89", "x" * 2000,
        ],
    )  # fmt: skip
    @pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
    async def test_answers_alike_for_an_unknown_and_a_malformed_id(
        self, alice: HttpClient, method: str, wrong: str
    ) -> None:
        body = {"title": "x"} if method in {"PUT", "PATCH"} else None
        answer = await alice.request(method, f"/conversations/{wrong}", json=body)
        await problem(answer, 404, "not_found")

    async def test_accepts_an_id_in_capitals(self, alice: HttpClient) -> None:
        begun = await begin(alice)
        assert await found(alice, begun["id"].upper()) == begun

    async def test_carries_a_strong_tag_that_rises(self, alice: HttpClient) -> None:
        begun = await begin(alice)
        path = f"/conversations/{begun['id']}"
        first = (await alice.get(path)).headers["ETag"]
        await alice.post(f"{path}/messages", json=message())
        second = (await alice.get(path)).headers["ETag"]
        assert (first, second) == ('"1"', '"2"')

    @pytest.mark.parametrize("tags", ['"1"', 'W/"1"', '"9", "1"', "*"])
    async def test_answers_304_without_body_for_a_known_version(
        self, alice: HttpClient, tags: str
    ) -> None:
        begun = await begin(alice)
        answer = await alice.get(f"/conversations/{begun['id']}", headers={"If-None-Match": tags})
        assert (answer.status, await answer.read()) == (304, b"")
        assert answer.headers["ETag"] == '"1"'

    @pytest.mark.parametrize("tags", ['"2"', 'W/"11"', "nonsense", ""])
    async def test_answers_in_full_for_another_version(self, alice: HttpClient, tags: str) -> None:
        begun = await begin(alice)
        answer = await alice.get(f"/conversations/{begun['id']}", headers={"If-None-Match": tags})
        assert (answer.status, await answer.json()) == (200, begun)

    async def test_reveals_nothing_to_a_stranger_with_an_etag(
        self, alice: HttpClient, bob: HttpClient
    ) -> None:
        begun = await begin(alice)
        for tags in ('"1"', "*"):
            answer = await bob.get(f"/conversations/{begun['id']}", headers={"If-None-Match": tags})
            await problem(answer, 404, "not_found")

    async def test_reads_no_messages_of_a_known_version(
        self, alice: HttpClient, elsewhere: HttpClient, database: Any
    ) -> None:
        begun = await begin(alice, messages=[message() for _ in range(120)])
        path = f"/conversations/{begun['id']}"
        await database.command("profile", 2)
        try:
            answer = await alice.get(path, headers={"If-None-Match": '"1"'})
        finally:
            await database.command("profile", 0)
        profile = database["system.profile"]
        asked = await profile.find({"op": "query"}, {"ns": True, "responseLength": True}).to_list()
        await profile.drop()
        sizes = {each["ns"].split(".")[1]: each["responseLength"] for each in asked}
        assert answer.status == 304
        assert "segments" not in sizes
        assert sizes["conversations"] < 400

        await elsewhere.post(f"{path}/messages", json=message("new"))
        answer = await alice.get(path, headers={"If-None-Match": '"1"'})
        assert (answer.status, answer.headers["ETag"]) == (200, '"2"')
        assert (await answer.json())["messages"][-1]["content"] == "new"

        await elsewhere.delete(path)
        answer = await alice.get(path, headers={"If-None-Match": '"2"'})
        await problem(answer, 404, "not_found")


class TestSummary:
    async def test_of_one_conversation_has_no_messages(self, alice: HttpClient) -> None:
        made = await begin(alice, title="Fjords", messages=[message()])
        path = f"/conversations/{made['id']}"

        answer = await alice.get(path, params={"view": "summary"})

        shown = await answer.json()
        whole = await (await alice.get(path)).json()
        assert answer.headers["ETag"] == '"1"'
        assert "messages" not in shown
        assert shown == {name: whole[name] for name in shown}

    async def test_answers_a_patch_and_an_archive(self, alice: HttpClient) -> None:
        made = await begin(alice, messages=[message()])
        path = f"/conversations/{made['id']}"
        query = {"view": "summary"}

        patched = await alice.patch(path, params=query, json={"title": "Named"})
        archived = await alice.post(f"{path}/archive", params=query, json={})

        assert (await patched.json())["title"] == "Named"
        assert (await archived.json())["status"] == "archived"
        assert "messages" not in {*(await patched.json()), *(await archived.json())}
        assert archived.headers["ETag"] == '"3"'

    async def test_is_not_found_for_a_stranger(self, alice: HttpClient, bob: HttpClient) -> None:
        made = await begin(alice)
        answer = await bob.get(f"/conversations/{made['id']}", params={"view": "summary"})
        assert answer.status == 404
