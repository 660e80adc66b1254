"""The command line as a whole: settings, and its error table."""

import io
import os
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from chatvault.mongodb.failures import hosts_of
from chatvault.settings import Settings
from chatvault.version import VERSION
from support.commanding import Command


class TestSettings:
    def test_lists_every_setting_with_its_value(
        self, command: Command, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CHATVAULT_PORT", "8123")
        monkeypatch.setenv("CHATVAULT_SECRET_KEY", "very secret " * 5)
        printed = command("settings").out
        for name in Settings.model_fields:
            assert f"CHATVAULT_{name.upper()}=" in printed
        assert "CHATVAULT_PORT=8123\n" in printed
        assert "very secret" not in printed

    @pytest.mark.parametrize(
        ("variable", "value", "words"),
        [
            ("CHATVAULT_PORT", "eight", "CHATVAULT_PORT: "),
            ("CHATVAULT_PORT", "65536", "CHATVAULT_PORT: "),
            ("CHATVAULT_ENV", "staging", "CHATVAULT_ENV: "),
            ("CHATVAULT_PROT", "1", "did you mean CHATVAULT_PORT?"),
            ("CHATVAULT_SECRET_KEY", "short", "CHATVAULT_SECRET_KEY: must have at least 32"),
            ("CHATVAULT_MONGODB_URL", "localhost", "CHATVAULT_MONGODB_URL: must begin with"),
            ("CHATVAULT_ALLOWED_ORIGINS", "*", "CHATVAULT_ALLOWED_ORIGINS: "),
            ("CHATVAULT_TRUSTED_PROXIES", "proxy", "CHATVAULT_TRUSTED_PROXIES: "),
            ("CHATVAULT_REGISTRATION", "maybe", "CHATVAULT_REGISTRATION: "),
            ("CHATVAULT_LOG_FORMAT", "xml", "CHATVAULT_LOG_FORMAT: "),
        ],
    )
    @pytest.mark.parametrize("call", [("settings",), ("serve",), ("users", "list")])
    def test_names_a_wrong_one_in_one_line(
        self,
        command: Command,
        monkeypatch: pytest.MonkeyPatch,
        call: tuple[str, ...],
        variable: str,
        value: str,
        words: str,
    ) -> None:
        monkeypatch.setenv(variable, value)
        failed = command(*call)
        assert failed.status == 2
        assert words in failed.line
        assert variable in failed.line


class TestErrors:
    def test_report_an_unreachable_mongodb_in_one_line(self) -> None:
        # A process of its own: pymongo leaves the socket of a refused connection to the collector.
        environment = os.environ | {
            "CHATVAULT_MONGODB_URL": "mongodb://127.0.0.1:1/",
            "CHATVAULT_MONGODB_TIMEOUT": "0.5",
        }
        failed = subprocess.run(
            [sys.executable, "-m", "chatvault", "users", "list"],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert failed.returncode == 1
        [line] = failed.stderr.splitlines()
        assert "MongoDB at 127.0.0.1:1 cannot be reached: " in line
        assert "Connect call failed" in line

    def test_name_an_unreachable_mongodb_without_its_password(self) -> None:
        url = "mongodb://keeper:open-sesame@127.0.0.1:1,127.0.0.1:2/?replicaSet=rs0"
        assert hosts_of(url) == "127.0.0.1:1, 127.0.0.1:2"
        assert hosts_of("mongodb+srv://u:p@cluster.example.org/db") == "cluster.example.org"

    def test_report_an_unusable_data_directory_in_one_line(
        self, command: Command, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("CHATVAULT_MONGODB_URL")
        monkeypatch.setenv("CHATVAULT_DATA_DIR", "/dev/null/data")
        failed = command("users", "list")
        assert failed.status == 1
        assert "/dev/null" in failed.line

    @pytest.mark.parametrize(("database", "status"), [("embedded", 1), ("of its own", 2)])
    def test_report_a_dangling_link_in_one_line(
        self,
        command: Command,
        monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path,
        database: str,
        status: int,
    ) -> None:
        link = tmp_path / "link"
        link.symlink_to("/no/such/disk")
        if database == "embedded":
            monkeypatch.delenv("CHATVAULT_MONGODB_URL")
        monkeypatch.setenv("CHATVAULT_DATA_DIR", str(link))
        failed = command("users", "list")
        assert failed.status == status
        assert f"{link} is a link to /no/such/disk, which is not there" in failed.line

    def test_help_lists_the_commands(self, command: Command) -> None:
        shown = command("--help")
        assert shown.status == 0
        for name in ("serve", "import", "users", "audit", "settings"):
            assert name in shown.out

    @pytest.mark.parametrize("option", ["-h", "--help"])
    @pytest.mark.parametrize("call", [(), ("users",), ("audit", "list")])
    def test_help_has_two_names_everywhere(
        self, command: Command, call: tuple[str, ...], option: str
    ) -> None:
        shown = command(*call, option)
        assert shown.status == 0
        assert shown.out.startswith("Usage:")

    @pytest.mark.parametrize("call", [(), ("users",), ("audit",), ("tools",)])
    def test_help_of_a_group_is_shown_without_a_command(
        self, command: Command, call: tuple[str, ...]
    ) -> None:
        shown = command(*call)
        assert shown.out.startswith("Usage:")
        assert shown.err == ""
        assert "..." not in shown.out.partition("Commands:")[2]

    @pytest.mark.parametrize(
        ("call", "words"),
        [
            (("frobnicate",), "No such command 'frobnicate'; see `chatvault --help`"),
            (("users", "set-role", "bob", "king"), "'king' is not one of"),
            (("audit", "list", "--limit", "5000"), "less than or equal to 1000"),
            (("import", "nowhere.json", "--username", "bob"), "'nowhere.json' does not exist"),
            (
                ("users", "create", "b b", "--email", "b@example.org"),
                "username: Username should have no white space",
            ),
            (("audit", "list", "--since", "yesterday"), "since: must be a time such as 2026"),
            (("users", "create", "bob", "--email", "b@example.org", "--password", "no"), "8 char"),
        ],
    )
    def test_report_wrong_arguments_in_one_line(
        self,
        command: Command,
        monkeypatch: pytest.MonkeyPatch,
        call: tuple[str, ...],
        words: str,
    ) -> None:
        monkeypatch.setenv("CHATVAULT_NEW_PASSWORD", "correct horse")
        failed = command(*call)
        assert failed.status == 2
        assert words in failed.line
        assert failed.out == ""

    def test_version_is_printed(self, command: Command) -> None:
        assert command("--version").out == f"chatvault {VERSION}\n"

    def test_report_a_missing_terminal_for_a_password(
        self, command: Command, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("sys.stdin", io.StringIO("secret\nsecret\n"))
        failed = command("users", "create", "bob", "--email", "bob@example.org")
        assert failed.status == 2
        assert "use --generate or set CHATVAULT_NEW_PASSWORD" in failed.line


ROOT = Path(__file__).parent.parent.parent
HEAR = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.argv[1], sys.argv[1:])
"""
# Loaded by the command line, in the middle of all its modules.
SLOW_MODULE = """
import time
print("loading", flush=True)
time.sleep(60)
"""


class TestInterrupt:
    def test_during_imports_of_modules_prints_one_line(self, tmp_path: Path) -> None:
        (tmp_path / "bcrypt.py").write_text(SLOW_MODULE)
        command = [sys.executable, "-m", "chatvault", "import", "any.json", "--username", "alice"]
        with subprocess.Popen(
            # A run in the background of a script begins with Ctrl-C ignored.
            [sys.executable, "-c", HEAR, *command],
            env=os.environ | {"PYTHONPATH": str(tmp_path)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as loading:
            assert loading.stdout is not None
            assert loading.stdout.readline() == "loading\n"
            loading.send_signal(signal.SIGINT)
            _, err = loading.communicate(timeout=30)
        assert err == "chatvault: interrupted\n"
        assert loading.returncode == 130

    def test_during_a_command_prints_one_line(
        self, command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        def read(*_arguments: object, **_more: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr("chatvault.cli.importing.read_files", read)
        file = tmp_path / "any.json"
        file.touch()
        ended = command("import", str(file), "--username", "alice")
        told = "interrupted; what is imported stays, and the same command imports the rest"
        assert (ended.status, ended.line) == (130, f"chatvault: {told}")

    def test_works_for_the_installed_program(self) -> None:
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        assert project["scripts"] == {"chatvault": "chatvault.__main__:main"}
