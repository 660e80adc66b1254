"""`chatvault audit list`."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from answers import INSTANT
from commanding import Command, Documents


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

    def test_is_itself_recorded(self, command: Command, people: list[str]) -> None:
        entries(command)
        [entry] = entries(command, "--action", "audit.list")
        assert entry["details"] == {"entries": 3}

    def test_filters(self, command: Command, people: list[str], documents: Documents) -> None:
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

    def test_filters_by_who_did_it(self, command: Command, documents: Documents) -> None:
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
    def test_a_wrong_filter_is_one_line(
        self, command: Command, arguments: tuple[str, ...], word: str
    ) -> None:
        failed = command("audit", "list", *arguments)
        assert failed.status == 2
        assert failed.line.startswith(f"chatvault: {word}: ")

    def test_an_unknown_user_is_one_line(self, command: Command) -> None:
        failed = command("audit", "list", "--user", "nobody")
        assert failed.status == 1
        assert failed.line == "chatvault: There is no user 'nobody'."
