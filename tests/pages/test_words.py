"""The languages of the page: what the sources of their words promise, and what the service names.

`scripts/ui check` compares the words themselves, in ui/src/lib/words/words.test.ts.
"""

import ast
import gzip
import re
import sys
from pathlib import Path

import pytest

from chatvault.audit.actions import Action
from chatvault.importing import contents
from chatvault.importing.reports import LEFT_OUT

ROOT = Path(__file__).parents[2]
WORDS = ROOT / "ui" / "src" / "lib" / "words"
SERVICE = ROOT / "src" / "chatvault"
sys.path.insert(0, str(ROOT / "scripts"))
import _ui  # noqa: E402  # lies beside the scripts that call it

LANGUAGES = {path.name for path in WORDS.iterdir() if path.is_dir()}
FILES = ("first", "rest", "service")
KB = 1024
# What a language costs, packed: before the first screen, and each of the two files behind it.
MAX_FIRST = 8 * KB
MAX_REST = 16 * KB
# Words that stand in one file alone.
IN_FIRST = {"es": "Buenos días,", "fr": "Bonsoir,", "de": "Guten Morgen,", "zh": "早上好"}
IN_REST = {
    "es": "¿Vaciar la papelera?",
    "fr": "Les conversations supprimées, qui peuvent",
    "de": "Papierkorb leeren?",
    "zh": "回收站是空的",
}
IN_SERVICE = {
    "es": "Abrir una conversación",
    "fr": "Ouvrir une conversation",
    "de": "Unterhaltung öffnen",
    "zh": "打开对话",
}
# Codes that nobody meets on the page: of the command line and the start of a process, of programs
# that speak HTTP themselves, and those that a page has words of its own for.
NOT_ON_THE_PAGE = {
    *("audit_keys_missing", "backup_damaged", "backup_not_written", "cannot_listen", "data_in_use"),
    *("data_key_unreadable", "embedded_mongodb", "half_restored", "invalid_audit_keys"),
    *("invalid_settings", "master_keys_missing", "not_a_backup", "not_all_readable", "not_private"),
    *("not_restorable", "not_verified", "snapshot_lost", "workers_fail", "invalid_command"),
    *("insufficient_scope", "invalid_api_key", "invalid_logout_token", "method_not_allowed"),
    *("oidc_off", "range_not_satisfiable", "unknown_path", "unsupported_media_type"),
    *("unsupported_tus_version", "upgrade_required"),
    *("email_in_use", "identity_in_use", "sign_in_expired", "sign_in_refused", "foreign_origin"),
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
            read = (f"() => import('./{tag}/{file}')" for file in FILES)
            assert f"{tag}: [{', '.join(read)}]" in re.sub(r"\s+", " ", named)

    @pytest.mark.parametrize("tag", sorted(LANGUAGES))
    def test_lack_none_of_the_english_ones(self, tag: str) -> None:
        """A part that was added in English alone, which its type would not tell."""
        translated = {
            name
            for path in WORDS.glob("*.ts")
            for name in re.findall(r"= translated\('(\w+)'", path.read_text())
        }
        parts = {path for path in (WORDS / tag).glob("*.ts") if path.stem not in FILES}
        assert {name for path in parts for name in exports(path)} == translated

        read = "".join((WORDS / tag / f"{file}.ts").read_text() for file in FILES)
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
        leads = (WORDS / "de" / "problems.ts").read_text().partition("  leads: {")[2]
        led = set(re.findall(r"^    (\w+):", leads.partition("  },")[0], re.MULTILINE))
        assert known - codes - led - NOT_ON_THE_PAGE == set(), "give them words in problems.ts"


class TestActions:
    def test_have_words(self) -> None:
        """An action of the log that has none is shown by its name, which is English."""
        words, resource = set[str](), ""
        for line in (WORDS / "log.ts").read_text().splitlines():
            if found := re.match(r"    (\w+): \{", line):
                resource = found[1]
            words |= {f"{resource}.{verb}" for verb in re.findall(r"(\w+): ['\"]", line)}
        named = {action.value for action in Action}
        kinds = {f"{action.resource_type}.it" for action in Action}
        words = {word for word in words if not word.startswith(".")}
        assert (named | kinds) - words == set()
        assert words - named - kinds == set()


class TestReasons:
    """What reports of imports say."""

    def test_have_words(self) -> None:
        said = {text for path in (SERVICE / "importing").rglob("*.py") for text in reasons_in(path)}
        assert len(said) > 50
        said |= {contents.WITHOUT, contents.TOO_LARGE, contents.FULL, contents.DAMAGED}
        said |= {*LEFT_OUT.values()}
        keys = re.findall(r"^  (?:'(.*?)'|\"(.*?)\"|(\w+)):", REASONS.read_text(), re.MULTILINE)
        known = {next(filter(None, each)) for each in keys}
        assert {marked(text) for text in said} - known - OF_OTHERS == set(), "words/reasons.ts"


REASONS = WORDS / "reasons.ts"
# Counts of what other programs name, or what is put together of others.
OF_OTHERS = {
    "{}",
    "'{}' {}",
    "{}: {}",
    "no conversations: {}",
    "{} message{}: {}",
    "'{}' was no time; {} is used",
}
SAID_BY = {"UnfitError", "_bad_settings"}
COUNTED = {"repairs", "unknown", "left_out"}


def marked(text: str) -> str:
    """Return a reason as `reasonOf` of the page looks for it."""
    return re.sub(r"'[\w.\[\]-]+'", "'{}'", re.sub(r"\d[\d,]*", "{}", text))


def reasons_in(path: Path) -> set[str]:
    """Return the reasons that a module gives; what is filled in is `{}`."""
    given: list[ast.expr] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            given += [each.value for each in node.keywords if each.arg == "reason"]
            if name in SAID_BY or ast.unparse(node.func).endswith("notes.append"):
                given += node.args[:1]
        elif (
            isinstance(node, ast.Subscript)
            and getattr(node.value, "attr", getattr(node.value, "id", "")) in COUNTED
        ):
            given.append(node.slice)
    return {text for each in given for text in texts_of(each)}


def texts_of(node: ast.expr) -> set[str]:
    """Return the texts that an expression may be; none where it only names one."""
    if isinstance(node, ast.IfExp):
        return texts_of(node.body) | texts_of(node.orelse)
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return {node.value}
    if isinstance(node, ast.JoinedStr):
        parts = (each.value if isinstance(each, ast.Constant) else "{}" for each in node.values)
        return {"".join(str(each) for each in parts)}
    return set()


@pytest.mark.skipif(not _ui.is_current(), reason="the page is not built: scripts/ui build")
@pytest.mark.parametrize("tag", sorted(LANGUAGES))
def test_is_small_when_built(tag: str) -> None:
    def size_of(words: str) -> int:
        [found] = [path for path in _ui.BUILT.rglob("*.js") if words in path.read_text()]
        return len(gzip.compress(found.read_bytes(), 9))

    assert size_of(IN_FIRST[tag]) <= MAX_FIRST
    assert size_of(IN_REST[tag]) <= MAX_REST
    assert size_of(IN_SERVICE[tag]) <= MAX_REST
