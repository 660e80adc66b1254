"""`chatvault encrypt`, `decrypt` and `master-keys`."""

import json
from pathlib import Path
from typing import Any

import pytest

from support.commanding import Command, Documents
from support.exports import exported

OLD, NEW = "1" * 64, "2" * 64


@pytest.fixture
def filled(command: Command, tmp_path: Path) -> Command:
    """The command line, on a database with readable conversations."""

    command("users", "create", "alice", "--email", "alice@example.com", "--generate")
    file = tmp_path / "my.json"
    file.write_text(json.dumps([exported(n, messages=n) for n in (2, 60)]))
    done = command("import", str(file), "--username", "alice")
    assert done.status == 0, done.err
    return command


def given(monkeypatch: pytest.MonkeyPatch, keys: str | None, sealing: str = "on") -> None:
    monkeypatch.setenv("CHATVAULT_MASTER_KEYS", keys or "")
    monkeypatch.setenv("CHATVAULT_SEALING", sealing)


def look(documents: Documents) -> list[Any]:
    """Return what is stored of the content."""
    return [list(documents[name].find()) for name in ("conversations", "segments", "revisions")]


class TestConversion:
    def test_seals_everything_and_makes_it_readable_again(
        self, filled: Command, documents: Documents, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = look(documents)
        assert "'content': " in str(before)
        given(monkeypatch, OLD)

        done = filled("encrypt")

        assert done.status == 0, done.err
        assert "Sealed 3 documents of 1 users" in done.out
        assert "oplog" in done.out
        sealed = look(documents)
        assert "'content': " not in str(sealed)
        assert isinstance(sealed[0][0]["title"], bytes)
        assert "Sealed 0 documents" in filled("encrypt").out
        assert look(documents) == sealed

        given(monkeypatch, OLD, "off")
        done = filled("decrypt")

        assert done.status == 0, done.err
        assert "can be unset" in done.out
        assert look(documents) == before
        given(monkeypatch, None)
        assert filled("users", "list").status == 0
        actions = [each["action"] for each in documents["audit_logs"].find().sort("_id", 1)]
        assert actions.count("vault.convert") == 6
        assert actions.count("master_key.retire") == 1

    def test_leaves_what_does_not_open(
        self, filled: Command, documents: Documents, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        given(monkeypatch, OLD)
        filled("encrypt")
        one, other = documents["conversations"].find()
        changed = {"title": other["title"], "messages.0.c": b"\1" * 40}
        documents["conversations"].update_one({"_id": one["_id"]}, {"$set": changed})
        given(monkeypatch, OLD, "off")

        done = filled("decrypt")

        assert done.status == 1
        assert f"does not open: {one['_id']}" in done.out
        assert "keep the master keys" in done.err
        left = documents["conversations"].find_one({"_id": one["_id"]})
        assert left is not None
        assert left["title"] == other["title"]
        assert left["messages"][0]["c"] == b"\1" * 40
        assert all("content" in each for each in left["messages"][1:])
        given(monkeypatch, None)
        assert "set CHATVAULT_MASTER_KEYS" in filled("users", "list").line

    @pytest.mark.parametrize(
        ("command_name", "keys", "sealing", "said"),
        [
            ("encrypt", None, "on", "openssl rand -hex 32"),
            ("encrypt", OLD, "off", "set it to on"),
            ("decrypt", OLD, "on", "set it to off"),
            ("encrypt", "abc", "on", "CHATVAULT_MASTER_KEYS: must be keys of 64"),
        ],
    )
    def test_says_what_is_to_be_set(
        self,
        command: Command,
        monkeypatch: pytest.MonkeyPatch,
        command_name: str,
        keys: str | None,
        sealing: str,
        said: str,
    ) -> None:
        given(monkeypatch, keys, sealing)
        done = command(command_name)
        assert (done.status, said in done.line) == (2, True), done.line


class TestMasterKeys:
    def test_are_listed_and_rotated(
        self, filled: Command, documents: Documents, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        given(monkeypatch, OLD)
        filled("encrypt")
        content = look(documents)
        given(monkeypatch, NEW)
        refused = filled("master-keys", "list")
        assert refused.status == 1
        assert "add that key behind the newest" in refused.line
        given(monkeypatch, f"{NEW},{OLD}")

        done = filled("master-keys", "rotate")

        assert "Wrapped 1 data keys" in done.out
        assert look(documents) == content
        given(monkeypatch, NEW)
        listed = filled("master-keys", "list")
        assert listed.status == 0, listed.err
        assert "newest" in listed.out
        assert "NO" not in listed.out
