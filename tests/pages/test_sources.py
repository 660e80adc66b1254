"""The page's sources and what is built of them: not stale, not too much, and from no registry."""

import gzip
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UI = ROOT / "ui"
sys.path.insert(0, str(ROOT / "scripts"))
import _ui  # noqa: E402  # lies beside the scripts that call it

KB = 1024
# Each file of the page, packed: the largest is the shell, which is one file so that it comes in one
# round trip. KaTeX and highlight.js are read only where they are needed.
MAX_FILE = 104 * KB
# Of all places together; tests/browser/test_budgets.py weighs what the first one needs.
MAX_CSS = 27 * KB
# Four languages besides English are 0.2 of it.
MAX_ALL = 1.9 * KB * KB

needs_build = pytest.mark.skipif(
    not _ui.is_current(), reason="the page is not built of these sources: scripts/ui build"
)


class TestTypes:
    def test_are_generated_from_this_api(self) -> None:
        head = _ui.TYPES.read_text().partition("\n")[0]
        assert _ui.api_hash() in head, "the API changed: scripts/ui types"


class TestLock:
    def test_names_no_registry(self) -> None:
        assert '"resolved"' not in (UI / "package-lock.json").read_text()

    def test_pins_every_package(self) -> None:
        package = (UI / "package.json").read_text()
        assert not re.search(r'"[~^>]', package.replace('"node": ">=', ""))


class TestSourceHash:
    def test_changes_with_sources_and_not_with_tests(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(_ui, "UI", tmp_path)
        (tmp_path / "src").mkdir()
        (tmp_path / "src" / "a.ts").write_text("1")
        first = _ui.source_hash()
        (tmp_path / "src" / "a.test.ts").write_text("test")
        (tmp_path / "README.md").write_text("words")
        assert _ui.source_hash() == first

        (tmp_path / "src" / "a.ts").write_text("2")
        assert _ui.source_hash() != first


@needs_build
class TestBuild:
    def files(self, suffix: str) -> dict[str, int]:
        """Sizes as they are sent."""
        return {
            path.name: len(gzip.compress(path.read_bytes(), 9))
            for path in _ui.BUILT.rglob(f"*{suffix}")
        }

    def test_is_small(self) -> None:
        assert max(self.files(".js").values()) <= MAX_FILE
        assert sum(self.files(".css").values()) <= MAX_CSS
        whole = sum(path.stat().st_size for path in _ui.BUILT.rglob("*") if path.is_file())
        assert whole <= MAX_ALL

    def test_has_no_source_maps_and_no_foreign_hosts(self) -> None:
        assert not list(_ui.BUILT.rglob("*.map"))
        index = (_ui.BUILT / "index.html").read_text()
        assert "http://" not in index
        assert "https://" not in index

    def test_includes_the_licences_of_its_dependencies(self) -> None:
        told = (_ui.BUILT / "LICENSES.txt").read_text()
        for name in ("svelte", "marked", "katex", "highlight.js", "bits-ui"):
            assert re.search(rf"^{re.escape(name)} \d", told, re.MULTILINE), name
