"""The messages in docs/troubles.md are those that the service prints."""

import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.pages import ROOT, pattern_of
from support.running import chatvault

PAGE = (ROOT / "docs" / "troubles.md").read_text()
SHOWN = re.findall(r"^\| `([^`]+)`", PAGE, re.MULTILINE)
UNREACHABLE = {"mongodb_url": "mongodb://localhost:1/", "mongodb_timeout": 1}


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that another program has."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        one.listen()
        yield one.getsockname()[1]


def printed(data_dir: Path, *arguments: str, **settings: object) -> str:
    """Return the error line of a command that fails."""
    done = chatvault(data_dir, *arguments, **settings)
    assert done.returncode != 0
    lines = done.stderr.splitlines()
    return next(each for each in reversed(lines) if each.startswith("chatvault: "))


def is_shown(message: str) -> bool:
    text = message.removeprefix("chatvault: ").replace("`", "")
    return any(re.fullmatch(pattern_of(shown)[0], text) for shown in SHOWN)


class TestMessages:
    @pytest.mark.parametrize(
        "settings",
        [
            {"prot": 1},
            {"port": "x"},
            {"env": "production", "mongodb_url": "mongodb://localhost:1/"},
            UNREACHABLE,
        ],
        ids=["unknown setting", "invalid setting", "no key", "no MongoDB"],
    )
    def test_of_a_start_are_documented(self, settings: dict[str, object], tmp_path: Path) -> None:
        message = printed(tmp_path / "data", "serve", **settings)
        assert is_shown(message), message

    def test_of_a_directory_open_to_others_are_documented(self, tmp_path: Path) -> None:
        (tmp_path / "data").mkdir(mode=0o755)
        message = printed(tmp_path / "data", "serve")
        assert is_shown(message), message

    @pytest.mark.parametrize("text", ['[{"id":"a"\n', None], ids=["cut", "missing"])
    def test_of_an_import_are_documented(self, text: str | None, tmp_path: Path) -> None:
        file = tmp_path / "my_conversations.json"
        if text is not None:
            file.write_text(text)
        message = printed(tmp_path / "data", "import", str(file), "--username", "bobo")
        assert is_shown(message), message

    def test_of_the_bootstrap_are_documented(self) -> None:
        script = (ROOT / "scripts" / "bootstrap").read_text()
        for words in ("Python 3.11, 3.12 or 3.13 is needed;", "has no venv module; run:"):
            assert words in script
            assert words in PAGE

    def test_of_a_port_in_use_are_documented(self, taken: int, tmp_path: Path) -> None:
        message = printed(tmp_path / "data", "serve", port=taken, **UNREACHABLE)
        assert is_shown(message.replace(str(taken), "8000")), message
