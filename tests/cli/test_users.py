"""`chatvault users`."""

import hashlib
import re

import pytest

from support.commanding import Command, Documents

CREATE = ("users", "create", "alice", "--email", "alice@example.com")


def made(command: Command, *more: str) -> str:
    """Make alice; what was printed."""
    done = command(*CREATE, *more, "--password", "correct horse")
    assert done.status == 0, done.err
    return done.out


class TestCreate:
    def test_creates_a_user_and_confirms_it(self, command: Command, documents: Documents) -> None:
        printed = made(command, "--full-name", "Alice A")
        user = documents["users"].find_one()
        assert user is not None
        assert printed == f"Made alice (user), id {user['_id']}.\n"
        assert "correct horse" not in str(user)
        entry = documents["audit_logs"].find_one({"action": "user.create"})
        assert entry is not None
        assert (entry["door"], entry["outcome"]) == ("cli", "success")
        assert entry["resource_id"] == str(user["_id"])

    def test_sets_the_role(self, command: Command) -> None:
        assert "alice (auditor)" in made(command, "--role", "auditor")

    def test_prints_a_generated_password_once(self, command: Command, documents: Documents) -> None:
        done = command(*CREATE, "--generate")
        [password] = re.findall(r"Password, shown once: (\S+)\n", done.out)
        assert len(password) >= 16
        assert password not in str(list(documents["users"].find()))

    def test_reports_a_taken_name_in_one_line(self, command: Command) -> None:
        made(command)
        for taken in (
            ("users", "create", "ALICE", "--email", "other@example.com"),
            ("users", "create", "other", "--email", "Alice@Example.com"),
        ):
            failed = command(*taken, "--password", "correct horse")
            assert failed.status == 1
            assert "already" in failed.line

    @pytest.mark.parametrize(
        ("arguments", "word"),
        [
            (("alice", "--email", "no address", "--password", "correct horse"), "email"),
            (("alice", "--email", "a@example.com", "--password", "short"), "password"),
            (("a b", "--email", "a@example.com", "--password", "correct horse"), "username"),
        ],
    )
    def test_reports_a_wrong_value_in_one_line(
        self, command: Command, documents: Documents, arguments: tuple[str, ...], word: str
    ) -> None:
        failed = command("users", "create", *arguments)
        assert failed.status == 2
        assert failed.line.startswith(f"chatvault: {word}: ")
        assert "short" not in failed.line
        assert documents["users"].count_documents({}) == 0


class TestChange:
    def test_lists_all_users(self, command: Command) -> None:
        made(command, "--role", "admin")
        printed = command("users", "list").out
        assert re.search(
            r"alice +admin +yes +alice@example.com +\S+Z +never +[0-9a-f]{24}", printed
        )

    def test_sets_role_password_and_activation(
        self, command: Command, documents: Documents
    ) -> None:
        made(command)
        before = documents["users"].find_one()
        assert command("users", "set-role", "alice", "admin").out == "alice is admin now.\n"
        done = command("users", "set-password", "alice", "--password", "another horse")
        assert done.out == "alice has a new password.\n"
        assert command("users", "deactivate", "alice").out == "alice is closed now.\n"
        closed = documents["users"].find_one()
        assert before is not None
        assert closed is not None
        assert (closed["role"], closed["is_active"]) == ("admin", False)
        assert closed["password_hash"] != before["password_hash"]
        assert command("users", "activate", "alice").out == "alice is active now.\n"
        actions = {entry["action"] for entry in documents["audit_logs"].find()}
        assert actions >= {
            "user.change_role", "user.change_password", "user.deactivate", "user.activate",
        }  # fmt: skip

    @pytest.mark.parametrize(
        "arguments",
        [
            ("set-role", "nobody", "admin"),
            ("set-password", "nobody", "--password", "correct horse"),
            ("deactivate", "nobody"),
            ("activate", "nobody"),
        ],
    )
    def test_reports_an_unknown_user_in_one_line(
        self, command: Command, arguments: tuple[str, ...]
    ) -> None:
        failed = command("users", *arguments)
        assert failed.status == 1
        assert failed.line.startswith("chatvault: ")
        assert "user" in failed.line

    def test_reports_an_unknown_role(self, command: Command) -> None:
        made(command)
        failed = command("users", "set-role", "alice", "emperor")
        assert failed.status == 2
        assert "emperor" in failed.err


class TestShow:
    def test_counts_what_the_account_has(self, command: Command, documents: Documents) -> None:
        made(command, "--role", "auditor")
        user = documents["users"].find_one()
        assert user is not None
        shown = command("users", "show", "alice")

        assert shown.status == 0
        for word in (str(user["_id"]), "alice@example.com", "auditor", "0, 0 bytes"):
            assert word in shown.out
        assert user["password_hash"] not in shown.out
        assert command("users", "show", "nobody").status == 1


class TestResetPassword:
    def test_prints_a_token_and_stores_its_hash(
        self, command: Command, documents: Documents
    ) -> None:
        made(command)
        done = command("users", "reset-password", "alice")

        [token] = re.findall(r"Token, shown once: (\S+)\n", done.out)
        stored = documents["one_time_tokens"].find_one()
        assert stored is not None
        assert stored["token_hash"] == hashlib.sha256(token.encode()).digest()
        assert token not in str(stored)
        entry = documents["audit_logs"].find_one({"action": "user.create_reset"})
        assert entry is not None
        assert (entry["door"], entry["user_id"]) == ("cli", None)

    def test_is_not_for_programs(self, command: Command) -> None:
        command("users", "create", "robot", "--service")
        refused = command("users", "reset-password", "robot")
        assert refused.status == 1
        assert "programs" in refused.line
