"""Branches in exports: our own JSON has all of them, and comes in again as it went out."""

import json
from typing import Any

import pytest

from conftest import HttpClient
from support.factories import begin, message
from support.imports import bring_in, stored
from support.stored import tiny_bounds

TREE = [
    message("Hello", id="q1"),
    message("First", "assistant", id="a1"),
    message("Second", "assistant", id="a2", parent_id="q1"),
    message("Gone", id="q2"),
    message("Third", "assistant", id="a3"),
    message("Other start", id="r", parent_id=None),
    message("Reply", "assistant", id="s"),
    message("Edited", id="q3", parent_id="a1"),
]
SHOWN = ["q1", "a1", "q3"]


@pytest.fixture
async def tree(alice: HttpClient, constants: pytest.MonkeyPatch) -> str:
    """A conversation with branches, one message deleted among them, in segments."""
    tiny_bounds(constants)
    begun = await begin(alice, messages=TREE)
    path = f"/conversations/{begun['id']}"
    assert (await alice.delete(f"{path}/messages/q2")).status == 204
    return path


async def everything(client: HttpClient, path: str) -> dict[str, str | None]:
    """The parent of each message."""
    answer = await client.get(f"{path}/messages?branches=all")
    return {each["id"]: each["parent_id"] for each in (await answer.json())["messages"]}


class TestJson:
    @pytest.mark.parametrize("shape", ["json", "ndjson"])
    async def test_is_imported_again_with_every_branch(
        self, alice: HttpClient, bob: HttpClient, tree: str, shape: str
    ) -> None:
        data = await (await alice.get(f"{tree}/export?format={shape}")).read()
        told = await bring_in(bob, data)
        [found] = await stored(bob)

        assert (told["messages"], told["left_out"]) == (7, {})
        assert [each["id"] for each in found["messages"]] == SHOWN
        # What followed a message that was deleted follows the one before that.
        expected = {**await everything(alice, tree), "a3": "a2"}
        assert await everything(bob, f"/conversations/{found['id']}") == expected
        again = await (await bob.get(f"/conversations/{found['id']}/export?format=json")).json()
        back = {each["id"]: each["content"] for each in again["conversations"][0]["messages"]}
        assert back == {each["id"]: each["content"] for each in TREE if each["id"] != "q2"}

    async def test_names_a_parent_only_if_it_is_not_the_message_before(
        self, alice: HttpClient, tree: str
    ) -> None:
        found = await (await alice.get(f"{tree}/export?format=json")).json()
        [conversation] = found["conversations"]
        assert conversation["active_leaf"] == "q3"
        named = {
            each["id"]: each["parent_id"]
            for each in conversation["messages"]
            if "parent_id" in each
        }
        assert named == {"a2": "q1", "r": None, "q3": "a1"}

    async def test_names_the_message_before_a_deleted_leaf(
        self, alice: HttpClient, tree: str
    ) -> None:
        await alice.delete(f"{tree}/messages/q3")
        found = await (await alice.get(f"{tree}/export?format=json")).json()
        assert found["conversations"][0]["active_leaf"] == "a1"


class TestFormatsForPeople:
    async def test_have_the_branch_that_is_shown(self, alice: HttpClient, tree: str) -> None:
        text = await (await alice.get(f"{tree}/export?format=markdown")).text()
        assert "Edited" in text
        assert "Second" not in text
        lines = (await (await alice.get(f"{tree}/export?format=openai")).text()).splitlines()
        [sent] = [json.loads(line) for line in lines]
        said: list[Any] = [each["content"] for each in sent["messages"]]
        assert said == ["Hello", "First", "Edited"]
