"""The documentation, compared with the code."""

import ast
import re
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from itertools import chain
from pathlib import Path

import pytest

from chatvault.audit.actions import Action
from chatvault.audit.keys import InvalidKeys, KeysMissing
from chatvault.backup.errors import (
    BackupDamaged,
    BackupNotWritten,
    NotABackup,
    NotRestorable,
    SnapshotLost,
)
from chatvault.cli.sealing import NotAllReadable
from chatvault.commands.runner import AlreadySettled
from chatvault.conversations.commits.errors import Behind, NeedsTree, NoRoom, RetryAfterMove
from chatvault.documents import DOCUMENTS
from chatvault.errors import ChatvaultError
from chatvault.http.problems import MethodNotAllowed, status_of
from chatvault.importing.conversations import ImportRejected
from chatvault.keys import NotPrivate
from chatvault.mongodb import embedded
from chatvault.mongodb.rates import COLLECTION as RATE_LIMITS
from chatvault.mongodb.restoring import COLLECTION as RESTORES
from chatvault.mongodb.restoring import HalfRestored

# Imported for the errors that it defines, so that all subclasses are known.
from chatvault.operations import ROUTES
from chatvault.replies.finish import AlreadyEnded
from chatvault.replies.start import Stale
from chatvault.sealing.verify import NotVerified
from chatvault.server import listening, workers
from chatvault.settings import PREFIX, InvalidSettings, Settings
from chatvault.vault.service import DataKeyUnreadable, MasterKeysMissing

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
API = (DOCS / "api.md").read_text()
OPERATIONS = (DOCS / "operations.md").read_text()
SETTINGS = (DOCS / "settings.md").read_text()
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *(ROOT / "benchmarks").glob("*.md")])
DECISIONS = sorted((DOCS / "decisions").glob("[0-9]*.md"))

# They end a command or a start, or never leave the service; no request meets them.
NEVER_OVER_HTTP: set[type[ChatvaultError]] = {
    Behind,
    BackupDamaged,
    BackupNotWritten,
    HalfRestored,
    NotABackup,
    NotRestorable,
    SnapshotLost,
    InvalidSettings,
    InvalidKeys,
    KeysMissing,
    MasterKeysMissing,
    DataKeyUnreadable,
    NotAllReadable,
    NotPrivate,
    NotVerified,
    ImportRejected,
    NeedsTree,
    RetryAfterMove,
    NoRoom,
    Stale,
    AlreadyEnded,
    AlreadySettled,
    embedded.EmbeddedError,
    embedded.DataInUse,
    listening.CannotListen,
    workers.WorkersFail,
}


def subclasses(kind: type[ChatvaultError]) -> Iterator[type[ChatvaultError]]:
    for each in kind.__subclasses__():
        if each.__module__.startswith("chatvault"):
            yield each
        yield from subclasses(each)


def over_http() -> list[type[ChatvaultError]]:
    """Every kind of error that an answer can show."""
    kinds = set(subclasses(ChatvaultError)) - NEVER_OVER_HTTP
    return sorted(kinds, key=lambda kind: f"{kind.code} {kind.__name__}")


