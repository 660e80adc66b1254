"""The command line as a whole: settings, and its error table."""

import os
import subprocess
import sys

import pytest

from chatvault.settings import Settings
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
    def test_a_wrong_one_is_one_line_that_names_it(
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
    def test_an_unreachable_mongodb_is_one_line(self) -> None:
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
        assert "database cannot be reached" in line

    def test_an_unusable_data_directory_is_one_line(
        self, command: Command, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("CHATVAULT_MONGODB_URL")
        monkeypatch.setenv("CHATVAULT_DATA_DIR", "/dev/null/data")
        failed = command("users", "list")
        assert failed.status == 1
        assert "/dev/null" in failed.line

    def test_help_lists_the_commands(self, command: Command) -> None:
        shown = command("--help")
        assert shown.status == 0
        for name in ("serve", "import", "users", "audit", "settings"):
            assert name in shown.out
