"""Fixtures: the command line, called like its entry point, on the test run's MongoDB."""

import functools
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer.main
from pymongo.database import Database

from chatvault.cli import main as cli
from support.databases import Cleaner

Documents = Database[dict[str, Any]]
DATABASE = "tests-cli"
# For each call, Typer makes all commands again, which takes longer than most of them.
_get_command = functools.cache(typer.main.get_command)


@dataclass(frozen=True)
class Ended:
    """The result of a command.

    Attributes:
        status: its exit status.
        out: what it printed.
        err: what it wrote to standard error: progress, errors.
    """

    status: int
    out: str
    err: str

    @property
    def line(self) -> str:
        """The one line of standard error, beside any progress."""
        [line] = [line for line in self.err.splitlines() if not line.startswith("Importing")]
        return line


Command = Callable[..., Ended]


@pytest.fixture
def documents(cleaner: Cleaner) -> Documents:
    """The database of the commands, empty."""
    return cleaner.empty(DATABASE)


@pytest.fixture
def command(
    documents: Documents,
    mongodb_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Command:
    """Run a command in this process; its log stays unconfigured, as capsys would close it."""
    monkeypatch.setattr("chatvault.cli.terminal.configure_logs", lambda _settings: None)
    monkeypatch.setattr("typer.main.get_command", _get_command)
    monkeypatch.setenv("CHATVAULT_MONGODB_URL", mongodb_url)
    monkeypatch.setenv("CHATVAULT_MONGODB_DATABASE", DATABASE)
    monkeypatch.setenv("CHATVAULT_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("CHATVAULT_BCRYPT_ROUNDS", "4")
    monkeypatch.setenv("CHATVAULT_MONGODB_TIMEOUT", "60")

    def run(*arguments: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["chatvault", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        seen = capsys.readouterr()
        return Ended(int(ended.value.code or 0), seen.out, seen.err)

    return run
