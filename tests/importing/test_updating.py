"""Conversations that grew after they were imported: they gain what is new, once."""

import asyncio
import json
from typing import Any

import pytest

from chatvault.importing import storing, updating
from conftest import HttpClient
from support.factories import message
from support.foreign import chatgpt, node, said

UPDATE = "?on_duplicate=update"


def grown(turns: int, **changes: Any) -> dict[str, Any]:
    """A conversation of ChatGPT with so many messages in a row."""
    nodes = [node("root", None, None)]
    for turn in range(turns):
        role = "assistant" if turn % 2 else "user"
        told = said(role, f"turn {turn}", 1_700_000_000 + turn)
        nodes.append(node(f"n{turn}", nodes[-1]["id"], told))
    mapping = {each["id"]: each for each in nodes}
    return chatgpt(mapping=mapping, current_node=nodes[-1]["id"], **changes)


async def bring(client: HttpClient, value: Any, query: str = UPDATE) -> dict[str, Any]:
    answer = await client.post(f"/imports{query}", data=json.dumps([value]).encode())
    assert answer.status == 200, await answer.text()
    found: dict[str, Any] = await answer.json()
    return found


async def outcome(client: HttpClient, value: Any, query: str = UPDATE) -> str:
    [one] = (await bring(client, value, query))["conversations"]
    return str(one["outcome"])


async def stored(client: HttpClient) -> dict[str, Any]:
    [listed] = await (await client.get("/conversations")).json()
    found: dict[str, Any] = await (await client.get(f"/conversations/{listed['id']}")).json()
    return found


def words(conversation: dict[str, Any]) -> list[str]:
    return [each["content"] for each in conversation["messages"]]


class TestUpdate:
    async def test_appends_new_messages(self, alice: HttpClient) -> None:
        assert await outcome(alice, grown(3)) == "imported"
        before = await stored(alice)
        await alice.patch(f"/conversations/{before['id']}", json={"title": "My name for it"})

        assert await outcome(alice, grown(6), f"{UPDATE}&dry_run=true") == "updated"
        assert words(await stored(alice)) == words(before)
        assert await outcome(alice, grown(6)) == "updated"
        after = await stored(alice)
        assert words(after) == [f"turn {turn}" for turn in range(6)]
        assert after["messages"][:3] == before["messages"]
        assert [each["seq"] for each in after["messages"]] == [*range(6)]
        assert after["title"] == "My name for it"
        assert await outcome(alice, grown(6)) == "repeated"
        assert await outcome(alice, grown(3)) == "repeated"

    async def test_works_after_an_import_by_an_earlier_version(
        self, alice: HttpClient, database: Any
    ) -> None:
        await bring(alice, grown(3))
        await database.conversations.update_one({}, {"$unset": {"import_fingerprint": ""}})
        assert await outcome(alice, grown(3)) == "repeated"
        assert await outcome(alice, grown(5)) == "updated"

    async def test_keeps_edits_and_deletions(self, alice: HttpClient) -> None:
        await bring(alice, grown(4))
        found = await stored(alice)
        first, second = (f"/conversations/{found['id']}/messages/n{n}" for n in (0, 1))
        await alice.patch(first, json={"content": "edited"})
        await alice.delete(second)
        assert await outcome(alice, grown(5)) == "updated"
        assert words(await stored(alice)) == ["edited", "turn 2", "turn 3", "turn 4"]

    async def test_adds_a_branch_beside_messages_added_here(self, alice: HttpClient) -> None:
        await bring(alice, grown(2))
        path = f"/conversations/{(await stored(alice))['id']}"
        await alice.post(f"{path}/messages", json=message("mine", id="mine"))
        assert await outcome(alice, grown(4)) == "updated"
        assert words(await stored(alice)) == ["turn 0", "turn 1", "mine"]
        [fork] = (await (await alice.get(f"{path}/forks")).json())["forks"]
        assert [each["id"] for each in fork["messages"]] == ["mine", "n2"]
        await alice.put(f"{path}/active-leaf", json={"message_id": "n2"})
        assert words(await stored(alice)) == ["turn 0", "turn 1", "turn 2", "turn 3"]

    async def test_appends_other_branches(self, alice: HttpClient) -> None:
        await bring(alice, grown(2))
        other = node("x", "n0", said("assistant", "another", 1_700_000_009))
        more = grown(3)
        more["mapping"]["x"] = other
        more["current_node"] = "x"
        assert await outcome(alice, more) == "updated"
        assert words(await stored(alice)) == ["turn 0", "another"]
        assert await outcome(alice, more) == "repeated"

    async def test_does_not_restore_deleted_messages(self, alice: HttpClient) -> None:
        await bring(alice, grown(2))
        await alice.delete(f"/conversations/{(await stored(alice))['id']}")
        assert await outcome(alice, grown(4)) == "deleted_here"

    async def test_appends_many_messages_in_steps_that_a_repeat_completes(
        self, alice: HttpClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await bring(alice, grown(2))
        monkeypatch.setattr(updating, "CARRIED_LENGTH", 7)
        submit = storing.submit_patiently
        count = 0

        async def broken(*arguments: Any) -> Any:
            nonlocal count
            count += 1
            if count == 5:
                raise RuntimeError("killed")
            return await submit(*arguments)

        monkeypatch.setattr(updating, "submit_patiently", broken)
        value = grown(90)
        answer = await alice.post(f"/imports{UPDATE}", data=json.dumps([value]).encode())
        assert answer.status == 500
        assert len(words(await stored(alice))) == 2 + 4 * 7
        assert await outcome(alice, value) == "updated"
        assert words(await stored(alice)) == [f"turn {turn}" for turn in range(90)]
        assert await outcome(alice, value) == "repeated"

    async def test_appends_once_if_concurrent(
        self, alice: HttpClient, elsewhere: HttpClient
    ) -> None:
        await bring(alice, grown(2))
        told = await asyncio.gather(*(outcome(each, grown(9)) for each in (alice, elsewhere)))
        assert set(told) <= {"updated", "repeated"}
        assert words(await stored(alice)) == [f"turn {turn}" for turn in range(9)]
