"""Foreign formats in the store: every branch, once, and a count of the rest."""

import io
import json
import zipfile
from typing import Any

import pytest

from chatvault.importing import survey
from chatvault.importing.neutral import NeutralConversation
from chatvault.importing.reports import ImportOutcome
from conftest import HttpClient
from support.answers import problem
from support.foreign import FILES, as_json, chatgpt, claude
from support.imports import PATH, bring_in, read, stored


def zipped(**files: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(f"{name}.json", data)
    return file.getvalue()


async def of_all_branches(client: HttpClient, conversation: dict[str, Any]) -> list[dict[str, Any]]:
    path = f"/conversations/{conversation['id']}/messages?branches=all&limit=1000"
    found: list[dict[str, Any]] = (await (await client.get(path)).json())["messages"]
    return found


def tree_of(conversation: NeutralConversation) -> tuple[Any, ...]:
    """What is shown, and each message with the one it follows; nothing for a plain list."""
    shown = tuple(each.content for each in conversation.active_path())
    is_list = conversation.active_leaf is None
    links = () if is_list else ((each.source_id, each.parent_id) for each in conversation.messages)
    return shown, frozenset(links)


class TestImport:
    async def test_stores_the_branch_that_was_shown(self, alice: HttpClient) -> None:
        told = await bring_in(alice, as_json([chatgpt()]))

        [found] = await stored(alice)
        shown = [each for each in found["messages"] if "hidden" not in each]
        said = [(each["role"], each["content"]) for each in shown if each["content"]]
        assert said == [("user", "Plan a trip 🎉"), ("assistant", "Go to the beach.")]
        assert shown[0]["timestamp"] == "2023-11-14T22:13:21.250Z"
        assert shown[-1]["model"] == "o3"
        kinds = {part["type"] for each in shown for part in each.get("parts", ())}
        assert kinds == {"text", "thinking", "tool_call", "tool_result", "citation"}
        assert (found["title"], found["created_at"]) == ("Trip", "2023-11-14T22:13:20.000Z")
        assert found["metadata"]["default_model"] == "auto"
        assert told["formats"] == {"chatgpt": 1}
        assert (told["messages"], len(found["messages"])) == (8, 6)
        assert told["left_out"] == told["conversations"][0]["left_out"] == {}

    @pytest.mark.parametrize("name", sorted(FILES))
    async def test_keeps_all_branches(self, alice: HttpClient, name: str) -> None:
        await bring_in(alice, FILES[name])

        trees = {tree_of(each) for each in read(FILES[name], format=None).conversations}
        for found in await stored(alice):
            everything = await of_all_branches(alice, found)
            shown = tuple(each["content"] for each in found["messages"])
            links = frozenset((each["id"], each["parent_id"]) for each in everything)
            assert (shown, links) in trees or (shown, frozenset()) in trees

    @pytest.mark.parametrize("name", sorted(FILES))
    async def test_stores_messages_that_can_be_written_back(
        self, alice: HttpClient, name: str
    ) -> None:
        await bring_in(alice, FILES[name])

        for found in await stored(alice):
            path = f"/conversations/{found['id']}"
            answer = await alice.put(path, json={"messages": found["messages"]})
            assert answer.status == 200, await answer.text()
            back = (await answer.json())["messages"]
            # A replacement begins new places.
            assert [each | {"seq": 0} for each in back] == [
                each | {"seq": 0} for each in found["messages"]
            ]

    @pytest.mark.parametrize("name", sorted(FILES))
    async def test_imports_every_format_only_once(self, alice: HttpClient, name: str) -> None:
        preview = await bring_in(alice, FILES[name], "?dry_run=true")
        done = await bring_in(alice, FILES[name])
        again = await bring_in(alice, FILES[name])

        assert done == preview | {"dry_run": False}
        assert {each["outcome"] for each in done["conversations"]} == {"imported"}
        assert {each["outcome"] for each in again["conversations"]} == {"repeated"}
        found = await stored(alice)
        everything = [each for one in found for each in await of_all_branches(alice, one)]
        assert len(everything) == done["messages"] > 0
        assert again["messages"] == 0

    async def test_can_be_continued(self, alice: HttpClient) -> None:
        await bring_in(alice, FILES["claude"])
        [found, *_] = await stored(alice)
        path = f"/conversations/{found['id']}/messages"
        answer = await alice.post(path, json={"role": "user", "content": "And now?"})
        assert (await answer.json())["messages"][:-1] == found["messages"]

    async def test_accepts_a_zip(self, alice: HttpClient) -> None:
        data = zipped(conversations=FILES["claude"], users=as_json([{"email": "me@x.example"}]))
        told = await bring_in(alice, data)
        assert told["formats"] == {"claude": 2}
        assert told["unknown"] == {"claude: hologram": 2}
        assert [each["reason"] for each in told["rejected"]] == ["no conversations: users.json"]

    async def test_imports_a_known_conversation_only_on_request(self, alice: HttpClient) -> None:
        await bring_in(alice, as_json([claude()]))
        grown = claude(name="Grown", updated_at="2026-03-01T00:00:00Z")
        told = await bring_in(alice, as_json([grown]))
        assert [each["outcome"] for each in told["conversations"]] == ["repeated"]
        await bring_in(alice, as_json([grown]), "?on_duplicate=replace")
        assert [each["title"] for each in await stored(alice)] == ["Grown"]

    async def test_refuses_a_file_without_conversations(self, alice: HttpClient) -> None:
        for data, reason in (
            (b"[]", "it is JSON without objects"),
            (as_json({"conversations": [{"conversation": {}}]}), "conversation 1: holds no"),
            (b"<html>", "it is HTML"),
            (zipped(a=b"{}"), "no file in it holds conversations"),
        ):
            answer = await alice.post(PATH, data=data)
            detail = (await problem(answer, 422, "import_rejected"))["detail"]
            assert reason in detail

    async def test_uses_the_given_format(self, alice: HttpClient) -> None:
        bare = as_json([{"messages": [{"role": "user", "content": "Hi", "type": "text"}]}])
        await problem(await alice.post(PATH, data=bare), 422, "import_rejected")
        told = await bring_in(alice, bare, "?format=openai-messages")
        assert told["formats"] == {"openai-messages": 1}
        answer = await alice.post(f"{PATH}?format=word", data=bare)
        assert "no format 'word'" in (await problem(answer, 422, "import_rejected"))["detail"]

    async def test_reads_large_files_twice(
        self, alice: HttpClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(survey, "KEPT", 0)
        chats = [chatgpt(id=f"c-{number}", conversation_id=None) for number in range(150)]
        newer = chatgpt(id="c-3", conversation_id=None, title="Newer", update_time=1_800_000_000)
        told = await bring_in(alice, zipped(a=as_json(chats), b=as_json([newer])))
        assert len(told["conversations"]) == 150
        titles = {each["title"] for each in await stored(alice)}
        assert titles == {"Trip", "Newer"}
        again = await bring_in(alice, as_json(chats))
        assert {each["outcome"] for each in again["conversations"]} == {"repeated"}

    async def test_leaves_an_audit_entry_with_counts(
        self, alice: HttpClient, database: Any
    ) -> None:
        await bring_in(alice, FILES["chatgpt"])
        entry = await database.audit_logs.find_one({"action": "import.run"})
        assert entry["details"] == {ImportOutcome.IMPORTED.name.lower(): 2}
        entries = await database.audit_logs.find({"action": "conversation.import"}).to_list()
        assert len(entries) == 2
        assert "beach" not in json.dumps(entries, default=str)
