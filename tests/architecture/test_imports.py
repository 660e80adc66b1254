"""Who imports whom: doors, services, models, and no circle, between packages as well as modules."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.source import MODULES, SERVICES, imports_of, name_of, packages_of, tree_of

pytestmark = pytest.mark.xdist_group("source")

TESTS = Path(__file__).parent.parent
HTTP = {"aiohttp", "aiohttp_session"}
MONGODB = {"beanie", "pymongo", "motor", "gridfs"}
# Doors, beside each domain's routes.
DOORS = (
    *("app.py", "background.py", "operations.py", "__main__.py"),
    *("cli", "http", "live", "pages", "server"),
)
# Who else may know aiohttp, and what is HTTP's.
KNOWS_HTTP = {
    "sessions/storage.py": "finds sessions for aiohttp-session, which calls it with the request",
}
KNOWS_HEADERS = {
    "conversations/headers.py": "the models of headers that several domains' routes parse",
}
# Half a second and more each.
SLOW = {
    "anthropic",
    "mcp",
    "mcp_types",
    "openai",
    "openapi_schema_validator",
    "openapi_spec_validator",
    "schemathesis",
}


def _imported_at_once(tree: ast.Module) -> Iterator[str]:
    """The packages that a module imports when it is imported."""
    yield from (name.partition(".")[0] for name in _names_imported_at_once(tree))


def _names_imported_at_once(tree: ast.Module) -> Iterator[str]:
    """The modules that a module imports when it is imported; some may be names within modules."""
    for node in tree.body:
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{each.name}" for each in node.names)


def _is_routes(path: Path) -> bool:
    return path.name.endswith("routes.py")


def _is_door(path: Path) -> bool:
    return path.parts[0] in DOORS or _is_routes(path)


def _circle(graph: dict[str, set[str]]) -> list[str]:
    """The first circle that is found; nothing where there is none."""
    done: set[str] = set()

    def visit(name: str, way: tuple[str, ...]) -> list[str]:
        if name in way:
            return [*way[way.index(name) :], name]
        if name not in done:
            for other in sorted(graph.get(name, ())):
                if found := visit(other, (*way, name)):
                    return found
            done.add(name)
        return []

    return next((found for name in sorted(graph) if (found := visit(name, ()))), [])


def _modules() -> dict[str, set[str]]:
    """What each module imports of ours."""
    return {
        name_of(path): {name for name in imports_of(path) if name.startswith("chatvault.")}
        for path in MODULES
    }


def _packages() -> list[str]:
    """Every package that has modules or packages in it."""
    names = (name_of(path).split(".") for path in MODULES)
    return sorted({".".join(name[:depth]) for name in names for depth in range(1, len(name))})


def _within(package: str) -> dict[str, set[str]]:
    """What each module or package in a package imports of the others there."""
    found: dict[str, set[str]] = {}
    for name, imported in _modules().items():
        if child := _child_of(package, name):
            others = {other for each in imported if (other := _child_of(package, each))}
            found.setdefault(child, set()).update(others - {child})
    return found


def _child_of(package: str, name: str) -> str:
    """The module or package in a package that a name is in; nothing if it is not in the package."""
    inside = name.removeprefix(f"{package}.")
    return "" if inside == name else inside.partition(".")[0]


class TestDoors:
    def test_are_the_only_importers_of_aiohttp(self) -> None:
        knowing = {path.as_posix() for path in MODULES if HTTP & packages_of(path)}
        doors = {path.as_posix() for path in MODULES if _is_door(path)}

        assert knowing - doors == KNOWS_HTTP.keys()
        assert not {name for name in knowing if name.startswith("cli/")}

    def test_do_not_import_the_database(self) -> None:
        for path in MODULES:
            is_schemas = path.name.endswith("schemas.py")
            if is_schemas or _is_routes(path) or path.parts[0] in {"cli", "http", "live", "pages"}:
                assert not MONGODB & packages_of(path), f"{path} imports the driver"

    def test_are_not_imported_by_services(self) -> None:
        doors = {name_of(path) for path in MODULES if _is_door(path)}
        asking = {
            path.as_posix(): name
            for path in MODULES
            for name in imports_of(path)
            if not _is_door(path) and name in doors
        }

        assert asking.keys() == KNOWS_HTTP.keys() | KNOWS_HEADERS.keys(), asking

    def test_do_not_import_other_domains_routes(self) -> None:
        for path in MODULES:
            for name in imports_of(path):
                # A domain's routes may be divided among files.
                domain = ".".join(name.split(".")[:2])
                is_own = _is_routes(path) and name_of(path).startswith(f"{domain}.")
                is_allowed = path.name in {"app.py", "background.py", "operations.py"} or is_own
                assert not name.endswith("routes") or is_allowed, f"{path} imports {name}"


class TestModels:
    def test_do_not_import_services(self) -> None:
        for path in MODULES:
            if path.name == "models.py":
                for name in imports_of(path):
                    last = name.rpartition(".")[2]
                    assert f"{last}.py" not in {*SERVICES, "schemas.py"}, f"{path}: {name}"


class TestCycles:
    def test_do_not_exist_between_modules(self) -> None:
        assert _circle(_modules()) == []

    @pytest.mark.parametrize("package", _packages())
    def test_do_not_exist_between_what_is_in_a_package(self, package: str) -> None:
        assert _circle(_within(package)) == []


def _loaded_with(name: str) -> set[str]:
    """Every module of ours that is imported when this one is."""
    paths = {name_of(path): path for path in MODULES}
    found: set[str] = set()
    left = [name]
    while left:
        each = left.pop()
        if each in paths and each not in found:
            found.add(each)
            left.append(each.rpartition(".")[0])
            left += _names_imported_at_once(tree_of(paths[each]))
    return found


class TestStart:
    @pytest.mark.parametrize("door", ["chatvault.app", "chatvault.cli.main"])
    def test_waits_for_no_library_that_few_need(self, door: str) -> None:
        """Every command waits for it, and every process of the service."""
        paths = {name_of(path): path for path in MODULES}
        loaded = _loaded_with(door)
        slow = {
            name: found
            for name in loaded
            if (found := SLOW & set(_imported_at_once(tree_of(paths[name]))))
        }

        assert {"chatvault.accounts.service", "chatvault.exporting.service"} <= loaded
        assert not slow, f"{slow}: import it where it is used"


class TestTests:
    def test_do_not_sleep(self) -> None:
        """Whoever runs one test imports all of them."""
        for path in TESTS.rglob("*.py"):
            slow = SLOW & set(_imported_at_once(ast.parse(path.read_text())))
            assert not slow, f"{path} imports {slow}: do so where it is used"
