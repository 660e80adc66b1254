"""Each command with names, titles and files that try to be more than text to a terminal."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId

from chatvault.accounts.usernames import fold
from chatvault.cli.terminal import err, out, printable
from support.commanding import Command, Documents, Ended

MARKUP = "x[/admin]"
# Markup, an emoji code, an escape sequence, its one-byte form, overrides, nothing to see, breaks.
HOSTILE = "[bold]x[/admin]:smile:\x1b[31m\x9b1m\u202e\u2066\u200b\x07\r\nchatvault: verified"
SHOWN = r"[bold]x[/admin]:smile:\u001b[31m\u009b1m\u202e\u2066\u200b\u0007\r\nchatvault: verified"
TIME = "2024-01-15T10:30:00.000Z"
PASSWORD = ("--password", "correct horse")


def assert_harmless(ended: Ended) -> None:
    """Nothing but printable characters and our own line ends; no line that somebody else wrote."""
    for printed in (ended.out, ended.err):
        assert all(char.isprintable() or char == "\n" for char in printed), ascii(printed)
        assert "\nchatvault: verified" not in printed


@pytest.fixture
def account(documents: Documents) -> dict[str, Any]:
    """An account from before names were looked at."""
    user = {
        "_id": ObjectId(),
        "username": HOSTILE,
        "username_key": fold(HOSTILE),
        "email": f"{HOSTILE}@example.com",
        "email_key": "x@example.com",
        "full_name": HOSTILE,
        "password_hash": "",
        "role": "user",
        "is_active": True,
        "created_at": datetime.now(UTC),
        "last_login": None,
    }
    documents["users"].insert_one(user)
    return user


class TestPrintable:
    def test_leaves_ordinary_text_unchanged(self) -> None:
        text = "Zoë [1] 山田 :smile: C:\\path \U0001f98a"
        assert printable(text) == text

    def test_escapes_other_characters_like_json(self) -> None:
        assert printable(HOSTILE) == SHOWN
        unseen = "\U000e0041\x7f\u2028"
        assert json.loads(f'"{printable(unseen)}"') == unseen


class TestConsoles:
    @pytest.mark.parametrize("text", [MARKUP, "[/]", "[bold]", ":smile:", "[link=x]y[/link]"])
    def test_print_markup_as_text(self, text: str, capsys: pytest.CaptureFixture[str]) -> None:
        out.print(text)
        err.print(text)
        seen = capsys.readouterr()
        assert (seen.out, seen.err) == (f"{text}\n", f"{text}\n")


class TestUsers:
    def test_are_all_listed(self, command: Command, account: dict[str, Any]) -> None:
        listed = command("users", "list")

        assert listed.status == 0
        assert_harmless(listed)
        assert SHOWN in listed.out
        assert str(account["_id"]) in listed.out

    @pytest.mark.parametrize("by", ["name", "id"])
    @pytest.mark.parametrize(
        "arguments",
        [
            ("show", "{}"),
            ("reset-password", "{}"),
            ("rename", "{}", "harmless"),
            ("set-role", "{}", "admin"),
            ("set-password", "{}", *PASSWORD),
            ("deactivate", "{}"),
            ("activate", "{}"),
        ],
        ids=lambda arguments: arguments[0],
    )
    def test_are_changed_by_name_and_by_id(
        self, command: Command, account: dict[str, Any], arguments: tuple[str, ...], by: str
    ) -> None:
        named = HOSTILE if by == "name" else str(account["_id"])

        done = command("users", *(each.format(named) for each in arguments))

        assert done.status == 0, done.err
        assert_harmless(done)

    @pytest.mark.parametrize(
        "arguments",
        [
            ("create", HOSTILE, "--email", "a@example.com", *PASSWORD),
            ("create", "eve", "--email", HOSTILE, *PASSWORD),
            ("create", "eve", "--email", "a@example.com", "--full-name", HOSTILE, *PASSWORD),
            ("create", "eve", "--email", "a@example.com", "--role", HOSTILE, *PASSWORD),
            ("show", HOSTILE),
            ("reset-password", HOSTILE),
            ("rename", "nobody", HOSTILE),
            ("rename", HOSTILE, "harmless"),
            ("set-role", HOSTILE, "admin"),
            ("set-password", HOSTILE, *PASSWORD),
            ("deactivate", HOSTILE),
            ("activate", HOSTILE),
            (HOSTILE,),
        ],
        ids=lambda arguments: "-".join(arguments[:1]),
    )
    def test_are_refused_with_escaped_names(
        self, command: Command, documents: Documents, arguments: tuple[str, ...]
    ) -> None:
        refused = command("users", *arguments)

        assert refused.status in {1, 2}
        assert_harmless(refused)
        assert documents["users"].count_documents({}) == 0

    def test_are_listed_if_their_name_has_markup(self, command: Command) -> None:
        made = command("users", "create", MARKUP, "--email", "x@example.com", *PASSWORD)

        assert made.out.startswith(f"Made {MARKUP} (user)")
        assert MARKUP in command("users", "list").out


class TestAudit:
    @pytest.fixture
    def entry(self, command: Command, documents: Documents) -> ObjectId:
        """An entry whose every word came from a stranger, as nobody can write one by requests."""
        command("users", "list")
        entry = documents["audit_logs"].find_one({"action": "user.list"})
        assert entry is not None
        fields = ("action", "code", "address", "request_id", "user_agent", "resource_id")
        # A header has no line breaks, and an export has one a record.
        words = dict.fromkeys(fields, HOSTILE.replace("\r\n", ""))
        documents["audit_logs"].update_one({"_id": entry["_id"]}, {"$set": words})
        return ObjectId(entry["_id"])

    @pytest.mark.parametrize(
        "arguments",
        [("list",), ("stats",), ("stats", "--by", "user"), ("verify",), ("checkpoint",)],
        ids=" ".join,
    )
    def test_is_shown_as_text(
        self, command: Command, entry: ObjectId, arguments: tuple[str, ...]
    ) -> None:
        assert_harmless(command("audit", *arguments))

    def test_is_unchanged_as_json(self, command: Command, entry: ObjectId) -> None:
        listed = command("audit", "list", "--json")

        assert_harmless(listed)
        agents = {json.loads(line)["user_agent"] for line in listed.out.splitlines()}
        assert HOSTILE.replace("\r\n", "") in agents

    @pytest.mark.parametrize("shape", ["ndjson", "csv"])
    def test_is_escaped_on_a_terminal_and_unchanged_in_a_file(
        self,
        command: Command,
        entry: ObjectId,
        shape: str,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        target = tmp_path / HOSTILE.replace("/", "")
        written = command("audit", "export", "--format", shape, "--to", str(target))
        assert written.status == 0, written.err
        assert_harmless(written)
        assert "\u202e".encode() in target.read_bytes()

        monkeypatch.setattr("chatvault.cli.terminal.is_terminal", lambda: True)
        shown = command("audit", "export", "--format", shape)
        assert_harmless(shown)
        assert r"\u202e" in shown.out

    @pytest.mark.parametrize(
        "arguments",
        [
            ("list", "--user", HOSTILE),
            ("list", "--action", HOSTILE),
            ("list", "--since", HOSTILE),
            ("export", "--to", f"/nowhere/{HOSTILE}"),
            ("prove", HOSTILE),
            ("prove", "0" * 24, "--entry-out", HOSTILE),
            ("verify", "--since", HOSTILE),
            ("verify", "--checkpoint", HOSTILE),
            ("check-proof", HOSTILE),
            (HOSTILE,),
        ],
        ids=lambda arguments: "-".join(arguments[:-1]),
    )
    def test_escapes_names_in_errors(self, command: Command, arguments: tuple[str, ...]) -> None:
        refused = command("audit", *arguments)

        assert refused.status in {1, 2}
        assert_harmless(refused)

    def test_reads_files_of_any_name(self, command: Command, tmp_path: Path) -> None:
        file = tmp_path / HOSTILE.replace("/", "")
        file.write_text("no proof")

        for arguments in (("check-proof", str(file)), ("verify", "--checkpoint", str(file))):
            refused = command("audit", *arguments)
            assert refused.status == 2
            assert_harmless(refused)


class TestTools:
    def test_are_all_listed(self, command: Command, documents: Documents) -> None:
        grant = {"_id": HOSTILE, "roles": [HOSTILE], "auto_approve_roles": []}
        documents["tool_grants"].insert_one(grant)

        listed = command("tools", "list")

        assert listed.status == 0
        assert_harmless(listed)
        assert SHOWN in listed.out

    @pytest.mark.parametrize("arguments", [("allow", HOSTILE, "--role", "user"), ("deny", HOSTILE)])
    def test_refuse_a_hostile_name(self, command: Command, arguments: tuple[str, ...]) -> None:
        refused = command("tools", *arguments)

        assert refused.status == 2
        assert_harmless(refused)


class TestImport:
    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        """A file with hostile titles, ids and messages, under a hostile name."""
        messages = [
            {"id": HOSTILE, "type": "user", "content": HOSTILE, "timestamp": TIME},
            {"id": HOSTILE, "type": "assistant", "content": {HOSTILE: 1}, "isLoading": True},
        ]
        chat = {"id": HOSTILE, "title": HOSTILE, "messages": messages, "createdAt": TIME}
        file = tmp_path / HOSTILE.replace("/", "")
        file.write_text(json.dumps([chat]))
        return file

    def test_prints_names_as_text(
        self, command: Command, account: dict[str, Any], file: Path, documents: Documents
    ) -> None:
        for more in ((), ("--dry-run",)):
            done = command("import", str(file), "--username", str(account["_id"]), *more)
            assert done.status == 0, done.err
            assert_harmless(done)

        [stored] = documents["conversations"].find({"title": HOSTILE}).limit(1)
        assert stored["user_id"] == account["_id"]

    @pytest.mark.parametrize(
        ("before", "after"),
        [
            ('"user"', json.dumps(HOSTILE)),
            (json.dumps(TIME), json.dumps(HOSTILE)),
            ("]", ""),
            ("[", json.dumps({HOSTILE: 1})),
        ],
        ids=["a kind of message", "a time", "an end that is missing", "something else"],
    )
    def test_escapes_the_name_of_a_refused_file(
        self, command: Command, account: dict[str, Any], file: Path, before: str, after: str
    ) -> None:
        file.write_text(file.read_text().replace(before, after))

        refused = command("import", str(file), "--username", HOSTILE)

        assert refused.status == 2
        assert_harmless(refused)

    def test_escapes_unknown_users_and_files(self, command: Command, file: Path) -> None:
        for arguments in ((str(file), "--username", HOSTILE), (HOSTILE, "--username", "alice")):
            refused = command("import", *arguments)
            assert refused.status in {1, 2}
            assert_harmless(refused)


class TestSettings:
    def test_are_shown_as_text(self, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CHATVAULT_DATA_DIR", HOSTILE)

        shown = command("settings")

        assert_harmless(shown)
        assert f"CHATVAULT_DATA_DIR={SHOWN}\n    where" in shown.out

    def test_are_checked_as_text(
        self, command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("CHATVAULT_DATA_DIR", str(tmp_path / HOSTILE))

        examined = command("doctor")

        assert_harmless(examined)
        assert SHOWN in examined.out

    @pytest.mark.parametrize("variable", [f"CHATVAULT_{HOSTILE.upper()}", "CHATVAULT_HOST"])
    def test_are_escaped_in_errors(
        self, command: Command, monkeypatch: pytest.MonkeyPatch, variable: str
    ) -> None:
        monkeypatch.setenv(variable, HOSTILE)

        refused = command("settings")

        assert refused.status == 2
        assert_harmless(refused)
