"""`chatvault import`: a file in, a report out, one line where it cannot be."""

import base64
import json
import re
from pathlib import Path
from typing import Any

import pytest

from chatvault.cli import importing, progress
from chatvault.importing import survey
from chatvault.importing.formats.localstorage import CONVERSATIONS_KEY, SETTINGS_KEY
from support.commanding import Command, Documents
from support.exports import SETTINGS, exported
from support.foreign import FILES


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "my_conversations.json"
    path.write_text(json.dumps([exported(number) for number in (2, 1, 0)], indent=2))
    return path


@pytest.fixture
def user(command: Command) -> str:
    created = command("users", "create", "alice", "--email", "a@example.com", "--generate")
    assert created.status == 0, created.err
    return "alice"


def counts(documents: Documents) -> dict[str, int]:
    return {name: documents[name].count_documents({}) for name in documents.list_collection_names()}


class TestImport:
    def test_prints_a_report(
        self, command: Command, user: str, file: Path, documents: Documents
    ) -> None:
        done = command("import", str(file), "--username", user)

        assert done.status == 0, done.err
        assert "3 conversations imported" in done.out
        assert "12 messages stored" in done.out
        assert "peak memory" in done.out
        assert documents["conversations"].count_documents({}) == 3

        again = command("import", str(file), "--username", user)
        assert again.status == 0
        assert "3 conversations already there" in again.out
        assert "0 conversations imported" in again.out
        assert "0 messages stored" in again.out
        assert documents["conversations"].count_documents({}) == 3

    def test_dry_run_writes_nothing(
        self, command: Command, user: str, file: Path, documents: Documents
    ) -> None:
        before = counts(documents)
        done = command("import", str(file), "--username", user, "--dry-run")
        assert done.status == 0
        assert "3 conversations would be imported" in done.out
        assert "12 messages would be stored" in done.out
        assert counts(documents) == before

    def test_stores_the_bytes_of_files_unless_they_are_left_out(
        self, command: Command, user: str, tmp_path: Path, documents: Documents
    ) -> None:
        image = f"data:image/png;base64,{base64.b64encode(b'picture').decode()}"
        content = [{"type": "image_url", "image_url": {"url": image}}]
        told = [{"role": "user", "content": content}, {"role": "assistant", "content": "A cat."}]
        file = tmp_path / "pictures.json"
        file.write_text(json.dumps({"messages": told}))
        how = ("import", str(file), "--username", user, "--format", "openai-messages")

        without = command(*how, "--no-attachments")
        assert "left out: contents of files: 1" in without.out
        assert documents["attachment_parts"].count_documents({}) == 0

        done = command(*how, "--on-duplicate", "replace")
        assert "left out" not in done.out
        [part] = documents["attachment_parts"].find()
        [attachment] = documents["attachments"].find()
        assert (bytes(part["data"]), attachment["state"]) == (b"picture", "present")

    @pytest.mark.parametrize(
        ("choice", "words", "number"), [("replace", "replaced", 3), ("copy", "copied", 6)]
    )
    def test_handles_duplicates_as_chosen(
        self,
        command: Command,
        user: str,
        file: Path,
        documents: Documents,
        choice: str,
        words: str,
        number: int,
    ) -> None:
        command("import", str(file), "--username", user)
        done = command("import", str(file), "--username", user, "--on-duplicate", choice)
        assert f"3 conversations {words}" in done.out
        assert documents["conversations"].count_documents({}) == number

    def test_imports_preferences(
        self, command: Command, user: str, file: Path, documents: Documents
    ) -> None:
        dump = {CONVERSATIONS_KEY: "[]", SETTINGS_KEY: json.dumps(SETTINGS)}
        file.write_text(json.dumps(dump))
        done = command("import", str(file), "--username", user)
        assert done.status == 0, done.err
        assert "preferences taken over" in done.out
        stored = documents["preferences"].find_one()
        assert stored is not None
        assert stored["preferences"] == SETTINGS

    def test_lists_repairs(self, command: Command, user: str, file: Path) -> None:
        file.write_text(json.dumps([exported(1) | {"title": None, "isLoading": True}]))
        done = command("import", str(file), "--username", user)
        assert "repaired: conversation 1: had no title" in done.out
        assert "'isLoading' was left on" in done.out

    def test_ignores_the_case_of_names(self, command: Command, user: str, file: Path) -> None:
        assert command("import", str(file), "--username", user.upper()).status == 0


