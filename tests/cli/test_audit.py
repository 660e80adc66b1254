"""`chatvault audit list`, `stats` and `export`."""

import csv
import io
import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId

from support.answers import INSTANT
from support.commanding import Command, Documents


@pytest.fixture
def people(command: Command) -> list[str]:
    names = ["alice", "bob"]
    for name in names:
        made = command("users", "create", name, "--email", f"{name}@example.com", "--generate")
        assert made.status == 0, made.err
    command("users", "set-role", "bob", "auditor")
    return names


def entries(command: Command, *arguments: str) -> list[dict[str, Any]]:
    listed = command("audit", "list", "--json", *arguments)
    assert listed.status == 0, listed.err
    return [json.loads(line) for line in listed.out.splitlines()]


class TestAuditList:
    def test_shows_newest_first(self, command: Command, people: list[str]) -> None:
        listed = entries(command)
        actions = [entry["action"] for entry in listed]
        assert actions == ["user.change_role", "user.create", "user.create"]
        assert [entry["at"] for entry in listed] == sorted(
            (entry["at"] for entry in listed), reverse=True
        )
        assert all(INSTANT.fullmatch(entry["at"]) for entry in listed)
        assert {entry["door"] for entry in listed} == {"cli"}
        assert not any(word in str(listed) for word in ("alice", "bob", "example.com"))

    def test_leaves_an_audit_entry(self, command: Command, people: list[str]) -> None:
        entries(command)
        [entry] = entries(command, "--action", "audit.list")
        assert entry["details"] == {"entries": 3}

    def test_filters_by_action_and_outcome(
        self, command: Command, people: list[str], documents: Documents
    ) -> None:
        bob = documents["users"].find_one({"username": "bob"})
        assert bob is not None
        bobs = entries(command, "--resource-id", str(bob["_id"]))
        assert [entry["action"] for entry in bobs] == ["user.change_role", "user.create"]
        assert len(entries(command, "--action", "user.create")) == 2
        assert len(entries(command, "--action", "user.create", "--limit", "1")) == 1
        assert entries(command, "--outcome", "denied") == []
        assert entries(command, "--resource-type", "session") == []
        assert len(entries(command, "--resource-type", "user")) == 3
        assert entries(command, "--user", "bob") == []
        assert entries(command, "--user", str(bob["_id"])) == []
        soon = (datetime.now(UTC) + timedelta(minutes=1)).isoformat()
        assert entries(command, "--since", soon) == []
        assert len(entries(command, "--until", soon, "--resource-type", "user")) == 3

    def test_filters_by_user(self, command: Command, documents: Documents) -> None:
        command("users", "create", "alice", "--email", "alice@example.com", "--generate")
        alice = documents["users"].find_one({"username": "alice"})
        assert alice is not None
        seen = documents["audit_logs"].find_one()
        assert seen is not None
        hers = seen | {"_id": alice["_id"], "user_id": alice["_id"], "action": "session.login"}
        documents["audit_logs"].insert_one(hers)
        for name in ("alice", "ALICE", str(alice["_id"])):
            [entry] = entries(command, "--user", name)
            assert entry["action"] == "session.login"

    def test_shows_a_table(self, command: Command, people: list[str]) -> None:
        printed = command("audit", "list").out
        assert len(printed.splitlines()) == 4
        assert "request id" in printed
        assert "user.change_role" in printed

    @pytest.mark.parametrize(
        ("arguments", "word"),
        [
            (("--action", "conversation.explode"), "action"),
            (("--since", "yesterday"), "since"),
        ],
    )
    def test_reports_a_wrong_filter_in_one_line(
        self, command: Command, arguments: tuple[str, ...], word: str
    ) -> None:
        failed = command("audit", "list", *arguments)
        assert failed.status == 2
        assert failed.line.startswith(f"chatvault: {word}: ")

    def test_reports_an_unknown_user_in_one_line(self, command: Command) -> None:
        failed = command("audit", "list", "--user", "nobody")
        assert failed.status == 1
        assert failed.line == "chatvault: There is no user 'nobody'."

    def test_shows_reasons_and_old_entries_first(
        self, command: Command, people: list[str], documents: Documents
    ) -> None:
        seen = documents["audit_logs"].find_one(sort=[("_id", 1)])
        assert seen is not None
        failed = {"outcome": "denied", "code": "not_found", "resource_id": None, "user_id": None}
        documents["audit_logs"].insert_one(seen | failed | {"_id": ObjectId()})
        _, *lines = command("audit", "list", "--order", "oldest", "--limit", "4").out.splitlines()
        assert ["denied (not_found)" in line for line in lines].count(True) == 1
        assert "user.change_role" in lines[-1]


def rows(printed: str) -> list[list[str]]:
    """The rows of a table without its head."""
    return [line.split() for line in printed.splitlines()[1:]]


