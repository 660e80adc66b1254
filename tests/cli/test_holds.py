"""Legal holds and retention at the command line."""

from pathlib import Path

from support.commanding import Command, Documents


class TestHolds:
    def test_are_placed_listed_exported_and_lifted(
        self, command: Command, documents: Documents, tmp_path: Path
    ) -> None:
        assert command("users", "create", "nightly", "--service").status == 0
        placed = command("holds", "add", "nightly", "--reason", "case 7")
        assert placed.status == 0, placed.out
        hold = placed.out.split()[-1].strip(".")
        assert "case 7" in command("holds", "list").out
        assert command("holds", "export", hold).status == 0
        file = tmp_path / "kept.ndjson"
        exported = command("holds", "export", hold, "--to", str(file))
        assert exported.out.strip() == f"0 conversations, 0 messages in {file}"
        assert file.read_bytes() == b""
        assert command("holds", "lift", hold).status == 0
        assert command("holds", "export", hold).status != 0
        assert "case 7" not in command("holds", "list").out
        assert "case 7" in command("holds", "list", "--lifted").out
        assert command("holds", "add", "nobody", "--reason", "a").status != 0
        assert command("holds", "lift", hold).status != 0
        doors = documents.audit_logs.distinct("door", {"action": {"$regex": "^hold"}})
        assert doors == ["cli"]


class TestRetention:
    def test_is_set_for_a_role(self, command: Command, documents: Documents) -> None:
        assert command("users", "create", "nightly", "--service").status == 0
        assert command("retention", "set", "user", "365").out.strip() == "user: 365 days."
        assert "365" in command("retention", "preview", "nightly").out
        assert command("retention", "set", "user", "0").status == 0
        assert documents.retention_policies.count_documents({}) == 0