class TestForeignFiles:
    def test_are_detected_and_counted(
        self, command: Command, user: str, tmp_path: Path, documents: Documents
    ) -> None:
        first, second = tmp_path / "conversations.json", tmp_path / "conversations (1).json"
        first.write_bytes(FILES["chatgpt"])
        second.write_bytes(FILES["claude"])

        done = command("import", str(first), str(second), "--username", user)

        assert done.status == 0, done.err
        assert "2 conversations found: ChatGPT" in done.out
        assert "2 conversations found: Claude.ai" in done.out
        assert "4 conversations imported" in done.out
        assert "not understood: claude: hologram: 2" in done.out
        assert documents["conversations"].count_documents({}) == 4

    def test_are_read_again_if_too_large_for_memory(
        self, command: Command, user: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(survey, "KEPT", 0)
        file = tmp_path / "a.json"
        file.write_bytes(FILES["claude"])
        assert "2 conversations imported" in command("import", str(file), "--username", user).out
        again = command("import", str(file), "--username", user)
        assert "2 conversations already there" in again.out

    def test_are_found_in_a_folder(self, command: Command, user: str, tmp_path: Path) -> None:
        folder = tmp_path / "projects" / "-home-sea"
        folder.mkdir(parents=True)
        (folder / "s-1.jsonl").write_bytes(FILES["claude-code"])
        (folder / "picture.png").write_bytes(b"PNG")
        done = command("import", str(tmp_path / "projects"), "--username", user)
        assert "1 conversation found: Claude Code" in done.out

    def test_are_an_error_without_conversations(
        self, command: Command, user: str, tmp_path: Path
    ) -> None:
        file = tmp_path / "a.jsonl"
        file.write_bytes(FILES["sillytavern"].split(b"\n")[0])
        failed = command("import", str(file), "--username", user)
        assert failed.status == 2
        assert failed.line.startswith(
            "chatvault: a.jsonl: holds nothing that can be imported: the chat: holds no messages"
        )

    def test_are_read_in_a_given_format(self, command: Command, user: str, tmp_path: Path) -> None:
        file = tmp_path / "a.json"
        file.write_text('[{"messages": [{"role": "user", "content": "Hi", "type": "text"}]}]')
        refused = command("import", str(file), "--username", user, "--format", "grok")
        assert refused.status == 2
        done = command("import", str(file), "--username", user, "--format", "openai-messages")
        assert "1 conversation found: OpenAI messages" in done.out


def _cut(path: Path) -> str:
    """The file's text up to the middle of its last conversation."""
    text = path.read_text()
    return text[: text.rindex("About") + 3]


class TestBadFile:
    @pytest.mark.parametrize(
        ("content", "words"),
        [
            ("", "holds no conversations in a known format: it is empty"),
            ("not json", "it is neither JSON of conversations nor HTML or ZIP"),
            ('{"a": 1}', "it is an object with 'a'. Known are "),
            ("[5]", "it is JSON without objects"),
            (
                json.dumps([exported(1), exported(2) | {"messages": [{"type": "user"}, 5]}]),
                'conversation 2 (id "mwop8gsv2"), message 2: not an object',
            ),
            (json.dumps([exported(1), {"id": "x"}]), "no 'messages'"),
        ],
    )
    def test_is_reported_in_one_line_and_changes_nothing(
        self,
        command: Command,
        user: str,
        file: Path,
        documents: Documents,
        content: str,
        words: str,
    ) -> None:
        before = counts(documents)
        file.write_text(content)
        failed = command("import", str(file), "--username", user)
        assert failed.status == 2
        assert failed.line.startswith("chatvault: my_conversations.json: ")
        assert words in failed.line
        assert counts(documents) == before

    def test_is_salvaged_only_on_request_if_cut_off(
        self, command: Command, user: str, file: Path, documents: Documents
    ) -> None:
        file.write_text(_cut(file))

        failed = command("import", str(file), "--username", user)
        assert failed.status == 2
        assert "--salvage imports the 2 whole conversations before the cut" in failed.line
        assert documents["conversations"].count_documents({}) == 0

        done = command("import", str(file), "--username", user, "--salvage")
        assert done.status == 0, done.err
        assert "2 conversations imported" in done.out
        assert "not imported: conversation 3: cut off" in done.out
        assert "the file is cut off" in done.out
        assert documents["conversations"].count_documents({}) == 2

    def test_is_salvaged_without_a_bad_conversation(
        self, command: Command, user: str, file: Path
    ) -> None:
        file.write_text(json.dumps([exported(1), {"id": "bad"}, exported(2)]))
        done = command("import", str(file), "--username", user, "--salvage")
        assert "2 conversations imported" in done.out
        assert "not imported: conversation 2 (id \"bad\"): no 'messages'" in done.out

    def test_is_salvaged_without_bad_settings(
        self, command: Command, user: str, file: Path, documents: Documents
    ) -> None:
        bad = json.dumps(SETTINGS | {"theme": "blue"})
        file.write_text(json.dumps({SETTINGS_KEY: bad, CONVERSATIONS_KEY: [exported(1)]}))

        failed = command("import", str(file), "--username", user)
        assert failed.status == 2
        assert failed.line.startswith("chatvault: my_conversations.json: settings: theme: ")
        assert documents["conversations"].count_documents({}) == 0

        done = command("import", str(file), "--username", user, "--salvage")
        assert done.status == 0, done.err
        assert "1 conversation imported" in done.out
        assert "preferences taken over" in done.out
        assert "not imported: settings: theme: " in done.out
        stored = documents["preferences"].find_one()
        assert stored is not None
        assert stored["preferences"] == {
            name: value for name, value in SETTINGS.items() if name != "theme"
        }


class TestBadCall:
    def test_reports_an_unknown_user_in_one_line(
        self, command: Command, file: Path, documents: Documents
    ) -> None:
        failed = command("import", str(file), "--username", "nobody")
        assert failed.status == 1
        assert "There is no user 'nobody'" in failed.line
        assert "users create nobody" in failed.line
        assert documents["conversations"].count_documents({}) == 0

    def test_reports_an_unknown_user_before_reading_a_large_file(
        self, command: Command, file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        read: list[Any] = []
        monkeypatch.setattr(importing, "LARGE", 1)
        monkeypatch.setattr(importing, "read_files", read.append)
        failed = command("import", str(file), "--username", "nobody")
        assert "There is no user 'nobody'" in failed.line
        assert read == []

    def test_reports_a_missing_file(self, command: Command, tmp_path: Path) -> None:
        failed = command("import", str(tmp_path / "none.json"), "--username", "alice")
        assert failed.status == 2
        assert "none.json" in failed.err

    def test_reports_an_unknown_choice(self, command: Command, file: Path) -> None:
        wrong: Any = command("import", str(file), "--username", "a", "--on-duplicate", "merge")
        assert wrong.status == 2
        assert "merge" in wrong.err


class TestNothingImported:
    def test_is_no_error_if_all_is_already_there(
        self, command: Command, user: str, file: Path
    ) -> None:
        for _ in range(2):
            assert command("import", str(file), "--username", user).status == 0

    def test_is_reported_if_all_was_deleted_here(
        self, command: Command, user: str, file: Path, documents: Documents
    ) -> None:
        command("import", str(file), "--username", user)
        data = file.with_name("ours.json")
        command("export", "--username", user, "--output", str(data))
        owner = documents["users"].find_one({})
        assert owner is not None
        for each in documents["conversations"].find({}):
            stone = {"user_id": owner["_id"], "conversation_id": each["_id"], "source": None}
            documents["tombstones"].insert_one(stone)
        documents["conversations"].delete_many({})

        done = command("import", str(data), "--username", user)
        assert done.status == 2
        assert "3 conversations left out, as they were deleted here" in done.out
        assert done.err.splitlines()[-1] == (
            "chatvault: nothing was imported; --restore-deleted imports what was deleted here, too"
        )
        done = command("import", str(data), "--username", user, "--restore-deleted")
        assert done.status == 0
        assert "3 conversations imported" in done.out


class TestProgress:
    def test_is_printed_in_lines_without_a_terminal(
        self, command: Command, user: str, file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(progress, "LINE_EVERY", 0.0)
        done = command("import", str(file), "--username", user)
        assert re.search(
            r"^Importing: 3 of 3 conversations, [\d,]+ a second, 0 s left$", done.err, re.MULTILINE
        )
        assert re.search(r"^Reading: 0 of 0 MB, [\d,]+ a second, 0 s left$", done.err, re.MULTILINE)
        assert "\x1b" not in done.err
