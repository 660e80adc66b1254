"""Files that come with imported conversations, and values that are too large for a message."""

import base64
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from chatvault.attachments import files
from chatvault.settings import Settings
from conftest import HttpClient
from support.factories import settings_for
from support.foreign import as_json, chatgpt, node, said
from support.imports import bring_in, read_one, stored

PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 2000


def with_pictures(*more: dict[str, Any], **changes: Any) -> bytes:
    """An export of ChatGPT whose question shows a picture that is there, and one that is not.

    Args:
        more: further nodes.
        changes: other fields of the conversation.
    """
    pointers: list[Any] = [
        {
            "content_type": "image_asset_pointer",
            "asset_pointer": f"file-service://file-{name}",
            "size_bytes": 9,
        }
        for name in ("abc", "gone")
    ]
    found = chatgpt(**changes)
    content = {"content_type": "multimodal_text", "parts": [*pointers, "What is it?"]}
    found["mapping"]["ask"] = node("ask", "system", said("user", content, 1_700_000_001.25))
    found["mapping"] |= {each["id"]: each for each in more}
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("conversations.json", as_json([found]))
        archive.writestr("file-abc-picture.png", PICTURE)
    return file.getvalue()


def shown_files(conversation: dict[str, Any]) -> list[str]:
    return [
        part["attachment_id"]
        for message in conversation["messages"]
        for part in message.get("parts", ())
        if part["type"] == "file"
    ]


async def attachments_of(client: HttpClient, conversation: dict[str, Any]) -> dict[str, Any]:
    answer = await client.get(f"/conversations/{conversation['id']}/attachments")
    return {each["id"]: each for each in (await answer.json())["attachments"]}


async def bytes_of(client: HttpClient, conversation: dict[str, Any], name: str) -> bytes:
    answer = await client.get(f"/conversations/{conversation['id']}/attachments/{name}")
    assert answer.status == 200
    return await answer.read()


class TestArchive:
    async def test_stores_the_bytes(self, alice: HttpClient, database: Any) -> None:
        told = await bring_in(alice, with_pictures())
        [found] = await stored(alice)
        known = await attachments_of(alice, found)

        assert shown_files(found) == ["file-abc", "file-gone"]
        assert {name: each["state"] for name, each in known.items()} == {
            "file-abc": "present",
            "file-gone": "absent",
        }
        assert await bytes_of(alice, found, "file-abc") == PICTURE
        assert told["left_out"] == {}

        await bring_in(alice, with_pictures())
        await bring_in(alice, with_pictures(), "?on_duplicate=replace")
        await bring_in(alice, with_pictures(), "?on_duplicate=copy")
        await files.collect()

        assert await database.attachments.count_documents({}) == 4
        assert await database.attachment_files.count_documents({}) == 1
        for each in await stored(alice):
            assert await bytes_of(alice, each, "file-abc") == PICTURE

    async def test_stores_nothing_if_disabled(self, alice: HttpClient, database: Any) -> None:
        told = await bring_in(alice, with_pictures(), "?attachments=false")
        [found] = await stored(alice)

        assert told["left_out"]["contents of files"] == 1
        assert (await attachments_of(alice, found))["file-abc"]["state"] == "absent"
        assert await database.attachment_files.count_documents({}) == 0

    async def test_stores_the_files_of_new_messages(self, alice: HttpClient, database: Any) -> None:
        await bring_in(alice, with_pictures(), "?attachments=false")
        await database.attachments.update_one(
            {"attachment_id": "file-gone"}, {"$set": {"name": "as it was"}}
        )
        later = [
            {"content_type": "image_asset_pointer", "asset_pointer": "file-service://file-new"}
        ]
        content = {"content_type": "multimodal_text", "parts": later}
        grown = with_pictures(node("new", "ask", said("user", content, 1_700_000_009)))

        await bring_in(alice, grown, "?on_duplicate=update")
        [found] = await stored(alice)
        known = await attachments_of(alice, found)

        assert {name: each["state"] for name, each in known.items()} == {
            "file-abc": "present",
            "file-gone": "absent",
            "file-new": "absent",
        }
        assert known["file-gone"]["name"] == "as it was"
        assert await bytes_of(alice, found, "file-abc") == PICTURE

    async def test_loses_only_a_damaged_file(self, alice: HttpClient) -> None:
        data = bytearray(with_pictures())
        place = data.index(b"file-abc-picture.png") + 20
        data[place + 50 : place + 60] = bytes(10)
        told = await bring_in(alice, bytes(data))

        assert told["left_out"]["contents of files that are damaged"] == 1
        assert len(await stored(alice)) == 1


class TestLimits:
    @pytest.fixture
    def settings(self, tmp_path: Path) -> Settings:
        return settings_for(tmp_path, attachments_megabytes=0)

    async def test_leave_out_contents_and_count_them(self, alice: HttpClient) -> None:
        told = await bring_in(alice, with_pictures())
        reason = "contents of files beyond what your attachments may have together"

        assert told["left_out"][reason] == 1
        assert len(await stored(alice)) == 1


async def test_bytes_in_a_message_become_a_file(alice: HttpClient) -> None:
    url = f"data:image/png;base64,{base64.b64encode(PICTURE).decode()}"
    content = [{"type": "text", "text": "What?"}, {"type": "image_url", "image_url": {"url": url}}]
    line = {
        "messages": [{"role": "user", "content": content}, {"role": "assistant", "content": "x"}]
    }
    await bring_in(alice, as_json(line), "?format=openai-messages")
    [found] = await stored(alice)

    [name] = shown_files(found)
    assert await bytes_of(alice, found, name) == PICTURE
    assert "base64" not in json.dumps(found)


async def test_values_that_are_too_large_become_files(alice: HttpClient) -> None:
    large = chatgpt()
    results = [{"url": f"https://example.org/{number}" * 10} for number in range(2_000)]
    large["mapping"]["answer"]["message"]["metadata"]["search_result_groups"] = results
    large["mapping"]["result"]["message"]["content"]["text"] = "x" * 300_000
    told = await bring_in(alice, as_json([large]))
    [found] = await stored(alice)

    note = "2 messages: held values over 256 KB, which are attachments now"
    assert note in told["conversations"][0]["repaired"]
    result, answer = found["messages"][-2:]
    call = next(part for part in result["parts"] if part["type"] == "tool_result")
    kept = await bytes_of(alice, found, call["output"]["attachment_id"])
    assert json.loads(kept) == "x" * 300_000
    assert answer["parts"][0] == {"type": "text", "text": "Go to the beach."}
    kept = await bytes_of(alice, found, answer["parts"][-1]["attachment_id"])
    assert json.loads(kept)["metadata"]["search_result_groups"] == results


def test_ids_of_files_can_stand_in_a_path() -> None:
    odd = chatgpt()
    odd["mapping"]["ask"]["message"]["metadata"]["attachments"] = [
        {"id": "../a b?", "name": "a"},
        {"id": "..", "name": "b"},
        {"id": "good", "name": "c"},
    ]
    found, again = read_one([odd]), read_one([odd])
    ids = [each.id for each in found.attachments]
    parts = [part for each in found.messages for part in each.parts if part["type"] == "file"]

    assert ids == [each.id for each in again.attachments]
    assert ids[2] == "good"
    assert not any(set(each) & set("./ ?") for each in ids)
    assert [part["attachment_id"] for part in parts] == ids
