"""Claude.ai's exports: branches, blocks that the text does not show, uploads, design chats."""

import json
from typing import Any

import pytest

from support.foreign import as_json, claude
from support.imports import by_text, parts_of, path_of, read, read_all, read_one


def test_shows_the_newest_branch() -> None:
    found = read_one([claude()])
    assert path_of(found) == ["Read this", "Better answer", "Thanks"]
    assert "Poor answer" in by_text(found)
    assert (found.title, found.source_id) == ("Read this", claude()["uuid"])
    assert found.metadata["source"]["project_uuid"] == "p-1"
    assert "me@example.org" not in json.dumps(found.metadata)


def test_shows_the_branch_that_the_api_names() -> None:
    found = read_one(claude(current_leaf_message_uuid="a1", model="claude-opus-4"))
    assert path_of(found) == ["Read this", "Poor answer"]
    assert found.metadata["default_model"] == "claude-opus-4"


def test_reads_the_list_in_any_order() -> None:
    conversation = claude()
    conversation["chat_messages"].reverse()
    assert path_of(read_one([conversation])) == path_of(read_one([claude()]))


def test_keeps_the_order_of_the_list_without_parents() -> None:
    conversation = claude()
    for message in conversation["chat_messages"]:
        message.pop("parent_message_uuid")
    assert path_of(read_one([conversation])) == [
        "Read this",
        "Poor answer",
        "Better answer",
        "Thanks",
    ]


def test_keeps_thoughts_tools_and_citations() -> None:
    found = read_one([claude()])
    [thought] = parts_of(found, "thinking")
    assert thought == {
        "type": "thinking",
        "text": "Hm, lorem.",
        "summary": ["Weighing"],
        "duration_s": 2.5,
    }
    [call] = parts_of(found, "tool_call")
    assert call["input"] == {"command": "create", "content": "# Sea"}
    [result] = parts_of(found, "tool_result")
    assert (result["call_id"], result["output"], result["is_error"]) == ("t1", "OK", False)
    assert parts_of(found, "citation")[0]["url"] == "https://lorem.example"
    assert found.unknown == {"hologram": 1}


def test_keeps_the_extracted_text_of_uploads() -> None:
    found = read_one([claude()])
    files = parts_of(found, "file")
    assert [each.get("text") for each in files] == ["Lorem in a file", None]
    assert [each.name for each in found.attachments] == ["a.txt", "b.png"]


@pytest.mark.parametrize(
    ("text", "content", "shown"),
    [
        ("Words", None, "Words"),
        ("Words", [], "Words"),
        ("", [{"type": "text", "text": "Words"}], "Words"),
        ("Placeholder", [{"type": "text", "text": "Words"}], "Words"),
        (
            "This block is not supported on your current device yet.",
            [{"type": "tool_use", "name": "x", "input": {}}],
            "",
        ),
        ("Said beside a tool", [{"type": "tool_use", "name": "x"}], "Said beside a tool"),
    ],
)
def test_prefers_blocks_to_the_text(text: str, content: Any, shown: str) -> None:
    message = {"uuid": "m", "sender": "human", "text": text, "content": content}
    assert read_one([claude(chat_messages=[message])]).messages[0].content == shown


def test_skips_conversations_without_messages() -> None:
    broken = {"uuid": "x", "name": "Broken"}
    empty = claude(uuid="e", chat_messages=[])
    found = read(as_json([claude(), broken, empty]), format=None)
    assert [len(each.messages) for each in found.conversations] == [4, 0]
    assert [each.reason for each in found.skipped] == ["holds no 'chat_messages'"]


def test_reads_a_design_chat() -> None:
    call = {"id": "t", "name": "draw", "input": {"of": "sea"}, "output": "done"}
    blocks = [
        {"type": "thinking", "thinking": "Blue."},
        {"type": "text", "text": "A sea."},
        {"type": "tool_call", "toolCall": call},
    ]
    asked = {"kind": "text", "content": "Draw it", "contentBlocks": []}
    design = {
        "uuid": "d-1",
        "title": "Sea",
        "project": {"uuid": "p"},
        "messages": [
            {"uuid": "1", "role": "user", "created_at": "2026-08-01T10:00:00Z", "content": asked},
            {"uuid": "2", "role": "assistant", "content": {"contentBlocks": blocks}},
        ],
    }
    found = read_one(design)
    assert path_of(found) == ["Draw it", "A sea."]
    assert [part["type"] for part in found.messages[1].parts] == [
        "thinking",
        "text",
        "tool_call",
        "tool_result",
    ]


def test_reads_batches_as_one_export() -> None:
    first, second = claude(), claude(uuid="second")
    assert len(read_all([first, second])) == 2
