"""Claude Code's lines: a graph, whatever stands between its nodes."""

from support.foreign import as_json, claude_code, lines
from support.imports import parts_of, path_of, read, read_all, read_one


def test_shows_the_named_leaf_of_the_graph() -> None:
    found = read_one(lines(*claude_code()))
    assert path_of(found) == ["Where is the great sea?", "", "", "Compacted", "There it is."]
    assert found.title == "Finding the sea"
    assert [message.role for message in found.active_path()] == [
        "user",
        "assistant",
        "tool",
        "system",
        "assistant",
    ]
    assert found.notes == ("1 message: was there twice; the last one is used",)
    assert found.metadata["source"]["cwd"] == "/home/me/sea"
    assert {each.extra.get("cwd") for each in found.messages} == {None}


def test_keeps_thoughts_and_tools() -> None:
    found = read_one(lines(*claude_code()))
    assert parts_of(found, "thinking")[0]["signature"] == "sig"
    assert parts_of(found, "tool_call")[0]["input"] == {"command": "ls"}
    assert parts_of(found, "tool_result")[0]["output"] == "sea.txt"
    assert found.active_path()[1].extra["message"]["usage"] == {"input_tokens": 3}


def test_shows_the_newest_leaf_by_default() -> None:
    without = [line for line in claude_code() if line["type"] != "last-prompt"]
    assert path_of(read_one(lines(*without)))[-1] == "There it is."


def test_counts_lines_that_are_no_messages() -> None:
    found = read(lines(*claude_code()) + b"\nno json\n[1]\n" + b'{"type": "user", "uu', format=None)
    assert len(found.conversations) == 1
    assert [(each.place, each.reason) for each in found.skipped] == [
        ("line 11", "not JSON"),
        ("line 12", "not an object"),
        ("line 13", "cut off"),
        ("lines that are no messages", "1 file-history-snapshot"),
    ]


def test_splits_a_file_into_sessions() -> None:
    others = [line | {"sessionId": "s-2"} for line in claude_code() if "uuid" in line]
    found = read_all(lines(*claude_code(), *others))
    assert [each.metadata["source"]["session"] for each in found] == ["s-1", "s-2"]


def test_separates_sidechains_from_their_session() -> None:
    helper = [
        line | {"uuid": "h1", "parentUuid": None, "isSidechain": True, "agentId": "x"}
        for line in claude_code()
        if line.get("uuid") == "u1"
    ]
    assert read_one(lines(*helper)).source != read_one(lines(*claude_code())).source


def test_recognises_a_session_that_has_grown() -> None:
    assert read_one(lines(*claude_code()[:4])).source == read_one(lines(*claude_code())).source


def test_reads_the_list_of_the_web() -> None:
    found = read_one(as_json({"loglines": claude_code()}))
    assert path_of(found) == path_of(read_one(lines(*claude_code())))


def test_keeps_pictures_beside_the_text() -> None:
    picture = {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}
    [line] = [line for line in claude_code() if line.get("uuid") == "u1b"]
    line["message"]["content"] = [{"type": "image", "source": picture}]
    found = read_one(lines(line))
    [attachment] = found.attachments
    assert (attachment.state, attachment.size, attachment.mime) == ("present", 8, "image/png")
    assert "iVBO" not in str(found.messages[0].parts)
