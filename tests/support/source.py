"""The source of the service, as the tests of its rules read it.

They are one group of pytest-xdist, so that one process parses the source for all of them.
"""

import ast
import functools
from pathlib import Path

import chatvault

ROOT = Path(chatvault.__file__).parent
MODULES = sorted(path.relative_to(ROOT) for path in ROOT.rglob("*.py"))
SERVICES = (
    "service.py",
    "append_service.py",
    "branch_service.py",
    "grants_service.py",
    "list_service.py",
    "message_service.py",
    "trash_service.py",
    "review.py",
    "permissions.py",
    "catalogue.py",
    "uploads.py",
    "upload_service.py",
    "job_service.py",
    "verifications.py",
    "undo_service.py",
    "reading_service.py",
)
Function = ast.FunctionDef | ast.AsyncFunctionDef


def name_of(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(("chatvault", *parts)).removesuffix(".__init__")


NAMES = frozenset(map(name_of, MODULES))


@functools.cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse((ROOT / path).read_text())


@functools.cache
def imports_of(path: Path) -> frozenset[str]:
    """Return the names of all modules that a module imports."""
    found: set[str] = set()
    for node in walk(path):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path} imports relatively"
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= inner & NAMES
            if not inner <= NAMES:
                found.add(node.module)
    return frozenset(found)


def packages_of(path: Path) -> set[str]:
    return {name.partition(".")[0] for name in imports_of(path)}


@functools.cache
def walk(path: Path) -> tuple[ast.AST, ...]:
    """Return all nodes of a module's tree."""
    return tuple(ast.walk(tree_of(path)))


def names_assigned(node: ast.AST) -> list[str]:
    targets: list[ast.expr] = []
    if isinstance(node, ast.Assign):
        targets = node.targets
    elif isinstance(node, ast.AnnAssign):
        targets = [node.target]
    return [target.id for target in targets if isinstance(target, ast.Name)]


def called(call: ast.Call) -> str:
    match call.func:
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name
        case _:
            return ""
