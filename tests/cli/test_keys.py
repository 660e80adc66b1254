"""`chatvault keys`, and accounts for programs, whose keys are made nowhere else."""

import re
from datetime import datetime, timedelta

from chatvault.api_keys.secret import hash_secret
from support.commanding import Command, Documents

ROBOT = ("users", "create", "robot", "--service")
NEW = ("keys", "create", "robot", "--name", "Nightly export", "--scope", "export")


def robot(command: Command, *more: str) -> None:
    done = command(*ROBOT, *more)
    assert done.status == 0, done.err


def new_key(command: Command, *more: str) -> tuple[str, str]:
    """Make a key of the robot's; its id and its text."""
    done = command(*NEW, *more)
    assert done.status == 0, done.err
    [secret] = re.findall(r"Key, shown once: (cv_\S{49})\n", done.out)
    [key_id] = re.findall(r"Made the key ([0-9a-f]{24}),", done.out)
    return key_id, secret


class TestServiceAccounts:
    def test_have_no_password(self, command: Command, documents: Documents) -> None:
        robot(command, "--role", "auditor")

        user = documents["users"].find_one()
        assert user is not None
        assert (user["is_service"], user["password_hash"]) == (True, "")
        assert user["role"] == "auditor"
        refused = command("users", "set-password", "robot", "--password", "correct horse")
        assert (refused.status, "for programs" in refused.line) == (1, True)
        assert "auditor, for programs" in command("users", "list").out

    def test_take_nothing_that_only_a_person_has(self, command: Command) -> None:
        for more in (("--email", "a@example.com"), ("--generate",), ("--full-name", "R")):
            refused = command(*ROBOT, *more)
            assert (refused.status, "--service" in refused.line) == (2, True)
        nobody = command("users", "create", "alice", "--password", "correct horse")
        assert (nobody.status, "--email" in nobody.line) == (2, True)

    def test_have_a_name_of_their_own(self, command: Command) -> None:
        robot(command)
        again = command("users", "create", "ROBOT", "--service")
        assert (again.status, "already" in again.line) == (1, True)


class TestKeys:
    def test_are_shown_once_and_stored_as_hashes(
        self, command: Command, documents: Documents
    ) -> None:
        robot(command)

        key_id, secret = new_key(command, "--scope", "audit:read", "--days", "7")

        stored = documents["api_keys"].find_one()
        assert stored is not None
        assert (str(stored["_id"]), stored["key_hash"]) == (key_id, hash_secret(secret))
        assert stored["scopes"] == ["export", "audit:read"]
        lasts: datetime = stored["expires_at"]
        assert lasts - stored["created_at"] == timedelta(days=7)
        entry = documents["audit_logs"].find_one({"action": "api_key.create"})
        assert entry is not None
        assert (entry["door"], entry["user_id"]) == ("cli", stored["user_id"])
        assert secret not in str([list(documents[name].find()) for name in ("audit_logs",)])

    def test_are_listed_and_revoked(self, command: Command, documents: Documents) -> None:
        robot(command)
        first, secret = new_key(command)
        new_key(command)
        new_key(command)

        listed = command("keys", "list", "robot").out
        assert "Nightly export" in listed
        assert (first in listed, secret[:12] in listed, secret in listed) == (True, True, False)
        assert command("keys", "revoke", "robot", first).out == f"Revoked the key {first}.\n"
        assert first not in command("keys", "list", "robot").out
        assert command("keys", "revoke", "robot", "--all").out == "Revoked 2 API keys.\n"
        assert documents["api_keys"].count_documents({}) == 0

    def test_reports_invalid_keys_in_one_line(self, command: Command) -> None:
        robot(command)
        for arguments, status, word in (
            (("create", "nobody", "--name", "a", "--scope", "export"), 1, "nobody"),
            (("create", "robot", "--name", "a", "--scope", "all"), 2, "all"),
            (("create", "robot", "--name", "a", "--scope", "admin"), 1, "administrator"),
            (("create", "robot", "--name", "", "--scope", "export"), 2, "name"),
            (("create", "robot", "--name", "a", "--scope", "export", "--days", "0"), 2, "days"),
            (("list", "nobody"), 1, "nobody"),
            (("revoke", "robot"), 2, "--all"),
            (("revoke", "robot", "0" * 24), 1, "not found"),
            (("revoke", "robot", "nonsense"), 2, "24"),
        ):
            failed = command("keys", *arguments)
            assert failed.status == status, arguments
            assert word in failed.line, arguments
