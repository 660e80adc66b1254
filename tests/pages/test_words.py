"""The languages of the page: what the sources of their words promise.

`scripts/ui check` compares the words themselves, in ui/src/lib/words/words.test.ts.
"""

import gzip
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WORDS = ROOT / "ui" / "src" / "lib" / "words"
SERVICE = ROOT / "src" / "chatvault"
sys.path.insert(0, str(ROOT / "scripts"))
import _ui  # noqa: E402  # lies beside the scripts that call it

LANGUAGES = {path.name for path in WORDS.iterdir() if path.is_dir()}
KB = 1024
# What a language costs, packed: before the first screen, and behind it.
MAX_FIRST = 8 * KB
MAX_REST = 16 * KB
# Words that stand in one file alone.
IN_FIRST = {"es": "Buenos días,", "fr": "Bonsoir,", "de": "Guten Morgen,", "zh": "早上好"}
IN_REST = {
    "es": "Vaciar la papelera",
    "fr": "Vider la corbeille",
    "de": "Papierkorb leeren",
    "zh": "清空回收站",
}
EXPORT = re.compile(r"^export const (\w+)(?:: typeof \w+)? = ", re.MULTILINE)


def exports(path: Path) -> set[str]:
    """Return the names of the dictionaries that a file exports."""
    return set(EXPORT.findall(path.read_text()))


def codes_of(path: Path) -> set[str]:
    """Return the codes of problems that a language has sentences for."""
    sentences = path.read_text().partition("  fields: {")[0]
    return set(re.findall(r"^    (\w+):", sentences, re.MULTILINE))


class TestDictionaries:
    def test_are_the_old_pages_languages(self) -> None:
        assert sorted(LANGUAGES) == ["de", "es", "fr", "zh"]
        named = (WORDS / "language.svelte.ts").read_text()
        for tag in LANGUAGES:
            assert f"{tag}: [() => import('./{tag}/first'), () => import('./{tag}/rest')]" in named

    @pytest.mark.parametrize("tag", sorted(LANGUAGES))
    def test_lack_none_of_the_english_ones(self, tag: str) -> None:
        """A part that was added in English alone, which its type would not tell."""
        translated = {
            name
            for path in WORDS.glob("*.ts")
            for name in re.findall(r"= translated\('(\w+)'", path.read_text())
        }
        parts = {path for path in (WORDS / tag).glob("*.ts") if path.stem not in {"first", "rest"}}
        assert {name for path in parts for name in exports(path)} == translated

        read = "".join((WORDS / tag / f"{half}.ts").read_text() for half in ("first", "rest"))
        assert {f"export * from './{path.stem}';" for path in parts} == set(read.splitlines())


class TestSentencesOfProblems:
    def test_are_the_same_in_each_language(self) -> None:
        of_each = {tag: codes_of(WORDS / tag / "problems.ts") for tag in LANGUAGES}
        assert all(codes == of_each["de"] for codes in of_each.values())

    def test_have_codes_of_the_service(self) -> None:
        sources = "".join(path.read_text() for path in SERVICE.rglob("*.py"))
        known = set(re.findall(r"^    code = \"(\w+)\"", sources, re.MULTILINE))
        codes = codes_of(WORDS / "de" / "problems.ts")
        assert len(codes) > 70
        assert codes - known == set()


@pytest.mark.skipif(not _ui.is_current(), reason="the page is not built: scripts/ui build")
@pytest.mark.parametrize("tag", sorted(LANGUAGES))
def test_is_small_when_built(tag: str) -> None:
    def size_of(words: str) -> int:
        [found] = [path for path in _ui.BUILT.rglob("*.js") if words in path.read_text()]
        return len(gzip.compress(found.read_bytes(), 9))

    assert size_of(IN_FIRST[tag]) <= MAX_FIRST
    assert size_of(IN_REST[tag]) <= MAX_REST
