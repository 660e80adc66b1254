"""The lock files hold what pyproject.toml asks for, and nothing may be fetched without its hash."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
LOCKS = [
    *sorted((ROOT / "requirements").glob("*.txt")),
    *sorted((ROOT / "tests" / "programs").glob("*.txt")),
]
PIN = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^ ;]+)( ; [^\\]+)? \\$", re.MULTILINE)
# What we use of a library that it calls private: it may change with any minor version.
PRIVATE = {
    "aiohttp": {
        "_close",
        "_force_close",
        "_kwargs",
        "_loop",
        "_make_server",
        "_request_in_progress",
    },
    "mcp": {
        "_create_platform_compatible_process",
        "_get_executable_command",
        "_stop_server_process",
    },
    "pymongo": {"_cursor", "_doc", "_filter", "_has_next"},
}
# Python's own, by their manual.
PUBLIC = {"_asdict", "_exit", "_replace"}

each_lock = pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.stem)


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def pins(lock: Path) -> dict[str, set[str]]:
    """By name, the versions that the file holds: those of different systems may differ."""
    found: dict[str, set[str]] = {}
    for name, version, _ in PIN.findall(lock.read_text()):
        found.setdefault(canonicalize_name(name), set()).add(version)
    return found


def asked_for(lock: str) -> list[str]:
    """What pyproject.toml wants to be in a lock file."""
    found = project()
    everything: dict[str, list[str]] = found["dependency-groups"]
    ours: list[str] = found["project"]["dependencies"]
    embedded: list[str] = found["project"]["optional-dependencies"]["embedded"]
    pdf: list[str] = found["project"]["optional-dependencies"]["pdf"]
    anthropic: list[str] = found["project"]["optional-dependencies"]["anthropic"]
    ours += anthropic
    return {
        "build": [*everything["build"], *found["build-system"]["requires"]],
        "image": [*ours, *pdf],
        "uv": everything["uv"],
        "serve": [*ours, *embedded],
        "pdf": [*ours, *embedded, *pdf],
        "dev": [*ours, *embedded, *pdf, *everything["dev"], *everything["build"]],
    }[lock]


class TestLocks:
    @pytest.mark.parametrize("lock", ["build", "image", "serve", "pdf", "dev", "uv"])
    def test_contain_the_required_packages(self, lock: str) -> None:
        held = pins(ROOT / "requirements" / f"{lock}.txt")
        for text in asked_for(lock):
            wanted = Requirement(text)
            versions = held.get(canonicalize_name(wanted.name), set())
            assert any(wanted.specifier.contains(each) for each in versions), (
                f"{text} is not in requirements/{lock}.txt: run scripts/lock"
            )

    @pytest.mark.parametrize("lock", ["build", "image", "serve", "pdf"])
    def test_match_the_installed_packages(self, lock: str) -> None:
        tested = pins(ROOT / "requirements" / "dev.txt")
        for name, versions in pins(ROOT / "requirements" / f"{lock}.txt").items():
            assert versions <= tested[name]

    @each_lock
    def test_have_a_hash_for_every_package(self, lock: Path) -> None:
        logical = lock.read_text().replace("\\\n", " ").splitlines()
        lines = [line for line in logical if line.strip() and not line.lstrip().startswith("#")]
        assert len(lines) > 0
        assert all("==" in line and "--hash=sha256:" in line for line in lines)

    @each_lock
    def test_name_no_index(self, lock: Path) -> None:
        assert not re.search(r"://|--(extra-)?index|--find-links|file:", lock.read_text())

    def test_of_npm_name_no_registry(self) -> None:
        text = (ROOT / "tests" / "programs" / "package-lock.json").read_text()
        assert '"resolved"' not in text
        assert text.count('"integrity": "sha512-') > 50

    def test_are_used_for_every_installation(self) -> None:
        for name in ("scripts/bootstrap", "scripts/lock", "scripts/test-programs", "Dockerfile"):
            text = (ROOT / name).read_text().replace("\\\n", " ")
            installs = re.findall(r"(?:^|pip\b.* )install --.*[^{}\n]$", text, re.MULTILINE)
            assert installs, name
            for line in installs:
                assert "--require-hashes" in line or "--no-deps" in line, line


class TestPrivateAttributes:
    @pytest.mark.parametrize("library", PRIVATE)
    def test_limit_the_version_of_their_library(self, library: str) -> None:
        [wanted] = [
            found
            for found in map(Requirement, project()["project"]["dependencies"])
            if found.name == library
        ]
        newest = max(pins(ROOT / "requirements" / "dev.txt")[library])
        major, minor = map(int, newest.split(".")[:2])
        assert not wanted.specifier.contains(f"{major}.{minor + 1}.0")

    def test_are_listed(self) -> None:
        listed = set().union(*PRIVATE.values(), PUBLIC)
        found = set(self._used())
        assert found <= listed
        assert "_kwargs" in found

    @staticmethod
    def _used() -> Iterator[str]:
        for path in (ROOT / "src").rglob("*.py"):
            tree = ast.parse(path.read_text())
            fields = {
                node.target.id
                for node in ast.walk(tree)
                if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
            }
            for node in ast.walk(tree):
                if isinstance(node, ast.Attribute) and node.attr in fields:
                    continue
                if not isinstance(node, ast.Attribute) or not re.match(r"_[^_]", node.attr):
                    continue
                if not isinstance(node.value, ast.Name) or node.value.id not in {"self", "cls"}:
                    yield node.attr
