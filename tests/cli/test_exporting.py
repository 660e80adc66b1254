"""`chatvault export`: a file that is whole or not there, one line where it cannot be."""

import asyncio
import json
import zipfile
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from chatvault.cli import exporting
from chatvault.exporting import reading
from chatvault.exporting.user_data import FILES
from support.commanding import Command, Documents
from support.exports import exported


@pytest.fixture
def user(command: Command, tmp_path: Path) -> str:
    created = command("users", "create", "alice", "--email", "a@example.com", "--generate")
    assert created.status == 0, created.err
    file = tmp_path / "old.json"
    file.write_text(json.dumps([exported(number) for number in (2, 1, 0)]))
    assert command("import", str(file), "--username", "alice").status == 0
    return "alice"


class TestExport:
    def test_writes_a_file(
        self, command: Command, user: str, tmp_path: Path, documents: Documents
    ) -> None:
        to = tmp_path / "mine.json"
        done = command("export", "--username", user, "--output", str(to))
        assert done.status == 0, done.err
        assert done.err.strip().endswith(f"3 conversations, 12 messages in {to}")
        found = json.loads(to.read_text())
        assert found["end"]["messages"] == 12
        assert found["conversations"][0]["source"].startswith("localstorage:")
        assert to.stat().st_mode & 0o777 == 0o600
        [entry] = documents["audit_logs"].find({"action": "conversation.export"})
        assert entry["door"] == "cli"
        assert entry["details"] == {"format": "json", "conversations": 3}

    def test_continues_after_a_conversation(
        self, command: Command, user: str, documents: Documents
    ) -> None:
        first, second, _ = sorted(each["_id"] for each in documents["conversations"].find({}))
        words = ("export", "--username", user, "--format", "ndjson")
        done = command(*words, "--after", str(first))
        assert done.status == 0, done.err
        assert len(done.out.splitlines()) == 4
        one = command(*words, "--id", str(second), "--after", str(second))
        assert len(one.out.splitlines()) == 2
        assert command(*words, "--after", "x").status == 2

    @pytest.mark.parametrize(
        ("options", "suffix", "files"),
        [
            (["--format", "markdown"], "zip", 4),
            (["--format", "html"], "zip", 4),
            (["--format", "ndjson"], "ndjson", None),
            (["--format", "openai"], "jsonl", None),
            (["--format", "sharegpt"], "json", None),
            (["--everything"], "zip", len(FILES)),
        ],
    )
    def test_names_the_file_in_a_directory(
        self,
        command: Command,
        user: str,
        tmp_path: Path,
        options: list[str],
        suffix: str,
        files: int | None,
    ) -> None:
        to = tmp_path / "to"
        to.mkdir()
        done = command("export", "--username", user, "--output", str(to), *options)
        assert done.status == 0, done.err
        [file] = to.iterdir()
        assert file.name.startswith("chatvault ")
        assert file.name.endswith(f".{suffix}")
        if files is not None:
            with zipfile.ZipFile(file) as archive:
                assert len(archive.namelist()) == files

    def test_writes_one_conversation_to_its_own_file(
        self, command: Command, user: str, tmp_path: Path, documents: Documents
    ) -> None:
        one = documents["conversations"].find_one({})
        assert one is not None
        options = ["--format", "markdown", "--id", str(one["_id"])]
        done = command("export", "--username", user, "--output", str(tmp_path), *options)
        assert done.status == 0, done.err
        [file] = tmp_path.glob("*.md")
        assert file.name.endswith(f"({str(one['_id'])[-8:]}).md")

    def test_writes_to_standard_output(self, command: Command, user: str) -> None:
        done = command("export", "--username", user, "--format", "ndjson")
        assert done.status == 0, done.err
        assert len(done.out.splitlines()) == 5


class TestErrors:
    def test_name_the_missing_package_for_pdf(
        self, command: Command, user: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        words = ("export", "--username", user, "--format", "pdf", "--output", str(tmp_path))
        monkeypatch.setattr(exporting, "find_missing_scripts", lambda: ["Thai"])
        done = command(*words)
        assert done.status == 0, done.err
        assert done.err.startswith("No font for Thai: PDFs show boxes; apt install fonts-noto-core")
        monkeypatch.setattr(exporting, "is_installed", lambda: False)
        done = command(*words)
        assert done.status == 2
        assert done.err.startswith(
            "chatvault: PDF needs typst: pip install 'chatvault-server[pdf]'"
        )

    def test_are_reported_in_one_line(
        self, command: Command, user: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        to = ["--output", str(tmp_path / "x")]
        for options, status, words in (
            (["--username", "bob", *to], 1, "There is no user 'bob'"),
            (["--username", user, "--output", "/nowhere/x"], 2, "There is no directory /nowhere"),
            (["--username", user, "--format", "word", *to], 2, "word"),
            (["--username", user, "--id", "x", *to], 2, "24 hexadecimal digits"),
            (["--username", user, "--id", "a" * 24, *to], 1, "Conversation not found"),
            (["--username", user, "--id", "a" * 24, "--id", "b" * 24, *to], 1, "not found"),
            (["--username", user, "--everything", "--format", "json", *to], 2, "neither"),
            (["--username", user, "--format", "openai", "--attachments", *to], 2, "has no place"),
            ([], 2, "--username"),
        ):
            done = command("export", *options)
            assert done.status == status, done.err
            assert words in done.line
        assert not (tmp_path / "x").exists()
        monkeypatch.setattr("chatvault.cli.exporting.is_terminal", lambda: True)
        done = command("export", "--username", user)
        assert (done.status, "--output" in done.line) == (2, True)

    def test_leave_no_incomplete_file(
        self, command: Command, user: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        to = tmp_path / "to"
        to.mkdir()
        file = to / "mine.json"
        file.write_text("the one before")

        async def fail(*args: Any, **more: Any) -> AsyncGenerator[Any]:
            await asyncio.sleep(0)
            raise OSError(28, "No space left on device")
            yield

        monkeypatch.setattr(reading, "_read", fail)
        done = command("export", "--username", user, "--output", str(file))
        assert done.status == 1
        assert "No space left" in done.line
        assert [each.name for each in to.iterdir()] == ["mine.json"]
        assert file.read_text() == "the one before"