class TestAuditStats:
    def test_counts_by_action_most_first(self, command: Command, people: list[str]) -> None:
        shown = command("audit", "stats")
        assert shown.status == 0, shown.err
        assert shown.out.splitlines()[0].split() == ["action", "entries", "denied", "failed"]
        assert rows(shown.out) == [
            ["user.create", "2", "0", "0"],
            ["user.change_role", "1", "0", "0"],
        ]

    def test_counts_by_user_and_by_outcome(
        self, command: Command, people: list[str], documents: Documents
    ) -> None:
        seen = documents["audit_logs"].find_one()
        bob = documents["users"].find_one({"username": "bob"})
        assert seen is not None
        assert bob is not None
        his = seen | {"_id": ObjectId(), "user_id": bob["_id"], "outcome": "denied"}
        documents["audit_logs"].insert_one(his)
        assert rows(command("audit", "stats", "--by", "user").out) == [
            ["nobody", "3", "0", "0"],
            [str(bob["_id"]), "1", "1", "0"],
        ]
        by_outcome = rows(command("audit", "stats", "--by", "outcome", "--user", "BOB").out)
        assert by_outcome == [["denied", "1", "1", "0"]]

    @pytest.mark.parametrize("by", ["hour", "day"])
    def test_counts_over_time(
        self, command: Command, people: list[str], documents: Documents, by: str
    ) -> None:
        seen = documents["audit_logs"].find_one({"action": "user.create"})
        assert seen is not None
        long_ago = datetime(2024, 1, 15, 10, 30, tzinfo=UTC)
        documents["audit_logs"].insert_one(seen | {"_id": ObjectId(), "at": long_ago})
        first, *later = rows(command("audit", "stats", "--by", by, "--action", "user.*").out)
        hour = "10" if by == "hour" else "00"
        assert first == [f"2024-01-15T{hour}:00:00.000Z", "1", "0", "0"]
        assert sum(int(row[1]) for row in later) == 3
        assert all(INSTANT.fullmatch(row[0]) for row in later)

    def test_filters(self, command: Command, people: list[str], documents: Documents) -> None:
        bob = documents["users"].find_one({"username": "bob"})
        assert bob is not None
        about = ("--resource-id", str(bob["_id"]))
        assert len(rows(command("audit", "stats", *about).out)) == 2
        soon = (datetime.now(UTC) + timedelta(minutes=1)).isoformat()
        for none in (
            ("--since", soon),
            ("--outcome", "failed"),
            ("--address", "192.0.2.1"),
            ("--resource-type", "session"),
        ):
            assert rows(command("audit", "stats", *none).out) == []

    def test_leaves_an_audit_entry(self, command: Command, people: list[str]) -> None:
        command("audit", "stats")
        [entry] = entries(command, "--action", "audit.count")
        assert (entry["door"], entry["outcome"]) == ("cli", "success")

    def test_reports_wrong_arguments(self, command: Command) -> None:
        assert command("audit", "stats", "--by", "moon").status == 2
        failed = command("audit", "stats", "--until", "never")
        assert (failed.status, failed.line.startswith("chatvault: until: ")) == (2, True)
        unknown = command("audit", "stats", "--user", "nobody")
        assert (unknown.status, unknown.line) == (1, "chatvault: There is no user 'nobody'.")


class TestAuditExport:
    def test_prints_all_oldest_first(self, command: Command, people: list[str]) -> None:
        done = command("audit", "export")
        assert done.status == 0, done.err
        actions = [json.loads(line)["action"] for line in done.out.splitlines()]
        # The export's own entry stands before what is read.
        assert actions[:3] == ["user.create", "user.create", "user.change_role"]
        assert set(actions[3:]) <= {"audit.export"}

    def test_does_not_close_standard_output(self, command: Command, people: list[str]) -> None:
        command("audit", "export")
        assert not sys.stdout.buffer.closed

    def test_writes_a_file(self, command: Command, people: list[str], tmp_path: Path) -> None:
        file = tmp_path / "log.ndjson"
        done = command("audit", "export", "--to", str(file), "--action", "user.*")
        assert (done.status, done.out.strip()) == (0, f"3 entries in {file}")
        written = [json.loads(line) for line in file.read_text().splitlines()]
        assert written == entries(command, "--action", "user.*", "--order", "oldest")

    def test_writes_csv(self, command: Command, people: list[str], tmp_path: Path) -> None:
        file = tmp_path / "log.csv"
        command("audit", "export", "--to", str(file), "--format", "csv", "--action", "user.*")
        read = list(csv.DictReader(io.StringIO(file.read_text())))
        assert [row["action"] for row in read] == ["user.create", "user.create", "user.change_role"]
        assert {row["door"] for row in read} == {"cli"}
        printed = command("audit", "export", "--format", "csv", "--action", "user.*").out
        assert list(csv.DictReader(io.StringIO(printed))) == read

    def test_is_limited_to_one_user(
        self, command: Command, people: list[str], tmp_path: Path
    ) -> None:
        file = tmp_path / "log.ndjson"
        done = command("audit", "export", "--to", str(file), "--user", "bob")
        assert done.out.strip() == f"0 entries in {file}"
        assert file.read_text() == ""

    def test_leaves_an_audit_entry(self, command: Command, people: list[str]) -> None:
        command("audit", "export", "--action", "user.*")
        [entry] = entries(command, "--action", "audit.export")
        assert (entry["door"], entry["outcome"]) == ("cli", "success")

    def test_reports_a_path_that_is_not_writable_in_one_line(
        self, command: Command, people: list[str], tmp_path: Path
    ) -> None:
        failed = command("audit", "export", "--to", str(tmp_path / "no" / "log"))
        assert failed.status == 1
        assert failed.line == f"chatvault: {tmp_path / 'no' / 'log'}: No such file or directory"

    def test_reports_wrong_arguments(self, command: Command, tmp_path: Path) -> None:
        file = tmp_path / "log"
        assert command("audit", "export", "--format", "xml").status == 2
        failed = command("audit", "export", "--to", str(file), "--action", "explode")
        assert (failed.status, failed.line.startswith("chatvault: action: ")) == (2, True)
        unknown = command("audit", "export", "--to", str(file), "--user", "nobody")
        assert (unknown.status, unknown.line) == (1, "chatvault: There is no user 'nobody'.")
        assert not file.exists()