def rows(text: str) -> dict[str, list[str]]:
    """The rows of all tables, by their first cell without its backquotes."""
    lines = [line for line in text.splitlines() if line.startswith("| `")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {first.strip("`"): rest for first, *rest in cells}


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def without_code(text: str) -> str:
    return re.sub(
        r"`[^`\n]+`", "", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    )


def anchors(page: Path) -> set[str]:
    """The names by which the headings of a page can be linked to, as GitHub makes them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}


def exists(test: str) -> bool:
    """Whether there is such a test: `file`, `file::test` or `file::Class::test`."""
    file, *names = test.split("::")
    path = ROOT / file
    if not path.is_file():
        return False
    scope: list[ast.stmt] = ast.parse(path.read_text()).body
    for name in names:
        found = next((each for each in scope if getattr(each, "name", None) == name), None)
        if not isinstance(found, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            return False
        scope = found.body
    return True


class TestSettings:
    def test_are_exactly_those_of_the_table(self) -> None:
        told = {name for name in rows(SETTINGS) if name.startswith(PREFIX)}
        assert told == {PREFIX + name.upper() for name in Settings.model_fields}

    @pytest.mark.parametrize("name", sorted(Settings.model_fields))
    def test_have_their_default_in_the_table(self, name: str) -> None:
        default, meaning = rows(SETTINGS)[PREFIX + name.upper()]
        value = Settings.model_fields[name].default
        assert meaning
        if isinstance(value, int | float | str):
            assert f"{value:g}" if isinstance(value, float) else str(value) in default


class TestApi:
    def test_has_exactly_the_routes(self) -> None:
        told = re.findall(r"^### `([A-Z]+) (\S+)`$", API, flags=re.MULTILINE)
        assert len(told) == len(set(told))
        routes = {(each.method, each.path) for each in chain.from_iterable(ROUTES)}
        assert set(told) == routes

    def test_names_the_action_of_every_route(self) -> None:
        sections = re.split(r"^### ", API, flags=re.MULTILINE)[1:]
        for operation in chain.from_iterable(ROUTES):
            head = f"`{operation.method} {operation.path}`\n"
            section = next(each for each in sections if each.startswith(head))
            told = re.search(r"^Audited as `([\w.]+)`", section, flags=re.MULTILINE)
            assert (told and told[1]) == (operation.action and operation.action.value), head

    @pytest.mark.parametrize("kind", over_http(), ids=lambda kind: kind.__name__)
    def test_has_every_error_code_with_its_status(self, kind: type[ChatvaultError]) -> None:
        status, meaning, _ = rows(API)[kind.code]
        # aiohttp refuses the method, and its own status stays.
        assert int(status) == (405 if kind is MethodNotAllowed else status_of(kind))
        assert meaning

    def test_has_no_unknown_error_code(self) -> None:
        table = API.partition("## Error codes")[2]
        known = {kind.code for kind in over_http()}
        assert set(rows(table)) == known


class TestAudit:
    @pytest.mark.parametrize("action", list(Action))
    def test_describes_every_action(self, action: Action) -> None:
        page = DOCS / "audit.md"
        text = API + (page.read_text() if page.exists() else "")
        assert f"`{action}`" in text


COLLECTIONS = sorted({kind.Settings.name for kind in DOCUMENTS} | {RATE_LIMITS, RESTORES})


class TestCollections:
    """A backup that leaves one out is none."""

    def test_are_exactly_those_listed(self) -> None:
        [told] = re.findall(
            r"^Collections: (.+?)\. A\s", OPERATIONS, flags=re.MULTILINE | re.DOTALL
        )
        assert sorted(re.findall(r"`(\w+)`", told)) == COLLECTIONS

    def test_are_each_sharded_or_listed_as_unsharded(self) -> None:
        section = OPERATIONS.partition("## Sharded clusters")[2].partition("\n## ")[0]
        sharded = {name for name in rows(section) if name in COLLECTIONS}
        stay = section.partition("The others stay unsharded.")[2].partition("\n\n")[0]
        told = sharded | {name for name in re.findall(r"`(\w+)`", stay) if name in COLLECTIONS}
        assert sorted(told) == COLLECTIONS
        commands = re.findall(
            r'shardCollection\("chatvault\.(\w+)",\s*(.+?)\)$', section, re.MULTILINE
        )
        keys = {name: rows(section)[name][0].strip("`") for name in sharded}
        assert dict(commands) == keys


class TestLinks:
    @pytest.mark.parametrize("page", PAGES, ids=name_of)
    def test_have_existing_targets(self, page: Path) -> None:
        for link in re.findall(r"\]\(([^)\s]+)\)", without_code(page.read_text())):
            if re.match(r"[a-z]+:", link):
                continue
            file, _, anchor = link.partition("#")
            target = (page.parent / file).resolve() if file else page
            assert target.exists(), link
            assert target.is_relative_to(ROOT), link
            assert not anchor or anchor in anchors(target), link

    @pytest.mark.parametrize("page", PAGES, ids=name_of)
    def test_name_existing_tests(self, page: Path) -> None:
        for named in re.findall(r"`(tests/[\w/]+\.py(?:::\w+)*)`", page.read_text()):
            # The template names one that could be.
            assert exists(named) or "test_something" in named, named


class TestDecisions:
    @pytest.mark.parametrize("page", DECISIONS, ids=name_of)
    def test_follow_the_template(self, page: Path) -> None:
        text = page.read_text()
        assert re.match(rf"# {page.name[:4]}\. \S", text)
        headings = re.findall(r"^## (.+)$", text, flags=re.MULTILINE)
        expected = ["Context", "Decision", "Consequences", "Alternatives", "Guarded by"]
        assert [each for each in headings if each in expected] == expected
        assert re.search(r"^## Decision\n+> \S", text, flags=re.MULTILINE), "one sentence to quote"

    @pytest.mark.parametrize("page", DECISIONS, ids=name_of)
    def test_name_the_tests_that_guard_them(self, page: Path) -> None:
        guards = re.findall(r"`(tests/[^`]+)`", page.read_text().partition("## Guarded by")[2])
        assert guards
        assert [each for each in guards if not exists(each)] == []

    def test_are_all_in_the_index(self) -> None:
        index = (DOCS / "decisions" / "README.md").read_text()
        assert [page.name for page in DECISIONS if f"]({page.name})" not in index] == []

    def test_do_not_install_motor(self) -> None:
        with pytest.raises(PackageNotFoundError):
            distribution("motor")
